use std::{path::Path, thread, time::Duration};

use remo_protocol::remo2::json::Object;
use serde_json::json;

use crate::support::{Connection, Peer, Peer2, Server, eventually, exists, peer2::object, runs};

#[test]
fn info_gives_the_servers_key_and_the_dialects_to_everybody() {
    let server = Server::start();
    let answer = Connection::open(server.address).request("/info", "", br#"{"v":2}"#);
    let info: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let key = base64_simd::URL_SAFE.encode_to_string(server.key.public().to_raw());
    assert_eq!(
        info,
        json!({"v": 2, "keys": [key], "dialects": ["0.3", "0.6", "2"]})
    );
    let mut old = Peer::bob(&server, remo_protocol::dialect::Dialect::V0_6);
    let again = old.connection.request("/info", &old.cookie, br#"{"v":2}"#);
    assert_eq!(again.body, answer.body, "whatever else the jar holds");
    assert_eq!(old.cmd("true", b"").0, 200);
}

#[test]
fn a_key_that_is_rotated_out_still_lets_its_clients_in() {
    let mut server = Server::start_with(|wanted| wanted.old_key = true);
    let answer = Connection::open(server.address).request("/info", "", br#"{"v":2}"#);
    let info: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let old = remo_protocol::keys::PrivateKey::from_raw(&[4; 57]);
    let keys = [&server.key, &old]
        .map(|key| base64_simd::URL_SAFE.encode_to_string(key.public().to_raw()));
    assert_eq!(info["keys"], json!(keys), "the present one first");

    assert_eq!(
        Peer2::alice(&server).call("who", json!({}), b"").status(),
        200
    );
    let present = std::mem::replace(&mut server.key, old);
    assert_eq!(
        Peer2::alice(&server).call("who", json!({}), b"").status(),
        200
    );
    server.key = present;
    let mut older = Peer::bob(&server, remo_protocol::dialect::Dialect::V0_6);
    assert_eq!(
        older.cmd("true", b"").0,
        200,
        "the older dialects name no key"
    );
}

#[test]
fn with_one_session_too_many_the_most_silent_of_the_same_user_goes() {
    let server = Server::start_with(|wanted| wanted.limits.sessions_a_user = 2);
    let mut bob = Peer2::bob(&server);
    let mut one = Peer2::alice(&server);
    let mut two = Peer2::alice(&server);
    two.call("who", json!({}), b"");
    one.call("who", json!({}), b"");
    let mut three = Peer2::alice(&server);
    two.call("who", json!({}), b"");
    one.call("who", json!({}), b"");
    three.call("who", json!({}), b"");
    let request = two.make("who", json!({}), b"");
    assert_eq!(
        two.bare(&request),
        403,
        "by the first request of another, not by its log-in"
    );
    for peer in [&mut bob, &mut one, &mut three] {
        assert_eq!(peer.call("who", json!({}), b"").status(), 200);
    }
}

#[test]
fn clocks_that_are_years_apart_change_nothing() {
    let server = Server::start();
    for years in [-30, -1, 1, 30] {
        server
            .ahead
            .store(years * 366 * 86_400, std::sync::atomic::Ordering::Relaxed);
        let mut peer = Peer2::alice(&server);
        let id = peer.id();
        let act = json!({"id": id, "line": "echo x", "by": 60_000});
        let answer = peer.call("cmd", act, b"");
        assert_eq!(
            (answer.status(), &answer.out[..]),
            (200, &b"x\n"[..]),
            "{years}"
        );
        assert_eq!(answer.trailer["exit"], 0);
    }
}

#[test]
fn who_tells_who_is_who_and_a_probe_pauses_before_the_end() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let who = peer.call("who", json!({}), b"").trailer;
    assert_eq!(
        (
            who["user"].as_str(),
            who["channels"].as_array().map(Vec::len)
        ),
        (Some("alice"), Some(0))
    );
    let request = peer.make("who", json!({"probe": 300}), b"");
    let mut connection = peer.begin(&request);
    let begun = std::time::Instant::now();
    assert_eq!(connection.head().unwrap().0, 200);
    assert!(!connection.chunk().unwrap().is_empty());
    assert!(
        begun.elapsed() < Duration::from_millis(250),
        "the head comes at once"
    );
    assert!(!connection.chunk().unwrap().is_empty());
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_short_command_is_one_round_trip_with_its_exact_status_and_streams() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let done = peer.line("cat; echo oops >&2; exit 3", b"in\0\xff");
    assert_eq!(
        (done.status(), &done.out[..], &done.err[..]),
        (200, &b"in\0\xff"[..], &b"oops\n"[..])
    );
    assert_eq!(
        (&done.trailer["state"], &done.trailer["exit"]),
        (&json!("exited"), &json!(3))
    );
    let killed = peer.line("kill -TERM $$", b"").trailer;
    assert_eq!((&killed["signal"], killed.get("exit")), (&json!(15), None));
    let id = peer.id();
    let words = peer.call(
        "cmd",
        json!({"id": id, "argv": ["printf", "%s|", "a b", "$HOME", "*"]}),
        b"",
    );
    assert_eq!(words.out, b"a b|$HOME|*|");
}

#[test]
fn what_cannot_start_is_named_and_answered_again() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    for _ in 0..2 {
        let refused = peer.call("cmd", json!({"id": id, "argv": ["no-such-program"]}), b"");
        assert_eq!((refused.status(), refused.error()), (404, "not_found"));
    }
    assert_eq!(
        peer.call("icm", json!({"id": id, "argv": ["cat"]}), b"")
            .error(),
        "id_used"
    );
}

#[test]
fn the_same_act_is_carried_out_once_also_in_another_session() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let log = server.path("log");
    let id = peer.id();
    let act = json!({"id": id, "line": format!("echo once | tee -a {log}")});
    for _ in 0..3 {
        assert_eq!(peer.call("cmd", act.clone(), b"").out, b"once\n");
    }
    let mut other = Peer2::alice(&server);
    assert_eq!(other.call("cmd", act.clone(), b"").out, b"once\n");
    assert_eq!(std::fs::read(&log).unwrap(), b"once\n");
    let mut bob = Peer2::bob(&server);
    assert_eq!(
        bob.call("idt", json!({"id": id}), b"").error(),
        "not_found",
        "ids of users have nothing to do with each other"
    );

    peer.call("who", json!({"done": [id]}), b"");
    assert_eq!(peer.call("cmd", act, b"").error(), "gone");
    assert_eq!(peer.call("idt", json!({"id": id}), b"").error(), "gone");
    let id = id.to_uppercase();
    assert_eq!(
        peer.call("idt", json!({"id": id}), b"").error(),
        "gone",
        "it is a number, however its digits are written"
    );
}

