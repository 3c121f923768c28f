//! A small HTTP server on the server's half of the protocol. A test's script decides every answer, down to its bytes.
//! Connections end where the answer says so.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use remo_protocol::body::Sealer;
use remo_protocol::dialect::Dialect;
use remo_protocol::fernet::{FernetKey, Sealed};
use remo_protocol::keys::UserKey;
use remo_protocol::lines::Lines;
use remo_protocol::login::LoginRequest;
use remo_protocol::session::{Answer, Head, Session};

use super::Home;

/// A request that was opened.
pub struct Call {
    pub verb: String,
    pub argument: String,
    pub data: Vec<u8>,
    /// The body as it came.
    pub body: Vec<u8>,
    /// What seals the answer.
    pub answer: Answer,
    /// The key of the session.
    pub key: FernetKey,
    /// The head as it came.
    pub head: String,
    /// How many log-ins there were so far.
    pub logins: usize,
}

/// What answers a request from its head.
pub type Early = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

/// What says of an answer that it is the last in its connection.
pub type Closes = dyn Fn(&[u8]) -> bool + Send + Sync;

/// What a test's server does.
pub struct Script {
    /// Answers a call with the bytes of a whole HTTP response.
    pub answer: Box<dyn Fn(Call) -> Vec<u8> + Send + Sync>,
    /// Answers some requests from their head alone.
    pub early: Box<Early>,
    /// Answers the `/info` with which a session begins; in good order, if nothing else is said.
    pub greeting: Box<dyn Fn(Call) -> Vec<u8> + Send + Sync>,
    /// After which answers a connection is closed without a word: whatever comes into it is lost.
    pub closes: Box<Closes>,
}

impl Script {
    pub fn new(answer: impl Fn(Call) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            early: Box::new(|_| None),
            greeting: Box::new(|call| sealed(call.answer, 200, &[b"remo_serv 9 here"])),
            closes: Box::new(|_| false),
        }
    }

    /// Answers every call alike.
    pub fn always(response: impl Fn(Answer) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::new(move |call| response(call.answer))
    }

    pub fn early(
        mut self,
        early: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        self.early = Box::new(early);
        self
    }

    pub fn greeting(mut self, greeting: impl Fn(Call) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.greeting = Box::new(greeting);
        self
    }

    pub fn closes(mut self, closes: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        self.closes = Box::new(closes);
        self
    }
}

/// A running server. It lives as long as the test's process.
pub struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Script,
    server_key: remo_protocol::keys::PrivateKey,
    user_key: UserKey,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<String, (Session, FernetKey)>,
    /// The sessions that have begun.
    greeted: HashSet<String>,
    log: Vec<String>,
    logins: usize,
}

