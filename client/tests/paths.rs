//! What `remo` learns of its path, keeps, and does about it; proxies that want a log-in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use common::real::{Manners, Path, Real};
use common::terminal::{PATIENCE, Terminal};
use common::{Home, bare};
use rustix::termios::{LocalModes, tcgetattr};

/// Where what is known of paths is kept.
const KEPT: &str = ".cache/remo/paths.json";

/// A shell there, once it obeys.
fn shell(home: &Home, url: &str) -> Terminal {
    let mut remo = bare(home.folder.path());
    remo.args(["shell", "-u", "zoe", url]);
    let mut terminal = Terminal::start(&remo);
    obeys(&mut terminal);
    terminal
}

fn obeys(terminal: &mut Terminal) {
    terminal.type_in("echo here-$((40+2))\r");
    terminal.expect("here-42");
}

/// What is kept of the one path, once it is.
#[track_caller]
fn kept(home: &Home) -> serde_json::Value {
    let end = Instant::now() + PATIENCE;
    while !home.path(KEPT).exists() {
        assert!(Instant::now() < end, "nothing was learnt");
        std::thread::sleep(Duration::from_millis(10));
    }
    let all: serde_json::Value = serde_json::from_slice(&home.read(KEPT)).unwrap();
    let paths = all["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 1);
    paths.values().next().unwrap().clone()
}

fn leaves(mut terminal: Terminal) {
    terminal.type_in("exit\r");
    assert_eq!(terminal.expect_end(), Some(0));
}

#[test]
fn a_shell_learns_that_its_path_streams_and_the_next_one_streams_at_once() {
    let home = Home::new();
    let server = Real::start(&home);
    let terminal = shell(&home, &server.url());
    let known = kept(&home);
    assert_eq!(
        (&known["streams"], &known["alone"]),
        (&true.into(), &false.into())
    );
    assert_eq!(home.mode(KEPT), 0o600);
    leaves(terminal);
    let mut again = shell(&home, &server.url());
    for _ in 0..5 {
        obeys(&mut again);
    }
    leaves(again);
    home.write(KEPT, "spoilt");
    let spoilt = shell(&home, &server.url());
    let end = Instant::now() + PATIENCE;
    while home.read(KEPT) == b"spoilt" {
        assert!(Instant::now() < end, "nothing was learnt anew");
        std::thread::sleep(Duration::from_millis(10));
    }
    leaves(spoilt);
}

#[test]
fn a_shell_learns_that_its_path_parks_answers() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::with(server.address, Manners::default());
    let terminal = shell(&home, &path.url());
    let known = kept(&home);
    assert_eq!(
        (&known["streams"], &known["alone"]),
        (&false.into(), &false.into())
    );
    leaves(terminal);
}

#[test]
fn where_one_request_passes_at_a_time_keys_do_not_wait_for_parked_answers() {
    let home = Home::new();
    let server = Real::start(&home);
    let manners = Manners {
        alone: Some(Mutex::new(())),
        ..Manners::default()
    };
    let path = Path::with(server.address, manners);
    let mut terminal = shell(&home, &path.url());
    // On a busy machine the first look may miss it: what is typed leads to another.
    let end = Instant::now() + 3 * PATIENCE;
    while kept(&home)["alone"] != true {
        assert!(Instant::now() < end, "it is not found out");
        obeys(&mut terminal);
    }
    let begun = Instant::now();
    for _ in 0..5 {
        obeys(&mut terminal);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "behind parked answers it would have been a hundred"
    );
    leaves(terminal);
}

#[test]
fn a_path_that_is_not_as_remembered_is_borne() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::with(server.address, Manners::default());
    let terminal = shell(&home, &path.url());
    kept(&home);
    leaves(terminal);
    let text = String::from_utf8(home.read(KEPT)).unwrap();
    home.write(KEPT, text.replace("\"streams\":false", "\"streams\":true"));
    let terminal = shell(&home, &path.url());
    let end = Instant::now() + PATIENCE;
    while kept(&home)["streams"] == true {
        assert!(Instant::now() < end, "streams are still believed in");
        std::thread::sleep(Duration::from_millis(10));
    }
    leaves(terminal);
}

#[test]
fn bodies_that_the_path_refuses_become_smaller_and_that_is_remembered() {
    let home = Home::new();
    let server = Real::start(&home);
    let manners = Manners {
        ceiling: Some(100_000),
        ..Manners::default()
    };
    let path = Path::with(server.address, manners);
    let mut cat = bare(home.folder.path());
    cat.args(["exec", "-u", "zoe", &path.url(), "--", "cat"]);
    let mut child = cat
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let input: Vec<u8> = (0..1_000_000_u32)
        .map(|at| (at ^ (at >> 9)) as u8)
        .collect();
    let sent = input.clone();
    let writer = std::thread::spawn(move || to.write_all(&sent).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success() && output.stdout == input);
    assert!(kept(&home)["body"].as_u64().unwrap() <= 100_000);
}

