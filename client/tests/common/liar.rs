//! A server of remo/2 that has the right key, and says whatever the test wants it to say.
//! The promises themselves are in the tests.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use remo_protocol::fernet::Sealed;
use remo_protocol::keys::{PrivateKey, UserKey};
use remo_protocol::remo2::answer::{Sealer, Stream};
use remo_protocol::remo2::handshake::{LoginRequest, SessionKeys};
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::numbers::Numbers;
use remo_protocol::remo2::request::Opener;
use remo_protocol::remo2::session_id::Run;
use serde_json::Value;

use super::Home;

/// What it says to a request, by its head: head, data and trailer.
pub type Lie = (Value, Vec<u8>, Value);

/// A false server; it ends with the value.
pub struct Liar {
    pub address: SocketAddr,
    ended: Arc<AtomicBool>,
}

struct State {
    key: PrivateKey,
    user: UserKey,
    run: Run,
    sessions: Mutex<HashMap<String, Arc<(SessionKeys, Numbers)>>>,
    lie: Box<dyn Fn(&Object) -> Lie + Send + Sync>,
}

impl Liar {
    pub fn start(home: &Home, lie: impl Fn(&Object) -> Lie + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let key = home.server_key.to_pem().unwrap();
        let state = Arc::new(State {
            key: PrivateKey::from_pem(key.as_bytes(), None).unwrap(),
            user: home.user_key.public().into(),
            run: Run::draw().unwrap(),
            sessions: Mutex::default(),
            lie: Box::new(lie),
        });
        let stop = ended.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let state = state.clone();
                std::thread::spawn(move || drop(state.serve(&stream)));
            }
        });
        Self { address, ended }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    /// One request, one answer, and the connection is closed.
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut from = BufReader::new(stream);
        let (mut length, mut session) = (0, String::new());
        let mut first = String::new();
        from.read_line(&mut first)?;
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let lower = line.trim_end().to_ascii_lowercase();
            if lower.is_empty() {
                break;
            }
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if lower.starts_with("cookie: ") {
                session = line.trim_end().split('=').nth(1).unwrap().to_owned();
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        let answer = if first.contains("/auth") {
            self.log_in(&body)
        } else {
            self.answer(&session, &body)
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        let mut to = stream;
        to.write_all(head.as_bytes())?;
        to.write_all(&answer)
    }

    fn log_in(&self, body: &[u8]) -> Vec<u8> {
        let request = LoginRequest::parse(body).unwrap();
        let proved = request.prove(&self.user, &self.key.public()).unwrap();
        let session = self.run.session().unwrap();
        let name = session.as_str().to_owned();
        let (answer, keys) = proved.answer(&self.key, session).unwrap();
        let kept = Arc::new((keys, Numbers::default()));
        self.sessions.lock().unwrap().insert(name, kept);
        answer
    }

    fn answer(&self, session: &str, body: &[u8]) -> Vec<u8> {
        let session = self.sessions.lock().unwrap()[session].clone();
        let (keys, numbers) = &*session;
        let mut lines = body
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii_end);
        let first = lines.next().unwrap();
        let (mut opener, asked) = Opener::begin(keys.up.clone(), numbers, first).unwrap();
        for line in lines.filter(|line| !line.is_empty()) {
            opener.open(line).unwrap();
        }
        let taken = opener.finish().unwrap().taken;
        let (head, data, trailer) = (self.lie)(&asked);
        let object = |value: Value| value.as_object().unwrap().clone();
        let mut out = Sealed::default();
        let mut sealer =
            Sealer::begin(keys.down.clone(), taken, &object(head), 0, &mut out).unwrap();
        for piece in data.chunks(64 * 1024) {
            sealer.data(Stream::Main, piece, 0, &mut out).unwrap();
        }
        sealer.finish(&object(trailer), 0, &mut out).unwrap();
        out.text.to_vec()
    }
}
