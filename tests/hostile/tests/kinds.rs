//! Each misdeed does what its name says, to a server that says back what it is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use remo_hostile::{Kind, plan::Plan, shape::Shape};
use support::{Answer, Proxied, echo::Echo, exchange, plan, post, post_chunked, until};

const COOKIE: &str = "Cookie: SESSION_ID=mine\r\nX-Thing: 1\r\nX-Other: 2\r\n";

fn honest(to: SocketAddr) -> Proxied {
    Proxied::start(to, plan(1, &[], 0.0), |_| {})
}

/// A plan that does it to the first request, and nothing to the second.
fn only_the_first(kind: Kind) -> Plan {
    let wanted = |plan: &Plan| plan.misdeeds(1).has(kind) && !plan.misdeeds(2).has(kind);
    let mut plans = (0..).map(|seed| plan(seed, &[kind], 0.5));
    plans.find(wanted).unwrap()
}

fn begin(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

fn bits_apart(one: &[u8], other: &[u8]) -> u32 {
    assert_eq!(one.len(), other.len());
    one.iter()
        .zip(other)
        .map(|(a, b)| (a ^ b).count_ones())
        .sum()
}

#[test]
fn without_a_plan_everything_passes_and_streams() {
    let echo = Echo::start();
    let proxy = honest(echo.address);
    let answer = proxy.answer(&post("/echo", COOKIE, b"\x00\xffbytes"));
    assert_eq!(
        (answer.status, &answer.body[..]),
        (200, &b"\x00\xffbytes"[..])
    );
    assert!(answer.head.contains("X-Thing: 1"), "{answer:?}");
    assert!(echo.seen()[0].head.contains("X-Other: 2"));
    assert_eq!(proxy.answer(&post_chunked("/echo", "chunk")).body, b"chunk");

    let mut chunked = post_chunked("/late", "chunk");
    let end = chunked.split_off(chunked.len() - 5);
    let mut stream = begin(proxy.address, &chunked);
    until("the head goes on before the end", || {
        echo.begun().len() == 3
    });
    stream.write_all(&end).unwrap();
    assert!(Answer::parse(&rest(stream)).unwrap().whole);

    let mut reader = BufReader::new(begin(proxy.address, &post("/pieces", "", b"")));
    let mut line = String::new();
    while line != "first\n" {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0);
    }
    echo.open_gate();
    assert!(proxy.log().is_empty());
}

#[test]
fn a_full_address_goes_to_the_server_that_it_names() {
    let (near, far) = (Echo::start(), Echo::start());
    let proxy = honest(near.address);
    let target = format!("http://{}/echo", far.address);
    assert_eq!(proxy.answer(&post(&target, "", b"x")).body, b"x");
    assert_eq!(
        (near.paths().len(), far.paths()),
        (0, vec!["/echo".to_owned()])
    );
}

#[test]
fn a_connection_is_used_again() {
    let echo = Echo::start();
    let proxy = honest(echo.address);
    let keeping = "POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\nx".repeat(2);
    let last = String::from_utf8(post("/last", "", b"y")).unwrap();
    proxy.exchange((keeping + &last).as_bytes());
    assert_eq!(echo.paths(), ["/echo", "/echo", "/last"]);
}

#[test]
fn buffer_request_waits_for_the_whole() {
    let echo = Echo::start();
    let proxy = Proxied::start(echo.address, only_the_first(Kind::BufferRequest), |_| {});
    let mut chunked = post_chunked("/held", "chunk");
    let end = chunked.split_off(chunked.len() - 5);
    let mut stream = begin(proxy.address, &chunked);
    until("it has begun", || !proxy.log().is_empty());
    proxy.answer(&post("/other", "", b""));
    assert_eq!(echo.begun().len(), 1);
    stream.write_all(&end).unwrap();
    assert_eq!(Answer::parse(&rest(stream)).unwrap().body, b"chunk");
    assert!(echo.seen()[1].head.contains("Content-Length: 5"));
}

#[test]
fn buffer_answer_waits_for_the_whole() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::BufferAnswer, echo.address);
    let stream = begin(proxy.address, &post("/pieces", "", b""));
    until("it is there", || echo.paths().len() == 1);
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    assert!((&stream).read(&mut [0]).is_err());
    echo.open_gate();
    stream.set_read_timeout(None).unwrap();
    let answer = Answer::parse(&rest(stream)).unwrap();
    assert_eq!(answer.body, b"first\nsecond\nthird\n");
    assert!(answer.head.contains("Content-Length: 19"), "{answer:?}");
}

