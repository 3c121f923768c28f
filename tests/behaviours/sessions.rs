use std::time::Duration;

use remo_protocol::{
    body::RequestNumber,
    dialect::{AnyDialect, Dialect},
};

use crate::support::{Connection, Peer, Peer2, Server, eventually, peer::auth};

#[test]
fn info_is_open_and_sealed_within_a_session() {
    let server = Server::start();
    let mut connection = Connection::open(server.address);
    for path in ["/info", "/info/", "/info/below"] {
        let answer = connection.request(path, "", b"");
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.body,
            format!("remo_serv {} here", env!("CARGO_PKG_VERSION")).as_bytes()
        );
    }
    for dialect in Dialect::ALL {
        let (status, text) = Peer::alice(&server, dialect).call("info", None, b"");
        assert_eq!(status, 200);
        assert!(text.starts_with(b"remo_serv "));
        if dialect == Dialect::V0_3 {
            assert_eq!(
                Peer::alice(&server, dialect).cmd("true", b"").0,
                200,
                "it settles nothing"
            );
        }
    }
}

#[test]
fn dialects_live_side_by_side_on_one_port() {
    let server = Server::start();
    let mut old = Peer::alice(&server, Dialect::V0_3);
    let mut new = Peer::bob(&server, Dialect::V0_6);
    for i in 0..5 {
        let line = format!("echo {i}");
        assert_eq!(old.cmd(&line, b""), new.cmd(&line, b""));
    }
}

#[test]
fn a_user_who_proved_0_6_is_not_taken_for_0_3_again() {
    let server = Server::start();
    let mut waiting = Peer::alice(&server, Dialect::V0_3);
    let mut other = Peer::bob(&server, Dialect::V0_3);
    assert_eq!(Peer::alice(&server, Dialect::V0_6).cmd("true", b"").0, 200);
    let mut later = Peer::alice(&server, Dialect::V0_3);
    for peer in [&mut waiting, &mut later] {
        let request = peer.make("cmd", Some(b"true"), b"");
        assert_eq!(
            peer.send(&request).status,
            403,
            "a session from before, and one from after"
        );
    }
    assert_eq!(other.cmd("true", b"").0, 200, "another user");
}

#[test]
fn a_floor_of_the_server_holds_for_everybody() {
    let server = Server::start_with(|wanted| wanted.floor = AnyDialect::V0_6);
    let mut old = Peer::alice(&server, Dialect::V0_3);
    let path = server.path("touched");
    let request = old.make("cmd", Some(format!("touch {path}").as_bytes()), b"");
    assert_eq!(old.send(&request).status, 403);
    assert!(!std::path::Path::new(&path).exists());
    for verb in ["get", "put", "cmd", "icm", "idt", "edt"] {
        let mut old = Peer::alice(&server, Dialect::V0_3);
        let argument = !matches!(verb, "idt" | "edt");
        let request = old.make(verb, argument.then_some(path.as_bytes()), b"data");
        assert_eq!(old.send(&request).status, 403, "{verb}");
        assert!(!std::path::Path::new(&path).exists());
    }
    assert_eq!(Peer::alice(&server, Dialect::V0_6).cmd("true", b"").0, 200);
}