#[test]
fn numbers_are_taken_once_and_freed_by_what_fails() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let log = server.path("log");
    let id = peer.id();
    let request = peer.make(
        "cmd",
        json!({"id": id, "line": format!("echo x >> {log}")}),
        b"",
    );
    let cut = request.body.len() - 10;
    assert_eq!(
        peer.connection
            .request("/cmd", &peer.cookie, &request.body[..cut])
            .status,
        400,
        "cut"
    );
    assert_eq!(
        peer.connection
            .request("/icm", &peer.cookie, &request.body)
            .status,
        400,
        "another route"
    );
    assert!(!Path::new(&log).exists());
    assert_eq!(peer.send(&request).status, 200, "and then as it was");
    assert_eq!(peer.bare(&request), 409, "sent again");
    assert_eq!(std::fs::read(&log).unwrap(), b"x\n");
}

#[test]
fn members_that_nobody_knows_are_refused_and_use_no_id() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    for wrong in [
        json!({"id": id, "line": "true", "colour": 1}),
        json!({"id": id, "line": "true", "pty": {"rows": 1, "cols": 1}}),
    ] {
        assert_eq!(peer.call("cmd", wrong, b"").error(), "unknown_member");
    }
    assert_eq!(
        peer.call("icm", json!({"id": id, "pty": {"x": 1}}), b"")
            .error(),
        "unknown_member"
    );
    let head = object(json!({"verb": "cmd", "id": id, "line": "true"}));
    let request = peer.make_raw("/cmd", &head, b"", &object(json!({"x": 1})));
    let answer = peer.send(&request);
    assert_eq!(
        peer.open(&answer, &request.number).unwrap().error(),
        "unknown_member"
    );
    for wrong in [
        json!({"id": id}),
        json!({"id": id, "line": null}),
        json!({"id": id, "line": "true", "argv": ["true"]}),
        json!({"id": "x", "line": "true"}),
        json!({"line": "true"}),
        json!({"id": id, "argv": []}),
        json!({"id": id, "argv": ["a\0b"]}),
        json!({"id": id, "line": "true", "wait": "1"}),
    ] {
        assert_eq!(
            peer.call("cmd", wrong.clone(), b"").error(),
            "bad_request",
            "{wrong}"
        );
    }
    assert_eq!(
        peer.call("cmd", json!({"id": id, "line": "true"}), b"")
            .status(),
        200,
        "the id is unused"
    );
}

