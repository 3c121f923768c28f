//! What holds when many requests are under way at once, in any order, some of them twice and some of them late.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use remo_hostile::{Kind, plan::Dice};
use serde_json::json;
use support::{
    Proxied, each,
    peer::{Opened, Peer, Ready, draw_id},
    plan, seeds,
    server::Server,
};

/// Something that adds a line to a file.
struct Act {
    id: String,
    name: String,
    line: String,
}

impl Act {
    fn new(name: String, file: &Path) -> Self {
        let line = format!(
            "echo {name} >> '{}'; echo said {name}; exit 7",
            file.display()
        );
        Self {
            id: draw_id(),
            name,
            line,
        }
    }

    fn all(file: &Path) -> Vec<Self> {
        (0..ACTS)
            .map(|number| Self::new(format!("act{number}"), file))
            .collect()
    }

    /// A request for it under a number of its own.
    fn ready(&self, peer: &mut Peer) -> Ready {
        peer.seal(
            "cmd",
            json!({"id": self.id, "line": self.line, "wait": 1000}),
        )
    }

    fn said(&self) -> Vec<u8> {
        format!("said {}\n", self.name).into_bytes()
    }

    /// Asks until it is answered, as often as that takes.
    fn insist(&self, peer: &mut Peer, seed: u64) {
        let answer = peer.command_as(self.id.clone(), &self.line);
        let answer = answer.unwrap_or_else(|_| panic!("seed {seed}: gave up"));
        assert_eq!(answer, (self.said(), 7), "seed {seed}");
    }
}

/// One of the requests that are sent, and what came of it each time.
struct Sent {
    act: usize,
    ready: Ready,
    answers: Mutex<Vec<Result<Opened, u16>>>,
}

/// Each act under one to three numbers.
fn prepare(peer: &mut Peer, acts: &[Act], dice: &mut Dice) -> Vec<Sent> {
    let mut all = Vec::new();
    for (act, asked) in acts.iter().enumerate() {
        for _ in 0..=dice.below(3) {
            all.push(Sent {
                act,
                ready: asked.ready(peer),
                answers: Mutex::default(),
            });
        }
    }
    all
}

/// Each request once or twice, in any order.
fn any_order<'a>(all: &'a [Sent], dice: &mut Dice) -> Vec<&'a Sent> {
    let mut order: Vec<&Sent> = all.iter().collect();
    order.extend(all.iter().filter(|_| dice.chance(0.5)));
    for at in (1..order.len()).rev() {
        let other = dice.below(at as u64 + 1);
        order.swap(at, usize::try_from(other).unwrap());
    }
    order
}

