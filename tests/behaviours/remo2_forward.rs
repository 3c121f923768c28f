//! Forwarded ports of remo/2: `/fwd` against far ends of the test's own. The client's side of it is tested with
//! the client.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Peer2, Server, eventually, peer2::Opened};

/// A far end, and what comes to it.
struct There {
    listener: TcpListener,
    address: SocketAddr,
}

impl There {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    fn accept(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }

    /// Connects to it, and gives the id and the far end.
    fn connect(&self, peer: &mut Peer2) -> (String, TcpStream) {
        let id = peer.id();
        let opened = peer.call("fwd", json!({"id": id, "connect": self.to()}), b"");
        assert_eq!((opened.status(), opened.head.get("pid")), (200, None));
        assert_eq!(opened.trailer["state"], "running");
        (id, self.accept())
    }

    fn to(&self) -> String {
        self.address.to_string()
    }
}

/// What is told from there on, until something is.
fn hear(peer: &mut Peer2, id: &str, out: u64) -> Opened {
    peer.call("idt", json!({"id": id, "out": out, "wait": 20_000}), b"")
}

/// Hears all until it has ended; gives it and the last trailer.
fn hear_all(peer: &mut Peer2, id: &str, mut out: u64) -> (Vec<u8>, serde_json::Map<String, Value>) {
    let mut all = Vec::new();
    loop {
        let heard = hear(peer, id, out);
        all.extend_from_slice(&heard.out);
        out = heard.trailer["out"].as_u64().unwrap();
        if heard.trailer["state"] == "exited" {
            return (all, heard.trailer);
        }
    }
}

fn is_reset(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn bytes_go_both_ways_and_each_direction_ends_by_itself() {
    let (server, there) = (Server::start(), There::listen());
    let mut peer = Peer2::alice(&server);
    let (id, mut far) = there.connect(&mut peer);
    peer.call("idt", json!({"id": id, "in": 0}), b"up\0\xff");
    peer.call("edt", json!({"id": id, "in": 4}), b"!");
    let mut up = Vec::new();
    far.read_to_end(&mut up).unwrap();
    assert_eq!(up, b"up\0\xff!", "the end of the input is an end there");
    far.write_all(b"down, after that").unwrap();
    drop(far);
    let (down, trailer) = hear_all(&mut peer, &id, 0);
    assert_eq!(down, b"down, after that");
    let ways = ["exit", "signal", "error"].map(|name| trailer.get(name));
    assert_eq!((ways, &trailer["in"]), ([None; 3], &json!(5)));
}

#[test]
fn input_goes_on_after_the_far_end_has_closed_its_direction() {
    let (server, there) = (Server::start(), There::listen());
    let mut peer = Peer2::alice(&server);
    let (id, mut far) = there.connect(&mut peer);
    far.write_all(b"all I say").unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    assert_eq!(hear_all(&mut peer, &id, 0).0, b"all I say");
    peer.call("idt", json!({"id": id, "in": 0}), b"but I ");
    peer.call("edt", json!({"id": id, "in": 6}), b"listen");
    let mut heard = String::new();
    far.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "but I listen");
}

#[test]
fn what_cannot_be_connected_to_is_named_and_answered_again() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let nobody = {
        let there = There::listen();
        there.to()
    };
    let id = peer.id();
    for _ in 0..3 {
        let refused = peer.call("fwd", json!({"id": id, "connect": nobody}), b"");
        assert_eq!((refused.status(), refused.error()), (502, "connect"));
        assert!(
            refused.head["message"].as_str().unwrap().contains(&nobody),
            "{refused:?}"
        );
    }
    assert_eq!(peer.call("idt", json!({"id": id}), b"").error(), "connect");
    let command = peer.call("cmd", json!({"id": id, "line": "true"}), b"");
    assert_eq!(command.error(), "id_used");
    let unknown = peer.id();
    let unknown = peer.call(
        "fwd",
        json!({"id": unknown, "connect": "no-such-host.invalid:1"}),
        b"",
    );
    assert_eq!((unknown.status(), unknown.error()), (502, "connect"));
    let channels = &peer.call("who", json!({}), b"").trailer["channels"];
    assert_eq!(channels, &json!([]), "nothing is left of them");
}

