//! What `remo cp` keeps through a path that misbehaves, and killed at random: trees that are identical, never a half file,
//! never two writers in one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::{
        ffi::OsStringExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use remo_hostile::Kind;
use support::{
    Proxied, each,
    place::{Place, command},
    plan, seeds,
};

/// A server, its user, and a folder for each try.
struct Copies(Place);

impl Copies {
    fn new() -> Self {
        Self(Place::new())
    }

    /// A folder for one try.
    fn folder(&self, seed: u64) -> PathBuf {
        let folder = self.0.home.path().join(seed.to_string());
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn begin(&self, arguments: &[&str]) -> Child {
        command(self.0.home.path())
            .args(["cp", "-q", "-u", "alice"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    #[track_caller]
    fn cp(&self, seed: u64, arguments: &[&str]) {
        let output = self.begin(arguments).wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "seed {seed}: {} {err}",
            output.status
        );
    }

    fn proxy(&self, seed: u64, rate: f64) -> Proxied {
        Proxied::start(self.0.server.address, plan(seed, Kind::ALL, rate), |_| {})
    }
}

fn there(address: SocketAddr, path: &Path) -> String {
    format!("http://{address}/:{}", path.display())
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn make_tree(root: &Path, seed: u64) {
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    for number in 0..12_u64 {
        let data = noise(seed + number, usize::try_from(number * 700).unwrap());
        fs::write(root.join("a").join(number.to_string()), data).unwrap();
    }
    fs::write(root.join("a/b/large"), noise(seed, 1_200_000)).unwrap();
    fs::write(root.join(OsString::from_vec(b"odd\xff".to_vec())), "odd").unwrap();
    fs::set_permissions(root.join("a/3"), Permissions::from_mode(0o600)).unwrap();
    symlink("a/1", root.join("link")).unwrap();
}

/// All that is in a folder: mode, time in seconds, content or where it leads.
fn seen(root: &Path) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            let about = path.symlink_metadata().unwrap();
            let content = if about.is_dir() {
                open.push(path.clone());
                Vec::new()
            } else if about.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_vec()
            } else {
                fs::read(&path).unwrap()
            };
            let name = path.strip_prefix(root).unwrap().to_owned();
            all.insert(name, (about.mode(), about.mtime(), content));
        }
    }
    all
}

#[test]
fn trees_are_identical_over_every_seed() {
    let place = Copies::new();
    each(seeds(40_000, 6), |seed| {
        let folder = place.folder(seed);
        let (from, up, down) = (folder.join("from"), folder.join("up"), folder.join("down"));
        make_tree(&from, seed);
        let proxy = place.proxy(seed, 0.2);
        place.cp(
            seed,
            &["-r", from.to_str().unwrap(), &there(proxy.address, &up)],
        );
        place.cp(
            seed,
            &["-r", &there(proxy.address, &up), down.to_str().unwrap()],
        );
        // What was held back comes late, and changes nothing.
        proxy.release();
        assert!(seen(&from) == seen(&up), "seed {seed}: up");
        assert!(seen(&from) == seen(&down), "seed {seed}: down");
    });
}

#[test]
fn a_copy_that_is_killed_leaves_the_old_file_or_the_new_one_and_goes_on() {
    let place = Copies::new();
    each(seeds(41_000, 6), |seed| {
        let folder = place.folder(seed);
        let (from, to) = (folder.join("from"), folder.join("to"));
        let (old, new) = (noise(seed, 900_000), noise(seed + 1, 3_000_000));
        fs::write(&from, &new).unwrap();
        fs::write(&to, &old).unwrap();
        let proxy = place.proxy(seed, 0.1);
        let far = there(proxy.address, if seed % 2 == 0 { &to } else { &from });
        let arguments = match seed % 2 {
            0 => [from.to_str().unwrap(), &far],
            _ => [&far, to.to_str().unwrap()],
        };
        for attempt in 0..4_u64 {
            let mut child = place.begin(&arguments);
            std::thread::sleep(Duration::from_millis(40 * attempt + seed % 37));
            child.kill().unwrap();
            child.wait().unwrap();
            let now = fs::read(&to).unwrap();
            assert!(now == old || now == new, "seed {seed}: {} bytes", now.len());
        }
        place.cp(seed, &arguments);
        proxy.release();
        assert!(fs::read(&to).unwrap() == new, "seed {seed}");
    });
}

#[test]
fn two_writers_make_one_of_their_files() {
    let place = Copies::new();
    each(seeds(42_000, 4), |seed| {
        let folder = place.folder(seed);
        let to = folder.join("to");
        let proxy = place.proxy(seed, 0.1);
        let target = there(proxy.address, &to);
        let files: Vec<_> = (0..2)
            .map(|number| {
                let file = folder.join(number.to_string());
                let data = noise(seed + number, 1_500_000);
                fs::write(&file, &data).unwrap();
                (file, data)
            })
            .collect();
        let children: Vec<_> = files
            .iter()
            .map(|(file, _)| place.begin(&[file.to_str().unwrap(), &target]))
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "seed {seed}: {err}");
        }
        proxy.release();
        let now = fs::read(&to).unwrap();
        assert!(files.iter().any(|(_, data)| *data == now), "seed {seed}");
    });
}
