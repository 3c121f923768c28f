//! A client of remo/2, whose every step a test can take by itself.

use std::net::SocketAddr;

use remo_protocol::{
    fernet::Sealed,
    keys::PrivateKey,
    name::UserName,
    refusal::Refusal,
    remo2::{
        answer::{Opener, Part, Stream},
        handshake::{ClientHandshake, ClientSecrets, SessionKeys},
        json::Object,
        request::{Counter, Number, Sealer},
    },
};
use serde_json::{Value, json};

use super::{Answer, Connection, Server, http::head};

/// A session of remo/2, from its log-in on.
pub struct Peer2 {
    pub connection: Connection,
    pub keys: SessionKeys,
    pub counter: Counter,
    pub cookie: String,
    address: SocketAddr,
    next_id: u64,
}

/// A sealed answer, opened.
#[derive(Debug)]
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
        self.head["error"].as_str().unwrap_or_default()
    }
}

/// A request that is ready to be sent.
pub struct Request {
    pub path: String,
    pub body: Vec<u8>,
    pub number: Number,
}

pub fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("no object: {other}"),
    }
}

impl Peer2 {
    pub fn alice(server: &Server) -> Self {
        Self::log_in(server, "alice", &server.alice)
    }

    pub fn bob(server: &Server) -> Self {
        Self::log_in(server, "bob", &server.bob)
    }

    pub fn log_in(server: &Server, user: &str, key: &PrivateKey) -> Self {
        Self::log_in_at(server.address, &server.key, user, key)
    }

    /// As [`log_in`](Self::log_in), to a server whose key is this one.
    pub fn log_in_at(
        address: SocketAddr,
        server: &PrivateKey,
        user: &str,
        key: &PrivateKey,
    ) -> Self {
        let mut connection = Connection::open(address);
        let user = UserName::parse(user).unwrap();
        let public = server.public();
        let (handshake, body) =
            ClientHandshake::start(&user, key, &public, ClientSecrets::draw().unwrap());
        let answer = connection.request("/auth", "", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let keys = handshake.finish(&answer.body, &public).unwrap();
        let cookie = format!("SESSION_ID={}", keys.session.as_str());
        assert_eq!(answer.cookie(), cookie);
        Self {
            connection,
            keys,
            counter: Counter::default(),
            cookie,
            address,
            next_id: 0,
        }
    }

    /// An id that no other session of a test has.
    pub fn id(&mut self) -> String {
        self.next_id += 1;
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        format!("{:016x}{:016x}", u64::from_be_bytes(random), self.next_id)
    }

    pub fn make(&mut self, verb: &str, members: Value, data: &[u8]) -> Request {
        let mut members = object(members);
        members.insert("verb".into(), verb.into());
        self.make_raw(&format!("/{verb}"), &members, data, &Object::new())
    }

    pub fn make_raw(
        &mut self,
        path: &str,
        head: &Object,
        data: &[u8],
        trailer: &Object,
    ) -> Request {
        let mut out = Sealed::default();
        let number = self.counter.draw();
        let mut sealer = Sealer::begin(self.keys.up.clone(), number, head, 0, &mut out).unwrap();
        for piece in data.chunks(100_000) {
            sealer.data(piece, 0, &mut out).unwrap();
        }
        let number = sealer.finish(trailer, 0, &mut out).unwrap();
        Request {
            path: path.into(),
            body: out.text.to_vec(),
            number,
        }
    }

    pub fn send(&mut self, request: &Request) -> Answer {
        self.connection
            .request(&request.path, &self.cookie, &request.body)
    }

    /// Sends the head and the body on a connection of its own, whose answer is still to come.
    pub fn begin(&self, request: &Request) -> Connection {
        let mut connection = Connection::open(self.address);
        connection.send(head(
            &request.path,
            &self.cookie,
            &format!("Content-Length: {}\r\n", request.body.len()),
        ));
        connection.send(&request.body);
        connection
    }

    pub fn open(&self, answer: &Answer, number: &Number) -> Result<Opened, Refusal> {
        let mut opener = Opener::new(self.keys.down.clone(), number);
        let mut opened = Opened {
            head: Object::new(),
            out: Vec::new(),
            err: Vec::new(),
            trailer: Object::new(),
        };
        for line in answer.body.split_inclusive(|&byte| byte == b'\n') {
            match opener.open(line.trim_ascii_end())? {
                Part::Head(head) => opened.head = head,
                Part::Data(Stream::Main, data) => opened.out.extend_from_slice(&data),
                Part::Data(Stream::Second, data) => opened.err.extend_from_slice(&data),
                Part::Nothing => {}
            }
        }
        opened.trailer = opener.finish()?;
        Ok(opened)
    }

    pub fn call(&mut self, verb: &str, members: Value, data: &[u8]) -> Opened {
        let request = self.make(verb, members, data);
        let answer = self.send(&request);
        assert_eq!(answer.status, 200, "{answer:?}");
        self.open(&answer, &request.number).unwrap()
    }

    /// The status of what is not sealed.
    pub fn bare(&mut self, request: &Request) -> u16 {
        let answer = self.send(request);
        assert_eq!(answer.body, b"", "{answer:?}");
        answer.status
    }

    /// Runs a line by the shell to its end.
    pub fn line(&mut self, line: &str, data: &[u8]) -> Opened {
        let id = self.id();
        self.call("cmd", json!({"id": id, "line": line, "split": true}), data)
    }
}
