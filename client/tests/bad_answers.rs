//! What `remo` makes of answers that are cut, not sealed, not the server's, or without end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::time::{Duration, Instant};

use common::{Call, Ended, Home, Script, Server, http, redirect, seal, sealed};

const LIE: &str = "trust me";

#[test]
fn a_cut_answer_is_an_error_and_what_came_before_is_shown() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::always(|answer| http(200, "", &seal(answer, 200, &[b"first"], false))),
    );
    let ended = home.run(&server, &["exec x"]);
    assert_eq!(ended.out, b"first");
    assert!(ended.failure().contains("the answer was cut"));
}

#[test]
fn an_unmarked_end_is_accepted_where_python_is_named_and_told_once() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::always(|answer| http(200, "", &seal(answer, 200, &[b"data\n"], false))),
    );
    let ended = home.run_with(&server, &["--accept-cut-answers"], &["exec x", "get r l"]);
    assert_eq!(
        ended.err.matches("does not mark the end").count(),
        1,
        "{}",
        ended.err
    );
    assert_eq!(home.read("l"), b"data\n");
    assert_eq!(ended.success(), "data\n");
}

#[test]
fn stray_empty_lines_between_tokens_are_skipped() {
    for dialect in ["0.3", "0.6"] {
        let home = Home::new();
        let server = Server::start(
            &home,
            Script::always(|answer| {
                let text = String::from_utf8(seal(answer, 200, &[b"a", b"b"], true)).unwrap();
                http(200, "", text.replace("\r\n", "\r\n\r\n").as_bytes())
            }),
        );
        home.run_with(&server, &["--dialect", dialect], &["get r l"])
            .success();
        assert_eq!(home.read("l"), b"ab");
    }
}

#[test]
fn python_s_status_in_the_first_token_is_understood_where_python_is_named() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::always(|answer| http(400, "", &seal(answer, 200, &[b"reason"], false))),
    );
    let err = home
        .run_with(&server, &["--accept-cut-answers"], &["get r l"])
        .failure();
    assert!(err.contains("the server answered 400: reason"), "{err}");
    assert!(
        home.run(&server, &["get r l"])
            .failure()
            .contains("another status")
    );
}

#[test]
fn a_cut_download_leaves_the_old_file_and_nothing_else() {
    let cut: [fn(Call) -> Vec<u8>; 3] = [
        |call| http(200, "", &seal(call.answer, 200, &[b"half"], false)),
        |call| {
            let body = seal(call.answer, 200, &[&[7; 100_000], &[8; 100_000]], true);
            let mut response = http(200, "", &body);
            response.truncate(200_000);
            response
        },
        |call| {
            let mut response = sealed(call.answer, 200, &[b"one", b"two", b"three"]);
            let place = response.len() - 150;
            response[place] ^= 1;
            response
        },
    ];
    for answer in cut {
        let home = Home::new();
        let server = Server::start(&home, Script::new(answer));
        home.write("old", "old");
        home.run(&server, &["get r old"]).failure();
        home.run(&server, &["get r new"]).failure();
        assert_eq!(home.names(), ["old"]);
        assert_eq!(home.read("old"), b"old");
    }
}

#[test]
fn tokens_of_another_answer_are_refused() {
    let home = Home::new();
    let earlier = std::sync::Mutex::new(None);
    let server = Server::start(
        &home,
        Script::new(move |call| {
            let genuine = sealed(call.answer, 200, &[b"first\n"]);
            earlier.lock().unwrap().get_or_insert(genuine).clone()
        }),
    );
    let ended = home.run(&server, &["exec a", "exec b"]);
    assert_eq!(ended.out, b"first\n");
    assert!(ended.failure().contains("not as the server sealed it"));
}

#[test]
fn our_own_tokens_are_no_answer() {
    for dialect in ["0.3", "0.6"] {
        let home = Home::new();
        let reflect = |call: Call| match call.verb.as_str() {
            "idt" => http(200, "", &call.body),
            _ => {
                let token = call
                    .head
                    .split(' ')
                    .nth(1)
                    .unwrap()
                    .rsplit('/')
                    .next()
                    .unwrap();
                http(200, "", token.as_bytes())
            }
        };
        let server = Server::start(&home, Script::new(reflect));
        let ended = home.run_with(
            &server,
            &["--dialect", dialect, "--keep-going"],
            &["idata rm -r x", "exec rm -r x"],
        );
        assert_eq!(ended.out, b"");
        assert_eq!(
            ended
                .failure()
                .matches("our own request was sent back")
                .count(),
            2
        );
    }
}

#[test]
fn a_status_that_is_not_sealed_is_not_believed() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::always(|answer| http(400, "", &seal(answer, 200, &[b"fine"], true))),
    );
    assert!(
        home.run(&server, &["exec a"])
            .failure()
            .contains("another status than its head")
    );
}

