//! What `remo` makes of servers of the other dialect, of the Python server's ways, and of connections that end without a word.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::channel;

use common::{Call, Ended, Home, Script, Server, bare_response, http, seal, seal_with, sealed};
use remo_protocol::body::{Lineation, RequestNumber, Sealer};

const DIALECTS: [&str; 2] = ["0.3", "0.6"];
const GREETING: &[u8] = b"remo_serv 0.6.0 here";

fn echo(call: Call) -> Vec<u8> {
    sealed(call.answer, 200, &[call.argument.as_bytes(), b"\n"])
}

/// Answers without a length, as Python does, and without the mark of an end.
fn unmarked(call: Call, pieces: &[&[u8]]) -> Vec<u8> {
    http(200, "", &seal(call.answer, 200, pieces, false))
}

#[test]
fn an_empty_answer_without_its_end_is_taken_where_python_is_named() {
    let home = Home::new();
    let script = Script::new(|_| bare_response(200)).greeting(|call| unmarked(call, &[GREETING]));
    let server = Server::start(&home, script);
    let python = ["--accept-cut-answers"];
    let ended = home.run_with(&server, &python, &["get r empty", "iend", "put r empty"]);
    assert_eq!(ended.err.matches("does not mark the end").count(), 1);
    assert_eq!(ended.success(), "");
    assert_eq!(home.read("empty"), b"");
    assert_eq!(server.logins(), 1);
}

#[test]
fn an_empty_answer_without_its_end_is_cut_where_python_is_not_named() {
    let home = Home::new();
    home.write("old", "old");
    let server = Server::start(&home, Script::new(|_| bare_response(200)));
    let err = home.run(&server, &["get r old"]).failure();
    assert!(
        err.contains("the answer was cut") && err.contains("--accept-cut-answers"),
        "{err}"
    );
    assert_eq!(home.read("old"), b"old");
}

#[test]
fn a_python_server_that_is_not_named_is_noticed_before_anything_is_done() {
    let home = Home::new();
    let script = Script::new(echo).greeting(|call| unmarked(call, &[GREETING]));
    let server = Server::start(&home, script);
    let err = home.run(&server, &["exec rm -r x"]).failure();
    assert!(err.contains("--accept-cut-answers"), "{err}");
    assert_eq!(server.log(), ["info"]);
}

#[test]
fn a_server_of_dialect_0_3_is_noticed_before_anything_is_done() {
    let home = Home::new();
    home.write("local", "data");
    let script = Script::new(echo).greeting(|call| {
        let sealer = Sealer::v0_3(call.key, Lineation::After);
        http(
            200,
            "",
            &seal_with(sealer, &[b"remo_serv 0.3.0 here"], true),
        )
    });
    let server = Server::start(&home, script);
    for options in [&[][..], &["--accept-cut-answers"]] {
        let err = home.run_with(&server, options, &["put r local"]).failure();
        assert!(
            err.starts_with("remo: the server speaks dialect 0.3 (use --dialect 0.3;"),
            "{err}"
        );
    }
    assert_eq!(server.log(), ["info", "info"]);
}

#[test]
fn a_server_of_dialect_0_6_is_noticed_before_anything_is_done() {
    for whole in [false, true] {
        let home = Home::new();
        let script = Script::new(echo).greeting(move |call| {
            let number = RequestNumber::FIRST;
            let sealer = Sealer::v0_6(call.key, Lineation::After, number, b"200");
            http(200, "", &seal_with(sealer, &[GREETING], whole))
        });
        let server = Server::start(&home, script);
        let err = home
            .run_with(&server, &["--dialect", "0.3"], &["get r local"])
            .failure();
        assert!(
            err.starts_with("remo: the server speaks dialect 0.6 (use --dialect 0.6;"),
            "{err}"
        );
        assert_eq!(server.log(), ["info"]);
        assert!(home.names().is_empty());
    }
}

