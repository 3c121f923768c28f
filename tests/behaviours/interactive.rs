use remo_protocol::dialect::Dialect;

use crate::support::{Peer, Server, eventually, exists, runs};

fn each(test: impl Fn(Peer)) {
    for dialect in Dialect::ALL {
        let server = Server::start();
        test(Peer::alice(&server, dialect));
    }
}

/// Fetches until the output holds `wanted`.
fn fetch(peer: &mut Peer, mut heard: Vec<u8>, wanted: &[u8]) -> Vec<u8> {
    eventually("the output", || {
        if heard.windows(wanted.len()).any(|part| part == wanted) {
            return true;
        }
        let (status, more) = peer.call("idt", None, b"");
        assert_eq!(status, 200);
        heard.extend(more);
        false
    });
    heard
}

fn pid(text: &[u8]) -> i32 {
    String::from_utf8(text.to_vec())
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_shell_keeps_its_state_from_request_to_request() {
    each(|mut peer| {
        assert_eq!(peer.call("icm", Some(b"sh"), b"x=5\n").0, 200);
        let (status, heard) = peer.call("idt", None, b"echo $((x + 1))\n");
        assert_eq!(status, 200);
        assert_eq!(fetch(&mut peer, heard, b"6\n"), b"6\n");
        let (status, rest) = peer.call("edt", None, b"echo last\n");
        assert_eq!((status, &rest[..]), (200, &b"last\n"[..]));
        assert_eq!(peer.call("idt", None, b"").0, 400, "it has ended");
    });
}

#[test]
fn edt_streams_all_that_is_still_to_come() {
    each(|mut peer| {
        let (_, first) = peer.call(
            "icm",
            Some(b"sh -c 'cat; head -c 3000000 /dev/zero'"),
            b"in",
        );
        let (status, rest) = peer.call("edt", None, b"put");
        assert_eq!(status, 200);
        let all = [first, rest].concat();
        assert_eq!(all.len(), 3_000_005);
        assert!(all.starts_with(b"input\0"));
    });
}

#[test]
fn an_answer_brings_at_most_8192_bytes() {
    each(|mut peer| {
        let (_, mut heard) = peer.call("icm", Some(b"head -c 30000 /dev/zero"), b"");
        let mut ended = 0;
        eventually("the end", || {
            let (status, more) = peer.call("idt", None, b"");
            assert!(more.len() <= 8192 || status == 400);
            if status == 200 {
                heard.extend(&more);
            } else {
                ended = status;
            }
            status != 200
        });
        assert_eq!((heard.len(), ended), (30_000, 400));
    });
}

#[test]
fn without_a_command_idt_and_edt_are_400() {
    each(|mut peer| {
        for verb in ["idt", "edt"] {
            let (status, text) = peer.call(verb, None, b"x");
            assert_eq!(status, 400);
            assert!(
                String::from_utf8(text)
                    .unwrap()
                    .contains("no interactive command")
            );
        }
    });
}

#[test]
fn any_other_verb_ends_the_command_with_its_group() {
    for verb in ["cmd", "info", "get", "nonsense"] {
        let server = Server::start();
        let mut peer = Peer::alice(&server, Dialect::V0_3);
        let (_, text) = peer.call("icm", Some(b"sh -c 'sleep 1000 & echo $!; wait'"), b"");
        let child = pid(&text);
        assert!(runs(child));
        let argument = (verb != "info" && verb != "nonsense").then_some(&b"true"[..]);
        peer.call(verb, argument, b"");
        eventually("the end of its child", || !runs(child));
        assert_eq!(peer.call("idt", None, b"").0, 400);
    }
}

#[test]
fn a_command_that_ignores_being_asked_is_killed_after_5_seconds() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let line = b"sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done'";
    let (_, text) = peer.call("icm", Some(line), b"");
    let stubborn = pid(&text);
    assert_eq!(peer.cmd("true", b"").0, 200);
    assert!(runs(stubborn), "it has its time");
    eventually("the kill", || !exists(stubborn));
}

#[test]
fn log_out_ends_the_command() {
    each(|mut peer| {
        let (_, text) = peer.call("icm", Some(b"sh -c 'echo $$; exec sleep 1000'"), b"");
        peer.connection.request("/auth", &peer.cookie, b"");
        let ended = pid(&text);
        eventually("the end", || !exists(ended));
    });
}

#[test]
fn a_command_waits_when_its_output_is_not_fetched() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let counted = server.path("counted");
    let line = format!(
        "sh -c 'i=0; while :; do head -c 65536 /dev/zero; i=$((i+1)); echo $i > {counted}; done'"
    );
    assert_eq!(peer.call("icm", Some(line.as_bytes()), b"").0, 200);
    let count = || std::fs::read_to_string(&counted).unwrap_or_default();
    let mut last = String::new();
    eventually("that it waits", || {
        let now = count();
        let same = !now.is_empty() && now == last;
        last = now;
        std::thread::sleep(std::time::Duration::from_millis(300));
        same
    });
    let written: u64 = count().trim().parse().unwrap();
    assert!(
        written < 64,
        "{written} times 64 KiB went ahead of the client"
    );
    assert_eq!(
        peer.call("idt", None, b"").1.len(),
        8192,
        "and what it wrote is there"
    );
}

#[test]
fn input_that_the_command_does_not_take_does_not_hold_up_the_answer() {
    each(|mut peer| {
        assert_eq!(
            peer.call("icm", Some(b"sh -c 'read x; sleep 1000'"), b"").0,
            200
        );
        assert_eq!(peer.call("idt", None, &vec![b'a'; 4_000_000]).0, 200);
        assert_eq!(peer.call("idt", None, b"").0, 200);
    });
}

#[test]
fn a_false_body_sends_nothing_to_the_command() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_3);
    assert_eq!(peer.call("icm", Some(b"cat"), b"").0, 200);
    let mut request = peer.make("idt", None, &vec![b'a'; 150_000]);
    request.lines[1][40] ^= 1;
    assert_eq!(peer.send(&request).status, 400);
    assert_eq!(
        peer.call("idt", None, b"only this"),
        (200, b"only this".to_vec())
    );
}

#[test]
fn a_reader_that_leaves_edt_ends_the_command() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let (_, text) = peer.call(
        "icm",
        Some(b"sh -c 'echo $$; while :; do echo tick; sleep 0.02; done'"),
        b"",
    );
    let request = peer.make("edt", None, b"");
    let body = request.lines.concat();
    let length = format!("Content-Length: {}\r\n", body.len());
    peer.connection
        .send(crate::support::http::head("/edt", &peer.cookie, &length));
    peer.connection.send(body);
    assert_eq!(peer.connection.head().unwrap().0, 200);
    peer.connection.chunk().unwrap();
    drop(peer);
    let ended = pid(&text);
    eventually("the end", || !exists(ended));
}