/// Several at a time.
fn send(order: &[&Sent], path: SocketAddr, longest: Duration) {
    let next = Mutex::new(order.iter());
    let work = || {
        loop {
            let Some(sent) = next.lock().unwrap().next() else {
                break;
            };
            let answer = sent.ready.send(path, longest);
            sent.answers.lock().unwrap().push(answer);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
}

fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn names(acts: &[Act]) -> Vec<String> {
    let mut names: Vec<_> = acts.iter().map(|act| act.name.clone()).collect();
    names.sort();
    names
}

#[test]
fn requests_in_any_order_are_each_answered_once_and_each_act_is_carried_out_once() {
    let server = Server::start();
    each(seeds(90_000, 12), |seed| {
        let mut dice = Dice::new(seed, 0);
        let file = server.folder.path().join(format!("{seed}"));
        let mut peer = Peer::new(&server, server.address);
        let acts = Act::all(&file);
        let all = prepare(&mut peer, &acts, &mut dice);
        send(&any_order(&all, &mut dice), server.address, LONGEST);
        for sent in &all {
            let answers = sent.answers.lock().unwrap();
            let (sealed, bare): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.is_ok());
            assert_eq!(sealed.len(), 1, "seed {seed}: {answers:?}");
            assert!(
                bare.iter().all(|it| matches!(it, Err(409))),
                "seed {seed}: {answers:?}"
            );
            let answer = sealed[0].as_ref().unwrap();
            assert_eq!(answer.status(), 200, "seed {seed}: {answer:?}");
            let said = acts[sent.act].said();
            assert!(said.starts_with(&answer.out), "seed {seed}: {answer:?}");
        }
        assert_eq!(lines(&file), names(&acts), "seed {seed}");
        acts.iter().for_each(|act| act.insist(&mut peer, seed));
        assert_eq!(lines(&file), names(&acts), "seed {seed}");
    });
}

#[test]
fn the_same_over_a_path_that_misbehaves_and_past_the_session_is_carried_out_once() {
    let mut server = Server::start();
    let done: Mutex<Vec<(u64, PathBuf, Vec<String>)>> = Mutex::default();
    each(seeds(100_000, 12), |seed| {
        let mut dice = Dice::new(seed, 0);
        let file = server.folder.path().join(format!("{seed}"));
        let proxy = Proxied::start(server.address, plan(seed, Kind::ALL, 0.35), |_| {});
        let mut peer = Peer::new(&server, server.address);
        let acts = Act::all(&file);
        let all = prepare(&mut peer, &acts, &mut dice);
        peer.go_by(proxy.address);
        let order = any_order(&all, &mut dice);
        // The last third is kept back, until another session has had every act carried out.
        let (now, later) = order.split_at(order.len() * 2 / 3);
        send(now, proxy.address, Duration::from_secs(2));
        let mut other = Peer::new(&server, proxy.address);
        acts.iter().for_each(|act| act.insist(&mut other, seed));
        send(later, server.address, LONGEST);
        proxy.release();
        assert_eq!(lines(&file), names(&acts), "seed {seed}");
        let sealed = |sent: &Sent| sent.answers.lock().unwrap().iter().flatten().count();
        assert!(
            all.iter().any(|sent| sealed(sent) > 0),
            "seed {seed}: nothing passed"
        );
        done.lock().unwrap().push((seed, file, names(&acts)));
    });
    server.stop();
    for (seed, file, names) in done.into_inner().unwrap() {
        assert_eq!(lines(&file), names, "seed {seed}");
    }
}

/// Waits until a moment that is told from the log-in on has passed, there too.
fn wait_until_after(peer: &Peer, by: Duration) {
    while peer.since_log_in() <= by {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_sent_beyond_its_time_is_late_and_does_nothing_however_often_it_comes() {
    let server = Server::start();
    let file = server.folder.path().join("file");
    let mut peer = Peer::new(&server, server.address);
    let first = Act::new("in time".into(), &file);
    let (late, last) = (
        Act::new("late".into(), &file),
        Act::new("later".into(), &file),
    );
    assert!(first.ready(&mut peer).send(server.address, LONGEST).is_ok());
    let by = peer.since_log_in() + Duration::from_millis(50);
    let asked = |act: &Act, by: Duration| json!({"id": act.id, "line": act.line, "wait": 1000, "by": by.as_millis() as u64});
    let twice: Vec<Ready> = (0..2).map(|_| peer.seal("cmd", asked(&late, by))).collect();
    let in_time = peer.seal("cmd", asked(&last, by + Duration::from_secs(1000)));
    wait_until_after(&peer, by);
    for ready in &twice {
        let answer = ready.send(server.address, LONGEST).unwrap();
        assert_eq!((answer.status(), answer.error()), (408, "late"));
        assert_eq!(ready.send(server.address, LONGEST).unwrap_err(), 409);
    }
    assert_eq!(in_time.send(server.address, LONGEST).unwrap().status(), 200);
    last.insist(&mut peer, 0);
    assert_eq!(lines(&file), ["in time", "later"]);
    // It used no id: what is asked for again in time is carried out.
    late.insist(&mut peer, 0);
    assert_eq!(lines(&file), ["in time", "late", "later"]);
}

#[test]
fn what_a_path_holds_back_beyond_its_time_is_never_carried_out() {
    let server = Server::start();
    let file = server.folder.path().join("file");
    let holding = Proxied::doing(Kind::HoldBack, server.address);
    let mut peer = Peer::new(&server, server.address);
    let (late, free) = (
        Act::new("late".into(), &file),
        Act::new("free".into(), &file),
    );
    let free_too = free.ready(&mut peer);
    let by = peer.since_log_in() + Duration::from_millis(50);
    let members = json!({"id": late.id, "line": late.line, "by": by.as_millis() as u64});
    let late_too = peer.seal("cmd", members);
    assert!(free_too.send(holding.address, LONGEST).is_err());
    assert!(late_too.send(holding.address, LONGEST).is_err());
    wait_until_after(&peer, by);
    holding.release();
    free.insist(&mut peer, 0);
    // Without a time it waits for as long as it is held back.
    assert_eq!(lines(&file), ["free"]);
}

/// What is to be done in one try.
const ACTS: usize = 8;

/// How long an answer may take that nothing holds up but the machine.
const LONGEST: Duration = Duration::from_secs(30);

/// Requests under way at once.
const AT_ONCE: usize = 6;