#[test]
fn cut_request_never_lets_a_whole_one_through() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::CutRequest, echo.address);
    for _ in 0..30 {
        assert_eq!(proxy.exchange(&post("/echo", COOKIE, &[b'x'; 100])), b"");
    }
    proxy
        .log()
        .iter()
        .find(|line| line.contains("cut_at"))
        .unwrap();
    until("some heads came", || !echo.begun().is_empty());
    assert_eq!(echo.paths().len(), 0);
}

#[test]
fn cut_answer_gives_a_beginning_of_every_length() {
    let echo = Echo::start();
    echo.open_gate();
    let cutting = Proxied::doing(Kind::CutAnswer, echo.address);
    for path in ["/echo", "/pieces"] {
        let request = post(path, "", &[b'x'; 50]);
        let whole = honest(echo.address).exchange(&request);
        let lengths = (0..40).map(|_| {
            let answer = cutting.exchange(&request);
            assert!(whole.starts_with(&answer) && answer.len() < whole.len());
            answer.len()
        });
        let different: std::collections::BTreeSet<_> = lengths.collect();
        assert!(different.len() > 5, "{different:?}");
    }
}

#[test]
fn idle_out_gives_up_on_a_silent_answer() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::IdleOut, echo.address);
    assert_eq!(proxy.answer(&post("/silent", "", b"")).status, 504);
    let answer = Answer::parse(&proxy.exchange(&post("/pieces", "", b""))).unwrap();
    assert_eq!((&answer.body[..], answer.whole), (&b"first\n"[..], false));
    assert_eq!(proxy.answer(&post("/echo", "", b"x")).body, b"x");
}

#[test]
fn repeat_sends_each_request_twice() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::Repeat, echo.address);
    for number in 1..=9 {
        let path = format!("/{number}");
        assert_eq!(proxy.answer(&post(&path, "", b"x")).body, b"x");
        let copies = || echo.paths().iter().filter(|seen| **seen == path).count();
        until("it is there twice", || copies() == 2);
    }
}

#[test]
fn delay_lets_requests_overtake_each_other() {
    let echo = Echo::start();
    let proxy = Proxied::start(echo.address, plan(3, &[Kind::Delay], 1.0), |settings| {
        settings.delay = Duration::from_millis(300);
    });
    let mut streams = Vec::new();
    for number in 0..8 {
        streams.push(begin(proxy.address, &post(&format!("/{number}"), "", b"")));
        until("it has begun", || proxy.log().len() == streams.len());
    }
    streams.into_iter().for_each(|stream| drop(rest(stream)));
    let mut sorted = echo.paths();
    sorted.sort();
    assert_eq!(sorted.len(), 8);
    assert_ne!(sorted, echo.paths());
}

#[test]
fn reorder_lets_the_next_one_go_first() {
    let echo = Echo::start();
    let plan = only_the_first(Kind::Reorder);
    let proxy = Proxied::start(echo.address, plan, |settings| {
        settings.delay = Duration::from_secs(5);
    });
    let first = begin(proxy.address, &post("/first", "", b""));
    until("it has begun", || !proxy.log().is_empty());
    proxy.answer(&post("/second", "", b""));
    rest(first);
    assert_eq!(echo.paths(), ["/second", "/first"]);
}

#[test]
fn hold_back_sends_a_request_long_after_its_client_was_sent_away() {
    let echo = Echo::start();
    let proxy = Proxied::start(echo.address, plan(5, &[Kind::HoldBack], 1.0), |_| {});
    for number in 0..8 {
        let answer = proxy.exchange(&post(&format!("/{number}"), "", b""));
        assert!(answer.is_empty() || Answer::parse(&answer).unwrap().status == 504);
    }
    let early = echo.paths().len();
    for _ in 0..40 {
        proxy.exchange(&post("/auth", "", b""));
    }
    let came = |number| echo.paths().contains(&format!("/{number}"));
    until("all came", || (0..8).all(came));
    assert!(early < 8);
    proxy.release();
    assert_eq!(echo.paths().len(), 48);
}

#[test]
fn http10_speaks_the_old_version_both_ways_and_knows_no_chunks() {
    let echo = Echo::start();
    echo.open_gate();
    let proxy = Proxied::doing(Kind::Http10, echo.address);
    let answer = proxy.answer(&post("/pieces", "", b""));
    assert!(answer.head.starts_with("HTTP/1.0 200"), "{answer:?}");
    assert!(!answer.head.contains("chunked"));
    assert_eq!(answer.body, b"first\nsecond\nthird\n");
    assert!(echo.begun()[0].ends_with("HTTP/1.0"));
    assert_eq!(proxy.answer(&post_chunked("/echo", "x")).status, 411);
}

