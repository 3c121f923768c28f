//! What `remo exec` keeps through a path that misbehaves: streams, exit statuses, and that nothing is run twice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::{
    io::Write,
    net::SocketAddr,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use remo_hostile::Kind;
use support::{
    Proxied, each,
    place::{Place, command},
    plan, seeds,
};

fn exec(place: &Place, path: SocketAddr, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(place.home.path())
        .args(["exec", "-u", "alice", &format!("http://{path}/")])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(to.write_all(input)));
        child.wait_with_output().unwrap()
    })
}

#[test]
fn exec_keeps_streams_and_status_and_runs_nothing_twice() {
    let place = Place::new();
    let input: Vec<u8> = (0..200_000u32)
        .map(|at| (at ^ (at >> 7) ^ (at >> 13)) as u8)
        .collect();
    each(seeds(30_000, 24), |seed| {
        let proxy = Proxied::start(place.server.address, plan(seed, Kind::ALL, 0.3), |_| {});
        let file = place.home.path().join(format!("{seed}"));
        let line = format!(
            "echo line >> '{}'; cat; echo bad >&2; exit 7",
            file.display()
        );
        let output = exec(&place, proxy.address, &["--shell", &line], &input);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "seed {seed}: {err}");
        assert!(
            output.stdout == input,
            "seed {seed}: {} bytes",
            output.stdout.len()
        );
        assert_eq!(err, "bad\n", "seed {seed}");
        proxy.release();
        assert_eq!(std::fs::read(&file).unwrap(), b"line\n", "seed {seed}");
    });
}

/// Long enough for the path to be looked at, and to stream where it does, beside input that comes late.
#[test]
fn what_lasts_is_followed_however_the_path_turns_out() {
    let place = Place::new();
    let wanted: String = (0..30).map(|number| format!("{number}\n")).collect();
    each(seeds(60_000, 6), |seed| {
        let proxy = Proxied::start(place.server.address, plan(seed, Kind::ALL, 0.2), |_| {});
        let line = "for i in $(seq 0 29); do echo $i; echo err >&2; sleep 0.1; done; exit 6";
        let output = exec(&place, proxy.address, &["--shell", line], b"");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "seed {seed}: {err}");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            wanted,
            "seed {seed}"
        );
        assert_eq!(err, "err\n".repeat(30), "seed {seed}");
    });
}

#[test]
fn exec_says_in_bounded_time_that_the_path_is_dead() {
    let place = Place::new();
    for kind in [Kind::CutRequest, Kind::CutAnswer, Kind::SwallowAnswer] {
        let proxy = Proxied::start(place.server.address, plan(1, &[kind], 1.0), |_| {});
        let began = Instant::now();
        let output = exec(
            &place,
            proxy.address,
            &["--give-up", "1", "--", "true"],
            b"",
        );
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(began.elapsed() < Duration::from_secs(10), "{kind}: {err}");
        assert_eq!(output.status.code(), Some(255), "{kind}: {err}");
        assert!(!err.is_empty(), "{kind}");
    }
}