#[test]
fn what_is_not_sealed_is_laid_at_the_path_s_door() {
    for (status, remedy) in [
        (200, "a page that is not sealed"),
        (404, "prefix"),
        (407, "http_proxy=http://USER:PASSWORD@HOST:PORT"),
        (413, "client_max_body_size"),
        (500, "not sealed"),
        (502, "cannot reach the server"),
        (503, "cannot reach the server"),
        (504, "too slow"),
    ] {
        for dialect in ["0.3", "0.6"] {
            let home = Home::new();
            let server = Server::start(
                &home,
                Script::new(move |_| http(status, "", LIE.as_bytes())),
            );
            let ended = home.run_with(&server, &["--dialect", dialect], &["exec a"]);
            assert_eq!(ended.out, b"", "{status}");
            let err = ended.failure();
            let beginning = format!("remo: something on the path answered {status}: ");
            assert!(
                err.starts_with(&beginning) && err.contains(remedy) && !err.contains(LIE),
                "{status}: {err}"
            );
        }
    }
}

#[test]
fn an_unsealed_403_means_that_the_session_is_gone() {
    let home = Home::new();
    let server = Server::start(&home, Script::new(|_| http(403, "", LIE.as_bytes())));
    let err = home.run(&server, &["exec a"]).failure();
    assert!(
        err.contains("does not know this session or user") && !err.contains(LIE),
        "{err}"
    );
}

#[test]
fn redirects_are_told_and_never_followed() {
    let home = Home::new();
    let other = Server::start(&home, Script::new(|_| unreachable!("it was followed")));
    let to = other.url();
    let server = Server::start(
        &home,
        Script::new(|_| http(403, "", b"")).early(move |_| Some(redirect(&to))),
    );
    let err = home.run(&server, &["exec a"]).failure();
    assert!(err.contains("302") && err.contains(&other.url()), "{err}");
    assert_eq!(other.logins(), 0);
}

#[test]
fn a_line_without_end_stops_at_a_ceiling() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::always(|answer| {
            let mut body = seal(answer, 200, &[b"start\n"], false);
            body.resize(20 << 20, b'A');
            http(200, "", &body)
        }),
    );
    let ended = home.run(&server, &["exec a"]);
    assert_eq!(ended.out, b"start\n");
    assert!(ended.failure().contains("longer than a token may be"));
}

#[test]
fn a_head_or_a_log_in_without_end_stops_at_a_ceiling() {
    let home = Home::new();
    for endless in [
        http(200, &format!("X-A: {}\r\n", "a".repeat(4 << 20)), b""),
        http(200, "", &vec![b'a'; 4 << 20]),
    ] {
        let server = Server::start(
            &home,
            Script::new(|_| unreachable!()).early(move |_| Some(endless.clone())),
        );
        home.run(&server, &["exec a"]).failure();
    }
}

#[test]
fn a_log_in_by_another_server_is_refused() {
    let home = Home::new();
    let other = Home::new();
    home.write("remo_serv.pem", other.server_key.public().to_pem());
    let server = Server::start(&home, Script::new(|_| unreachable!("a command was sent")));
    let err = home.run(&server, &["exec a"]).failure();
    assert!(
        err.contains("not by the server whose key was given") && err.contains("--server"),
        "{err}"
    );
}

#[test]
fn an_unknown_user_is_told_what_the_server_needs() {
    let home = Home::new();
    let other = Home::new();
    let server = Server::start(&other, Script::new(|_| unreachable!()));
    let err = home.run(&server, &["exec a"]).failure();
    assert!(
        err.contains("the log-in of 'zoe' was refused") && err.contains("add-user"),
        "{err}"
    );
}

#[test]
fn a_log_in_without_a_cookie_is_no_session() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::new(|_| unreachable!()).early(|_| Some(http(200, "", b"Disconnected"))),
    );
    home.run(&server, &["exec a"]).failure();
}

#[test]
fn a_large_body_that_is_refused_while_it_is_sent_gets_the_remedy() {
    let home = Home::new();
    home.write("large", vec![0; 30 << 20]);
    let refuse = |head: &str| {
        head.contains("/put/")
            .then(|| http(413, "", LIE.as_bytes()))
    };
    let server = Server::start(&home, Script::new(|_| unreachable!()).early(refuse));
    let err = home.run(&server, &["put r large"]).failure();
    assert!(err.contains("client_max_body_size"), "{err}");
}

#[test]
fn nobody_there_is_told_with_the_address() {
    let home = Home::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let err = Ended::from(home.remo(&url, &["-c", "info"]).output().unwrap()).failure();
    assert!(
        err.contains(&url) && err.contains("connection refused"),
        "{err}"
    );
}