/// A proxy that wants a log-in, and offers these ways.
fn proxy(offers: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 65536];
            let _ = stream.read(&mut request);
            let answer = format!(
                "HTTP/1.1 407 Proxy Authentication Required\r\n{offers}Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn a_proxy_whose_log_in_is_not_spoken_is_told_with_what_helps() {
    let home = Home::new();
    let ntlm = proxy("Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n");
    let basic = proxy("Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Basic realm=\"x\"\r\n");
    for (proxy, url, wanted) in [
        (
            &ntlm,
            "http://server.invalid/",
            "by NTLM, Negotiate, which remo does not speak",
        ),
        (
            &basic,
            "http://server.invalid/",
            "http_proxy=http://USER:PASSWORD@",
        ),
    ] {
        let mut remo = bare(home.folder.path());
        remo.args(["exec", "-u", "zoe", url, "--", "true"])
            .env("http_proxy", proxy);
        let output = remo.output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(255));
        assert!(err.contains(wanted), "{err}");
        assert!(err.contains("px") && err.contains("cntlm"), "{err}");
    }
    let mut remo = bare(home.folder.path());
    remo.args(["trust", "box", "http://server.invalid/", "--proxy", &ntlm]);
    let err = String::from_utf8(remo.output().unwrap().stderr).unwrap();
    assert!(err.contains("cntlm"), "{err}");
}

#[test]
fn the_proxy_and_the_ca_file_that_are_kept_with_a_name_are_used() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::with(server.address, Manners::default());
    let trust = |arguments: &[&str]| {
        let mut remo = bare(home.folder.path());
        remo.args([
            "trust",
            "--user",
            "zoe",
            "--key",
            "zoe_key.pem",
            "--server",
            "remo_serv.pem",
        ]);
        remo.args(arguments).output().unwrap()
    };
    // Nobody has this name but the proxy, which is a path to our server.
    let proxy = path.url();
    let trusted = trust(&[
        "box",
        "http://server.invalid/",
        "--proxy",
        proxy.trim_end_matches('/'),
    ]);
    assert!(trusted.status.success());
    let mut remo = bare(home.folder.path());
    remo.args(["exec", "box", "--", "echo", "there"]);
    let output = remo.output().unwrap();
    assert_eq!(
        (output.status.code(), &output.stdout[..]),
        (Some(0), &b"there\n"[..]),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let wrong = trust(&["tls", "https://server.invalid/", "--ca-file", "no-such.pem"]);
    let err = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        err.contains("cannot read CA file") && err.contains("no-such.pem"),
        "{err}"
    );
}

/// Types the password, once nothing is shown of it.
fn unlock(terminal: &mut Terminal) {
    terminal.expect("Password of zoe_key.pem");
    let end = Instant::now() + PATIENCE;
    let shows = |terminal: &Terminal| {
        let modes = tcgetattr(&terminal.keys).unwrap().local_modes;
        modes.contains(LocalModes::ECHO)
    };
    while shows(terminal) {
        assert!(Instant::now() < end, "what is typed would be shown");
    }
    terminal.type_in("sesame\r");
}

#[test]
fn the_password_of_a_key_is_asked_for_before_a_shell_and_a_command() {
    let home = Home::new();
    let server = Real::start(&home);
    let key = home.user_key.to_encrypted_pem(b"sesame").unwrap();
    home.write("zoe_key.pem", key.as_bytes());
    let url = server.url();
    let mut command = bare(home.folder.path());
    command.args(["exec", "-u", "zoe", &url, "--", "echo", "command"]);
    let mut terminal = Terminal::start(&command);
    unlock(&mut terminal);
    let shown = terminal.expect("command");
    assert!(!shown.contains("sesame"), "{shown}");
    assert_eq!(terminal.expect_end(), Some(0));

    let mut shell = bare(home.folder.path());
    shell.args(["shell", "-u", "zoe", &url]);
    let mut terminal = Terminal::start(&shell);
    unlock(&mut terminal);
    terminal.expect("\n");
    obeys(&mut terminal);
    leaves(terminal);
}

#[test]
fn a_key_is_trusted_when_somebody_says_yes_and_only_then() {
    let home = Home::new();
    let server = Real::start(&home);
    let print = home.server_key.public().fingerprint().to_string();
    for (answer, code) in [("no", 1), ("y", 1), ("yes", 0)] {
        let mut trust = bare(home.folder.path());
        trust.args(["trust", "box", &server.url()]);
        let mut terminal = Terminal::start(&trust);
        terminal.expect(&print);
        terminal.expect("(yes/no)");
        terminal.type_in(&format!("{answer}\r"));
        assert_eq!(terminal.expect_end(), Some(code), "{answer}");
        assert_eq!(home.path(".config/remo/config.toml").exists(), code == 0);
    }
}
