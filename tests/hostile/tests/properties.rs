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
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use remo_hostile::Kind;
use serde_json::{Value, json};
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
    let all = seeds(0, 32);
    // What a lost session leaves open is kept for a while, and a user may have so much of it.
    for first in all.clone().step_by(100) {
        commands_are_carried_out_once(first..all.end.min(first + 100));
    }
}

fn commands_are_carried_out_once(seeds: Range<u64>) {
    let mut server = Server::start();
    let done = std::sync::Mutex::new(Vec::new());
    each(seeds, |seed| {
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

/// A process that is fed, and what came of it so far.
struct Fed<'a> {
    peer: &'a mut Peer,
    id: String,
    attach: bool,
    taken: usize,
    came: Vec<u8>,
}

impl<'a> Fed<'a> {
    fn open(peer: &'a mut Peer, mut members: Value) -> Result<Self, GaveUp> {
        let id = draw_id();
        members["id"] = id.clone().into();
        let opened = peer.act("icm", members, b"")?;
        assert_eq!(opened.status(), 200, "{opened:?}");
        Ok(Self {
            peer,
            id,
            attach: false,
            taken: 0,
            came: vec![],
        })
    }

    /// Sends the next input, and takes what comes; says whether the process has ended.
    fn step(&mut self, verb: &str, input: &[u8], wanted: &[u8]) -> Result<bool, GaveUp> {
        let mut members =
            json!({"id": self.id, "in": self.taken, "out": self.came.len(), "wait": 50});
        if self.attach {
            members["attach"] = true.into();
        }
        let opened = self.peer.act(verb, members, input)?;
        self.attach = opened.error() == "not_attached";
        if self.attach {
            return Ok(false);
        }
        assert_eq!(opened.status(), 200, "{opened:?}");
        assert_eq!(opened.head["out"], self.came.len(), "a gap");
        self.came.extend_from_slice(&opened.out);
        assert!(wanted.starts_with(&self.came), "a wrong byte");
        assert_eq!(opened.trailer["out"], self.came.len(), "an offset");
        self.taken = usize::try_from(opened.trailer["in"].as_u64().unwrap()).unwrap();
        let ended = opened.trailer["state"] == "exited";
        assert!(!ended || opened.trailer["exit"] == 0, "{opened:?}");
        Ok(ended)
    }
}

/// Sends the data through `cat`, and gives back what came; each byte is looked at as it comes.
fn stream(peer: &mut Peer, data: &[u8]) -> Result<Vec<u8>, GaveUp> {
    let mut cat = Fed::open(peer, json!({"line": "cat"}))?;
    loop {
        let piece = &data[cat.taken..data.len().min(cat.taken + 40_000)];
        let is_last = cat.taken + piece.len() == data.len();
        if cat.step(if is_last { "edt" } else { "idt" }, piece, data)? {
            return Ok(cat.came);
        }
    }
}

/// The same by a terminal, which is typed into when it says that it is ready.
fn terminal(peer: &mut Peer, data: &[u8]) -> Result<Vec<u8>, GaveUp> {
    let length = data.len();
    let line = format!("stty raw -echo; printf ready; head -c {length}");
    let size = json!({"rows": 24, "cols": 80, "term": "xterm"});
    let mut shell = Fed::open(peer, json!({"line": line, "pty": size}))?;
    let wanted = [b"ready", data].concat();
    loop {
        let is_ready = shell.came.starts_with(b"ready");
        let end = if is_ready {
            length.min(shell.taken + 3000)
        } else {
            0
        };
        if shell.step("idt", &data[shell.taken..end], &wanted)? {
            return Ok(shell.came.split_off(5));
        }
    }
}

/// Bytes of all values.
fn noise(length: u32) -> Vec<u8> {
    (0..length)
        .map(|at| (at ^ (at >> 7) ^ (at >> 13)) as u8)
        .collect()
}

fn comes_back(
    seeds: Range<u64>,
    data: &[u8],
    way: fn(&mut Peer, &[u8]) -> Result<Vec<u8>, GaveUp>,
) {
    let server = Server::start();
    each(seeds, |seed| {
        let proxy = hostile(&server, seed);
        let mut peer = Peer::new(&server, proxy.address);
        let came = way(&mut peer, data).unwrap_or_else(|_| panic!("seed {seed}: gave up"));
        assert!(came == data, "seed {seed}: {} bytes", came.len());
    });
}

#[test]
fn a_stream_through_cat_comes_back_identical() {
    comes_back(seeds(10_000, 32), &noise(300_000), stream);
}

#[test]
fn a_terminal_shows_what_was_typed_and_nothing_else() {
    comes_back(seeds(40_000, 24), &noise(30_000), terminal);
}

#[test]
fn an_old_proxy_that_fails_besides_is_borne_too() {
    let server = Server::start();
    let data = noise(100_000);
    each(seeds(50_000, 12), |seed| {
        let mut plan = plan(seed, Kind::ALL, RATE);
        plan.always = vec![
            Kind::Http10,
            Kind::BufferAnswer,
            Kind::StripHeaders,
            Kind::ErrorPage,
            Kind::OneAtATime,
        ];
        let proxy = Proxied::start(server.address, plan, |_| {});
        let mut peer = Peer::new(&server, proxy.address);
        assert!(stream(&mut peer, &data).unwrap() == data);
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
