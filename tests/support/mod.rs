//! A live server of its own for a test, and a client that can be held wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    dead_code,
    unreachable_pub
)]

pub mod http;
pub mod peer;
pub mod peer2;
pub mod program;
pub mod server;

pub use http::{Answer, Connection};
pub use peer::Peer;
pub use peer2::Peer2;
pub use server::Server;

use std::time::{Duration, Instant};

/// Waits until `reached`, and fails the test when that takes too long.
pub fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{what} did not come about"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process of this number runs, and is no zombie.
pub fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with('Z')
    })
}

/// Whether there is anything left of a process of this number.
pub fn exists(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Runs one test of this binary again, as a user without rights, and fails as it fails.
pub fn as_nobody(test: &str) {
    use std::os::unix::process::CommandExt;
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
    // The binary may stand where nobody may go: a copy does not.
    let binary = folder.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    std::os::unix::fs::chown(&binary, Some(65534), Some(65534)).unwrap();
    let output = std::process::Command::new(&binary)
        .args(["--exact", test])
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
