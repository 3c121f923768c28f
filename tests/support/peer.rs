//! A client of both dialects, whose every step a test can take by itself.

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use remo_protocol::{
    body::{Lineation, Opener, RequestNumber, Sealer, hash_path},
    dialect::Dialect,
    fernet::{FernetKey, Sealed},
    keys::PrivateKey,
    limits::TOKEN_DATA,
    login::ClientLogin,
    name::UserName,
    refusal::Refusal,
};

use super::{Answer, Connection, Server};

/// A session, from its log-in on.
pub struct Peer {
    pub connection: Connection,
    pub dialect: Dialect,
    pub key: FernetKey,
    pub cookie: String,
    pub number: Option<RequestNumber>,
}

/// A request that is ready to be sent.
pub struct Request {
    pub path: String,
    pub lines: Vec<Vec<u8>>,
    pub number: RequestNumber,
}

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// The body of a log-in, and the state that reads its answer.
pub fn auth(user: &str, key: &PrivateKey) -> (ClientLogin, Vec<u8>) {
    ClientLogin::start(&UserName::parse(user).unwrap(), key).unwrap()
}

impl Peer {
    pub fn alice(server: &Server, dialect: Dialect) -> Self {
        Self::log_in(server, "alice", &server.alice, dialect)
    }

    pub fn bob(server: &Server, dialect: Dialect) -> Self {
        Self::log_in(server, "bob", &server.bob, dialect)
    }

    pub fn log_in(server: &Server, user: &str, key: &PrivateKey, dialect: Dialect) -> Self {
        Self::log_in_at(server.address, &server.key, user, key, dialect)
    }

    pub fn log_in_at(
        address: SocketAddr,
        server: &PrivateKey,
        user: &str,
        key: &PrivateKey,
        dialect: Dialect,
    ) -> Self {
        let mut connection = Connection::open(address);
        let (login, body) = auth(user, key);
        let answer = connection.request("/auth", "", &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let key = login.finish(&answer.body, &server.public()).unwrap();
        Self {
            connection,
            dialect,
            key,
            cookie: answer.cookie(),
            number: Some(RequestNumber::FIRST),
        }
    }

    pub fn token(&self, data: &[u8]) -> String {
        let mut out = Sealed::default();
        self.key.seal(&[], data, now(), &mut out).unwrap();
        String::from_utf8(out.text.to_vec()).unwrap()
    }

    /// Makes a request of one token, or where `data` is long of many.
    pub fn make(&mut self, verb: &str, argument: Option<&[u8]>, data: &[u8]) -> Request {
        let path = match argument {
            Some(argument) => format!("/{verb}/{}", self.token(argument)),
            None => format!("/{verb}"),
        };
        self.make_for(path, data)
    }

    pub fn make_for(&mut self, path: String, data: &[u8]) -> Request {
        let number = self.number.unwrap();
        self.number = number.next();
        let mut lines = Vec::new();
        let mut line = |out: &mut Sealed| lines.push(out.text.take().trim_ascii_start().to_vec());
        let mut out = Sealed::default();
        let mut sealer = match self.dialect {
            Dialect::V0_3 => Sealer::v0_3(self.key.clone(), Lineation::Between),
            Dialect::V0_6 => Sealer::v0_6(
                self.key.clone(),
                Lineation::Between,
                number,
                &hash_path(&path),
            ),
        };
        if data.len() <= TOKEN_DATA && self.dialect == Dialect::V0_6 {
            sealer.whole(data, now(), &mut out).unwrap();
            line(&mut out);
        } else {
            for piece in data.chunks(TOKEN_DATA) {
                sealer.seal(piece, now(), &mut out).unwrap();
                line(&mut out);
            }
            sealer.finish(now(), &mut out).unwrap();
            line(&mut out);
        }
        lines.retain(|line| !line.is_empty());
        Request {
            path,
            lines,
            number,
        }
    }

    pub fn send(&mut self, request: &Request) -> Answer {
        let body = request.lines.join(&b"\r\n"[..]);
        self.connection.request(&request.path, &self.cookie, &body)
    }

    /// The status and the data of the answer to a request.
    pub fn call(&mut self, verb: &str, argument: Option<&[u8]>, data: &[u8]) -> (u16, Vec<u8>) {
        let request = self.make(verb, argument, data);
        let answer = self.send(&request);
        let opened = self.open(&answer, request.number);
        (
            answer.status,
            opened.unwrap_or_else(|refusal| panic!("{refusal}: {answer:?}")),
        )
    }

    pub fn cmd(&mut self, line: &str, data: &[u8]) -> (u16, Vec<u8>) {
        self.call("cmd", Some(line.as_bytes()), data)
    }

    /// The data of a sealed answer.
    pub fn open(&self, answer: &Answer, number: RequestNumber) -> Result<Vec<u8>, Refusal> {
        let mut opener = match self.dialect {
            Dialect::V0_3 => Opener::v0_3(self.key.clone()),
            Dialect::V0_6 => Opener::answer_v0_6(self.key.clone(), number, answer.status),
        };
        assert_eq!(
            answer.header("content-length"),
            None,
            "sealed answers have no length"
        );
        let mut data = Vec::new();
        for line in answer.body.split_inclusive(|&byte| byte == b'\n') {
            data.extend_from_slice(&opener.open(line.trim_ascii_end())?);
        }
        opener.finish()?;
        Ok(data)
    }
}
