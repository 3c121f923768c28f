use std::{
    thread,
    time::{Duration, Instant},
};

use remo_protocol::{dialect::Dialect, keys::PrivateKey, limits};

use crate::support::{
    Connection, Peer, Server, eventually,
    http::{chunk, head},
    peer::auth,
};

/// The server still does its work.
fn lives(server: &Server) {
    assert_eq!(
        Peer::alice(server, Dialect::V0_6).cmd("echo on", b""),
        (200, b"on\n".to_vec())
    );
}

#[test]
fn an_auth_body_over_its_ceiling_is_413() {
    let server = Server::start();
    let mut connection = Connection::open(server.address);
    assert_eq!(
        connection
            .request("/auth", "", &vec![b' '; limits::AUTH_BODY + 1])
            .status,
        413
    );
    let pieces = vec![&[b' '; 10_000][..]; 20];
    assert_eq!(
        Connection::open(server.address)
            .chunked("/auth", "", &pieces)
            .status,
        413
    );
    lives(&server);
}

#[test]
fn an_auth_body_that_does_not_come_is_408() {
    let server = Server::start_with(|wanted| wanted.limits.auth_time = Duration::from_millis(200));
    let mut connection = Connection::open(server.address);
    connection.send(head("/auth", "", "Content-Length: 100\r\n") + "{");
    assert_eq!(connection.answer().unwrap().status, 408);
    lives(&server);
}

#[test]
fn a_head_over_its_ceiling_is_431() {
    let server = Server::start();
    let mut connection = Connection::open(server.address);
    connection.send(head(
        "/info",
        "",
        &format!("X-Long: {}\r\n", "x".repeat(200_000)),
    ));
    assert_eq!(connection.answer().unwrap().status, 431);
    let mut connection = Connection::open(server.address);
    connection.send(head(
        "/info",
        &format!("SESSION_ID={}; ", "x".repeat(22)).repeat(10_000),
        "",
    ));
    assert_eq!(connection.answer().unwrap().status, 431);
    lives(&server);
}

#[test]
fn a_head_that_never_ends_is_closed() {
    let server =
        Server::start_with(|wanted| wanted.connections.head_time = Duration::from_millis(200));
    let mut connection = Connection::open(server.address);
    connection.send("GET /info HTTP/1.1\r\nHost: ");
    let begun = Instant::now();
    eventually("the close", || {
        connection.is_closed() || connection.answer().is_none()
    });
    assert!(begun.elapsed() < Duration::from_secs(10));
    lives(&server);
}

#[test]
fn a_path_over_its_ceiling_is_414() {
    let server = Server::start();
    for length in [62_000, 70_000] {
        let path = format!("/cmd/{}", "A".repeat(length));
        assert_eq!(
            Connection::open(server.address)
                .request(&path, "", b"")
                .status,
            414,
            "{length} bytes"
        );
    }
    lives(&server);
}

#[test]
fn a_line_over_its_ceiling_is_413() {
    for dialect in Dialect::ALL {
        let server = Server::start();
        let mut peer = Peer::bob(&server, dialect);
        let path = format!("/cmd/{}", peer.token(b"cat"));
        let long = vec![b'A'; limits::LINE + 10];
        assert_eq!(
            peer.connection
                .request(&path, &peer.cookie.clone(), &long)
                .status,
            413,
            "the first line"
        );

        let mut peer = Peer::alice(&server, dialect);
        let mut request = peer.make("cmd", Some(b"cat"), &[7; 200_000]);
        request.lines[1] = long;
        let answer = peer.send(&request);
        assert_eq!(answer.status, 413, "a later line");
        let text = String::from_utf8(peer.open(&answer, request.number).unwrap()).unwrap();
        assert!(text.contains("longer"), "{text}");
    }
}

