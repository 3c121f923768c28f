//! `remo prompt` by remo/2, which it speaks unless told otherwise, with the real server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::real::{Path, Real, cut_once};
use common::{Call, Ended, Home, Script, Server, bare, http, sealed};

/// Runs commands by the dialect that is spoken by itself.
fn run(home: &Home, target: &str, options: &[&str], commands: &[&str]) -> Ended {
    let mut remo = bare(home.folder.path());
    remo.args(["prompt", "-u", "zoe"]).args(options);
    for command in commands {
        remo.args(["-c", command]);
    }
    Ended::from(remo.arg(target).output().unwrap())
}

fn script(home: &Home, target: &str, text: &str) -> Ended {
    let mut remo = bare(home.folder.path());
    let remo = remo.args(["prompt", "-u", "zoe", target]);
    let piped = Stdio::piped;
    let mut remo = remo
        .stdin(piped())
        .stdout(piped())
        .stderr(piped())
        .spawn()
        .unwrap();
    let mut stdin = remo.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    Ended::from(remo.wait_with_output().unwrap())
}

#[test]
fn every_command_works_and_no_older_dialect_is_spoken() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::to(server.address, |_, _, answer| answer);
    let commands = [
        "info",
        "exec printf '%s|' 'a  b' é '*'",
        "exec sh -c 'echo; echo err >&2'",
        "iexec cat",
        "idata a  b",
        "idata c",
        "iend",
        "help iend",
        "login",
    ];
    let out = run(&home, &path.url(), &[], &commands).success();
    assert!(
        out.starts_with("remo_serv ") && out.contains(" here\na  b|é|*|\nerr\na  b\nc\n  iend "),
        "{out}"
    );
    let known = ["/auth", "/who", "/cmd", "/icm", "/idt", "/edt"];
    let routes = path.routes();
    assert!(
        routes.iter().all(|route| known.contains(&route.as_str())),
        "{routes:?}"
    );
}

#[test]
fn a_command_that_fails_there_fails_here_with_its_status() {
    let home = Home::new();
    let server = Real::start(&home);
    let cases = [
        ("exec sh -c 'echo on; exit 3'", "exit status 3"),
        ("exec sh -c 'echo on; kill -9 $$'", "signal 9"),
    ];
    for (command, says) in cases {
        let ended = run(&home, &server.url(), &[], &[command, "exec echo more"]);
        assert_eq!((ended.code, &ended.out[..]), (1, &b"on\n"[..]));
        assert!(ended.err.contains(says), "{}", ended.err);
        let kept = ["exec echo more", command, "exec echo more"];
        let ended = run(&home, &server.url(), &["--keep-going"], &kept);
        assert_eq!((ended.code, &ended.out[..]), (1, &b"more\non\nmore\n"[..]));
    }
    let talk = ["iexec sh -c 'read a; exit $a'", "idata 5"];
    let ended = run(&home, &server.url(), &[], &[talk[0], talk[1], "iend"]);
    assert!(ended.failure().contains("exit status 5"));
    for (command, says) in [
        ("exec no-such-program", "no-such-program"),
        ("exec 'open", "quote"),
        ("idata x", "iexec starts one"),
        ("iend", "iexec starts one"),
    ] {
        let err = run(&home, &server.url(), &[], &[command]).failure();
        assert!(err.contains(says), "{command}: {err}");
    }
}

#[test]
fn names_and_scripts_do_as_well() {
    let home = Home::new();
    let server = Real::start(&home);
    let mut trust = bare(home.folder.path());
    trust.args(["trust", "box", &server.url(), "--server", "remo_serv.pem"]);
    Ended::from(trust.output().unwrap()).success();
    std::fs::remove_file(home.path("remo_serv.pem")).unwrap();
    assert_eq!(run(&home, "box", &[], &["exec echo on"]).success(), "on\n");
    let text = "# a script\nexec echo one\nexec sh -c 'exit 4'\nexec echo two\n";
    let ended = script(&home, "box", text);
    assert_eq!((ended.code, &ended.out[..]), (1, &b"one\n"[..]));
    assert!(ended.err.starts_with("remo: line 3: "), "{}", ended.err);
    // The older dialects know names too; this server has spoken remo/2 by now.
    let err = run(&home, "box", &["--dialect", "0.6"], &["info"]).failure();
    assert!(err.contains("remo/2"), "{err}");
}

#[test]
fn output_that_is_not_text_and_other_encodings_pass() {
    let home = Home::new();
    let server = Real::start(&home);
    let raw = run(
        &home,
        &server.url(),
        &[],
        &["exec printf '\\377\\0\\303\\251'"],
    );
    assert_eq!(raw.out, b"\xff\0\xc3\xa9");
    let latin = ["-e", "latin_1"];
    let talk = ["exec printf '\\351\\n'", "iexec cat", "idata é", "iend"];
    assert_eq!(run(&home, &server.url(), &latin, &talk).success(), "é\né\n");
    let long = run(&home, &server.url(), &[], &["exec seq 300000"]).success();
    let expected: String = (1..=300_000).map(|n| format!("{n}\n")).collect();
    assert!(long == expected, "{} bytes", long.len());
}