#[test]
fn a_floor_of_remo_2_leaves_the_older_dialects_no_log_in() {
    let server = Server::start_with(|wanted| wanted.floor = AnyDialect::V2);
    let (_, body) = auth("alice", &server.alice);
    let mut connection = Connection::open(server.address);
    let refused = connection.request("/auth", "", &body);
    assert_eq!((refused.status, &refused.body[..]), (403, &b""[..]));
    assert_eq!(server.application.sessions(), 0);
    let info = connection.request("/info", "", br#"{"v":2}"#);
    let info: serde_json::Value = serde_json::from_slice(&info.body).unwrap();
    assert_eq!(info["dialects"], serde_json::json!(["2"]));
    let mut new = Peer2::alice(&server);
    let who = new.call("who", serde_json::json!({}), b"");
    assert_eq!(who.trailer["dialects"], serde_json::json!(["2"]));
    assert_eq!(new.line("true", b"").trailer["exit"], 0);
}

#[test]
fn a_connection_carries_many_requests_and_sessions() {
    let server = Server::start();
    let mut one = Peer::alice(&server, Dialect::V0_6);
    let mut two = Peer::alice(&server, Dialect::V0_6);
    for _ in 0..20 {
        assert_eq!(one.cmd("true", b"").0, 200);
        std::mem::swap(&mut one.connection, &mut two.connection);
        assert_eq!(two.cmd("true", b"").0, 200);
    }
}

#[test]
fn a_session_is_found_among_several_cookies_by_who_sealed_the_request() {
    let server = Server::start();
    for dialect in Dialect::ALL {
        let mut older = Peer::bob(&server, Dialect::V0_3);
        let mut peer = Peer::alice(&server, dialect);
        let own = peer.cookie.clone();
        for others in [
            format!("SESSION_ID={}", "x".repeat(22)),
            older.cookie.clone(),
            "SESSION_ID=".into(),
        ] {
            peer.cookie = format!("theme=dark; {others}; {own}");
            assert_eq!(peer.cmd("true", b"").0, 200, "{others}");
        }
        assert_eq!(older.cmd("true", b"").0, 200, "the older one lives");
    }
}

#[test]
fn a_cookie_of_another_session_does_not_do() {
    let server = Server::start();
    let mut alice = Peer::alice(&server, Dialect::V0_6);
    let mut bob = Peer::bob(&server, Dialect::V0_3);
    let request = alice.make("cmd", Some(b"true"), b"");
    assert_eq!(
        bob.connection
            .request(&request.path, &bob.cookie, &request.lines.concat())
            .status,
        403
    );
    assert_eq!(bob.cmd("true", b"").0, 200, "its owner noticed nothing");
}

#[test]
fn a_log_in_in_the_middle_keeps_the_interactive_command() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    assert_eq!(peer.call("icm", Some(b"cat"), b"").0, 200);
    let (login, body) = crate::support::peer::auth("alice", &server.alice);
    let answer = peer.connection.request("/auth", &peer.cookie, &body);
    assert_ne!(
        answer.cookie(),
        peer.cookie,
        "a new log-in has a new session"
    );
    peer.key = login.finish(&answer.body, &server.key.public()).unwrap();
    peer.cookie = answer.cookie();
    peer.number = Some(RequestNumber::FIRST);
    assert_eq!(
        peer.call("idt", None, b"still here"),
        (200, b"still here".to_vec())
    );
    assert_eq!(server.application.sessions(), 1, "the old session is gone");
}

#[test]
fn a_log_in_does_not_touch_the_session_of_another_user() {
    let server = Server::start();
    let mut bob = Peer::bob(&server, Dialect::V0_6);
    assert_eq!(bob.call("icm", Some(b"cat"), b"").0, 200);
    let (_, body) = crate::support::peer::auth("alice", &server.alice);
    assert_eq!(
        Connection::open(server.address)
            .request("/auth", &bob.cookie, &body)
            .status,
        200
    );
    assert_eq!(bob.call("idt", None, b"mine"), (200, b"mine".to_vec()));
}

#[test]
fn requests_of_one_session_take_turns_and_others_do_not_wait() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let mut other = Peer::bob(&server, Dialect::V0_6);
    let gate = server.path("gate");
    let slow = peer.make(
        "cmd",
        Some(format!("sh -c 'until [ -e {gate} ]; do sleep 0.01; done; echo slow'").as_bytes()),
        b"",
    );
    let next = peer.make("cmd", Some(b"echo next"), b"");
    std::thread::scope(|scope| {
        let (cookie, address) = (peer.cookie.clone(), server.address);
        let send = |request: crate::support::peer::Request| {
            let cookie = cookie.clone();
            scope.spawn(move || {
                Connection::open(address).request(&request.path, &cookie, &request.lines.concat())
            })
        };
        let (slow_number, next_number) = (slow.number, next.number);
        let slow = send(slow);
        // Both are numbered: were the second begun first, it would be out of step.
        std::thread::sleep(Duration::from_millis(200));
        let next = send(next);
        assert_eq!(other.cmd("echo other", b""), (200, b"other\n".to_vec()));
        assert!(!next.is_finished());
        std::fs::write(&gate, "").unwrap();
        assert_eq!(
            peer.open(&slow.join().unwrap(), slow_number).unwrap(),
            b"slow\n"
        );
        assert_eq!(
            peer.open(&next.join().unwrap(), next_number).unwrap(),
            b"next\n"
        );
    });
}

#[test]
fn a_session_ends_when_it_is_silent_too_long_and_its_command_with_it() {
    let server =
        Server::start_with(|wanted| wanted.limits.session_time = Duration::from_millis(300));
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let (_, pid) = peer.call("icm", Some(b"sh -c 'echo $$; exec sleep 1000'"), b"");
    let pid: i32 = String::from_utf8(pid).unwrap().trim().parse().unwrap();
    eventually("the session's end", || server.application.sessions() == 0);
    eventually("the command's end", || !crate::support::exists(pid));
    let request = peer.make("idt", None, b"");
    assert_eq!(peer.send(&request).status, 403);
}

#[test]
fn a_session_does_not_end_while_a_request_is_under_way() {
    let server =
        Server::start_with(|wanted| wanted.limits.session_time = Duration::from_millis(200));
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    assert_eq!(
        peer.cmd("sh -c 'sleep 1; echo done'", b""),
        (200, b"done\n".to_vec())
    );
    assert_eq!(peer.cmd("echo more", b""), (200, b"more\n".to_vec()));
}