impl Server {
    pub fn start(home: &Home, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script,
            server_key: clone_key(&home.server_key),
            user_key: UserKey::from_pem(home.user_key.public().to_pem().as_bytes()).unwrap(),
            state: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}/pre/fix", self.address)
    }

    /// What was asked, as `verb argument`.
    pub fn log(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().log.clone()
    }

    pub fn logins(&self) -> usize {
        self.shared.state.lock().unwrap().logins
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            let head = read_head(&mut reader)?;
            let early = (self.script.early)(&head);
            let unread = early.is_some();
            let response = match early {
                Some(response) => response,
                None => self.respond(&head, &read_body(&head, &mut reader)?),
            };
            stream.write_all(&response)?;
            if response.is_empty() {
                return Ok(());
            }
            if (self.script.closes)(&response) {
                if unread {
                    read_body(&head, &mut reader)?;
                }
                // Until the client has left, or has sent what it should not have.
                return reader.fill_buf().map(drop);
            }
            if response
                .windows(CLOSE.len())
                .take(200)
                .any(|part| part == CLOSE)
            {
                return Ok(());
            }
        }
    }

    fn respond(&self, head: &str, body: &[u8]) -> Vec<u8> {
        let whole = head.split(' ').nth(1).unwrap_or_default();
        let path = whole
            .rsplit_once("/pre/fix")
            .map_or(whole, |(_, path)| path);
        match path {
            "/auth" => self.log_in(head, body),
            path => self.call(path, head.to_owned(), body),
        }
    }

    fn log_in(&self, head: &str, body: &[u8]) -> Vec<u8> {
        let mut state = self.state.lock().unwrap();
        if body.is_empty() {
            state.log.push("logout".into());
            state.sessions.remove(&cookie(head));
            return http(200, "", b"Disconnected");
        }
        let Ok(proved) = LoginRequest::parse(body).and_then(|login| login.prove(&self.user_key))
        else {
            return http(403, "", b"");
        };
        let answer = proved.answer(&self.server_key).unwrap();
        state.logins += 1;
        let id = format!("id{}", state.logins);
        state.sessions.insert(
            id.clone(),
            (Session::new(answer.key.clone()).unwrap(), answer.key),
        );
        http(
            200,
            &format!("Set-Cookie: other=1\r\nSet-Cookie: SESSION_ID={id}\r\n"),
            answer.text.as_bytes(),
        )
    }

    fn call(&self, path: &str, head: String, body: &[u8]) -> Vec<u8> {
        let mut state = self.state.lock().unwrap();
        let logins = state.logins;
        let Some((session, key)) = state.sessions.get_mut(&cookie(&head)) else {
            return http(403, "", b"");
        };
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let key = key.clone();
        let (verb, argument) = (parts.next().unwrap().to_owned(), parts.next());
        let mut lines = Lines::default();
        lines.push(body);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(line);
        }
        all.extend(lines.rest());
        let first = all.first().map(|line| &line[..]);
        let Ok(mut begun) = session.begin(
            Head {
                path,
                argument,
                first,
            },
            Dialect::V0_3,
            now(),
        ) else {
            return http(403, "", b"");
        };
        let mut data = begun.data.to_vec();
        for line in all.iter().skip(1) {
            data.extend_from_slice(&begun.body.open(line).unwrap());
        }
        if !all.is_empty() {
            begun.body.finish().unwrap();
        }
        let argument = begun.argument.map_or_else(String::new, |text| {
            String::from_utf8(text.unwrap().to_vec()).unwrap()
        });
        state
            .log
            .push(format!("{verb} {argument}").trim_end().to_owned());
        let greets = state.greeted.insert(cookie(&head)) && verb == "info";
        drop(state);
        let answer = if greets {
            &self.script.greeting
        } else {
            &self.script.answer
        };
        answer(Call {
            verb,
            argument,
            data,
            body: body.to_vec(),
            answer: begun.answer,
            key,
            head,
            logins,
        })
    }
}

/// A whole response of `status` that is sealed, with a token for each of `pieces`. The connection is kept.
pub fn sealed(answer: Answer, status: u16, pieces: &[&[u8]]) -> Vec<u8> {
    let body = seal(answer, status, pieces, true);
    let head = format!(
        "HTTP/1.1 {status} Any\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// What a response says after which the connection ends.
const CLOSE: &[u8] = b"Connection: close";

/// The tokens of an answer; without its end where `whole` says so.
pub fn seal(answer: Answer, status: u16, pieces: &[&[u8]], whole: bool) -> Vec<u8> {
    seal_with(answer.sealer(status), pieces, whole)
}

/// The same with a sealer of the test's choice.
pub fn seal_with(mut sealer: Sealer, pieces: &[&[u8]], whole: bool) -> Vec<u8> {
    let mut out = Sealed::default();
    for piece in pieces {
        sealer.seal(piece, now(), &mut out).unwrap();
    }
    if whole {
        sealer.finish(now(), &mut out).unwrap();
    }
    out.text.to_vec()
}

/// A response with a length, after which the connection ends.
pub fn http(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} Any\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A response without an answer in it, after which the connection seems to be kept.
pub fn bare(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} Any\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

pub fn redirect(to: &str) -> Vec<u8> {
    http(302, &format!("Location: {to}\r\n"), b"")
}

fn clone_key(key: &remo_protocol::keys::PrivateKey) -> remo_protocol::keys::PrivateKey {
    remo_protocol::keys::PrivateKey::from_pem(key.to_pem().unwrap().as_bytes(), None).unwrap()
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn cookie(head: &str) -> String {
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("cookie:"))
        .unwrap_or_default();
    line.split("SESSION_ID=")
        .nth(1)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn read_head(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn read_body(head: &str, reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let low = head.to_ascii_lowercase();
    if low.contains("transfer-encoding: chunked") {
        return read_chunks(reader);
    }
    let length = low
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |n| n.trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk)?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}