#[test]
fn no_chunked_wants_a_length() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::NoChunked, echo.address);
    assert_eq!(proxy.answer(&post_chunked("/echo", "x")).status, 411);
    assert_eq!(proxy.answer(&post("/echo", "", b"x")).body, b"x");
    assert_eq!(echo.paths().len(), 1);
}

#[test]
fn ceiling_refuses_what_is_larger_than_a_mebibyte() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::Ceiling, echo.address);
    let body = vec![b'x'; (1 << 20) + 1];
    assert_eq!(proxy.answer(&post("/echo", "", &body)).status, 413);
    assert_eq!(echo.begun().len(), 0);
    assert_eq!(
        proxy.answer(&post("/echo", "", &body[1..])).body,
        &body[1..]
    );
}

#[test]
fn strip_headers_leaves_those_of_every_day() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::StripHeaders, echo.address);
    let answer = proxy.answer(&post("/echo", COOKIE, b"x"));
    assert!(answer.head.contains("Set-Cookie") && !answer.head.contains("X-Thing"));
    let head = &echo.seen()[0].head;
    assert!(
        head.contains("SESSION_ID=mine") && !head.contains("X-Thing"),
        "{head}"
    );
}

#[test]
fn error_page_replaces_the_body_of_errors_alone() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::ErrorPage, echo.address);
    let answer = proxy.answer(&post("/missing", "", b""));
    assert_eq!(answer.status, 404);
    assert!(answer.body.starts_with(b"<html>"), "{answer:?}");
    assert_eq!(proxy.answer(&post("/echo", "", b"x")).body, b"x");
}

#[test]
fn cache_answers_with_what_it_has() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::Cache, echo.address);
    for _ in 0..3 {
        assert_eq!(proxy.answer(&post("/count", "", b"")).body, b"1");
    }
    assert_eq!(proxy.answer(&post("/echo", "", b"x")).body, b"x");
    assert_eq!(echo.paths(), ["/count", "/echo"]);
}

#[test]
fn one_at_a_time_lets_none_go_beside_another() {
    let most_beside = |rate| {
        let echo = Echo::start();
        let proxy = Proxied::start(echo.address, plan(1, &[Kind::OneAtATime], rate), |_| {});
        let ask = |_| begin(proxy.address, &post("/slow", "", b""));
        let streams: Vec<_> = (0..6).map(ask).collect();
        streams.into_iter().for_each(|stream| drop(rest(stream)));
        echo.most_beside()
    };
    assert_eq!(most_beside(1.0), 1);
    assert!(most_beside(0.0) > 1);
}

#[test]
fn flip_answer_changes_one_to_three_bits() {
    let echo = Echo::start();
    let request = post("/echo", "", &[b'x'; 2000]);
    let whole = honest(echo.address).exchange(&request);
    let proxy = Proxied::doing(Kind::FlipAnswer, echo.address);
    for _ in 0..30 {
        let bits = bits_apart(&whole, &proxy.exchange(&request));
        assert!((1..=3).contains(&bits), "{bits}");
    }
}

#[test]
fn flip_request_changes_one_to_three_bits() {
    let echo = Echo::start();
    let request = post("/echo", "", &[b'x'; 20_000]);
    honest(echo.address).exchange(&request);
    let proxy = Proxied::doing(Kind::FlipRequest, echo.address);
    for _ in 0..30 {
        exchange(proxy.address, &request, Duration::from_millis(200));
    }
    let seen = echo.seen();
    assert!(seen.len() > 20, "{}", seen.len());
    for one in &seen[1..] {
        let bits = bits_apart(&seen[0].body, &one.body);
        assert!(bits <= 3 && *one != seen[0]);
    }
}

#[test]
fn truncate_request_shortens_the_body_and_says_so() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::TruncateRequest, echo.address);
    for _ in 0..20 {
        let answer = proxy.answer(&post("/echo", "", b"one\ntwo\nthree\n"));
        assert!(b"one\ntwo\nthree".starts_with(&answer.body), "{answer:?}");
    }
}

