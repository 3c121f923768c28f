//! `remo forward` against the real server, with far ends of the test's own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::real::{Path, Real, cut_once};
use common::{Home, bare};
use remo_serv::limits::Limits;
use rustix::process::{Pid, Signal, kill_process};

/// A `remo forward` that runs; it ends with the value.
struct Forward {
    child: Child,
    out: BufReader<ChildStdout>,
    ports: Vec<SocketAddr>,
}

impl Forward {
    fn start(home: &Home, url: &str, ports: &[&str]) -> Self {
        let mut child = bare(home.folder.path())
            .args(["forward", "-u", "zoe", "--json", "--give-up", "10", url])
            .args(ports)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let read = ports.iter().map(|_| listening(&mut out)).collect();
        Self {
            child,
            out,
            ports: read,
        }
    }

    fn to(home: &Home, url: &str, there: &There) -> Self {
        Self::start(home, url, &[&format!("0:127.0.0.1:{}", there.port())])
    }

    fn connect(&self) -> TcpStream {
        patient(TcpStream::connect(self.ports[0]).unwrap())
    }

    /// Ends it by this signal; gives its exit code and what it said on standard error.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one line a port");
        let mut said = String::new();
        let mut err = self.child.stderr.take().unwrap();
        err.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listening(out: &mut impl BufRead) -> SocketAddr {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(told["to"].is_string(), "{line}");
    told["listening"].as_str().unwrap().parse().unwrap()
}

/// What is carried to.
struct There(TcpListener);

impl There {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    fn accept(&self) -> TcpStream {
        patient(self.0.accept().unwrap().0)
    }

    /// Gives back to everybody what comes, and ends when they end.
    fn echo(self) {
        std::thread::spawn(move || {
            for stream in self.0.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut from = stream.try_clone().unwrap();
                    let mut to = stream;
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        });
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

fn resets(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

fn is_reset(mut stream: TcpStream) -> bool {
    let end = stream.read_to_end(&mut Vec::new());
    end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Sends all of it, ends, and gives what comes back until the end.
fn exchange(stream: TcpStream, data: &[u8]) -> Vec<u8> {
    let mut to = stream.try_clone().unwrap();
    let mut back = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            to.write_all(data).unwrap();
            to.shutdown(Shutdown::Write).unwrap();
        });
        (&stream).read_to_end(&mut back).unwrap();
    });
    back
}

#[test]
fn each_direction_of_a_connection_ends_by_itself() {
    let home = Home::new();
    let (server, there) = (Real::start(&home), There::new());
    let forward = Forward::to(&home, &server.url(), &there);
    assert!(forward.ports[0].ip().is_loopback());

    let mut here = forward.connect();
    here.write_all(b"all I ask").unwrap();
    here.shutdown(Shutdown::Write).unwrap();
    let mut far = there.accept();
    let mut asked = String::new();
    far.read_to_string(&mut asked).unwrap();
    assert_eq!(asked, "all I ask");
    far.write_all(b"answered after the end").unwrap();
    drop(far);
    let mut answer = String::new();
    here.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answered after the end");

    let mut here = forward.connect();
    let mut far = there.accept();
    far.write_all(b"all I say").unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    let mut said = String::new();
    here.read_to_string(&mut said).unwrap();
    assert_eq!(said, "all I say");
    here.write_all(b"heard after the end").unwrap();
    drop(here);
    let mut heard = String::new();
    far.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "heard after the end");

    let (code, said) = forward.end(Signal::INT);
    assert_eq!((code, &said[..]), (Some(130), ""));
}

#[test]
fn many_connections_over_several_ports_are_carried_at_once() {
    let home = Home::new();
    let server = Real::start(&home);
    let (one, two) = (There::new(), There::new());
    let ports = [&one, &two].map(|there| format!("0:localhost:{}", there.port()));
    let forward = Forward::start(&home, &server.url(), &[&ports[0], &ports[1]]);
    one.echo();
    two.echo();
    let streams: Vec<_> = (0..40)
        .map(|at| patient(TcpStream::connect(forward.ports[at % 2]).unwrap()))
        .collect();
    std::thread::scope(|scope| {
        for (at, stream) in streams.into_iter().enumerate() {
            scope.spawn(move || {
                let data = noise(at as u32, 1000 + at * 5000);
                assert!(exchange(stream, &data) == data, "connection {at}");
            });
        }
    });
}

#[test]
fn twenty_megabytes_go_there_and_back() {
    let home = Home::new();
    let (server, there) = (Real::start(&home), There::new());
    let forward = Forward::to(&home, &server.url(), &there);
    there.echo();
    let data = noise(7, 20 << 20);
    assert!(exchange(forward.connect(), &data) == data);
}

#[test]
fn bytes_arrive_once_though_answers_are_lost() {
    let home = Home::new();
    let (server, there) = (Real::start(&home), There::new());
    let path = Path::to(server.address, cut_once(&["/fwd", "/idt", "/edt"]));
    let forward = Forward::to(&home, &path.url(), &there);
    there.echo();
    let data = noise(3, 1 << 20);
    assert!(exchange(forward.connect(), &data) == data);
}

