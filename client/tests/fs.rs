//! `remo ls`, `stat`, `mkdir`, `rm`, `mv`, `chmod`, `cat` and `hash` against the real server, over paths good and bad.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use common::real::{Path, Real, cut_once};
use common::{Ended, Home, bare};
use serde_json::Value;

/// A place on the server, and the way there.
struct Place {
    home: Home,
    _server: Real,
    url: String,
}

impl Place {
    fn new() -> Self {
        let home = Home::new();
        let server = Real::start(&home);
        let url = server.url();
        fs::create_dir(home.path("there")).unwrap();
        Self {
            home,
            _server: server,
            url,
        }
    }

    fn spot(&self, path: impl AsRef<OsStr>) -> OsString {
        let mut spot = OsString::from(format!("{}:", self.url));
        spot.push(self.home.path("there").join(path.as_ref()));
        spot
    }

    fn run(&self, arguments: &[&str], spots: &[OsString]) -> Ended {
        let (verb, options) = arguments.split_first().unwrap();
        let mut command = bare(self.home.folder.path());
        command
            .arg(verb)
            .args(["-u", "zoe"])
            .args(options)
            .args(spots);
        Ended::from(command.output().unwrap())
    }
}

#[test]
fn folders_are_made_listed_moved_and_removed() {
    let place = Place::new();
    let spot = |path: &str| place.spot(path);
    assert_eq!(place.run(&["mkdir"], &[spot("a/b")]).code, 1);
    place
        .run(&["mkdir", "-p", "-m", "750"], &[spot("a/b")])
        .success();
    place.run(&["mkdir", "-p"], &[spot("a/b")]).success();
    assert_eq!(place.home.mode("there/a/b"), 0o750);
    place.home.write("there/a/file", "12345");
    symlink("file", place.home.path("there/a/link")).unwrap();
    let mut names: Vec<_> = place
        .run(&["ls"], &[spot("a")])
        .success()
        .lines()
        .map(String::from)
        .collect();
    names.sort();
    assert_eq!(names, ["b", "file", "link"]);
    let long = place.run(&["ls", "-l"], &[spot("a")]).success();
    assert!(
        long.contains("drwxr-x---") && long.contains(" link -> file\n"),
        "{long}"
    );
    place.run(&["mv"], &[spot("a/file"), spot("a/b")]).success();
    place.run(&["chmod", "600"], &[spot("a/b/file")]).success();
    assert_eq!(place.home.mode("there/a/b/file"), 0o600);
    let refused = place.run(&["rm"], &[spot("a"), spot("a/link")]);
    assert!(refused.failure().contains("not_empty"));
    assert!(!place.home.path("there/a/link").exists());
    place.run(&["rm", "-r"], &[spot("a")]).success();
    place.run(&["rm", "-f"], &[spot("a")]).success();
    assert_eq!(fs::read_dir(place.home.path("there")).unwrap().count(), 0);
}

#[test]
fn what_a_program_reads_is_exact_whatever_the_name() {
    let place = Place::new();
    let name = OsString::from_vec(b"n\xff\x1b[2J".to_vec());
    fs::write(place.home.path("there").join(&name), "abc").unwrap();
    fs::set_permissions(
        place.home.path("there").join(&name),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    let shown = place.run(&["ls"], &[place.spot("")]).success();
    assert_eq!(shown, "n\u{fffd}\\u{1b}[2J\n");
    let line = place.run(&["ls", "--json"], &[place.spot("")]).success();
    let entry: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(entry["name64"], "bv8bWzJK");
    assert_eq!(
        (&entry["type"], &entry["size"], &entry["mode"]),
        (&"file".into(), &3.into(), &0o640.into())
    );
    let line = place
        .run(&["stat", "--json"], &[place.spot(&name)])
        .success();
    let stat: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&stat["size"], &stat["mtime"]),
        (&3.into(), &entry["mtime"])
    );
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let line = place.run(&["hash"], &[place.spot(&name)]).success();
    assert!(
        line.starts_with(&format!("{hash}  /")) && !line.contains('\x1b'),
        "{line}"
    );
}

#[test]
fn files_are_streamed_one_after_the_other() {
    let place = Place::new();
    let large: Vec<u8> = (0..20_000_000_u32)
        .map(|at| (at ^ (at >> 9)) as u8)
        .collect();
    place.home.write("there/a", &large);
    place.home.write("there/b", "end");
    let done = place.run(&["cat"], &[place.spot("a"), place.spot("b")]);
    assert_eq!((done.code, &done.err[..]), (0, ""));
    assert!(done.out.len() == large.len() + 3 && done.out.starts_with(&large));
    let missing = place.run(&["cat"], &[place.spot("no"), place.spot("b")]);
    assert_eq!((missing.code, &missing.out[..]), (1, &b"end"[..]));
    assert!(missing.err.contains("not_found"), "{}", missing.err);
}

#[test]
fn a_change_is_carried_out_once_though_its_answer_is_lost() {
    let mut place = Place::new();
    let path = Path::to(place._server.address, cut_once(&["/fs"]));
    place.url = path.url();
    // Carried out twice, the second would find it made already.
    place.run(&["mkdir"], &[place.spot("a")]).success();
    place
        .run(&["mv"], &[place.spot("a"), place.spot("b")])
        .success();
    place.run(&["rm"], &[place.spot("b")]).success();
    assert!(path.routes().iter().filter(|route| *route == "/fs").count() > 3);
}

#[test]
fn its_own_failures_are_255_and_a_path_here_is_none_there() {
    let place = Place::new();
    let mut command = bare(place.home.folder.path());
    command.args(["ls", "-u", "zoe", "--give-up", "1", "http://127.0.0.1:9/:/"]);
    let dead = Ended::from(command.output().unwrap());
    assert_eq!(dead.code, 255, "{dead:?}");
    let here = place.run(&["ls"], &["there".into()]);
    assert!(
        here.code == 255 && here.err.contains("NAME:PATH"),
        "{here:?}"
    );
    assert_eq!(place.run(&["chmod", "999"], &[place.spot("")]).code, 2);
}
