//! What the commands of `remo prompt` do when the server is a good one, in both dialects.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::io::Write;
use std::process::Stdio;

use common::{Call, Ended, Home, Script, Server, http, sealed};

const DIALECTS: [&[&str]; 2] = [&["--dialect", "0.3"], &["--dialect", "0.6"]];

/// Answers every verb with what it got.
fn echo(call: Call) -> Vec<u8> {
    match call.verb.as_str() {
        "cmd" => sealed(
            call.answer,
            200,
            &[b"out: ", call.argument.as_bytes(), b"\n"],
        ),
        "icm" => sealed(call.answer, 200, &[b"started\n"]),
        "idt" => sealed(call.answer, 200, &[&call.data]),
        "edt" => sealed(call.answer, 200, &[b"bye\n"]),
        "info" => sealed(call.answer, 200, &[b"remo_serv 9 here"]),
        "put" => sealed(call.answer, 200, &[]),
        _ => sealed(call.answer, 200, &[b"one ", b"two"]),
    }
}

#[test]
fn every_command_works_in_both_dialects() {
    for dialect in DIALECTS {
        let home = Home::new();
        let server = Server::start(&home, Script::new(echo));
        home.write("local", "data");
        let commands = [
            "exec printf '%s é'",
            "iexec cat",
            "idata a  b",
            "iend",
            "info",
            "get '/r/a b'",
            "get /r/x l",
            "put /r/y local",
            "set_encoding latin_1",
            "help iend",
        ];
        let out = home.run_with(&server, dialect, &commands).success();
        assert!(
            out.starts_with("out: printf '%s é'\nstarted\na  b\nbye\nremo_serv 9 here\n  iend "),
            "{out}"
        );
        assert_eq!(home.read("a b"), b"one two");
        assert_eq!(home.read("l"), b"one two");
        assert_eq!(
            server.log(),
            [
                "info",
                "cmd printf '%s é'",
                "icm cat",
                "idt",
                "edt",
                "info",
                "get /r/a b",
                "get /r/x",
                "put /r/y",
                "logout"
            ]
        );
        assert_eq!(server.logins(), 1);
    }
}

#[test]
fn bodies_of_one_token_have_a_length_and_longer_ones_are_chunked() {
    const MOST: usize = (4 << 20) - 64;
    // A Python server may be there in all forms but the last.
    let forms: [(&[&str], usize); 3] = [
        (&["--dialect", "0.3"], MOST),
        (&["--accept-cut-answers"], MOST),
        (&[], 65_536),
    ];
    for (options, most) in forms {
        let home = Home::new();
        let (tell, told) = std::sync::mpsc::channel();
        let tell = std::sync::Mutex::new(tell);
        let server = Server::start(
            &home,
            Script::new(move |call| {
                let head = call.head.to_ascii_lowercase();
                let chunked = head.contains("transfer-encoding: chunked");
                // Dialect 0.3 has no body for no data.
                let bare = call.body.is_empty();
                assert!(bare || chunked != head.contains("content-length: "));
                tell.lock()
                    .unwrap()
                    .send((call.argument.clone(), chunked, call.data.clone()))
                    .unwrap();
                sealed(call.answer, 200, &[])
            }),
        );
        for size in [0, 1, 65_535, 65_537, most, most + 1, 6_000_000] {
            let data: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            home.write("file", &data);
            // As a file, and as something whose length is not known.
            for put in ["put r file", "put r /dev/stdin"] {
                let mut remo = home.remo(&server.url(), &[options, &["-c", put]].concat());
                let piped = Stdio::piped;
                let remo = remo.stdin(piped()).stdout(piped()).stderr(piped());
                let mut remo = remo.spawn().unwrap();
                let mut stdin = remo.stdin.take().unwrap();
                let written = stdin.write_all(&data);
                drop(stdin);
                Ended::from(remo.wait_with_output().unwrap()).success();
                assert!(written.is_ok() || put == "put r file");
                let (name, chunked, got) = told.recv().unwrap();
                assert_eq!((name.as_str(), chunked), ("r", size > most), "{size} {put}");
                assert!(got == data, "{size} {put}");
            }
        }
    }
}

#[test]
fn output_that_is_not_text_passes_unchanged_when_nobody_looks_at_it() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::always(|answer| sealed(answer, 200, &[b"\xff\0\x1b[", b"\xc3", b"\xa9"])),
    );
    assert_eq!(home.run(&server, &["exec x"]).out, b"\xff\0\x1b[\xc3\xa9");
}

#[test]
fn other_encodings_are_decoded_and_encoded() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::new(|call| {
            assert!(call.verb != "idt" || call.data == b"\xe9\n");
            sealed(call.answer, 200, &[b"caf\xe9\n"])
        }),
    );
    assert_eq!(
        home.run_with(&server, &["-e", "latin_1"], &["exec x", "idata é"])
            .success(),
        "café\ncafé\n"
    );
    let err = home
        .run_with(&server, &["-e", "cp1252"], &["idata →"])
        .failure();
    assert!(err.contains("set_encoding"), "{err}");
    assert_eq!(home.run_with(&server, &["-e", "utf_9"], &["info"]).code, 2);
}