#[test]
fn what_comes_late_is_not_carried_out() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let (id, touched) = (peer.id(), server.path("touched"));
    thread::sleep(Duration::from_millis(20));
    let late = peer.call(
        "cmd",
        json!({"id": id, "line": format!("touch {touched}"), "by": 10}),
        b"",
    );
    assert_eq!((late.status(), late.error()), (408, "late"));
    assert!(!Path::new(&touched).exists());
    let again = peer.call(
        "cmd",
        json!({"id": id, "line": format!("touch {touched}"), "by": 100_000}),
        b"",
    );
    assert_eq!(again.status(), 200);
}

#[test]
fn a_later_session_ends_an_earlier_one_of_the_same_user_only() {
    let server = Server::start();
    let mut one = Peer2::alice(&server);
    let mut two = Peer2::alice(&server);
    let mut bob = Peer2::bob(&server);
    let ends = json!({"end": [one.keys.session.as_str(), bob.keys.session.as_str()]});
    assert_eq!(two.call("who", ends, b"").status(), 200);
    let request = one.make("who", json!({}), b"");
    assert_eq!(one.bare(&request), 403);
    assert_eq!(bob.call("who", json!({}), b"").status(), 200);
}

#[test]
fn a_terminal_is_one_and_knows_its_size() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    let pty = json!({"rows": 31, "cols": 97, "term": "vt100"});
    let line =
        "test -t 0 && test -t 1 && test -t 2 && stty size && echo $TERM; read x; stty size; cat";
    let begun = peer.call("icm", json!({"id": id, "line": line, "pty": pty}), b"");
    assert!(runs(begun.head["pid"].as_i64().unwrap() as i32));
    let mut seen = Vec::new();
    let mut follow = |peer: &mut Peer2, more: serde_json::Value, typed: &[u8], wanted: &str| {
        let (mut members, mut data) = (object(more), typed);
        loop {
            members.insert("id".into(), id.clone().into());
            members.insert("out".into(), (seen.len() as u64).into());
            members.insert("wait".into(), 1000.into());
            let told = peer.call("idt", members.clone().into(), data);
            assert_eq!(told.head["out"], seen.len());
            seen.extend(told.out);
            if String::from_utf8_lossy(&seen).contains(wanted) || told.trailer["state"] == "exited"
            {
                assert!(
                    String::from_utf8_lossy(&seen).contains(wanted),
                    "{wanted} in {seen:?}"
                );
                return told.trailer;
            }
            // What was typed is typed once.
            (members, data) = (Object::new(), b"");
        }
    };
    follow(&mut peer, json!({}), b"", "31 97\r\nvt100\r\n");
    follow(
        &mut peer,
        json!({"in": 0, "rows": 40, "cols": 100}),
        b"\n",
        "40 100\r\n",
    );
    let told = peer.call(
        "edt",
        json!({"id": id, "out": seen.len(), "wait": 5000}),
        b"",
    );
    assert_eq!(told.trailer["exit"], 0, "the VEOF character ended cat");
}