#[test]
fn files_come_back_as_they_went() {
    let home = Home::new();
    let server = Real::start(&home);
    let there = home.path("there é").display().to_string();
    for size in [0, 1, 400_000, 3_000_001_u32] {
        let data: Vec<u8> = (0..size)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        home.write("here", &data);
        let commands = [format!("put '{there}' here"), format!("get '{there}' back")];
        let commands = commands.each_ref().map(String::as_str);
        assert_eq!(run(&home, &server.url(), &[], &commands).success(), "");
        assert!(home.read("there é") == data, "{size}");
        assert!(home.read("back") == data, "{size}");
    }
    let names = home.names();
    let left: Vec<_> = names
        .iter()
        .filter(|name| name.contains("unfinished"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_file_of_unknown_length_is_put_through_answers_that_are_cut() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::to(server.address, cut_once(&["/put", "/get"]));
    let data: Vec<u8> = (0..2_500_000_u32).map(|i| (i % 251) as u8).collect();
    let there = home.path("there").display().to_string();
    let (put, get) = (
        format!("put {there} /dev/stdin"),
        format!("get {there} back"),
    );
    let mut remo = bare(home.folder.path());
    let url = path.url();
    let remo = remo.args(["prompt", "-u", "zoe", "-c", &put, "-c", &get, &url]);
    let piped = Stdio::piped;
    let mut remo = remo
        .stdin(piped())
        .stdout(piped())
        .stderr(piped())
        .spawn()
        .unwrap();
    let mut stdin = remo.stdin.take().unwrap();
    stdin.write_all(&data).unwrap();
    drop(stdin);
    Ended::from(remo.wait_with_output().unwrap()).success();
    assert!(home.read("there") == data && home.read("back") == data);
}

#[test]
fn what_cannot_be_fetched_or_stored_leaves_nothing() {
    let home = Home::new();
    let server = Real::start(&home);
    home.write("old", "old");
    home.write("new", "new");
    let cases = [
        ("get /no/such/file old", "not_found"),
        ("get /etc back", "is_dir"),
        ("get /no/such/", "ends in no file name"),
        ("put /no/such/file new", "not_found"),
        ("put there missing", "cannot read 'missing'"),
        ("put there .", "cannot read '.'"),
    ];
    for (command, says) in cases {
        let err = run(&home, &server.url(), &[], &[command]).failure();
        assert!(err.contains(says), "{command}: {err}");
    }
    assert_eq!(home.read("old"), b"old");
    let mut names = home.names();
    names.retain(|name| !name.starts_with(".config") && !name.starts_with(".cache"));
    assert_eq!(names, ["new", "old"]);
}

#[test]
fn each_command_is_carried_out_once_though_its_answers_are_cut() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::to(server.address, cut_once(&["/cmd", "/icm", "/idt", "/edt"]));
    let line = |word: &str| {
        format!(
            "exec sh -c 'echo {word} >> {}/log'",
            home.folder.path().display()
        )
    };
    let (one, two) = (line("one"), line("two"));
    let commands = [&one, &two, "iexec cat", "idata said", "iend"];
    let out = run(&home, &path.url(), &[], &commands).success();
    assert_eq!(out, "said\n");
    assert_eq!(home.read("log"), b"one\ntwo\n");
}

#[test]
fn another_command_and_the_end_of_the_prompt_end_the_interactive_one() {
    let home = Home::new();
    let server = Real::start(&home);
    for last in [&["exec true"][..], &[]] {
        home.write("log", "");
        let log = home.path("log").display().to_string();
        let talk = format!(
            "iexec sh -c 'trap \"echo ended >> {log}; exit\" HUP; echo ready; while :; do sleep 0.05; done'"
        );
        let mut commands = vec![talk.as_str(), "idata x"];
        commands.extend(last);
        let out = run(&home, &server.url(), &[], &commands).success();
        assert_eq!(out, "ready\n");
        let begun = Instant::now();
        while home.read("log") != b"ended\n" {
            assert!(begun.elapsed() < Duration::from_secs(10), "it still runs");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn an_older_server_is_told_apart_and_nothing_older_is_spoken_by_itself() {
    let home = Home::new();
    let older = |call: Call| sealed(call.answer, 200, &[b"remo_serv 0.6.0 here"]);
    // What Python answers to a log-in of remo/2: its signature is another one, or that is too much for it.
    for status in [403, 500, 400] {
        let answer = move |head: &str| match head.split(' ').nth(1) {
            Some(path) if path.ends_with("/auth") => http(status, "Connection: close\r\n", b""),
            _ => http(200, "Connection: close\r\n", b"remo_serv 0.6.0 here"),
        };
        let script = Script::new(older).early(move |head| Some(answer(head)));
        let server = Server::start(&home, script);
        let begun = Instant::now();
        let err = run(&home, &server.url(), &[], &["exec rm x"]).failure();
        assert!(err.contains("--dialect 0.6"), "{status}: {err}");
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert_eq!((server.logins(), server.log()), (0, vec![]));
        if status != 500 {
            let mut exec = bare(home.folder.path());
            exec.args(["exec", "-u", "zoe", &server.url(), "--", "true"]);
            let err = Ended::from(exec.output().unwrap()).err;
            assert!(err.contains("--dialect 0.6"), "{status}: {err}");
        }
    }
}

#[test]
fn cut_answers_are_accepted_of_an_older_server_only() {
    let home = Home::new();
    let server = Real::start(&home);
    let cut = "--accept-cut-answers";
    let both = run(&home, &server.url(), &[cut, "--dialect", "2"], &["info"]);
    assert_eq!(both.code, 2);
    assert!(both.err.contains("--dialect 0.6"), "{}", both.err);
    // It names a server of dialect 0.6.
    let out = run(&home, &server.url(), &[cut], &["exec false"]).success();
    assert_eq!(out, "");
}
