//! A tiny server that says back what it was told, and remembers it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    begun: Mutex<Vec<String>>,
    seen: Mutex<Vec<Seen>>,
    beside: AtomicUsize,
    most_beside: AtomicUsize,
    gate: (Mutex<bool>, Condvar),
    stopped: AtomicBool,
}

/// `/echo` and others say the body back; `/pieces` in chunks, of which the second waits for the gate; `/silent`
/// waits for it from the beginning; `/missing` is 404; `/count` says how many were seen; `/slow` takes a while.
pub struct Echo {
    pub address: SocketAddr,
    state: Arc<State>,
}

impl Echo {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = shared.clone();
                std::thread::spawn(move || shared.serve(stream.unwrap()));
            }
        });
        Self { address, state }
    }

    /// The first lines of the requests whose head came.
    pub fn begun(&self) -> Vec<String> {
        self.state.begun.lock().unwrap().clone()
    }

    /// The requests that came as a whole.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    pub fn paths(&self) -> Vec<String> {
        let seen = self.seen();
        seen.iter().map(|seen| seen.path().to_owned()).collect()
    }

    /// The most requests that were under way together.
    pub fn most_beside(&self) -> usize {
        self.state.most_beside.load(Ordering::SeqCst)
    }

    /// Lets those go on that wait.
    pub fn open_gate(&self) {
        *self.state.gate.0.lock().unwrap() = true;
        self.state.gate.1.notify_all();
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.open_gate();
        self.state.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let Some(seen) = self.read(&mut reader) else {
            return;
        };
        let beside = self.beside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_beside.fetch_max(beside, Ordering::SeqCst);
        self.seen.lock().unwrap().push(seen.clone());
        self.answer(&seen, stream);
    }

    fn read(&self, reader: &mut impl BufRead) -> Option<Seen> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let mut line = Vec::new();
            reader
                .read_until(b'\n', &mut line)
                .ok()
                .filter(|&n| n > 0)?;
            head += &String::from_utf8_lossy(&line);
        }
        let first = head.lines().next()?.to_owned();
        self.begun.lock().unwrap().push(first);
        let lower = head.to_ascii_lowercase();
        let length = lower.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        if lower.contains("transfer-encoding: chunked") {
            body = chunks(reader)?;
        }
        Some(Seen { head, body })
    }

    fn answer(&self, seen: &Seen, mut stream: TcpStream) {
        let count = self.seen.lock().unwrap().len().to_string();
        let (status, body) = match seen.path() {
            "/pieces" => {
                self.pieces(stream);
                self.beside.fetch_sub(1, Ordering::SeqCst);
                return;
            }
            "/missing" => ("404 Not Found", &b"not here"[..]),
            "/count" => ("200 OK", count.as_bytes()),
            _ => ("200 OK", &seen.body[..]),
        };
        match seen.path() {
            "/silent" => self.wait(),
            "/slow" => std::thread::sleep(Duration::from_millis(30)),
            _ => {}
        }
        // Before the answer is there, since the next one may begin with that.
        self.beside.fetch_sub(1, Ordering::SeqCst);
        let head = format!(
            "HTTP/1.1 {status}\r\nX-Thing: 1\r\nSet-Cookie: SESSION_ID=own\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(&[head.as_bytes(), body].concat());
    }

    fn pieces(&self, mut stream: TcpStream) {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = stream.write_all(format!("{head}6\r\nfirst\n\r\n").as_bytes());
        self.wait();
        let _ = stream.write_all(b"7\r\nsecond\n\r\n6\r\nthird\n\r\n0\r\n\r\n");
    }

    fn wait(&self) {
        let open = self.gate.0.lock().unwrap();
        drop(self.gate.1.wait_while(open, |open| !*open).unwrap());
    }
}

fn chunks(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = u64::from_str_radix(size.trim(), 16).ok()?;
        reader.take(size).read_to_end(&mut body).ok()?;
        reader.read_line(&mut String::new()).ok()?;
        if size == 0 {
            return Some(body);
        }
    }
}