#[test]
fn where_nothing_answers_it_is_given_up_after_ten_seconds() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    // A queue for connections that is full takes no more, and answers nothing.
    let full = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    rustix::net::bind(&full, &any).unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let to = TcpListener::from(full);
    let address = to.local_addr().unwrap();
    let _first = TcpStream::connect(address).unwrap();
    let id = peer.id();
    let begun = Instant::now();
    let refused = peer.call(
        "fwd",
        json!({"id": id, "connect": address.to_string()}),
        b"",
    );
    assert_eq!((refused.status(), refused.error()), (502, "connect"));
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(9) && took < Duration::from_secs(15),
        "{took:?}"
    );
}

#[test]
fn the_same_act_connects_once_also_while_it_is_still_asked() {
    let (server, there) = (Server::start(), There::listen());
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    let act = json!({"id": id, "connect": there.to()});
    let asked: Vec<_> = (0..3)
        .map(|_| {
            let request = peer.make("fwd", act.clone(), b"");
            peer.begin(&request)
        })
        .collect();
    let _far = there.accept();
    for mut connection in asked {
        assert_eq!(connection.answer().unwrap().status, 200);
    }
    assert_eq!(peer.call("fwd", act, b"").status(), 200);
    there.listener.set_nonblocking(true).unwrap();
    assert!(there.listener.accept().is_err(), "no second connection");
}

#[test]
fn what_is_no_target_or_does_not_belong_is_refused_and_uses_no_id() {
    let (server, there) = (Server::start(), There::listen());
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    for wrong in [
        json!({"id": id}),
        json!({"id": id, "connect": "localhost"}),
        json!({"id": id, "connect": "localhost:0"}),
        json!({"id": id, "connect": "::1:80"}),
        json!({"id": id, "connect": "a b:80"}),
        json!({"id": id, "connect": 80}),
        json!({"connect": there.to()}),
    ] {
        let refused = peer.call("fwd", wrong.clone(), b"");
        assert_eq!(refused.error(), "bad_request", "{wrong}");
    }
    let act = json!({"id": id, "connect": there.to()});
    assert_eq!(
        peer.call("fwd", act.clone(), b"data").error(),
        "bad_request"
    );
    let more = json!({"id": id, "connect": there.to(), "wait": 1});
    assert_eq!(peer.call("fwd", more, b"").error(), "unknown_member");
    assert_eq!(peer.call("fwd", act, b"").status(), 200);
    let signal = json!({"id": id, "signal": 15, "signals": 0});
    assert_eq!(peer.call("idt", signal, b"").error(), "bad_request");
}

#[test]
fn an_address_of_ipv6_is_written_in_brackets() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return; // this machine has none
    };
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    let to = listener.local_addr().unwrap().to_string();
    let opened = peer.call("fwd", json!({"id": id, "connect": to}), b"");
    assert_eq!(opened.status(), 200, "{opened:?}");
}

#[test]
fn a_reset_of_the_far_end_is_told_after_what_it_had_said() {
    let (server, there) = (Server::start(), There::listen());
    let mut peer = Peer2::alice(&server);
    let (id, mut far) = there.connect(&mut peer);
    far.write_all(b"last words").unwrap();
    assert_eq!(hear(&mut peer, &id, 0).out, b"last words");
    rustix::net::sockopt::set_socket_linger(&far, Some(Duration::ZERO)).unwrap();
    drop(far);
    let (rest, trailer) = hear_all(&mut peer, &id, 0);
    assert_eq!(rest, b"last words");
    assert_eq!(
        (&trailer["state"], &trailer["error"], trailer.get("exit")),
        (&json!("exited"), &json!("reset"), None)
    );
}

