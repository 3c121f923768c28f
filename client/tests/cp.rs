//! `remo cp` against the real server: what is copied is the same, and what breaks off goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path as FilePath;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use common::real::{Path, Real, cut_once};
use common::{Ended, Home, bare};
use serde_json::Value;

fn cp(home: &Home, arguments: &[&str]) -> Ended {
    Ended::from(begun(home, arguments).wait_with_output().unwrap())
}

fn begun(home: &Home, arguments: &[&str]) -> Child {
    let mut command = bare(home.folder.path());
    command.args(["cp", "-u", "zoe"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// A path on the server.
fn there(url: &str, home: &Home, name: &str) -> String {
    format!("{url}:{}", home.path(name).display())
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// All that is in a folder: kind, mode, time to the microsecond, and content or where it leads.
fn seen(folder: &FilePath) -> BTreeMap<OsString, (u32, i64, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            let about = entry.metadata().unwrap();
            let content = if about.is_dir() {
                open.push(entry.path());
                Vec::new()
            } else if about.is_symlink() {
                fs::read_link(entry.path())
                    .unwrap()
                    .into_os_string()
                    .into_vec()
            } else {
                fs::read(entry.path()).unwrap()
            };
            let name = entry
                .path()
                .strip_prefix(folder)
                .unwrap()
                .as_os_str()
                .to_owned();
            let (seconds, micros) = (about.mtime(), about.mtime_nsec() / 1000);
            all.insert(name, (about.mode(), seconds, micros, content));
        }
    }
    all
}

/// The same but for what the path between rounds.
fn assert_same(one: &FilePath, other: &FilePath) {
    let (one, other) = (seen(one), seen(other));
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    for (name, left) in &one {
        let right = &other[name];
        assert_eq!((left.0, left.1), (right.0, right.1), "{name:?}");
        assert!(
            left.2.abs_diff(right.2) <= 1 && left.3 == right.3,
            "{name:?}"
        );
    }
}

fn set_time(path: &FilePath, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 123_456_000);
    let times = FileTimes::new().set_modified(time);
    File::open(path).unwrap().set_times(times).unwrap();
}

/// A tree with everything that a tree may hold.
fn tree(home: &Home) {
    let root = home.path("tree");
    fs::create_dir_all(root.join("folder/deeper")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join("folder/file"), noise(5000)).unwrap();
    fs::write(root.join("folder/deeper/large"), noise(1_500_000)).unwrap();
    fs::write(root.join("nothing"), "").unwrap();
    fs::write(root.join(OsString::from_vec(b"n\xff\n".to_vec())), "odd").unwrap();
    symlink("folder/file", root.join("link")).unwrap();
    symlink("/no/such/\u{eb}", root.join("folder/dangling")).unwrap();
    fs::set_permissions(root.join("folder/file"), Permissions::from_mode(0o421)).unwrap();
    for (number, name) in ["folder/file", "nothing", "folder/deeper", "folder", "empty"]
        .iter()
        .enumerate()
    {
        set_time(&root.join(name), 1_000_000_000 + number as u64);
    }
    fs::set_permissions(root.join("empty"), Permissions::from_mode(0o555)).unwrap();
}

/// What is read-only is made removable.
fn loosen(home: &Home, names: &[&str]) {
    for name in names {
        home.allow(name, 0o755);
    }
}

#[test]
fn trees_are_the_same_both_ways_through_a_path_that_cuts() {
    let home = Home::new();
    let server = Real::start(&home);
    tree(&home);
    let path = Path::to(server.address, cut_once(&["/get", "/put", "/fs"]));
    let (url, straight) = (path.url(), server.url());
    cp(&home, &["-r", "tree", &there(&url, &home, "up")]).success();
    assert_same(&home.path("tree"), &home.path("up"));
    cp(&home, &["-r", &there(&url, &home, "up"), "down"]).success();
    assert_same(&home.path("tree"), &home.path("down"));
    let (from, to) = (
        there(&straight, &home, "up"),
        there(&straight, &home, "over"),
    );
    cp(&home, &["-r", "--verify", &from, &to]).success();
    assert_same(&home.path("tree"), &home.path("over"));
    // Once more, and nothing is carried.
    let again = cp(&home, &["-r", "--json", "--skip-identical", "tree/.", &to]).success();
    let summary: Value = serde_json::from_str(again.lines().last().unwrap()).unwrap();
    assert_eq!(
        (
            &summary["summary"]["files"],
            &summary["summary"]["identical"]
        ),
        (&0.into(), &4.into())
    );
    loosen(
        &home,
        &["tree/empty", "up/empty", "down/empty", "over/empty"],
    );
}

#[test]
fn what_cannot_be_copied_is_left_out_and_told() {
    let home = Home::new();
    let server = Real::start(&home);
    fs::create_dir_all(home.path("odd/in")).unwrap();
    home.write("odd/file", "x");
    let socket = std::os::unix::net::UnixListener::bind(home.path("odd/socket")).unwrap();
    let up = there(&server.url(), &home, "up");
    let flat = cp(&home, &["odd", &up]).failure();
    assert!(
        flat.contains("odd: left out: it is a folder (-r copies folders)"),
        "{flat}"
    );
    let told = cp(&home, &["-r", "odd", &up]).failure();
    assert!(
        told.contains("odd/socket: left out:") && told.contains("1 file copied"),
        "{told}"
    );
    assert_eq!(home.read("up/file"), b"x");
    drop(socket);
}

#[test]
fn many_small_files_are_the_same_both_ways_and_those_that_cannot_go_are_told() {
    let home = Home::new();
    let server = Real::start(&home);
    for folder in ["many/a", "many/b/c"] {
        fs::create_dir_all(home.path(folder)).unwrap();
        for at in 0..70_usize {
            fs::write(home.path(&format!("{folder}/{at}")), noise(at * 90)).unwrap();
        }
    }
    let path = Path::to(server.address, cut_once(&["/get", "/put"]));
    let (up, down) = (there(&path.url(), &home, "up"), home.path("down"));
    cp(&home, &["-r", "many", &up]).success();
    assert_same(&home.path("many"), &home.path("up"));
    cp(&home, &["-r", &up, "down"]).success();
    assert_same(&home.path("many"), &down);
    cp(&home, &["-r", "--verify", "many/.", &up]).success();
    assert_same(&home.path("many"), &home.path("up"));

    // Names that fill the head of a request before it has sixty-four.
    let deep = format!("long/{0}/{0}/{0}", "\u{1}".repeat(250));
    fs::create_dir_all(home.path(&deep)).unwrap();
    for at in 0..70 {
        fs::write(home.path(&format!("{deep}/{at}")), [at]).unwrap();
    }
    cp(
        &home,
        &["-r", "long", &there(&server.url(), &home, "long-up")],
    )
    .success();
    assert_same(&home.path("long"), &home.path("long-up"));
    cp(
        &home,
        &["-r", &there(&server.url(), &home, "long-up"), "long-down"],
    )
    .success();
    assert_same(&home.path("long"), &home.path("long-down"));

    for (side, name) in [("up", "a/7"), ("up", "b/c/60"), ("down", "a/8")] {
        let name = home.path(&format!("{side}/{name}"));
        fs::remove_file(&name).unwrap();
        fs::create_dir(&name).unwrap();
    }
    let told = cp(&home, &["-r", "many/.", &up]).failure();
    assert!(
        told.contains("/a/7: ") && told.contains("/b/c/60: "),
        "{told}"
    );
    assert!(told.contains("138 files copied"), "{told}");
    fs::remove_dir(home.path("up/a/7")).unwrap();
    fs::remove_dir(home.path("up/b/c/60")).unwrap();
    cp(&home, &["-r", "many/.", &up]).success();
    assert_same(&home.path("many"), &home.path("up"));
    let told = cp(&home, &["-r", &format!("{up}/."), "down"]).failure();
    assert!(
        told.contains("a/8: ") && told.contains("139 files copied"),
        "{told}"
    );
}

#[test]
fn several_sources_and_patterns_go_into_a_folder() {
    let home = Home::new();
    let server = Real::start(&home);
    for name in ["a.log", "b.log", ".c.log", "d.txt"] {
        home.write(name, name);
    }
    let url = server.url();
    let pattern = there(&url, &home, "?.l[o]*");
    let refused = cp(&home, &[&pattern, "to"]);
    assert!(
        refused.code == 255 && refused.err.contains("is no folder"),
        "{refused:?}"
    );
    fs::create_dir(home.path("to")).unwrap();
    cp(&home, &["-q", &pattern, &there(&url, &home, "d.txt"), "to"]).success();
    assert_eq!(fs::read_dir(home.path("to")).unwrap().count(), 3);
    assert_eq!(home.read("to/b.log"), b"b.log");
    let none = cp(&home, &[&there(&url, &home, "*.no"), "to"]);
    assert!(
        none.code == 255 && none.err.contains("nothing there matches"),
        "{none:?}"
    );
}

#[test]
fn holes_stay_holes_on_their_way_here() {
    let home = Home::new();
    let server = Real::start(&home);
    let file = File::create(home.path("holed")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", 32 << 20).unwrap();
    cp(&home, &[&there(&server.url(), &home, "holed"), "copy"]).success();
    let about = fs::metadata(home.path("copy")).unwrap();
    assert_eq!(about.len(), (32 << 20) + 3);
    assert!(about.blocks() < 2048, "{} blocks", about.blocks());
    assert!(home.read("copy") == home.read("holed"));
}

#[test]
fn links_in_the_target_are_replaced_and_never_written_through() {
    let home = Home::new();
    let server = Real::start(&home);
    for name in ["from/folder", "to", "outside"] {
        fs::create_dir_all(home.path(name)).unwrap();
    }
    home.write("from/file", "new");
    home.write("from/folder/file", "new");
    home.write("outside/file", "kept");
    symlink(home.path("outside/file"), home.path("to/file")).unwrap();
    symlink(home.path("outside"), home.path("to/folder")).unwrap();
    let url = server.url();
    let down = cp(&home, &["-r", &there(&url, &home, "from/."), "to"]).failure();
    assert!(down.contains("folder"), "{down}");
    assert_eq!(
        (home.read("to/file"), home.read("outside/file")),
        (b"new".to_vec(), b"kept".to_vec())
    );
    fs::remove_file(home.path("to/file")).unwrap();
    symlink(home.path("outside/file"), home.path("to/file")).unwrap();
    let up = cp(&home, &["-r", "from/.", &there(&url, &home, "to")]).failure();
    assert!(up.contains("no folder stands in its place"), "{up}");
    assert_eq!(
        (home.read("to/file"), home.read("outside/file")),
        (b"new".to_vec(), b"kept".to_vec())
    );
}

/// Lets a copy run until it has come so far, and kills it there.
fn kill_when(mut child: Child, far: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !far() {
        assert!(
            Instant::now() < end && child.try_wait().unwrap().is_none(),
            "it ended before"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A path that takes its time.
fn slow(server: &Real) -> Path {
    Path::to(server.address, |_, _, answer| {
        std::thread::sleep(Duration::from_millis(60));
        answer
    })
}

fn length(path: &FilePath) -> u64 {
    fs::metadata(path).map_or(0, |about| about.len())
}

#[test]
fn a_killed_download_goes_on_also_when_the_file_has_grown() {
    let home = Home::new();
    let server = Real::start(&home);
    let mut data = noise(60 << 20);
    home.write("from", &data);
    home.write("to", "old");
    let path = slow(&server);
    let child = begun(&home, &[&there(&path.url(), &home, "from"), "to"]);
    let partial = home.path(".to.remo-partial");
    kill_when(child, || length(&partial) >= 32 << 20);
    assert_eq!(home.read("to"), b"old");
    data.extend_from_slice(b"grown");
    home.write("from", &data);
    let done = cp(&home, &[&there(&server.url(), &home, "from"), "to"]);
    assert!(
        done.code == 0 && done.err.contains("goes on after"),
        "{}",
        done.err
    );
    assert!(
        done.err
            .contains("it has grown from 62914560 to 62914565 bytes"),
        "{}",
        done.err
    );
    assert!(home.read("to") == data);
    assert!(!partial.exists());
    // What is not the beginning of the file is not kept.
    fs::write(&partial, vec![7; 30 << 20]).unwrap();
    cp(&home, &[&there(&server.url(), &home, "from"), "to"]).success();
    assert!(home.read("to") == data);
}

/// A server whose next run knows what this one received.
fn remembering(home: &Home, port: u16) -> Real {
    let state = home.path("state");
    Real::start_with(home, port, |settings| {
        Arc::make_mut(&mut settings.limits).state_folder = Some(state)
    })
}

/// The unfinished upload in the home.
fn unfinished(home: &Home) -> u64 {
    let entries = fs::read_dir(home.folder.path()).unwrap().flatten();
    let begun = entries.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with(".remo-unfinished-")
    });
    begun.map(|entry| length(&entry.path())).sum()
}

#[test]
fn a_killed_upload_goes_on_also_at_a_server_that_was_started_anew() {
    let home = Home::new();
    let mut server = remembering(&home, 0);
    let data = noise(24 << 20);
    home.write("from", &data);
    home.write("to", "old");
    let path = slow(&server);
    let child = begun(&home, &["from", &there(&path.url(), &home, "to")]);
    kill_when(child, || unfinished(&home) >= 8 << 20);
    assert_eq!(home.read("to"), b"old");
    let port = server.address.port();
    server.stop();
    let server = remembering(&home, port);
    let done = cp(&home, &["from", &there(&server.url(), &home, "to")]);
    assert!(
        done.code == 0 && done.err.contains("goes on after"),
        "{}",
        done.err
    );
    assert!(home.read("to") == data);
    assert_eq!(unfinished(&home), 0);
}

#[test]
fn a_copy_outlives_a_server_that_is_started_anew_meanwhile() {
    let home = Home::new();
    let mut server = remembering(&home, 0);
    let data = noise(24 << 20);
    home.write("from", &data);
    let path = slow(&server);
    let up = begun(&home, &["from", &there(&path.url(), &home, "to")]);
    let end = Instant::now() + Duration::from_secs(60);
    while unfinished(&home) < 8 << 20 {
        assert!(Instant::now() < end, "it does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
    let port = server.address.port();
    server.stop();
    let _server = remembering(&home, port);
    Ended::from(up.wait_with_output().unwrap()).success();
    assert!(home.read("to") == data);
    assert_eq!(unfinished(&home), 0);
}

#[test]
fn owners_are_kept_where_root_copies_to_root() {
    let home = Home::new();
    let server = Real::start(&home);
    fs::create_dir(home.path("from")).unwrap();
    home.write("from/file", "x");
    symlink("file", home.path("from/link")).unwrap();
    home.allow("from/file", 0o755);
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        for name in ["from", "from/file", "from/link"] {
            std::os::unix::fs::lchown(home.path(name), Some(4711), Some(4712)).unwrap();
        }
        fs::set_permissions(home.path("from/file"), Permissions::from_mode(0o4755)).unwrap();
    }
    let url = server.url();
    let up = cp(&home, &["-r", "-p", "from", &there(&url, &home, "up")]);
    let down = cp(&home, &["-r", "-p", &there(&url, &home, "from"), "down"]);
    assert_eq!((up.code, down.code), (0, 0), "{} {}", up.err, down.err);
    assert_eq!(
        down.err.contains("owners are not kept"),
        !is_root,
        "{}",
        down.err
    );
    assert_same(&home.path("from"), &home.path("up"));
    assert_same(&home.path("from"), &home.path("down"));
    for name in ["", "file", "link"] {
        let owner = |root: &str| {
            let about = home.path(root).join(name).symlink_metadata().unwrap();
            (about.uid(), about.gid())
        };
        assert_eq!(
            (owner("up"), owner("down")),
            (owner("from"), owner("from")),
            "{name}"
        );
    }
}

#[test]
fn a_path_that_lets_no_large_answer_through_is_asked_for_less() {
    let home = Home::new();
    let server = Real::start(&home);
    let data = noise(900_000);
    home.write("from", &data);
    let path = Path::to(server.address, |route, _, answer| {
        if route == "/get" && answer.len() > 300_000 {
            return b"HTTP/1.0 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        answer
    });
    cp(&home, &[&there(&path.url(), &home, "from"), "to"]).success();
    assert!(home.read("to") == data);
}
