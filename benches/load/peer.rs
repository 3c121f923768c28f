//! A session of remo/2 over one connection that stays open, and nothing that costs time.
//! What is asked is not known here.

use std::{
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use remo_protocol::{
    fernet::Sealed,
    keys::{PrivateKey, PublicKey},
    name::UserName,
    remo2::{
        answer::{Opener, Part},
        handshake::{ClientHandshake, ClientSecrets, SessionKeys},
        json::Object,
        request::{Counter, Sealer},
    },
};
use serde_json::{Value, json};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Whom to ask, and who asks.
pub(crate) struct Target {
    pub(crate) address: String,
    pub(crate) server: PublicKey,
    pub(crate) user: UserName,
    pub(crate) key: PrivateKey,
}

pub(crate) struct Peer {
    connection: BufReader<TcpStream>,
    keys: SessionKeys,
    counter: Counter,
    cookie: String,
}

/// The transient keys of a log-in and what it says: made before the clock runs.
pub(crate) struct Prepared(ClientHandshake, Vec<u8>);

impl Prepared {
    /// What it says.
    pub(crate) fn body(&self) -> &[u8] {
        &self.1
    }
}

impl Target {
    pub(crate) fn prepare(&self) -> Outcome<Prepared> {
        let secrets = ClientSecrets::draw()?;
        let (handshake, body) =
            ClientHandshake::start(&self.user, &self.key, &self.server, secrets);
        Ok(Prepared(handshake, body))
    }

    pub(crate) fn connect(&self) -> Outcome<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }

    pub(crate) fn log_in(&self) -> Outcome<Peer> {
        let Prepared(handshake, body) = self.prepare()?;
        let mut connection = self.connect()?;
        let answer = post(&mut connection, "/auth", "", &body)?;
        let keys = handshake.finish(&answer, &self.server)?;
        let cookie = format!("Cookie: SESSION_ID={}\r\n", keys.session.as_str());
        Ok(Peer {
            connection,
            keys,
            counter: Counter::default(),
            cookie,
        })
    }

    /// Has a prepared log-in answered, and does not look at the answer.
    pub(crate) fn knock(
        connection: &mut BufReader<TcpStream>,
        Prepared(_, body): &Prepared,
    ) -> Outcome<()> {
        post(connection, "/auth", "", body).map(drop)
    }
}

impl Peer {
    /// Asks; gives the trailer of a good answer.
    pub(crate) fn ask(&mut self, verb: &str, mut head: Object) -> Outcome<Object> {
        head.insert("verb".into(), verb.into());
        let mut out = Sealed::default();
        let number = self.counter.draw();
        let sealer = Sealer::begin(self.keys.up.clone(), number, &head, 0, &mut out)?;
        let number = sealer.finish(&Object::new(), 0, &mut out)?;
        let path = format!("/{verb}");
        let answer = post(&mut self.connection, &path, &self.cookie, &out.text)?;
        let mut opener = Opener::new(self.keys.down.clone(), &number);
        for line in answer.split_inclusive(|byte| *byte == b'\n') {
            match opener.open(line.trim_ascii_end())? {
                Part::Head(head) if head.get("status") != Some(&json!(200)) => {
                    return Err(format!("{verb}: {}", Value::from(head)).into());
                }
                _ => {}
            }
        }
        Ok(opener.finish()?)
    }

    /// Runs `true` to its end.
    pub(crate) fn run_true(&mut self) -> Outcome<()> {
        let id = id()?;
        let trailer = self.ask(
            "cmd",
            object(json!({"id": id, "argv": ["true"], "split": true})),
        )?;
        match trailer.get("exit") {
            Some(code) if *code == json!(0) => Ok(()),
            _ => Err(format!("cmd: {}", Value::from(trailer)).into()),
        }
    }
}

/// A new id of an act.
pub(crate) fn id() -> Outcome<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| error.to_string())?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

pub(crate) fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn post(
    connection: &mut BufReader<TcpStream>,
    path: &str,
    cookie: &str,
    body: &[u8],
) -> Outcome<Vec<u8>> {
    let length = body.len();
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\n{cookie}Content-Length: {length}\r\n\r\n")
            .into_bytes();
    request.extend_from_slice(body);
    connection.get_mut().write_all(&request)?;
    let status = line(connection)?;
    let mut length = None;
    loop {
        let line = line(connection)?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = Some(value.trim().parse()?);
        }
    }
    let answer = match length {
        Some(length) => exactly(connection, length)?,
        None => chunks(connection)?,
    };
    if status.contains(" 200 ") {
        Ok(answer)
    } else {
        Err(format!("{path}: {status}").into())
    }
}

fn chunks(connection: &mut BufReader<TcpStream>) -> Outcome<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let length = usize::from_str_radix(&line(connection)?, 16)?;
        body.extend(exactly(connection, length)?);
        line(connection)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn exactly(connection: &mut BufReader<TcpStream>, length: usize) -> Outcome<Vec<u8>> {
    let mut bytes = vec![0; length];
    connection.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn line(connection: &mut BufReader<TcpStream>) -> Outcome<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err("the connection was closed".into());
    }
    Ok(line.trim_end().to_owned())
}
