use serde_json::json;

use crate::support::{Peer2, Server};

/// A terminal on which `line` runs, whose window is full of what it says without end.
fn flooded(peer: &mut Peer2, line: &str) -> String {
    let id = peer.id();
    let pty = json!({"rows": 24, "cols": 80, "term": "xterm"});
    let begun = peer.call("icm", json!({"id": id, "line": line, "pty": pty}), b"");
    assert_eq!(begun.status(), 200);
    while peer
        .call("idt", json!({"id": id, "out": 0, "wait": 1000}), b"")
        .out
        .len()
        < WINDOW
    {}
    id
}

#[test]
fn an_interrupted_terminal_drops_what_was_not_fetched_and_nothing_that_follows() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = flooded(&mut peer, "trap 'echo interrupted; exit 3' INT; yes");
    let keys = json!({"id": id, "in": 0, "out": 0, "wait": 1000});
    let mut answer = peer.call("idt", keys, b"\x03");
    let begins = answer.head["out"].as_u64().unwrap();
    assert!(begins >= WINDOW as u64, "jumped over what was there");
    let mut seen = String::new();
    loop {
        seen.push_str(&String::from_utf8(answer.out).unwrap());
        if answer.trailer["state"] == "exited" {
            break;
        }
        let next = answer.trailer["out"].as_u64().unwrap();
        answer = peer.call("idt", json!({"id": id, "out": next, "wait": 1000}), b"");
    }
    assert!(seen.contains("^C"), "the echo is told");
    assert!(seen.ends_with("interrupted\r\n"));
    assert_eq!(answer.trailer["exit"], 3);
}

#[test]
fn the_little_that_was_said_before_an_interrupt_is_told() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    let line = "trap 'exit 3' INT; printf 'before\\n'; sleep 1000 & wait";
    let pty = json!({"rows": 24, "cols": 80, "term": "xterm"});
    peer.call("icm", json!({"id": id, "line": line, "pty": pty}), b"");
    let mut seen = Vec::new();
    while !seen.ends_with(b"before\r\n") {
        seen = peer
            .call("idt", json!({"id": id, "out": 0, "wait": 1000}), b"")
            .out;
    }
    let keys = json!({"id": id, "in": 0, "out": 0, "wait": 1000});
    let answer = peer.call("idt", keys, b"\x03");
    assert_eq!(answer.head["out"], 0);
    assert!(answer.out.starts_with(b"before\r\n"));
    peer.call("who", json!({"done": [id]}), b"");
}

#[test]
fn what_is_no_interrupt_to_the_terminal_drops_nothing() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    for mode in ["-isig", "noflsh"] {
        let line = format!("stty {mode}; trap '' INT; yes");
        let id = flooded(&mut peer, &line);
        let keys = json!({"id": id, "in": 0, "out": 0, "wait": 0});
        let answer = peer.call("idt", keys.clone(), b"\x03");
        assert_eq!(answer.head["out"], 0, "{mode}");
        let again = peer.call("idt", json!({"id": id, "out": 0, "done": [id]}), b"");
        assert_eq!(again.error(), "gone");
    }
}

/// Bytes that a channel keeps.
const WINDOW: usize = 1 << 20;