#[test]
fn the_answer_to_info_is_asked_for_once() {
    for dialect in DIALECTS {
        let home = Home::new();
        let server = Server::start(&home, Script::new(echo));
        let out = home.run_with(
            &server,
            &["--dialect", dialect],
            &["info", "exec a", "exec b"],
        );
        assert_eq!(out.success(), "remo_serv 9 here\na\nb\n");
        assert_eq!(server.log(), ["info", "cmd a", "cmd b", "logout"]);
    }
}

#[test]
fn what_is_on_the_path_instead_of_info_is_told() {
    for dialect in DIALECTS {
        for (status, said) in [
            (200, "answered 200: with a page that is not sealed"),
            (404, "answered 404: no remo_serv is there"),
            (500, "answered 500: the answer is not sealed"),
        ] {
            let home = Home::new();
            let script = Script::new(echo).greeting(move |_| http(status, "", b"a page"));
            let server = Server::start(&home, script);
            let err = home
                .run_with(&server, &["--dialect", dialect], &["exec a"])
                .failure();
            assert!(err.contains(said), "{err}");
            assert_eq!(server.log(), ["info"]);
        }
    }
}

#[test]
fn an_empty_page_instead_of_info_proves_no_dialect() {
    for options in [&["--dialect", "0.3"][..], &["--accept-cut-answers"]] {
        let home = Home::new();
        let script = Script::new(echo).greeting(|_| bare_response(200));
        let server = Server::start(&home, script);
        let err = home.run_with(&server, options, &["exec a"]).failure();
        assert!(err.contains("answered 200"), "{err}");
        assert_eq!(server.log(), ["info"]);
    }
}

#[test]
fn a_server_that_seals_a_refusal_of_info_shows_its_dialect_all_the_same() {
    for dialect in DIALECTS {
        let home = Home::new();
        let script = Script::new(echo).greeting(|call| sealed(call.answer, 404, &[b"no info"]));
        let server = Server::start(&home, script);
        let ended = home.run_with(&server, &["--dialect", dialect], &["exec a"]);
        assert_eq!(ended.success(), "a\n");
    }
}

#[test]
fn no_request_goes_into_a_connection_after_an_accident() {
    for dialect in DIALECTS {
        let home = Home::new();
        let script = Script::new(|call| match call.argument.as_str() {
            "crash" => bare_response(500),
            "fail" => sealed(call.answer, 500, &[b"no more processes"]),
            _ => echo(call),
        })
        .closes(|response| response.starts_with(b"HTTP/1.1 500"));
        let server = Server::start(&home, script);
        let commands = [
            "exec crash",
            "exec one",
            "exec fail",
            "exec two",
            "exec crash",
        ];
        let options = ["--dialect", dialect, "--keep-going"];
        let ended = home.run_with(&server, &options, &commands);
        assert_eq!(ended.out, b"one\ntwo\n", "{}", ended.err);
        let err = ended.failure();
        assert!(!err.contains("broke") && err.lines().count() == 3, "{err}");
    }
}

#[test]
fn no_log_in_goes_into_a_connection_after_an_accident() {
    let home = Home::new();
    let failed = std::sync::atomic::AtomicBool::new(false);
    let script = Script::new(echo)
        .early(move |head| {
            let first =
                head.contains("/auth") && !failed.swap(true, std::sync::atomic::Ordering::SeqCst);
            first.then(|| bare_response(500))
        })
        .closes(|response| response.starts_with(b"HTTP/1.1 500"));
    let server = Server::start(&home, script);
    let ended = home.run_with(&server, &["--keep-going"], &["exec a", "exec b"]);
    assert_eq!(ended.out, b"b\n", "{}", ended.err);
}

