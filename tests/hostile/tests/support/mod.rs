//! A proxy for a test, and the plainest HTTP there is, to say what is sent and see what comes.

#![allow(dead_code, unreachable_pub)]

pub mod echo;
pub mod peer;
pub mod place;
pub mod server;
#[path = "../../../../client/tests/common/terminal.rs"]
pub mod terminal;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use remo_hostile::{Kind, Proxy, Settings, plan::Plan};
use tokio::runtime::{Builder, Runtime};

/// A proxy that stops when it is dropped.
pub struct Proxied {
    pub address: SocketAddr,
    proxy: Option<Proxy>,
    runtime: Option<Runtime>,
    log: Arc<Mutex<Vec<String>>>,
}

pub fn plan(seed: u64, only: &[Kind], rate: f64) -> Plan {
    Plan {
        seed,
        only: only.to_vec(),
        rate,
        always: vec![],
    }
}

impl Proxied {
    /// One that does this to every request.
    pub fn doing(kind: Kind, to: SocketAddr) -> Self {
        Self::start(to, plan(1, &[kind], 1.0), |_| {})
    }

    pub fn start(to: SocketAddr, plan: Plan, change: impl FnOnce(&mut Settings)) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut settings = Settings::new(&to.to_string(), plan);
        let kept = log.clone();
        settings.log = Arc::new(move |line| kept.lock().unwrap().push(line.to_owned()));
        settings.idle = Duration::from_millis(100);
        settings.delay = Duration::from_millis(100);
        change(&mut settings);
        let proxy = runtime
            .block_on(Proxy::start("127.0.0.1:0", settings))
            .unwrap();
        Self {
            address: proxy.address(),
            proxy: Some(proxy),
            runtime: Some(runtime),
            log,
        }
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Sends what is held back.
    pub fn release(&self) {
        let proxy = self.proxy.as_ref().unwrap();
        self.runtime.as_ref().unwrap().block_on(proxy.release());
    }

    pub fn exchange(&self, request: &[u8]) -> Vec<u8> {
        exchange(self.address, request, Duration::from_secs(5)).0
    }

    /// What is answered, which must be whole.
    pub fn answer(&self, request: &[u8]) -> Answer {
        let raw = self.exchange(request);
        let answer = Answer::parse(&raw);
        let answer = answer.unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(&raw)));
        assert!(answer.whole, "{answer:?}");
        answer
    }
}

impl Drop for Proxied {
    fn drop(&mut self) {
        drop(self.proxy.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A request that ends its connection.
pub fn post(path: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}Content-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// A request of one chunk.
pub fn post_chunked(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
    )
    .into_bytes()
}

/// Sends it, and reads until the end, an error or the time is over; says whether it ended.
pub fn exchange(address: SocketAddr, request: &[u8], longest: Duration) -> (Vec<u8>, bool) {
    let mut answer = Vec::new();
    let ended = try_exchange(address, request, longest, &mut answer).is_ok();
    (answer, ended)
}

fn try_exchange(
    address: SocketAddr,
    request: &[u8],
    longest: Duration,
    answer: &mut Vec<u8>,
) -> io::Result<()> {
    let end = Instant::now() + longest;
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(longest))?;
    // A server that refuses early may answer before all was sent.
    let _ = stream.write_all(request);
    let mut piece = [0; 16 * 1024];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            // A process of the server, which is in here too, has ended.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// An answer, as far as it can be understood.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Whether its framing says that it is all there.
    pub whole: bool,
}

impl Answer {
    pub fn parse(raw: &[u8]) -> Option<Self> {
        let end = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&raw[..end]).into_owned();
        let rest = &raw[end + 4..];
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let lower = head.to_ascii_lowercase();
        let length = lower
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let (body, whole) = match length {
            _ if lower.contains("transfer-encoding: chunked") => chunks(rest),
            Some(length) => (
                rest[..length.min(rest.len())].to_vec(),
                rest.len() >= length,
            ),
            None => (rest.to_vec(), true),
        };
        Some(Self {
            status,
            head,
            body,
            whole,
        })
    }
}

fn chunks(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap_or_default();
        let Ok(size) = usize::from_str_radix(size, 16) else {
            break;
        };
        rest = &rest[end + 2..];
        if size == 0 {
            return (body, true);
        }
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        rest = rest.get(size.saturating_add(2)..).unwrap_or_default();
    }
    (body, false)
}

/// Waits, within reason, until it holds.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "it never came to be that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// So many seeds from this one on, or as many as `REMO_HOSTILE_SEEDS` says.
pub fn seeds(first: u64, few: u64) -> Range<u64> {
    let count = std::env::var("REMO_HOSTILE_SEEDS").ok();
    let count = count.map_or(few, |count| {
        count.parse().expect("REMO_HOSTILE_SEEDS is a number")
    });
    first..first + count
}

/// Tells the seed when its try fails.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        eprintln!("that was seed {}", self.0);
    }
}

/// Tries each seed, two at a time.
pub fn each(seeds: Range<u64>, what: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        while let Some(seed) = Some(next.fetch_add(1, Ordering::SeqCst)).filter(|n| *n < seeds.end)
        {
            let told = Told(seed);
            what(seed);
            std::mem::forget(told);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
}