#[test]
fn only_a_whole_edt_looks_like_an_end_to_the_far_end() {
    let (mut server, there) = (Server::start(), There::listen());
    let mut peer = Peer2::alice(&server);
    let (given_up, mut far) = there.connect(&mut peer);
    peer.call("idt", json!({"id": given_up, "in": 0}), b"half a thi");
    peer.call("who", json!({"done": [given_up]}), b"");
    assert!(is_reset(&mut far), "no longer wanted");
    assert_eq!(hear(&mut peer, &given_up, 0).error(), "gone");

    let id = peer.id();
    let act = json!({"id": id, "connect": there.to(), "keep": 1});
    assert_eq!(peer.call("fwd", act.clone(), b"").status(), 200);
    assert!(is_reset(&mut there.accept()), "forgotten");
    assert_eq!(peer.call("fwd", act, b"").error(), "gone");

    let (ended, mut far) = there.connect(&mut peer);
    peer.call("edt", json!({"id": ended, "in": 0}), b"whole");
    let mut up = String::new();
    far.read_to_string(&mut up).unwrap();
    assert_eq!(up, "whole");

    let (_, mut far) = there.connect(&mut peer);
    server.stop();
    assert!(is_reset(&mut far), "the server stopped");
}

#[test]
fn a_later_session_goes_on_with_it() {
    let (server, there) = (Server::start(), There::listen());
    let mut one = Peer2::alice(&server);
    let (id, mut far) = there.connect(&mut one);
    one.call("idt", json!({"id": id, "in": 0}), b"one ");
    far.write_all(b"heard ").unwrap();
    assert_eq!(hear(&mut one, &id, 0).out, b"heard ");
    let mut two = Peer2::alice(&server);
    let input = json!({"id": id, "in": 4});
    assert_eq!(two.call("idt", input, b"two").error(), "not_attached");
    let input = json!({"id": id, "attach": true, "in": 0, "out": 6});
    two.call("edt", input, b"one two");
    let mut up = String::new();
    far.read_to_string(&mut up).unwrap();
    assert_eq!(up, "one two");
    far.write_all(b"again").unwrap();
    drop(far);
    assert_eq!(hear_all(&mut two, &id, 6).0, b"again");
    let mut bob = Peer2::bob(&server);
    assert_eq!(bob.call("idt", json!({"id": id}), b"").error(), "not_found");
}

#[test]
fn a_far_end_that_is_not_listened_to_or_does_not_listen_is_held_back() {
    let (server, there) = (
        Server::start_with(|wanted| wanted.limits.window = 100_000),
        There::listen(),
    );
    let mut peer = Peer2::alice(&server);
    let (id, far) = there.connect(&mut peer);
    let mut writer = far.try_clone().unwrap();
    let pattern: Vec<u8> = (0..20_000_000_u32).map(|at| (at % 251) as u8).collect();
    let sent = pattern.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let first = hear(&mut peer, &id, 0);
    assert!(first.out.len() <= 100_000, "{}", first.out.len());
    eventually("the window is full", || {
        peer.call("idt", json!({"id": id, "out": 0}), b"").out.len() == 100_000
    });
    assert!(!writing.is_finished(), "it waits");
    assert!(hear_all(&mut peer, &id, 0).0 == pattern, "nothing is lost");
    writing.join().unwrap();

    // The other way: what the far end does not take is not taken from the client in the end.
    let mut at = 0;
    let piece = vec![7; 1_000_000];
    loop {
        let trailer = peer
            .call("idt", json!({"id": id, "in": at, "out": u32::MAX}), &piece)
            .trailer;
        let taken = trailer["in"].as_u64().unwrap();
        if taken == at {
            break;
        }
        at = taken;
        assert!(at < 100_000_000, "somebody takes it all");
    }
    let mut far = far;
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        far.read_to_end(&mut all).unwrap();
        all
    });
    eventually("the rest is taken", || {
        let end = peer.call("edt", json!({"id": id, "in": at}), b"end");
        end.trailer["in"] == json!(at + 3)
    });
    let all = reading.join().unwrap();
    assert_eq!(
        (all.len() as u64, all.get(all.len() - 4..)),
        (at + 3, Some(&b"\x07end"[..]))
    );
}