#[test]
fn a_proxy_may_close_each_connection_without_a_word() {
    for dialect in DIALECTS {
        let home = Home::new();
        let proxy = Server::start(&home, Script::new(echo).closes(|_| true));
        let mut arguments = vec!["--dialect", dialect];
        arguments.extend(["-c", "exec a", "-c", "info"].repeat(10));
        let mut remo = home.remo("http://nowhere.invalid/pre/fix", &arguments);
        remo.env("http_proxy", format!("http://{}", proxy.address));
        Ended::from(remo.output().unwrap()).success();
        assert_eq!(proxy.log().len(), 1 + 20 + 1);
    }
}

#[test]
fn python_s_crashes_are_told_with_what_causes_them() {
    let home = Home::new();
    let log_in = |head: &str| head.contains("/auth").then(|| bare_response(500));
    let server = Server::start(&home, Script::new(echo).early(log_in));
    let err = home.run(&server, &["exec a"]).failure();
    assert!(
        err.contains("answered 500") && err.contains("the key is not the user's"),
        "{err}"
    );
    let server = Server::start(&home, Script::new(|_| bare_response(500)));
    for (command, cause) in [
        (
            "exec a",
            "the command does not exist or a quote is left open",
        ),
        (
            "iexec a",
            "the command does not exist or a quote is left open",
        ),
        ("get a", "it cannot open the file"),
    ] {
        let err = home.run(&server, &[command]).failure();
        assert!(err.contains("answered 500") && err.contains(cause), "{err}");
    }
}

#[test]
fn a_file_that_python_does_not_have_is_told_as_such() {
    let home = Home::new();
    let chunked = b"HTTP/1.1 200 Any\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let server = Server::start(&home, Script::new(|_| chunked.to_vec()));
    let err = home.run(&server, &["get missing"]).failure();
    assert!(
        err.contains("cut before it began") && err.contains("where a file is missing"),
        "{err}"
    );
    assert!(home.names().is_empty());
}

#[test]
fn a_line_for_a_command_that_breaks_the_connection_is_no_file() {
    let home = Home::new();
    let script = Script::new(|_| unreachable!()).early(|head| head.contains("/idt").then(Vec::new));
    let server = Server::start(&home, script);
    let err = home.run(&server, &["idata x"]).failure();
    assert!(
        err.contains("the connection broke before the answer"),
        "{err}"
    );
}

#[test]
fn a_request_that_is_refused_without_a_seal_is_told_with_what_may_be_wrong() {
    for (dialect, cause) in [
        (
            "0.3",
            "the server may refuse dialect 0.3 for this user: --dialect 0.6",
        ),
        ("0.6", "the two clocks differ by more than 10 s"),
    ] {
        for (status, said) in [
            (403, "the server does not know this session or user: 403"),
            (
                400,
                "the request was refused, and nothing seals the answer: 400",
            ),
        ] {
            for page in [&b""[..], b"Missing magic tokens"] {
                let home = Home::new();
                let server = Server::start(&home, Script::new(move |_| http(status, "", page)));
                let err = home
                    .run_with(&server, &["--dialect", dialect], &["exec a"])
                    .failure();
                assert!(err.contains(said) && err.contains(cause), "{err}");
            }
        }
    }
}

#[test]
fn a_put_that_stands_still_is_remarked_on_where_everything_is_told() {
    let home = Home::new();
    home.write("large", vec![0; 30 << 20]);
    let (keep, stuck) = channel::<()>();
    let stuck = std::sync::Mutex::new(stuck);
    let script = Script::new(|call| sealed(call.answer, 200, &[])).early(move |head| {
        if head.contains("/put/") {
            let _ = stuck.lock().unwrap().recv();
        }
        None
    });
    let server = Server::start(&home, script);
    let mut remo = home.remo(
        &server.url(),
        &["-v", "--dialect", "0.3", "-c", "put r large"],
    );
    let mut remo = remo.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(remo.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("reads no chunked bodies")));
    drop(keep);
    assert_eq!(
        lines
            .map(Result::unwrap)
            .filter(|line| line.contains("chunked"))
            .count(),
        0
    );
    assert!(remo.wait().unwrap().success());
}
