//! What holds between a client and the real server whatever the path does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "support/mod.rs"]
mod support;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use remo_hostile::Kind;
use serde_json::json;
use support::{
    Proxied, each,
    peer::{GaveUp, Peer, draw_id},
    plan, seeds,
    server::Server,
};

/// How often something is done to a request.
const RATE: f64 = 0.35;

fn hostile(server: &Server, seed: u64) -> Proxied {
    Proxied::start(server.address, plan(seed, Kind::ALL, RATE), |_| {})
}

/// Runs commands of which each adds a line to the file; those that were answered, and those that were given up.
fn append(peer: &mut Peer, file: &Path, names: &[String]) -> Vec<(String, bool)> {
    let append = |name: &String| {
        let line = format!(
            "echo {name} >> '{}'; echo said {name}; exit 7",
            file.display()
        );
        let answer = peer.command(&line);
        if let Ok((out, exit)) = &answer {
            assert_eq!(
                (out.clone(), *exit),
                (format!("said {name}\n").into_bytes(), 7)
            );
        }
        (name.clone(), answer.is_ok())
    };
    names.iter().map(append).collect()
}

/// Exactly one line of each that was answered, and at most one of each that was given up.
fn check_lines(file: &Path, commands: &[(String, bool)], seed: u64) {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut lines: HashMap<&str, u32> = HashMap::new();
    for line in text.lines() {
        *lines.entry(line).or_default() += 1;
    }
    for (name, answered) in commands {
        let count = lines.remove(name.as_str()).unwrap_or(0);
        let right = if *answered { count == 1 } else { count <= 1 };
        assert!(
            right,
            "seed {seed}: {count} lines of {name}, answered: {answered}"
        );
    }
    assert!(lines.is_empty(), "seed {seed}: {lines:?}");
}

#[test]
fn each_command_is_carried_out_once() {
    let mut server = Server::start();
    let done = std::sync::Mutex::new(Vec::new());
    each(seeds(0, 32), |seed| {
        let proxy = hostile(&server, seed);
        let file = server.folder.path().join(format!("{seed}"));
        let client = |names: Vec<String>| {
            let mut peer = Peer::new(&server, proxy.address);
            append(&mut peer, &file, &names)
        };
        let names = |who| (0..4).map(|number| format!("{who}{number}")).collect();
        let commands = std::thread::scope(|scope| {
            let one = scope.spawn(|| client(names("one")));
            let other = scope.spawn(|| client(names("other")));
            [one.join().unwrap(), other.join().unwrap()].concat()
        });
        proxy.release();
        assert!(
            commands.iter().all(|(_, answered)| *answered),
            "seed {seed}"
        );
        check_lines(&file, &commands, seed);
        done.lock().unwrap().push((seed, file.clone(), commands));
    });
    server.stop();
    for (seed, file, commands) in done.into_inner().unwrap() {
        check_lines(&file, &commands, seed);
    }
}

/// Sends the data through `cat`, and gives back what came; each byte is looked at as it comes.
fn stream(peer: &mut Peer, data: &[u8], seed: u64) -> Result<Vec<u8>, GaveUp> {
    let id = draw_id();
    let opened = peer.act("icm", json!({"id": id, "line": "cat"}), b"")?;
    assert_eq!(opened.status(), 200, "seed {seed}: {opened:?}");
    let (mut taken, mut came, mut attach) = (0, Vec::new(), false);
    loop {
        let piece = &data[taken..data.len().min(taken + 40_000)];
        let verb = if taken + piece.len() == data.len() {
            "edt"
        } else {
            "idt"
        };
        let mut members = json!({"id": id, "in": taken, "out": came.len(), "wait": 50});
        if attach {
            members["attach"] = true.into();
        }
        let opened = peer.act(verb, members, piece)?;
        attach = opened.error() == "not_attached";
        if attach {
            continue;
        }
        assert_eq!(opened.status(), 200, "seed {seed}: {opened:?}");
        assert_eq!(opened.head["out"], came.len(), "seed {seed}");
        came.extend_from_slice(&opened.out);
        assert!(data.starts_with(&came), "seed {seed}: a wrong byte");
        assert_eq!(opened.trailer["out"], came.len(), "seed {seed}");
        taken = usize::try_from(opened.trailer["in"].as_u64().unwrap()).unwrap();
        if opened.trailer["state"] == "exited" {
            assert_eq!(opened.trailer["exit"], 0, "seed {seed}");
            return Ok(came);
        }
    }
}