#[test]
fn a_server_may_forward_nothing_and_says_so() {
    let server = Server::start_with(|wanted| wanted.limits.forward = false);
    let there = There::listen();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    for _ in 0..2 {
        let refused = peer.call("fwd", json!({"id": id, "connect": there.to()}), b"");
        assert_eq!((refused.status(), refused.error()), (403, "forbidden"));
    }
    let who = peer.call("who", json!({}), b"").trailer;
    assert_eq!(who["forward"], false);
    there.listener.set_nonblocking(true).unwrap();
    assert!(there.listener.accept().is_err(), "nobody came");
}

#[test]
fn connections_count_as_channels_of_their_user_and_of_all() {
    let server = Server::start_with(|wanted| {
        wanted.limits.channels_a_user = 2;
        wanted.limits.channels = 3;
    });
    let there = There::listen();
    let (mut alice, mut bob) = (Peer2::alice(&server), Peer2::bob(&server));
    let try_one = |peer: &mut Peer2| {
        let id = peer.id();
        let opened = peer.call("fwd", json!({"id": id, "connect": there.to()}), b"");
        let error = opened.head.get("error").and_then(Value::as_str);
        (id, error.unwrap_or_default().to_owned())
    };
    let (first, none) = try_one(&mut alice);
    assert_eq!(none, "");
    assert_eq!(try_one(&mut alice).1, "");
    let (third, refused) = try_one(&mut alice);
    assert_eq!(refused, "too_many", "of one user");
    assert_eq!(try_one(&mut bob).1, "");
    assert_eq!(try_one(&mut bob).1, "too_many", "in all");
    alice.call("who", json!({"done": [first]}), b"");
    eventually("there is room again", || {
        let act = json!({"id": third, "connect": there.to()});
        alice.call("fwd", act, b"").status() == 200
    });
}

#[test]
fn who_lists_where_a_connection_goes() {
    let (server, there) = (Server::start(), There::listen());
    let mut peer = Peer2::alice(&server);
    let (id, _far) = there.connect(&mut peer);
    let who = peer.call("who", json!({}), b"").trailer;
    assert_eq!(
        (&who["forward"], &who["channels"]),
        (
            &json!(true),
            &json!([{"id": id, "verb": "fwd", "state": "running", "pty": false, "connect": there.to()}])
        )
    );
}

#[test]
fn what_was_ended_is_given_as_a_whole_though_it_is_done() {
    let (server, there) = (Server::start(), There::listen());
    let mut peer = Peer2::alice(&server);
    let (id, mut far) = there.connect(&mut peer);
    let data = vec![9; 1 << 20];
    let mut at = 0;
    // More than the system holds for a far end that does not read.
    for _ in 0..8 {
        let sent = peer.call("idt", json!({"id": id, "in": at}), &data);
        at = sent.trailer["in"].as_u64().unwrap();
    }
    eventually("the end is taken", || {
        let end = peer.call("edt", json!({"id": id, "in": at}), b"");
        end.trailer["in"] == json!(at)
    });
    peer.call("who", json!({"done": [id]}), b"");
    let mut all = Vec::new();
    far.read_to_end(&mut all).unwrap();
    assert_eq!(all.len() as u64, at);
}

/// Bytes of memory that this process, in which the server runs too, takes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() << 10
}

#[test]
fn many_channels_that_nobody_listens_to_hold_their_windows_and_no_more() {
    let server = Server::start_with(|wanted| wanted.limits.window = 100_000);
    let mut peer = Peer2::alice(&server);
    let before = resident();
    let ids: Vec<_> = (0..40)
        .map(|_| {
            let id = peer.id();
            let act = json!({"id": id, "line": "yes", "keep": 600});
            assert_eq!(peer.call("icm", act, b"").status(), 200);
            id
        })
        .collect();
    for _ in 0..2 {
        for id in &ids {
            eventually("the window is full", || {
                let told = peer.call("idt", json!({"id": id, "out": 0}), b"");
                assert!(told.out.len() <= 100_000, "{}", told.out.len());
                told.out.len() == 100_000
            });
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more than before");
    peer.call("who", json!({"done": ids}), b"");
}