#[test]
fn many_long_lines_that_nobody_proves_do_not_take_memory() {
    let folder = crate::support::program::Folder::new();
    let running = folder.start(&["--port", "0", "--interface", "127.0.0.1"]);
    let (alice, key) = (
        PrivateKey::from_raw(&[1; 57]),
        PrivateKey::from_raw(&[3; 57]),
    );
    let peer = Peer::log_in_at(running.address(), &key, "alice", &alice, Dialect::V0_6);
    let status = format!("/proc/{}/status", running.child.id());
    let memory = || {
        let status = std::fs::read_to_string(&status).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<usize>()
            .unwrap()
            / 1024
    };
    let before = memory();
    let long = vec![b'A'; 4_000_000];
    // What the server does not take, waits with its sender for a while and no longer.
    let connections: Vec<_> = thread::scope(|scope| {
        let send = || {
            let mut connection = Connection::open(running.address());
            connection.impatient(Duration::from_secs(1));
            connection.send(head("/idt", &peer.cookie, "Content-Length: 5000000\r\n"));
            (connection.send(&long), connection)
        };
        let senders: Vec<_> = (0..60).map(|_| scope.spawn(send)).collect();
        senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .collect()
    });
    let mut grown = 0;
    eventually("that it takes no more", || {
        let last = std::mem::replace(&mut grown, memory() - before);
        thread::sleep(Duration::from_millis(200));
        last == grown
    });
    assert!(
        grown < 130,
        "{grown} MB for {} lines of 4 MB",
        connections.len()
    );
    assert!(grown > 8, "{grown} MB: it took none at all");
}

#[test]
fn a_log_in_over_the_sessions_in_all_is_503() {
    let server = Server::start_with(|wanted| wanted.limits.sessions = 3);
    let mut all: Vec<_> = (0..3)
        .map(|_| Peer::alice(&server, Dialect::V0_6))
        .collect();
    let (_, body) = auth("bob", &server.bob);
    let answer = Connection::open(server.address).request("/auth", "", &body);
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    let mut first = all.remove(0);
    assert_eq!(first.cmd("true", b"").0, 200, "those that are there work");
    first.connection.request("/auth", &first.cookie, b"");
    assert_eq!(
        Peer::bob(&server, Dialect::V0_6).cmd("true", b"").0,
        200,
        "there is room again"
    );
}

#[test]
fn with_one_session_too_many_of_a_user_the_most_silent_of_the_same_user_goes() {
    let server = Server::start_with(|wanted| wanted.limits.sessions_a_user = 2);
    let mut bob = Peer::bob(&server, Dialect::V0_6);
    let mut one = Peer::alice(&server, Dialect::V0_6);
    let mut two = Peer::alice(&server, Dialect::V0_6);
    assert_eq!(one.cmd("true", b"").0, 200);
    let mut three = Peer::alice(&server, Dialect::V0_6);
    let request = two.make("cmd", Some(b"true"), b"");
    assert_eq!(two.send(&request).status, 403);
    for peer in [&mut bob, &mut one, &mut three] {
        assert_eq!(peer.cmd("true", b"").0, 200);
    }
}

#[test]
fn visitors_are_remembered_up_to_a_number_and_refuse_nobody() {
    let server = Server::start_with(|wanted| wanted.limits.sessions_unauthenticated = 3);
    let mut connection = Connection::open(server.address);
    let first = connection.request("/info", "", b"").cookie();
    assert_eq!(
        connection.request("/info", &first, b"").cookie(),
        first,
        "a visitor is known again"
    );
    for _ in 0..3 {
        assert_eq!(connection.request("/cmd/x", "", b"").status, 403);
    }
    assert_ne!(
        connection.request("/info", &first, b"").cookie(),
        first,
        "the oldest went"
    );
    lives(&server);
}

