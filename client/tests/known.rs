//! A server that has spoken remo/2 is logged in to by no older dialect again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use common::real::Real;
use common::{Ended, Home, bare};

const MEMORY: &str = ".config/remo/dialects";

fn exec(home: &Home, url: &str) -> Ended {
    let mut command = bare(home.folder.path());
    command.args(["exec", "-u", "zoe", url, "--", "true"]);
    Ended::from(command.output().unwrap())
}

fn older(home: &Home, url: &str, dialect: &str) -> Ended {
    let arguments = ["--dialect", dialect, "-c", "exec echo on"];
    Ended::from(home.remo(url, &arguments).output().unwrap())
}

#[test]
fn who_has_spoken_remo_2_is_logged_in_to_by_no_older_dialect() {
    let home = Home::new();
    let server = Real::start(&home);
    for dialect in ["0.3", "0.6"] {
        assert_eq!(older(&home, &server.url(), dialect).success(), "on\n");
    }
    assert!(!home.path(MEMORY).exists());
    for _ in 0..2 {
        exec(&home, &server.url()).success();
    }
    assert_eq!(home.mode(MEMORY), 0o600);
    let fingerprint = home.server_key.public().fingerprint().to_string();
    let known = String::from_utf8(home.read(MEMORY)).unwrap();
    assert_eq!(known.matches(&fingerprint).count(), 1, "{known}");
    for dialect in ["0.3", "0.6"] {
        let err = older(&home, &server.url(), dialect).failure();
        let remedy = home.path(MEMORY).display().to_string();
        for part in ["remo/2", dialect, &fingerprint, &remedy] {
            assert!(err.contains(part), "{part}: {err}");
        }
    }
    let without: Vec<_> = known.lines().filter(|line| line.starts_with('#')).collect();
    home.write(MEMORY, without.join("\n"));
    assert_eq!(older(&home, &server.url(), "0.6").success(), "on\n");
}

#[test]
fn a_log_in_that_was_not_finished_and_another_key_change_nothing() {
    let home = Home::new();
    let server = Real::start(&home);
    let stranger = Home::new();
    stranger.write("remo_serv.pem", home.server_key.public().to_pem());
    assert_eq!(exec(&stranger, &server.url()).code, 255);
    assert!(!stranger.path(MEMORY).exists());
    exec(&home, &server.url()).success();
    let other = Real::start(&stranger);
    home.write("remo_serv.pem", stranger.server_key.public().to_pem());
    home.write(
        "zoe_key.pem",
        stranger.user_key.to_pem().unwrap().as_bytes(),
    );
    assert_eq!(older(&home, &other.url(), "0.3").success(), "on\n");
}

#[test]
fn a_home_that_takes_no_memory_holds_nobody_up() {
    let home = Home::new();
    let server = Real::start(&home);
    std::fs::create_dir_all(home.path(MEMORY)).unwrap();
    let ended = exec(&home, &server.url());
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let err = older(&home, &server.url(), "0.6").failure();
    assert!(err.contains("cannot read"), "{err}");
}