#[test]
fn what_cannot_be_connected_to_is_told_and_the_others_go_on() {
    let home = Home::new();
    let (server, there) = (Real::start(&home), There::new());
    let nobody = format!("0:127.0.0.1:{}", There::new().port());
    let to = format!("0:127.0.0.1:{}", there.port());
    let forward = Forward::start(&home, &server.url(), &[&nobody, &to]);
    there.echo();
    assert!(is_reset(forward.connect()));
    let other = patient(TcpStream::connect(forward.ports[1]).unwrap());
    assert_eq!(exchange(other, b"goes on"), b"goes on");
    let (_, said) = forward.end(Signal::TERM);
    let told: serde_json::Value = serde_json::from_str(said.trim_end()).unwrap();
    assert!(
        told["error"].as_str().unwrap().contains("cannot connect"),
        "{told}"
    );
}

#[test]
fn a_connection_that_breaks_on_one_side_is_reset_on_the_other() {
    let home = Home::new();
    let (server, there) = (Real::start(&home), There::new());
    let forward = Forward::to(&home, &server.url(), &there);

    let mut here = forward.connect();
    let mut far = there.accept();
    far.write_all(b"last words").unwrap();
    let mut last = [0; 10];
    here.read_exact(&mut last).unwrap();
    resets(far);
    assert!(is_reset(here), "broken there");

    let mut here = forward.connect();
    here.write_all(b"half a thi").unwrap();
    let mut far = there.accept();
    far.read_exact(&mut last).unwrap();
    resets(here);
    assert!(is_reset(far), "broken here");

    let here = forward.connect();
    let far = there.accept();
    let (code, said) = forward.end(Signal::INT);
    assert_eq!((code, &said[..]), (Some(130), ""), "what broke is no error");
    assert!(is_reset(far) && is_reset(here), "the forward ended");
}

#[test]
fn a_server_that_was_restarted_takes_the_connections_along_and_the_forward_goes_on() {
    let home = Home::new();
    let (mut server, there) = (Real::start(&home), There::new());
    let port = server.address.port();
    let forward = Forward::to(&home, &server.url(), &there);
    let here = forward.connect();
    let far = there.accept();
    server.stop();
    assert!(is_reset(far));
    let _again = Real::start_at(&home, port);
    assert!(is_reset(here));
    there.echo();
    assert_eq!(exchange(forward.connect(), b"a new one"), b"a new one");
    let (_, said) = forward.end(Signal::INT);
    assert!(said.contains("started anew"), "{said}");
}

#[test]
fn who_does_not_read_holds_the_far_end_back() {
    let home = Home::new();
    let (server, there) = (Real::start(&home), There::new());
    let forward = Forward::to(&home, &server.url(), &there);
    let here = forward.connect();
    let far = there.accept();
    far.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let piece = noise(1, 1 << 20);
    let mut to = far.try_clone().unwrap();
    let mut sent = 0;
    let held = loop {
        match to.write(&piece) {
            Ok(length) => sent += length,
            Err(error) => break error,
        }
        assert!(sent < 200 << 20, "somebody takes it all");
    };
    assert_eq!(held.kind(), ErrorKind::WouldBlock);
    drop((far, to));
    let mut all = 0;
    let mut here = here;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = here.read(&mut buffer).unwrap();
        if length == 0 {
            break;
        }
        all += length;
    }
    assert_eq!(all, sent);
}

#[test]
fn what_cannot_begin_says_why_at_once() {
    let home = Home::new();
    let server = Real::start_with(&home, 0, |settings| {
        settings.limits = Arc::new(Limits {
            forward: false,
            ..Limits::default()
        });
    });
    let taken = There::new();
    let url = server.url();
    let run = |port: &str| {
        let begun = Instant::now();
        let mut command = bare(home.folder.path());
        let output = command
            .args(["forward", "-u", "zoe", &url, port])
            .output()
            .unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20));
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = run("0:localhost:80");
    assert!(
        code == Some(1) && said.contains("forwards no ports"),
        "{said}"
    );
    let (code, said) = run(&format!("{}:localhost:80", taken.port()));
    assert!(
        code == Some(1) && said.contains("cannot listen on port"),
        "{said}"
    );
    let (code, said) = run("localhost:80");
    assert!(
        code == Some(2) && said.contains("[ADDR:]PORT:HOST:PORT"),
        "{said}"
    );
}

#[test]
fn a_forwarded_connection_is_listed_and_nothing_to_attach_to() {
    let home = Home::new();
    let (server, there) = (Real::start(&home), There::new());
    let forward = Forward::to(&home, &server.url(), &there);
    let (mut here, mut far) = (forward.connect(), there.accept());
    let run = |verb: &str| {
        let mut command = bare(home.folder.path());
        let url = server.url();
        let output = command.args([verb, "-u", "zoe", &url]).output().unwrap();
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (listed, _) = run("list");
    let to = format!("running  to 127.0.0.1:{}\n", there.port());
    assert!(
        listed.ends_with(&to) && listed.lines().count() == 1,
        "{listed}"
    );
    let (_, said) = run("attach");
    assert!(said.contains("nothing of yours runs"), "{said}");
    here.write_all(b"undisturbed").unwrap();
    let mut heard = [0; 11];
    far.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"undisturbed");
}
