//! `remo exec` and `remo trust` against the real server, over paths good and bad.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::real::{Path, Real, cut_once};
use common::{Home, bare};

fn exec(home: &Home, url: &str, arguments: &[&str]) -> Command {
    let mut command = bare(home.folder.path());
    command.args(["exec", "-u", "zoe", url]).args(arguments);
    command
}

fn run(home: &Home, url: &str, arguments: &[&str]) -> (i32, Vec<u8>, String) {
    ended(exec(home, url, arguments).output().unwrap())
}

fn ended(output: Output) -> (i32, Vec<u8>, String) {
    let err = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap_or(-1), output.stdout, err)
}

/// Runs a command with this input.
fn fed(mut command: Command, input: Vec<u8>) -> (i32, Vec<u8>, String) {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || drop(to.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    ended(output)
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn words_streams_and_status_are_exact() {
    let home = Home::new();
    let server = Real::start(&home);
    let url = server.url();
    let words = run(
        &home,
        &url,
        &["--", "printf", "%s|", "a b", "$HOME", "*", ""],
    );
    assert_eq!(words, (0, b"a b|$HOME|*||".to_vec(), String::new()));
    let line = "printf 'out\\0\\377'; printf err >&2; exit 7";
    let apart = run(&home, &url, &["--shell", line]);
    assert_eq!(apart, (7, b"out\0\xff".to_vec(), "err".into()));
    assert_eq!(run(&home, &url, &["--shell", "kill -TERM $$"]).0, 143);
    assert_eq!(run(&home, &url, &["--shell", "exit 255"]).0, 255);
    let around = ["--cwd", "/usr", "--env", "A=b=c", "--shell", "pwd; echo $A"];
    assert_eq!(run(&home, &url, &around).1, b"/usr\nb=c\n");
    let begun = Instant::now();
    let timed = run(&home, &url, &["--timeout", "1", "--", "sleep", "100"]);
    assert_eq!(timed.0, 143);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn failures_of_its_own_are_255_and_told_apart() {
    let home = Home::new();
    let server = Real::start(&home);
    let url = server.url();
    let (code, out, err) = run(&home, &url, &["--", "no-such-program"]);
    assert_eq!((code, out), (255, Vec::new()));
    assert!(err.starts_with("remo: the server refused: "), "{err}");
    let remote = run(&home, &url, &["--json", "--shell", "exit 255"]);
    assert_eq!((remote.0, &remote.2[..]), (255, "{\"exit\":255}\n"));
    let killed = run(&home, &url, &["--json", "--shell", "kill -9 $$"]);
    assert_eq!((killed.0, &killed.2[..]), (137, "{\"signal\":9}\n"));
    let own = run(&home, &url, &["--json", "--cwd", "/no/such", "--", "true"]);
    assert!(own.0 == 255 && own.2.starts_with("{\"error\":"), "{own:?}");
    assert_eq!(run(&home, &url, &[]).0, 2);
    let stranger = Home::new();
    stranger.write("remo_serv.pem", home.server_key.public().to_pem());
    let (code, _, err) = run(&stranger, &url, &["--", "true"]);
    assert!(
        code == 255 && err.contains("log-in of 'zoe' was refused"),
        "{err}"
    );
    home.write("remo_serv.pem", stranger.server_key.public().to_pem());
    let (code, _, err) = run(&home, &url, &["--", "true"]);
    assert!(code == 255 && err.contains("another key"), "{err}");
}

#[test]
fn twenty_megabytes_go_through_cat_and_come_back() {
    let home = Home::new();
    let server = Real::start(&home);
    let input = noise(20 << 20);
    let (code, out, err) = fed(exec(&home, &server.url(), &["--", "cat"]), input.clone());
    assert_eq!((code, &err[..]), (0, ""));
    assert!(out == input, "{} bytes came back", out.len());
}

#[test]
fn the_input_ends_before_the_output_does() {
    let home = Home::new();
    let server = Real::start(&home);
    let line = "cat | wc -c; sleep 0.2; echo later";
    let counted = fed(
        exec(&home, &server.url(), &["--shell", line]),
        noise(300_000),
    );
    assert_eq!(counted.0, 0);
    assert_eq!(
        String::from_utf8(counted.1)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["300000", "later"]
    );
    let unread = fed(exec(&home, &server.url(), &["--", "true"]), noise(5 << 20));
    assert_eq!(unread.0, 0, "what is not read does not hold it up");
}

#[test]
fn a_short_command_is_one_round_trip_after_the_log_in() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::to(server.address, |_, _, answer| answer);
    home.write("input", "from a file");
    let line = "cat; echo bad >&2; exit 3";
    let inputs = [
        (Stdio::null(), ""),
        (
            std::fs::File::open(home.path("input")).unwrap().into(),
            "from a file",
        ),
    ];
    for (count, (input, text)) in inputs.into_iter().enumerate() {
        let mut command = exec(&home, &path.url(), &["--shell", line]);
        let done = ended(command.stdin(input).output().unwrap());
        assert_eq!(done, (3, text.into(), "bad\n".into()));
        assert_eq!(path.routes()[2 * count..], ["/auth", "/cmd"]);
    }
    let piped = fed(
        exec(&home, &path.url(), &["--shell", line]),
        b"from a pipe".to_vec(),
    );
    assert_eq!(piped, (3, b"from a pipe".to_vec(), "bad\n".into()));
}

#[test]
fn a_command_that_has_told_its_end_is_not_listed() {
    let home = Home::new();
    let server = Real::start(&home);
    assert_eq!(run(&home, &server.url(), &["--", "true"]).0, 0);
    let mut list = bare(home.folder.path());
    list.args(["list", "-u", "zoe", &server.url()]);
    assert_eq!(
        ended(list.output().unwrap()),
        (0, Vec::new(), String::new())
    );
}

#[test]
fn what_takes_longer_or_has_no_end_of_input_yet_is_followed() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::to(server.address, |_, _, answer| answer);
    let line = "echo early; sleep 1.5; echo late; exit 4";
    let long = run(&home, &path.url(), &["--shell", line]);
    assert_eq!(long, (4, b"early\nlate\n".to_vec(), String::new()));
    assert_eq!(path.routes()[..3], ["/auth", "/cmd", "/idt"]);
    let before = path.routes().len();
    let mut command = exec(&home, &path.url(), &["--", "echo", "deaf"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let open = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"deaf\n");
    drop(open);
    assert_eq!(path.routes()[before..][..2], ["/auth", "/icm"]);
}

#[test]
fn output_without_end_comes_through_one_request_and_those_that_follow_it() {
    let home = Home::new();
    let server = Real::start(&home);
    let line = "head -c 5000000 /dev/zero; exit 5";
    let (code, out, err) = run(&home, &server.url(), &["--shell", line]);
    assert_eq!((code, out.len(), &err[..]), (5, 5_000_000, ""));
}

#[test]
fn a_path_that_loses_each_answer_once_runs_nothing_twice() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::to(
        server.address,
        cut_once(&["/auth", "/cmd", "/icm", "/idt", "/edt"]),
    );
    let log = home.path("log").into_os_string().into_string().unwrap();
    for count in 1..=5 {
        let line = format!("cat >> {log}; echo done");
        let done = fed(
            exec(&home, &path.url(), &["--shell", &line]),
            b"line\n".to_vec(),
        );
        assert_eq!(done, (0, b"done\n".to_vec(), String::new()));
        assert_eq!(home.read("log"), b"line\n".repeat(count));
    }
    let input = noise(3 << 20);
    let (code, out, err) = fed(exec(&home, &path.url(), &["--", "cat"]), input.clone());
    assert_eq!((code, &err[..]), (0, ""));
    assert!(out == input, "{} bytes came back", out.len());
}

#[test]
fn what_is_not_sealed_is_never_the_servers_word_and_a_dead_path_is_told() {
    let home = Home::new();
    let server = Real::start(&home);
    let page = b"HTTP/1.0 200 OK\r\nContent-Length: 12\r\n\r\nYou are hurt";
    let path = Path::to(server.address, move |route, _, answer| {
        if route == "/cmd" {
            page.to_vec()
        } else {
            answer
        }
    });
    let begun = Instant::now();
    let (code, out, err) = run(&home, &path.url(), &["--give-up", "2", "--", "true"]);
    assert_eq!((code, out), (255, Vec::new()));
    assert!(
        err.contains("no answer of the server for") && !err.contains("hurt"),
        "{err}"
    );
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_lost_session_is_made_anew_and_the_command_goes_on() {
    let home = Home::new();
    let server = Real::start(&home);
    // The server is not asked at all: the path says 403 to one request in three.
    let path = Path::to(server.address, |route, count, answer| {
        if count % 3 == 2 && route != "/auth" {
            return b"HTTP/1.0 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        answer
    });
    let log = home.path("log").into_os_string().into_string().unwrap();
    let line = format!("echo x >> {log}; for i in 1 2 3 4 5; do echo $i; sleep 0.4; done");
    let done = run(&home, &path.url(), &["--shell", &line]);
    assert_eq!(done, (0, b"1\n2\n3\n4\n5\n".to_vec(), String::new()));
    assert_eq!(home.read("log"), b"x\n");
    assert!(
        path.routes()
            .iter()
            .filter(|route| *route == "/auth")
            .count()
            > 1
    );
}

#[test]
fn another_run_of_the_server_runs_nothing_again() {
    let home = Home::new();
    let mut server = Real::start(&home);
    let mut command = exec(&home, &server.url(), &["--shell", "echo up; sleep 100"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut up = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
    let port = server.address.port();
    server.stop();
    let _again = Real::start_at(&home, port);
    let (code, _, err) = ended(child.wait_with_output().unwrap());
    assert!(code == 255 || code == 129, "{code} {err}");
    assert!(
        code == 129 || err.contains("was running there is gone"),
        "{err}"
    );
}

#[test]
fn an_act_whose_answer_another_run_owes_is_not_run_again() {
    let home = Home::new();
    let (server, other) = (Real::start(&home), Real::start(&home));
    let target = Arc::new(Mutex::new(server.address));
    let (turn, next) = (target.clone(), other.address);
    let path = Path::to_changing(target, move |route, _, answer| {
        let mut turn = turn.lock().unwrap();
        if route != "/cmd" || *turn == next {
            return answer;
        }
        *turn = next;
        Vec::new()
    });
    let log = home.path("log").into_os_string().into_string().unwrap();
    let line = format!("echo x >> {log}");
    let (code, _, err) = run(&home, &path.url(), &["--shell", &line]);
    assert!(
        code == 255 && err.contains("what became of the command is not known"),
        "{err}"
    );
    // The other server did not know the session, and was told nothing but a log-in.
    assert_eq!(path.routes(), ["/auth", "/cmd", "/cmd", "/auth"]);
    assert_eq!(home.read("log"), b"x\n");
}

#[test]
fn ctrl_c_is_the_commands_and_the_second_one_ours() {
    let home = Home::new();
    let server = Real::start(&home);
    let line = "trap 'echo caught; exit 9' INT; echo up; while :; do sleep 0.05; done";
    let deaf = "trap '' INT; echo up; while :; do sleep 0.05; done";
    for (line, times, code) in [(line, 1, 9), (deaf, 2, 130)] {
        let mut command = exec(&home, &server.url(), &["--shell", line]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut up = [0; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let end = Instant::now() + Duration::from_secs(30);
        let mut sent = 0;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            // Two that come at once are one: where two are wanted, they come until they were heard.
            if sent < 1 || times > 1 {
                rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
                sent += 1;
            }
            if Instant::now() > end {
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(300));
        };
        assert_eq!((status.code(), status.signal()), (Some(code), None));
    }
}

#[test]
fn trust_pins_a_key_and_a_name_leads_there() {
    let home = Home::new();
    let server = Real::start(&home);
    let url = server.url();
    let print = home.server_key.public().fingerprint().to_string();
    let remo =
        |arguments: &[&str]| ended(bare(home.folder.path()).args(arguments).output().unwrap());
    let alone = remo(&["trust", "box", &url]);
    assert!(alone.0 == 1 && alone.2.contains(&print), "{alone:?}");
    let other = Home::new();
    let wrong = other.server_key.public().fingerprint().to_string();
    let refused = remo(&["trust", "box", &url, "--fingerprint", &wrong]);
    assert!(
        refused.0 == 1 && refused.2.contains("the server offers"),
        "{refused:?}"
    );
    assert!(!home.path(".config").exists());
    let trusted = remo(&[
        "trust",
        "box",
        &url,
        "--fingerprint",
        &print,
        "--user",
        "zoe",
        "--key",
        "zoe_key.pem",
    ]);
    assert_eq!(trusted.0, 0, "{trusted:?}");
    assert_eq!(home.mode(".config/remo/config.toml"), 0o600);
    let done = remo(&["exec", "box", "--", "echo", "there"]);
    assert_eq!(done, (0, b"there\n".to_vec(), String::new()));
    assert!(
        remo(&["exec", "bix", "--", "true"])
            .2
            .contains("no server is named 'bix'")
    );

    let false_one = Real::start(&other);
    let changed = remo(&["trust", "box", &false_one.url(), "--fingerprint", &wrong]);
    assert!(
        changed.0 == 1 && changed.2.contains("does not offer the key that you trust"),
        "{changed:?}"
    );
    let text = String::from_utf8(home.read(".config/remo/config.toml")).unwrap();
    home.write(
        ".config/remo/config.toml",
        text.replace(&url, &false_one.url()),
    );
    let elsewhere = remo(&["exec", "box", "--", "echo", "there"]);
    assert!(
        elsewhere.0 == 255 && elsewhere.1.is_empty(),
        "{elsewhere:?}"
    );
}

#[test]
fn a_detached_job_runs_on_by_itself() {
    let home = Home::new();
    let server = Real::start(&home);
    let log = home.path("log").into_os_string().into_string().unwrap();
    let line = format!("cat; sleep 0.2; echo done > {log}");
    let (code, out, err) = run(&home, &server.url(), &["--detach", "--shell", &line]);
    assert_eq!((code, out.len(), &err[..]), (0, 33, ""));
    let end = Instant::now() + Duration::from_secs(30);
    while !home.path("log").exists() {
        assert!(Instant::now() < end, "the job did not run on");
        std::thread::sleep(Duration::from_millis(10));
    }
}