#[test]
fn a_failed_command_stops_the_rest_unless_told_to_keep_going() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::new(|call| match call.argument.as_str() {
            "bad" => sealed(call.answer, 400, &[b"no \x1b[2J such"]),
            _ => echo(call),
        }),
    );
    let err = home
        .run(&server, &["exec bad", "exec good", "exec 'more'"])
        .failure();
    assert_eq!(
        err,
        "remo: the server answered 400: no \\u{1b}[2J such\nremo: not run (--keep-going runs them):\n  exec good\n  exec 'more'\n"
    );
    let kept = home.run_with(&server, &["--keep-going"], &["exec bad", "exec good"]);
    assert_eq!((kept.code, kept.out.as_slice()), (1, &b"out: good\n"[..]));
    assert_eq!(
        server.logins(),
        2,
        "a sealed refusal leaves the session as it is"
    );
}

#[test]
fn a_script_comes_from_standard_input_and_its_lines_are_counted() {
    let home = Home::new();
    let server = Server::start(&home, Script::new(echo));
    let script = |text: &str| {
        let mut child = home.remo(&server.url(), &[]);
        let mut child = child
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        Ended::from(child.wait_with_output().unwrap())
    };
    assert_eq!(
        script("# a script\n\nexec one\r\nexec two\nquit\nexec three\n").success(),
        "out: one\nout: two\n"
    );
    let err = script("exec one\nnonsense\nexec two").failure();
    assert!(
        err.starts_with("remo: line 2: unknown command 'nonsense'"),
        "{err}"
    );
    assert_eq!(
        server
            .log()
            .iter()
            .filter(|line| *line == "cmd two")
            .count(),
        1
    );
}

#[test]
fn a_wrong_command_line_is_told_before_anything_is_sent() {
    let home = Home::new();
    let server = Server::start(&home, Script::new(echo));
    for commands in [["exec a", "gte x"], ["exec a", "get"]] {
        let ended = home.run(&server, &commands);
        assert_eq!(ended.code, 2, "{ended:?}");
    }
    assert_eq!(
        home.remo("ftp://x", &["-c", "info"])
            .output()
            .unwrap()
            .status
            .code(),
        Some(2)
    );
    assert_eq!(server.logins(), 0);
}

#[test]
fn a_command_is_never_sent_twice_when_the_session_is_gone() {
    let home = Home::new();
    let script = Script::new(|call| {
        if call.argument == "gone" {
            http(403, "", b"")
        } else {
            echo(call)
        }
    });
    let server = Server::start(&home, script);
    let ended = home.run_with(&server, &["--keep-going"], &["exec gone", "exec after"]);
    assert_eq!(ended.out, b"out: after\n");
    assert!(
        ended
            .failure()
            .contains("the command was not repeated, the next one logs in anew")
    );
    assert_eq!(
        server.log(),
        ["info", "cmd gone", "info", "cmd after", "logout"]
    );
    assert_eq!(server.logins(), 2);
}

#[test]
fn an_encrypted_key_needs_its_password_from_a_file_where_there_is_no_terminal() {
    let home = Home::new();
    let server = Server::start(&home, Script::new(echo));
    home.write(
        "zoe_key.pem",
        home.user_key
            .to_encrypted_pem(b"sesame")
            .unwrap()
            .as_bytes(),
    );
    let err = home.run(&server, &["info"]).failure();
    assert!(err.contains("--password-file"), "{err}");
    home.write("pw", "sesame\n");
    assert_eq!(
        home.run_with(&server, &["--password-file", "pw"], &["info"])
            .success(),
        "remo_serv 9 here\n"
    );
    home.write("pw", "wrong\n");
    let err = home
        .run_with(&server, &["--password-file", "pw"], &["info"])
        .failure();
    assert!(
        err.contains("wrong password") && !err.contains("sesame"),
        "{err}"
    );
}

#[test]
fn verbose_tells_of_requests_and_of_no_secret() {
    let home = Home::new();
    let server = Server::start(&home, Script::new(echo));
    let ended = home.run_with(&server, &["-v"], &["exec secret-word"]);
    assert!(
        ended.err.contains("verb=\"cmd\"") && ended.err.contains("status=200"),
        "{}",
        ended.err
    );
    assert!(
        !ended.err.contains("gAAA")
            && !ended.err.contains("secret-word")
            && !ended.err.contains("SESSION_ID"),
        "{}",
        ended.err
    );
}

#[test]
fn after_the_last_number_the_client_logs_in_anew() {
    let home = Home::new();
    let server = Server::start(&home, Script::new(|call| sealed(call.answer, 200, &[])));
    home.write("script", "exec x\n".repeat(32_768));
    let mut remo = home.remo(&server.url(), &[]);
    let script = std::fs::File::open(home.path("script")).unwrap();
    Ended::from(remo.stdin(script).output().unwrap()).success();
    // Each session begins with an /info.
    assert_eq!(server.log().len(), 32_768 + 2 + 1);
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_key_that_others_may_read_is_warned_of() {
    let home = Home::new();
    let server = Server::start(&home, Script::new(echo));
    let quiet = home.run(&server, &["info"]);
    assert_eq!((quiet.code, quiet.err.as_str()), (0, ""));
    home.allow("zoe_key.pem", 0o640);
    let warned = home.run(&server, &["info"]);
    assert!(
        warned
            .err
            .contains("others may read key 'zoe_key.pem' (chmod 600 it)"),
        "{}",
        warned.err
    );
    assert_eq!(warned.code, 0);
}