#[test]
fn a_signal_goes_to_the_foreground_and_is_taken_once() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    let line = "trap 'echo caught' INT; echo ready; while :; do sleep 0.05; done";
    peer.call("icm", json!({"id": id, "line": line, "pty": {}}), b"");
    let mut out = 0;
    let mut next = |peer: &mut Peer2, more: serde_json::Value| {
        let mut members = object(more);
        members.extend(object(json!({"id": id, "out": out, "wait": 2000})));
        let told = peer.call("idt", members.into(), b"");
        out = told.trailer["out"].as_u64().unwrap();
        (
            String::from_utf8(told.out).unwrap(),
            told.trailer["signals"].as_u64().unwrap(),
        )
    };
    assert!(next(&mut peer, json!({})).0.contains("ready"));
    let (said, count) = next(&mut peer, json!({"signal": 2, "signals": 0}));
    assert!(said.contains("caught") && count == 1, "{said}");
    let (said, count) = next(&mut peer, json!({"signal": 2, "signals": 0, "wait": 100}));
    assert!(
        !said.contains("caught") && count == 1,
        "the same again: {said}"
    );
    let wrong = peer.call("idt", json!({"id": id, "signal": 2}), b"");
    assert_eq!(wrong.error(), "bad_request");
}

#[test]
fn input_has_offsets_without_gap_or_repetition() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    peer.call("icm", json!({"id": id, "argv": ["cat"]}), b"");
    let taken = |told: crate::support::peer2::Opened| told.trailer["in"].as_u64().unwrap();
    assert_eq!(
        taken(peer.call("idt", json!({"id": id, "in": 3}), b"behind a gap")),
        0
    );
    assert_eq!(
        taken(peer.call("idt", json!({"id": id, "in": 0}), b"abc")),
        3
    );
    assert_eq!(
        taken(peer.call("idt", json!({"id": id, "in": 0}), b"abcdef")),
        6
    );
    assert_eq!(
        taken(peer.call("idt", json!({"id": id, "in": 2}), b"cd")),
        6
    );
    assert_eq!(
        peer.call("idt", json!({"id": id}), b"x").error(),
        "bad_request"
    );
    let end = peer.call("edt", json!({"id": id, "in": 6, "wait": 5000}), b"ghi");
    assert_eq!(
        (&end.out[..], &end.trailer["exit"]),
        (&b"abcdefghi"[..], &json!(0))
    );
}

#[test]
fn unfetched_output_stops_the_process_and_nothing_is_lost() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    let line = "i=0; while [ $i -lt 400000 ]; do echo line $i; i=$((i+1)); done";
    let mut told = peer.call("cmd", json!({"id": id, "line": line}), b"");
    let mut all = told.out.clone();
    assert_eq!(
        (all.len(), &told.trailer["state"]),
        (1 << 20, &json!("running")),
        "a full window"
    );
    while told.trailer["state"] == "running" {
        told = peer.call(
            "idt",
            json!({"id": id, "out": all.len(), "wait": 2000}),
            b"",
        );
        assert_eq!(told.head["out"], all.len());
        all.extend(&told.out);
    }
    let text = String::from_utf8(all).unwrap();
    assert_eq!(text.lines().count(), 400_000);
    assert!(
        text.lines()
            .enumerate()
            .all(|(i, line)| line == format!("line {i}"))
    );
}