#[test]
fn a_silent_server_is_left_when_the_time_is_out() {
    let home = Home::new();
    let (keep, silent) = std::sync::mpsc::channel::<()>();
    let silent = std::sync::Mutex::new(silent);
    let server = Server::start(
        &home,
        Script::new(move |_| {
            let _ = silent.lock().unwrap().recv();
            Vec::new()
        }),
    );
    let begun = Instant::now();
    let err = home
        .run_with(&server, &["--time-out", "1"], &["exec a"])
        .failure();
    assert!(
        err.contains("no answer for 1 s") && begun.elapsed() < Duration::from_secs(8),
        "{err}"
    );
    drop(keep);
}

#[test]
fn a_proxy_that_wants_a_log_in_is_told_apart_and_gets_one() {
    let home = Home::new();
    let proxy = Server::start(
        &home,
        Script::new(|call| sealed(call.answer, 200, &[b"through\n"])).early(|head| {
            let welcome = head.contains("UHJveHk6c2VjcmV0IQ==")
                && head.contains(" http://nowhere.invalid/pre/fix/");
            (!welcome).then(|| {
                http(
                    407,
                    "Proxy-Authenticate: Basic realm=\"x\"\r\n",
                    LIE.as_bytes(),
                )
            })
        }),
    );
    let through = |proxy: String| {
        let mut remo = home.remo("http://nowhere.invalid/pre/fix", &["-c", "exec a"]);
        Ended::from(remo.env("http_proxy", proxy).output().unwrap())
    };
    let err = through(format!("http://{}", proxy.address)).failure();
    assert!(
        err.contains("407") && err.contains("http_proxy=http://USER:PASSWORD@"),
        "{err}"
    );
    assert_eq!(
        through(format!("http://Proxy:secret%21@{}", proxy.address)).success(),
        "through\n"
    );
}

#[test]
fn no_proxy_goes_around_the_proxy() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::always(|answer| sealed(answer, 200, &[b"direct\n"])),
    );
    let mut remo = home.remo(&server.url(), &["-c", "exec a"]);
    let ended = Ended::from(
        remo.env("http_proxy", "http://127.0.0.1:1")
            .env("no_proxy", "127.0.0.1")
            .output()
            .unwrap(),
    );
    assert_eq!(ended.success(), "direct\n");
}

#[test]
fn a_proxy_that_wants_a_log_in_before_it_opens_a_tunnel_is_told_too() {
    let home = Home::new();
    // TLS is not reached; but it is not made ready without a certificate to trust.
    home.write("ca.pem", include_bytes!("data/ca.pem"));
    let proxy = Server::start(
        &home,
        Script::new(|_| unreachable!()).early(|head| {
            assert!(head.starts_with("CONNECT nowhere.invalid:443 "));
            Some(http(
                407,
                "Proxy-Authenticate: Basic realm=\"x\"\r\n",
                LIE.as_bytes(),
            ))
        }),
    );
    let mut remo = home.remo("https://nowhere.invalid", &["-c", "exec a"]);
    remo.env("https_proxy", format!("http://{}", proxy.address))
        .env("SSL_CERT_FILE", home.path("ca.pem"));
    let err = Ended::from(remo.output().unwrap()).failure();
    assert!(err.contains("something on the path answered 407"), "{err}");
}

#[test]
fn plain_http_needs_no_certificates_and_https_says_that_it_does() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::always(|answer| sealed(answer, 200, &[b"plain\n"])),
    );
    let without = |url: &str| {
        let mut remo = home.remo(url, &["-c", "exec a"]);
        remo.env("SSL_CERT_FILE", "/nonexistent")
            .env("SSL_CERT_DIR", "/nonexistent");
        Ended::from(remo.output().unwrap())
    };
    assert_eq!(without(&server.url()).success(), "plain\n");
    assert!(
        without("https://nowhere.invalid")
            .failure()
            .contains("CA certificates")
    );
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_without_words() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::always(|answer| sealed(answer, 200, &[&[b'y'; 60_000][..]; 100])),
    );
    let mut child = home.remo(&server.url(), &["-c", "exec yes"]);
    let mut child = child
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.err.as_str()), (1, ""));
}

#[test]
fn output_that_cannot_be_written_fails_the_command() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::always(|answer| sealed(answer, 200, &[b"data"])),
    );
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let ended = Ended::from(
        home.remo(&server.url(), &["-c", "exec a"])
            .stdout(full)
            .output()
            .unwrap(),
    );
    assert!(ended.failure().contains("no space left on device"));
}

#[test]
fn a_download_that_cannot_be_written_says_where() {
    let home = Home::new();
    let server = Server::start(
        &home,
        Script::always(|answer| sealed(answer, 200, &[b"data"])),
    );
    let err = home.run(&server, &["get r no/such/folder"]).failure();
    assert!(
        err.contains("cannot write 'no/such/folder': no such file or directory"),
        "{err}"
    );
    assert!(
        home.run(&server, &["put r missing"])
            .failure()
            .contains("cannot read 'missing'")
    );
}
