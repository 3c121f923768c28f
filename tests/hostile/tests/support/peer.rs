//! A client of remo/2 that believes nothing but what is sealed, and asks again as the specification says.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use remo_protocol::{
    fernet::{FernetKey, Sealed},
    keys::{PrivateKey, PublicKey},
    name::UserName,
    remo2::{
        answer::{Opener, Part, Stream},
        handshake::{ClientHandshake, ClientSecrets, SessionKeys},
        json::Object,
        request::{Counter, Number, Sealer},
    },
};
use serde_json::{Value, json};

use super::{Answer, exchange, post, server::Server};

/// The longest that one request may take.
const ONE_REQUEST: Duration = Duration::from_secs(2);
/// Faults of the path in a row after which the session is given up.
const MOST_FAULTS: u32 = 4;

/// The client, which outlives its sessions.
pub struct Peer {
    path: SocketAddr,
    server: PublicKey,
    key: PrivateKey,
    session: Option<Session>,
    /// Sessions that were given up, and may still live.
    lost: Vec<String>,
    /// What has ended and was opened, or attached to, by this session.
    done: Vec<String>,
    run: Option<String>,
    /// How long one act may be tried.
    pub patience: Duration,
    /// Requests that were sent.
    pub requests: u32,
}

struct Session {
    born: Instant,
    keys: SessionKeys,
    counter: Counter,
    faults: u32,
}

/// A sealed request, which may be sent whenever, and however often, as a path does.
pub struct Ready {
    bytes: Vec<u8>,
    number: Number,
    down: FernetKey,
}

impl Ready {
    /// What is answered: what is sealed, or else the status, 0 where there is none.
    pub fn send(&self, path: SocketAddr, longest: Duration) -> Result<Opened, u16> {
        let (raw, _) = exchange(path, &self.bytes, longest);
        let answer = Answer::parse(&raw).ok_or(0u16)?;
        open(&self.down, &answer.body, &self.number).ok_or(answer.status)
    }
}

/// The path is dead.
#[derive(Debug)]
pub struct GaveUp;

/// A sealed answer.
#[derive(Debug, Default)]
pub struct Opened {
    pub head: Object,
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub trailer: Object,
}

impl Opened {
    pub fn status(&self) -> u64 {
        self.head["status"].as_u64().unwrap()
    }

    pub fn error(&self) -> &str {
        self.head
            .get("error")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

pub fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("no object: {other}"),
    }
}

/// 32 hex digits that nobody else has.
pub fn draw_id() -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).unwrap();
    format!("{:032x}", u128::from_be_bytes(random))
}

impl Peer {
    pub fn new(server: &Server, path: SocketAddr) -> Self {
        Self {
            path,
            server: server.key.public(),
            key: PrivateKey::from_raw(&[1; 57]),
            session: None,
            lost: vec![],
            done: vec![],
            run: None,
            patience: Duration::from_secs(20),
            requests: 0,
        }
    }