#[test]
fn a_channel_goes_on_in_another_session_that_attaches() {
    let server = Server::start();
    let mut one = Peer2::alice(&server);
    let id = one.id();
    one.call("icm", json!({"id": id, "line": "cat", "pty": {}}), b"");
    let first = one.call("idt", json!({"id": id, "in": 0, "wait": 2000}), b"hello\n");
    assert!(first.out.starts_with(b"hello\r\n"));
    one.call("idt", json!({"id": id, "out": first.trailer["out"]}), b"");

    let parked = one.make(
        "idt",
        json!({"id": id, "out": first.trailer["out"], "wait": 25_000}),
        b"",
    );
    let mut waiting = one.begin(&parked);
    assert_eq!(waiting.head().unwrap().0, 200);
    let mut two = Peer2::alice(&server);
    let wrong = two.call("idt", json!({"id": id, "in": 6}), b"x");
    assert_eq!((wrong.status(), wrong.error()), (409, "not_attached"));
    assert_eq!(
        two.call("who", json!({"done": [id]}), b"").error(),
        "not_attached"
    );
    let again = two.call(
        "idt",
        json!({"id": id, "attach": true, "out": 0, "wait": 100}),
        b"",
    );
    assert!(
        again.out.starts_with(b"hello\r\n"),
        "what was received of a terminal is kept for a while"
    );
    let more = two.call(
        "idt",
        json!({"id": id, "in": 6, "out": again.trailer["out"], "wait": 2000}),
        b"more\n",
    );
    assert!(more.out.starts_with(b"more\r\n"), "{more:?}");
    assert_eq!(
        one.call("idt", json!({"id": id, "in": 11}), b"x").error(),
        "not_attached"
    );
    let channels = two.call("who", json!({}), b"").trailer;
    assert_eq!(
        (
            &channels["channels"][0]["id"],
            &channels["channels"][0]["pty"]
        ),
        (&json!(id), &json!(true))
    );
}

#[test]
fn what_nobody_asks_for_is_hung_up_with_its_group() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let pids = server.path("pids");
    let id = peer.id();
    let line = format!("sleep 1000 & echo $$ $! > {pids}; cat");
    peer.call("icm", json!({"id": id, "line": line, "keep": 1}), b"");
    let read = || std::fs::read_to_string(&pids).unwrap_or_default();
    eventually("the start", || read().ends_with('\n'));
    let pids: Vec<i32> = read()
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    eventually("the end of both", || !pids.iter().any(|&pid| runs(pid)));
    eventually("no zombie", || !exists(pids[0]));
    assert_eq!(peer.call("idt", json!({"id": id}), b"").error(), "gone");
}

#[test]
fn a_timeout_ends_the_command_and_says_by_which_signal() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    let told = peer.call(
        "cmd",
        json!({"id": id, "argv": ["sleep", "1000"], "timeout": 1}),
        b"",
    );
    assert_eq!(told.trailer["signal"], 15);
}

#[test]
fn what_has_told_its_end_makes_room_and_what_has_not_does_not() {
    let server = Server::start_with(|wanted| wanted.limits.channels_a_user = 2);
    let mut peer = Peer2::alice(&server);
    let (first, waiting) = (peer.id(), peer.id());
    let cmd = |id: &String| json!({"id": id, "line": "exit 4"});
    assert_eq!(peer.call("cmd", cmd(&first), b"").trailer["exit"], 4);
    let icm = json!({"id": waiting, "line": "cat"});
    assert_eq!(peer.call("icm", icm, b"").status(), 200);
    for _ in 0..3 {
        let done = peer.line("exit 5", b"");
        assert_eq!(done.trailer["exit"], 5, "{done:?}");
    }
    assert_eq!(peer.call("cmd", cmd(&first), b"").error(), "gone");
    let fed = json!({"id": waiting, "in": 0, "wait": 5000});
    assert_eq!(peer.call("idt", fed, b"kept").out, b"kept");
    let other = peer.id();
    let icm = json!({"id": other, "line": "cat"});
    assert_eq!(peer.call("icm", icm, b"").status(), 200);
    assert_eq!(peer.line("true", b"").error(), "too_many");
}

