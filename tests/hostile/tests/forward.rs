//! What `remo forward` keeps through a path that misbehaves: each connection is made once, and not a byte is lost or
//! doubled, either way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use remo_hostile::Kind;
use support::{
    Proxied, each,
    place::{Place, command},
    plan, seeds,
};

/// A `remo forward` that ends with the value.
struct Forward(Child, SocketAddr);

impl Forward {
    fn start(place: &Place, path: SocketAddr, to: SocketAddr) -> Self {
        let mut child = command(place.home.path())
            .args(["forward", "-u", "alice", &format!("http://{path}/")])
            .arg(format!("0:{to}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let listening = line.split(' ').next().unwrap();
        let address = listening.parse();
        Self(
            child,
            address.unwrap_or_else(|_| panic!("it says {line:?}")),
        )
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Gives everybody back what comes, turned round, and counts who came.
fn mirror() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let came = Arc::new(AtomicUsize::new(0));
    let count = came.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || drop(turn_round(stream)));
        }
    });
    (address, came)
}

fn turn_round(mut stream: TcpStream) -> std::io::Result<()> {
    let mut piece = [0; 10_000];
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return stream.shutdown(Shutdown::Write);
        }
        let turned: Vec<u8> = piece[..length].iter().map(|byte| !byte).collect();
        stream.write_all(&turned)?;
    }
}

/// Sends all of it, ends, and gives what came back, and how that ended.
fn exchange(address: SocketAddr, data: &[u8]) -> (Vec<u8>, std::io::Result<usize>) {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(120)))
        .unwrap();
    let mut to = stream.try_clone().unwrap();
    let mut back = Vec::new();
    let end = std::thread::scope(|scope| {
        scope.spawn(move || {
            let sent = to.write_all(data);
            sent.and_then(|()| to.shutdown(Shutdown::Write))
        });
        (&stream).read_to_end(&mut back)
    });
    (back, end)
}

#[test]
fn forwarded_connections_are_made_once_and_lose_and_double_no_byte() {
    let place = Place::new();
    each(seeds(40_000, 12), |seed| {
        let proxy = Proxied::start(place.server.address, plan(seed, Kind::ALL, 0.3), |_| {});
        let (there, came) = mirror();
        let forward = Forward::start(&place, proxy.address, there);
        let here = forward.1;
        std::thread::scope(|scope| {
            for which in 0..CONNECTIONS {
                scope.spawn(move || {
                    let length = 1 + which * 70_000;
                    let data: Vec<u8> = (0..length)
                        .map(|at| (at ^ (at >> 7) ^ (at >> 13) ^ which) as u8)
                        .collect();
                    let (back, end) = exchange(here, &data);
                    let wanted: Vec<u8> = data.iter().map(|byte| !byte).collect();
                    assert!(
                        end.is_ok() && back == wanted,
                        "seed {seed}, connection {which}: {} of {length} bytes, {end:?}",
                        back.len()
                    );
                });
            }
        });
        proxy.release();
        assert_eq!(came.load(Ordering::SeqCst), CONNECTIONS, "seed {seed}");
    });
}

/// Connections at once.
const CONNECTIONS: usize = 3;