    /// One act, tried until it has a sealed answer.
    pub fn act(&mut self, verb: &str, members: Value, data: &[u8]) -> Result<Opened, GaveUp> {
        let mut members = object(members);
        members.insert("verb".into(), verb.into());
        let end = Instant::now() + self.patience;
        let mut pause = Duration::from_millis(2);
        while Instant::now() < end {
            if let Some(opened) = self.attempt(&mut members, data) {
                return Ok(opened);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
        Err(GaveUp)
    }

    /// A command to its end: its output, and its exit status.
    pub fn command(&mut self, line: &str) -> Result<(Vec<u8>, u64), GaveUp> {
        self.command_as(draw_id(), line)
    }

    /// The same of a command that may have been asked for before.
    pub fn command_as(&mut self, id: String, line: &str) -> Result<(Vec<u8>, u64), GaveUp> {
        let members = json!({"id": id, "line": line, "wait": 1000});
        let mut answer = self.act("cmd", members, b"")?;
        let mut out = Vec::new();
        loop {
            if answer.error() != "not_attached" {
                assert_eq!(answer.status(), 200, "{answer:?}");
                assert_eq!(answer.head["out"], out.len(), "{answer:?}");
                out.extend_from_slice(&answer.out);
                if answer.trailer["state"] == "exited" {
                    self.done.push(id);
                    return Ok((out, answer.trailer["exit"].as_u64().unwrap()));
                }
            }
            let members = json!({"id": id, "out": out.len(), "wait": 1000, "attach": true});
            answer = self.act("idt", members, b"")?;
        }
    }

    /// A request under the next number, which is not sent yet. Logs in where that is due.
    pub fn seal(&mut self, verb: &str, members: Value) -> Ready {
        let end = Instant::now() + self.patience;
        while self.session.is_none() && self.log_in().is_none() {
            assert!(Instant::now() < end, "this path lets a log-in through");
        }
        let session = self.session.as_mut().unwrap();
        let mut members = object(members);
        members.insert("verb".into(), verb.into());
        let (body, number) = session.seal(&members, b"");
        Ready {
            bytes: post(&format!("/{verb}"), &cookie(session), &body),
            number,
            down: session.keys.down.clone(),
        }
    }

    /// Since the answer to the log-in.
    pub fn since_log_in(&self) -> Duration {
        self.session.as_ref().unwrap().born.elapsed()
    }

    /// The way from now on.
    pub fn go_by(&mut self, path: SocketAddr) {
        self.path = path;
    }

    fn attempt(&mut self, members: &mut Object, data: &[u8]) -> Option<Opened> {
        if self.session.is_none() {
            self.log_in()?;
        }
        if !self.lost.is_empty() {
            members.insert("end".into(), json!(self.lost));
        }
        members.insert("done".into(), json!(self.done));
        let session = self.session.as_mut()?;
        let (body, number) = session.seal(members, data);
        let (raw, _) = self.send(members["verb"].as_str().unwrap(), &body);
        let answer = Answer::parse(&raw);
        let session = self.session.as_mut()?;
        if let Some(opened) = answer
            .as_ref()
            .and_then(|it| session.open(&it.body, &number))
        {
            session.faults = 0;
            self.lost.clear();
            // What an earlier session opened is not ours to end: it is forgotten by itself.
            let not_ours = opened.error() == "not_attached" && !self.done.is_empty();
            self.done.clear();
            return Some(opened).filter(|_| !not_ours);
        }
        session.faults += 1;
        let faults = session.faults;
        match answer.map_or(0, |answer| answer.status) {
            409 => halve_wait(members),
            403 => self.lose(),
            _ if faults == MOST_FAULTS => self.lose(),
            _ => {}
        }
        None
    }

    fn lose(&mut self) {
        self.done.clear();
        let session = self.session.take();
        let ids = session.map(|session| session.keys.session.as_str().to_owned());
        self.lost.extend(ids);
    }

    fn send(&mut self, route: &str, body: &[u8]) -> (Vec<u8>, bool) {
        self.requests += 1;
        let lines = self.session.as_ref().map(cookie).unwrap_or_default();
        exchange(
            self.path,
            &post(&format!("/{route}"), &lines, body),
            ONE_REQUEST,
        )
    }

    fn log_in(&mut self) -> Option<()> {
        let user = UserName::parse("alice").unwrap();
        let secrets = ClientSecrets::draw().unwrap();
        let (handshake, body) = ClientHandshake::start(&user, &self.key, &self.server, secrets);
        let (raw, _) = self.send("auth", &body);
        let keys = handshake
            .finish(&Answer::parse(&raw)?.body, &self.server)
            .ok()?;
        let run = keys.session.run().as_str().to_owned();
        let before = self.run.get_or_insert(run.clone());
        assert_eq!(
            *before, run,
            "a server that was not restarted has another run"
        );
        self.session = Some(Session {
            born: Instant::now(),
            keys,
            counter: Counter::default(),
            faults: 0,
        });
        Some(())
    }
}

impl Session {
    fn seal(&mut self, head: &Object, data: &[u8]) -> (Vec<u8>, Number) {
        let mut out = Sealed::default();
        let number = self.counter.draw();
        let mut sealer = Sealer::begin(self.keys.up.clone(), number, head, 0, &mut out).unwrap();
        for piece in data.chunks(10_000) {
            sealer.data(piece, 0, &mut out).unwrap();
        }
        let number = sealer.finish(&Object::new(), 0, &mut out).unwrap();
        (out.text.to_vec(), number)
    }

    fn open(&self, body: &[u8], number: &Number) -> Option<Opened> {
        open(&self.keys.down, body, number)
    }
}

fn open(key: &FernetKey, body: &[u8], number: &Number) -> Option<Opened> {
    let mut opener = Opener::new(key.clone(), number);
    let mut opened = Opened::default();
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        match opener.open(line.trim_ascii_end()).ok()? {
            Part::Head(head) => opened.head = head,
            Part::Data(Stream::Main, data) => opened.out.extend_from_slice(&data),
            Part::Data(Stream::Second, data) => opened.err.extend_from_slice(&data),
            Part::Nothing => {}
        }
    }
    opened.trailer = opener.finish().ok()?;
    Some(opened)
}

fn cookie(session: &Session) -> String {
    let id = session.keys.session.as_str();
    format!("Cookie: SESSION_ID={id}\r\n")
}

fn halve_wait(members: &mut Object) {
    if let Some(wait) = members.get("wait").and_then(Value::as_u64) {
        members.insert("wait".into(), json!(wait / 2));
    }
}