#[test]
fn an_answer_streams_while_other_requests_acknowledge() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    let line = "head -c 5000000 /dev/zero; echo end";
    let request = peer.make("cmd", json!({"id": id, "line": line, "stream": true}), b"");
    let mut connection = peer.begin(&request);
    assert_eq!(connection.head().unwrap().0, 200);
    let mut opener =
        remo_protocol::remo2::answer::Opener::new(peer.keys.down.clone(), &request.number);
    let (mut lines, mut received, mut acknowledged) =
        (remo_protocol::lines::Lines::default(), 0, 0);
    loop {
        let chunk = connection.chunk().unwrap();
        if chunk.is_empty() {
            break;
        }
        lines.push(&chunk);
        while let Some(line) = lines.next().unwrap() {
            if let remo_protocol::remo2::answer::Part::Data(_, data) = opener.open(&line).unwrap() {
                received += data.len();
            }
        }
        if received - acknowledged > 300_000 {
            peer.call("idt", json!({"id": id, "out": received}), b"");
            acknowledged = received;
        }
    }
    assert_eq!(received, 5_000_004);
    assert_eq!(opener.finish().unwrap()["exit"], 0);
}

#[test]
fn a_process_finds_home_and_a_clean_environment() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    let env = json!({"id": id, "line": "pwd; env", "env": {"EXTRA": "yes"}});
    let text = String::from_utf8(peer.call("cmd", env, b"").out).unwrap();
    let home = nix::unistd::User::from_uid(nix::unistd::Uid::effective())
        .unwrap()
        .unwrap()
        .dir;
    assert!(text.starts_with(&format!("{}\n", home.display())), "{text}");
    assert!(
        text.contains("\nEXTRA=yes\n") && text.contains("\nSHELL=") && text.contains("\nUSER=")
    );
    assert!(!text.contains("CARGO"), "{text}");
    let id = peer.id();
    let there = peer.call(
        "cmd",
        json!({"id": id, "argv": ["pwd"], "cwd": "/usr"}),
        b"",
    );
    assert_eq!(there.out, b"/usr\n");
    let id = peer.id();
    assert_eq!(
        peer.call(
            "cmd",
            json!({"id": id, "argv": ["pwd"], "cwd": "/no/such"}),
            b""
        )
        .error(),
        "not_found"
    );
}

#[test]
fn all_three_dialects_live_on_one_port_and_nothing_unproved_ends_a_session() {
    let server = Server::start();
    let mut new = Peer2::alice(&server);
    let mut old = Peer::bob(&server, remo_protocol::dialect::Dialect::V0_3);
    assert_eq!(new.line("echo new", b"").out, b"new\n");
    assert_eq!(old.cmd("echo old", b"").1, b"old\n");
    let cookie = new.cookie.clone();
    assert_eq!(
        new.connection.request("/auth", &cookie, b"").status,
        200,
        "an empty log-out"
    );
    for body in [&b"junk"[..], b"", b"\r\n", &[b'A'; 5000]] {
        assert_eq!(new.connection.request("/idt", &cookie, body).status, 400);
    }
    assert_eq!(new.connection.request("/cmd/x", &cookie, b"").status, 404);
    let large = vec![b'A'; 5 << 20];
    assert_eq!(
        Connection::open(server.address)
            .request("/cmd", &cookie, &large)
            .status,
        413
    );
    assert_eq!(new.line("echo on", b"").out, b"on\n");
    let unknown = "SESSION_ID=aaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbb";
    new.cookie = format!("{unknown}; {cookie}");
    assert_eq!(new.line("echo older first", b"").out, b"older first\n");
    assert_eq!(
        Connection::open(server.address)
            .request("/who", unknown, b"x")
            .status,
        403
    );
}

#[test]
fn channels_end_when_the_server_stops() {
    let mut server = Server::start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    let pid = peer
        .call("icm", json!({"id": id, "argv": ["sleep", "1000"]}), b"")
        .head["pid"]
        .as_i64()
        .unwrap();
    assert!(runs(pid as i32));
    let request = peer.make("idt", json!({"id": id, "wait": 25_000}), b"");
    let mut waiting = peer.begin(&request);
    assert_eq!(waiting.head().unwrap().0, 200);
    drop(peer);
    let begun = std::time::Instant::now();
    server.stop();
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "an answer that only waits holds up nothing"
    );
    while !waiting.chunk().expect("the end of the answer").is_empty() {}
    assert!(!exists(pid as i32));
}