#[test]
fn one_log_in_too_many_at_once_is_503_and_others_do_not_wait() {
    let server = Server::start_with(|wanted| {
        wanted.limits.logins = 1;
        wanted.limits.logins_waiting = 1;
    });
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let bodies: Vec<_> = (0..16).map(|_| auth("alice", &server.alice).1).collect();
    let statuses = thread::scope(|scope| {
        let all: Vec<_> = bodies
            .iter()
            .map(|body| {
                scope.spawn(|| {
                    Connection::open(server.address)
                        .request("/auth", "", body)
                        .status
                })
            })
            .collect();
        assert_eq!(
            peer.cmd("true", b"").0,
            200,
            "a request in the midst of them"
        );
        all.into_iter()
            .filter(|_| true)
            .map(|one| one.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(statuses.contains(&503), "{statuses:?}");
    assert!(statuses.contains(&200), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| [200, 503].contains(status)),
        "{statuses:?}"
    );
    lives(&server);
}

#[test]
fn one_request_too_many_that_waits_for_its_turn_is_503() {
    let server = Server::start_with(|wanted| wanted.limits.turns_waiting = 2);
    let mut peer = Peer::alice(&server, Dialect::V0_3);
    let gate = server.path("gate");
    let wait = format!("sh -c 'until [ -e {gate} ]; do sleep 0.01; done'");
    let requests: Vec<_> = (0..4)
        .map(|_| peer.make("cmd", Some(wait.as_bytes()), b""))
        .collect();
    let statuses = thread::scope(|scope| {
        let mut all = Vec::new();
        for request in &requests {
            let cookie = peer.cookie.clone();
            let address = server.address;
            all.push(scope.spawn(move || {
                Connection::open(address)
                    .request(&request.path, &cookie, b"")
                    .status
            }));
        }
        eventually("the refusal", || {
            all.iter().any(thread::ScopedJoinHandle::is_finished)
        });
        std::fs::write(&gate, "").unwrap();
        let mut statuses: Vec<_> = all.into_iter().map(|one| one.join().unwrap()).collect();
        statuses.sort_unstable();
        statuses
    });
    assert_eq!(statuses, [200, 200, 200, 503]);
}

#[test]
fn input_that_no_process_takes_is_413_from_its_ceiling_on() {
    let server = Server::start_with(|wanted| wanted.limits.spool = 3_000_000);
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let (status, text) = peer.cmd("sleep 1000", &vec![7; 4_000_000]);
    assert_eq!(status, 413);
    assert!(String::from_utf8(text).unwrap().contains("spool-limit"));
    assert_eq!(peer.call("icm", Some(b"sleep 1000"), b"").0, 200);
    assert_eq!(peer.call("idt", None, &vec![7; 4_000_000]).0, 413);
}

#[test]
fn a_body_that_stops_coming_is_408_and_nothing_runs() {
    let server = Server::start_with(|wanted| wanted.limits.stall = Duration::from_millis(200));
    for dialect in Dialect::ALL {
        let mut peer = Peer::alice(&server, dialect);
        let touched = server.path("touched");
        let request = peer.make(
            "cmd",
            Some(format!("touch {touched}").as_bytes()),
            &[7; 200_000],
        );
        peer.connection.send(head(
            &request.path,
            &peer.cookie,
            "Transfer-Encoding: chunked\r\n",
        ));
        peer.connection
            .send(chunk(&[&request.lines[0][..], b"\r\n"].concat()));
        let answer = peer.connection.answer().unwrap();
        assert_eq!(answer.status, 408, "{dialect}");
        assert!(!std::path::Path::new(&touched).exists());
    }
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_left() {
    let server =
        Server::start_with(|wanted| wanted.connections.write_stall = Duration::from_millis(300));
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let pid_file = server.path("pid");
    let line = format!("sh -c 'echo $$ > {pid_file}; exec yes'");
    let request = peer.make("cmd", Some(line.as_bytes()), b"");
    peer.connection.send(head(
        &request.path,
        &peer.cookie,
        &format!("Content-Length: {}\r\n", request.lines[0].len()),
    ));
    peer.connection.send(&request.lines[0]);
    let read = || {
        std::fs::read_to_string(&pid_file)
            .ok()?
            .trim()
            .parse::<i32>()
            .ok()
    };
    eventually("the start", || read().is_some());
    eventually("the end", || !crate::support::exists(read().unwrap()));
    lives(&server);
}

#[test]
fn connections_over_their_number_wait() {
    let server = Server::start_with(|wanted| wanted.connections.connections = 2);
    let mut one = Connection::open(server.address);
    assert_eq!(one.request("/info", "", b"").status, 200);
    let mut two = Connection::open(server.address);
    assert_eq!(two.request("/info", "", b"").status, 200);
    let mut three = Connection::open(server.address);
    three.send(head("/info", "", ""));
    drop(one);
    assert_eq!(three.answer().unwrap().status, 200);
}