#[test]
fn truncate_answer_shortens_the_body_and_says_so() {
    let echo = Echo::start();
    echo.open_gate();
    let proxy = Proxied::doing(Kind::TruncateAnswer, echo.address);
    for path in ["/echo", "/pieces"] {
        for _ in 0..20 {
            let answer = proxy.answer(&post(path, "", b"first\nsecond\nthird\n"));
            assert!(
                b"first\nsecond\nthird".starts_with(&answer.body),
                "{answer:?}"
            );
        }
    }
}

#[test]
fn replay_sends_old_requests_again() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::Replay, echo.address);
    let sent: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    let others = sent.iter().filter(|&body| {
        let answer = proxy.answer(&post("/echo", "", body.as_bytes()));
        answer.body != body.as_bytes()
    });
    assert_ne!(others.count(), 0, "some get the answer of an old one");
    until("nine came twice", || echo.paths().len() == 19);
}

#[test]
fn change_route_keeps_the_base() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::ChangeRoute, echo.address);
    for _ in 0..10 {
        proxy.answer(&post("/base/cmd", "", b""));
    }
    for path in echo.paths() {
        assert!(path.starts_with("/base/") && path != "/base/cmd", "{path}");
    }
}

#[test]
fn change_status_keeps_the_body() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::ChangeStatus, echo.address);
    for _ in 0..10 {
        let answer = proxy.answer(&post("/echo", "", b"x"));
        assert_ne!(answer.status, 200);
        assert_eq!(answer.body, b"x");
    }
}

#[test]
fn change_headers_changes_each_request_and_many_answers() {
    let echo = Echo::start();
    let honest = honest(echo.address).answer(&post("/echo", COOKIE, b"x"));
    let proxy = Proxied::doing(Kind::ChangeHeaders, echo.address);
    let answers: Vec<_> = (0..20)
        .map(|_| proxy.answer(&post("/echo", COOKIE, b"x")))
        .collect();
    assert!(answers.iter().any(|answer| answer.head != honest.head));
    let seen = echo.seen();
    assert!(
        seen[1..]
            .iter()
            .all(|one| one.head != seen[0].head && one.body == b"x")
    );
    assert!(seen.iter().any(|one| !one.head.contains("SESSION_ID=mine")));
}

#[test]
fn swallow_answer_carries_out_and_says_nothing_of_it() {
    let echo = Echo::start();
    let proxy = Proxied::doing(Kind::SwallowAnswer, echo.address);
    assert_eq!(proxy.answer(&post("/echo", "", b"x")).status, 502);
    assert_eq!(echo.seen()[0].body, b"x");
}

#[test]
fn what_is_always_done_is_done_besides() {
    let echo = Echo::start();
    let mut plan = plan(1, &[Kind::SwallowAnswer], 1.0);
    plan.always = vec![Kind::Http10, Kind::StripHeaders];
    let proxy = Proxied::start(echo.address, plan, |_| {});
    let answer = proxy.answer(&post("/echo", COOKIE, b"x"));
    assert!(answer.head.starts_with("HTTP/1.0 502"), "{answer:?}");
    assert!(!echo.seen()[0].head.contains("X-Thing"));
}

#[test]
fn a_shaped_link_is_as_slow_as_it_is_told_and_loses_nothing() {
    let echo = Echo::start();
    let proxy = Proxied::start(echo.address, plan(1, &[], 0.0), |settings| {
        settings.shape = Shape {
            latency: Duration::from_millis(50),
            bandwidth: Some(500_000),
        };
    });
    let began = Instant::now();
    proxy.answer(&post("/echo", "", b"x"));
    assert!(began.elapsed() >= Duration::from_millis(100));
    let body: Vec<u8> = (0..100_000u32).map(|number| (number % 251) as u8).collect();
    let began = Instant::now();
    assert_eq!(proxy.answer(&post("/echo", "", &body)).body, body);
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn the_program_says_where_it_listens_and_what_it_does() {
    let echo = Echo::start();
    let mut program = Command::new(env!("CARGO_BIN_EXE_hostile-proxy"))
        .args([
            "--to",
            &echo.address.to_string(),
            "--seed",
            "4",
            "--rate",
            "1",
        ])
        .args(["--only", "swallow-answer,change-status"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(program.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let address = line.trim().parse().unwrap();
    let (answer, _) = exchange(address, &post("/echo", "", b"x"), Duration::from_secs(5));
    program.kill().unwrap();
    program.wait().unwrap();
    assert_ne!(Answer::parse(&answer).unwrap().status, 200);
    let mut log = String::new();
    program
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    assert!(log.starts_with("request 1: "), "{log}");
}