#[test]
fn a_stream_through_cat_comes_back_identical() {
    let server = Server::start();
    let data: Vec<u8> = (0..300_000u32)
        .map(|at| (at ^ (at >> 7) ^ (at >> 13)) as u8)
        .collect();
    each(seeds(10_000, 32), |seed| {
        let proxy = hostile(&server, seed);
        let mut peer = Peer::new(&server, proxy.address);
        let came =
            stream(&mut peer, &data, seed).unwrap_or_else(|_| panic!("seed {seed}: gave up"));
        assert!(came == data, "seed {seed}: {} bytes", came.len());
    });
}

#[test]
fn each_misdeed_alone_is_borne() {
    let server = Server::start();
    each(0..Kind::ALL.len() as u64, |index| {
        let kind = Kind::ALL[usize::try_from(index).unwrap()];
        let proxy = Proxied::start(server.address, plan(index, &[kind], 0.5), |_| {});
        let mut peer = Peer::new(&server, proxy.address);
        let file = server.folder.path().join(kind.name());
        let names: Vec<_> = (0..4).map(|number| format!("{kind}{number}")).collect();
        let commands = append(&mut peer, &file, &names);
        proxy.release();
        assert!(commands.iter().all(|(_, answered)| *answered), "{kind}");
        check_lines(&file, &commands, index);
    });
}

#[test]
fn a_dead_path_ends_in_bounded_time_and_nothing_is_done_twice() {
    let mut server = Server::start();
    let dead = [
        Kind::CutRequest,
        Kind::CutAnswer,
        Kind::SwallowAnswer,
        Kind::HoldBack,
    ];
    let file = |seed: u64| server.folder.path().join(format!("{seed}"));
    let names = vec!["never".to_owned()];
    each(0..4, |seed| {
        let kind = dead[usize::try_from(seed).unwrap()];
        let proxy = Proxied::start(server.address, plan(seed, &[kind], 1.0), |_| {});
        let mut peer = Peer::new(&server, proxy.address);
        peer.patience = Duration::from_secs(1);
        let began = Instant::now();
        let commands = append(&mut peer, &file(seed), &names);
        assert!(began.elapsed() < Duration::from_secs(4), "{kind}");
        assert!(!commands[0].1, "{kind}");
        assert!(peer.requests > 2, "{kind}: it was tried again");
        proxy.release();
        check_lines(&file(seed), &commands, seed);
    });
    let files: Vec<_> = (0..4).map(file).collect();
    server.stop();
    for (file, seed) in files.iter().zip(0..) {
        check_lines(file, &[("never".to_owned(), false)], seed);
    }
}

/// The path dies after the log-in, when acts have been sent.
#[test]
fn a_path_that_dies_under_way_leaves_at_most_one_line() {
    let mut server = Server::start();
    let swallowing = [Kind::SwallowAnswer, Kind::CutAnswer, Kind::CutRequest];
    let done = std::sync::Mutex::new(Vec::new());
    each(seeds(20_000, 12), |seed| {
        let mostly = Proxied::start(server.address, plan(seed, &swallowing, 0.9), |_| {});
        let mut peer = Peer::new(&server, mostly.address);
        peer.patience = Duration::from_millis(300);
        let file = server.folder.path().join(format!("{seed}"));
        let names: Vec<_> = (0..3).map(|number| format!("act{number}")).collect();
        let commands = append(&mut peer, &file, &names);
        done.lock().unwrap().push((seed, file, commands));
    });
    server.stop();
    let done = done.into_inner().unwrap();
    for (seed, file, commands) in &done {
        check_lines(file, commands, *seed);
    }
    let given_up =
        |(_, _, commands): &(u64, PathBuf, Vec<(String, bool)>)| commands.iter().any(|it| !it.1);
    assert!(
        done.iter().any(given_up),
        "the path was not bad enough to say anything"
    );
}
