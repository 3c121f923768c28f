use remo_protocol::dialect::Dialect;

use crate::support::{Connection, Peer, Server, http::head};

#[test]
fn without_a_log_in_all_but_info_and_auth_is_403_and_says_nothing() {
    let server = Server::start();
    let mut connection = Connection::open(server.address);
    for path in [
        "/",
        "/cmd/x",
        "/icm/x",
        "/get/x",
        "/put/x",
        "/idt",
        "/edt",
        "/nonsense",
        "/information",
    ] {
        for cookie in [
            "",
            "SESSION_ID=0123456789012345678901",
            "SESSION_ID=\u{e9}",
            "SESSION_ID",
        ] {
            let answer = connection.request(path, cookie, b"body");
            assert_eq!((answer.status, &answer.body[..]), (403, &b""[..]), "{path}");
            assert_eq!(answer.header("content-length"), Some("0"));
            assert!(answer.cookie().starts_with("SESSION_ID="));
        }
    }
}

#[test]
fn a_path_token_of_0_3_serves_once() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_3);
    for (verb, status) in [("cmd", 403), ("icm", 403), ("get", 400), ("put", 400)] {
        let request = peer.make(verb, Some(server.path(verb).as_bytes()), b"");
        peer.send(&request);
        let again = peer.send(&request);
        assert_eq!(
            (again.status, again.header("content-length")),
            (status, Some("0")),
            "{verb}"
        );
        // The path may not turn one verb into another either.
        let turned = request.path.replace(verb, "put");
        assert_eq!(
            peer.connection.request(&turned, &peer.cookie, b"").status,
            400
        );
    }
    assert_eq!(peer.cmd("true", b"").0, 200);
}

#[test]
fn false_path_tokens_have_the_status_of_their_verb() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_3);
    assert_eq!(peer.cmd("true", b"").0, 200);
    for (verb, status) in [("cmd", 403), ("icm", 403), ("get", 400), ("put", 400)] {
        for token in ["", "x", "gAAAAA==", &"A".repeat(200)] {
            let answer = peer
                .connection
                .request(&format!("/{verb}/{token}"), &peer.cookie, b"");
            assert_eq!(answer.status, status, "{verb}/{token}");
        }
    }
    assert_eq!(peer.cmd("true", b"").0, 200, "the session lives");

    let mut peer = Peer::alice(&server, Dialect::V0_6);
    for (verb, status) in [("cmd", 403), ("get", 400)] {
        let request = peer.make_for(format!("/{verb}/gAAAAA=="), b"");
        let answer = peer.send(&request);
        assert_eq!(answer.status, status);
        assert!(
            !peer.open(&answer, request.number).unwrap().is_empty(),
            "the request was good, the answer is sealed"
        );
    }
}

#[test]
fn a_wrong_first_token_ends_a_session_of_0_6_and_runs_nothing() {
    let server = Server::start();
    let touched = server.path("touched");
    let line = format!("touch {touched}");
    type Spoil = fn(&mut Peer, &mut crate::support::peer::Request);
    let spoils: [(&str, Spoil); 5] = [
        ("a flipped bit", |_, request| request.lines[0][60] ^= 1),
        ("no body", |_, request| request.lines.clear()),
        ("an empty line", |_, request| {
            request.lines = vec![b"\r\n".to_vec()]
        }),
        ("another path", |peer, request| {
            request.path = format!("/cmd/{}", peer.token(b"true"))
        }),
        ("a number left out", |peer, request| {
            let argument = request.path.clone();
            peer.number = peer
                .number
                .and_then(remo_protocol::body::RequestNumber::next);
            *request = peer.make_for(argument, b"");
        }),
    ];
    for (name, spoil) in spoils {
        let mut peer = Peer::alice(&server, Dialect::V0_6);
        assert_eq!(peer.cmd("true", b"").0, 200);
        let mut request = peer.make("cmd", Some(line.as_bytes()), b"");
        spoil(&mut peer, &mut request);
        let answer = peer.send(&request);
        assert!(
            matches!(answer.status, 400 | 403),
            "{name}: {}",
            answer.status
        );
        assert_eq!(
            answer.header("content-length"),
            Some("0"),
            "{name}: nothing is sealed for it"
        );
        let next = peer.make("cmd", Some(b"true"), b"");
        assert_eq!(peer.send(&next).status, 403, "{name}: the session is over");
        assert!(!std::path::Path::new(&touched).exists());
    }
}

#[test]
fn a_request_of_0_6_that_is_sent_twice_runs_once() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let log = server.path("log");
    let request = peer.make(
        "cmd",
        Some(format!("sh -c 'echo once >> {log}'").as_bytes()),
        b"",
    );
    assert_eq!(peer.send(&request).status, 200);
    assert_eq!(peer.send(&request).status, 400);
    assert_eq!(std::fs::read(&log).unwrap(), b"once\n");
}

#[test]
fn a_first_token_may_be_10_s_old_and_60_s_ahead() {
    use std::sync::atomic::Ordering;
    for (ahead, good) in [(9, true), (12, false), (-58, true), (-63, false)] {
        let server = Server::start();
        server.ahead.store(ahead, Ordering::Relaxed);
        let mut peer = Peer::alice(&server, Dialect::V0_6);
        let request = peer.make("cmd", Some(b"true"), b"");
        assert_eq!(peer.send(&request).status == 200, good, "{ahead} s");
        let mut peer = Peer::bob(&server, Dialect::V0_3);
        assert_eq!(peer.cmd("true", b"").0, 200, "0.3 needs no common clock");
    }
}

#[test]
fn an_answer_of_the_server_is_no_argument_and_no_input() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_3);
    let request = peer.make("cmd", Some(b"echo id"), b"");
    let answer = peer.send(&request);
    let own = String::from_utf8(answer.body).unwrap();
    let own = own.lines().next().unwrap();
    assert_eq!(
        peer.connection
            .request(&format!("/cmd/{own}"), &peer.cookie, b"")
            .status,
        403
    );
    assert_eq!(
        peer.connection
            .request(&format!("/put/{own}"), &peer.cookie, b"")
            .status,
        400
    );
    assert_eq!(peer.call("icm", Some(b"cat"), b"").0, 200);
    assert_eq!(
        peer.connection
            .request("/idt", &peer.cookie, own.as_bytes())
            .status,
        400
    );
}

#[test]
fn what_is_no_http_is_400_and_harms_nobody() {
    let server = Server::start();
    for junk in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut connection = Connection::open(server.address);
        connection.send(junk);
        connection.send("\r\n\r\n");
        if let Some(answer) = connection.answer() {
            assert!(matches!(answer.status, 400 | 505), "{}", answer.status);
        }
    }
    let mut two_lengths = Connection::open(server.address);
    two_lengths.send(head(
        "/auth",
        "",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
    ));
    assert_eq!(two_lengths.answer().unwrap().status, 400);
    assert_eq!(Peer::alice(&server, Dialect::V0_6).cmd("true", b"").0, 200);
}
