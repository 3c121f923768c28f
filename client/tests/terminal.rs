//! `remo prompt` on a terminal, typed to as a person does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::real::Real;
use common::terminal::{PATIENCE, Terminal};
use common::{Call, Home, Script, Server, sealed};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};

fn echo(call: Call) -> Vec<u8> {
    match call.argument.as_str() {
        "slow" => {
            let mut response = sealed(call.answer, 200, &[b"half of it", &[7; 100_000]]);
            response.truncate(1000);
            response
        }
        text => sealed(call.answer, 200, &[b"<", text.as_bytes(), &call.data, b">"]),
    }
}

fn prompt(home: &Home, server: &Server) -> Terminal {
    Terminal::start(&home.remo(&server.url(), &[]))
}

#[test]
fn a_person_types_commands_and_leaves_with_ctrl_d() {
    let home = Home::new();
    let server = Server::start(&home, Script::new(echo));
    let mut terminal = prompt(&home, &server);
    terminal.expect("remo_serv 9 here\r\n");
    terminal.expect("remo> ");
    terminal.type_in("exec hello\r");
    terminal.expect("<hello>\r\n");
    terminal.expect("remo> ");
    terminal.type_in("nonsense\r");
    terminal.expect("unknown command 'nonsense'");
    terminal.type_in("idata my-password\r");
    terminal.expect("<my-password\r\n>");
    terminal.type_in(" exec hidden\r");
    terminal.expect("<hidden>");
    terminal.expect("remo> ");
    terminal.type_in("\x04");
    assert_eq!(terminal.expect_end(), Some(0));
    let history = String::from_utf8(home.read(".local/state/remo/history")).unwrap();
    assert!(
        history.contains("exec hello")
            && !history.contains("my-password")
            && !history.contains("hidden"),
        "{history}"
    );
    assert_eq!(home.mode(".local/state/remo/history"), 0o600);
    assert_eq!(server.log().last().unwrap(), "logout");
}

#[test]
fn ctrl_c_ends_a_command_and_leaves_nothing_of_it() {
    let home = Home::new();
    let server = Server::start(&home, Script::new(echo));
    let mut terminal = prompt(&home, &server);
    terminal.expect("remo> ");
    terminal.type_in("get slow target\r");
    let end = Instant::now() + PATIENCE;
    while !is_receiving(&home) {
        assert!(Instant::now() < end, "no download began");
    }
    terminal.type_in("\x03");
    terminal.expect("get was broken off");
    terminal.expect("remo> ");
    terminal.type_in("exec again\r");
    terminal.expect("<again>");
    assert_eq!(
        server.logins(),
        2,
        "nobody knows the next number of a session that was broken off"
    );
    terminal.type_in("quit\r");
    assert_eq!(terminal.expect_end(), Some(0));
    assert_eq!(home.names(), [".local"]);
}

#[test]
fn by_remo_2_ctrl_c_ends_a_command_there_and_the_prompt_goes_on() {
    let home = Home::new();
    let server = Real::start(&home);
    let log = home.path("log").display().to_string();
    let mut terminal = Terminal::start(&home.remo(&server.url(), &["--dialect", "2"]));
    terminal.expect(" here\r\n");
    terminal.expect("remo> ");
    terminal.type_in(&format!(
        "exec sh -c 'trap \"echo ended > {log}; exit\" HUP; echo ready; while :; do sleep 0.05; done'\r"
    ));
    terminal.expect("ready\r\n");
    terminal.type_in("\x03");
    terminal.expect("exec was broken off");
    terminal.expect("remo> ");
    let end = Instant::now() + PATIENCE;
    while std::fs::read(&log).ok().as_deref() != Some(b"ended\n") {
        assert!(Instant::now() < end, "it still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
    terminal.type_in("exec sh -c 'exit 3'\r");
    terminal.expect("exit status 3");
    terminal.expect("remo> ");
    terminal.type_in("\x04");
    assert_eq!(terminal.expect_end(), Some(0));
}

#[test]
fn by_remo_2_completion_knows_the_files_of_the_server() {
    let home = Home::new();
    let server = Real::start(&home);
    for folder in ["there", "there/sub folder", "empty"] {
        std::fs::create_dir(home.path(folder)).unwrap();
    }
    for file in [
        "there/sub folder/it's",
        "there/.hidden",
        "there/es\u{1b}[2J",
    ] {
        home.write(file, "content");
    }
    let mut terminal = Terminal::start(&home.remo(&server.url(), &["--dialect", "2"]));
    terminal.expect("remo> ");
    let folder = home.folder.path().display();
    terminal.type_in(&format!("get {folder}/th\ts\ti\t  back\r"));
    terminal.expect("'back': 7 bytes");
    terminal.expect("remo> ");
    terminal.type_in(&format!("put {folder}/em\tnew ba\t\r"));
    terminal.expect("new' is stored");
    assert_eq!(home.read("empty/new"), b"content");
    terminal.expect("remo> ");
    terminal.type_in(&format!("get {folder}/there/es\t"));
    terminal.expect("there/es");
    // Within one line, so that the terminal is raw for all of it.
    terminal.type_in("\x15\x04");
    assert_eq!(terminal.expect_end(), Some(0));
}

#[test]
fn completion_knows_commands_and_local_files() {
    let home = Home::new();
    home.write("some file", "content");
    let server = Server::start(&home, Script::new(echo));
    let mut terminal = prompt(&home, &server);
    terminal.expect("remo> ");
    terminal.type_in("pu\tremote so\t\r");
    terminal.expect("'remote' is stored");
    assert_eq!(server.log(), ["info", "put remote"]);
}

#[test]
fn a_put_that_stands_still_is_remarked_on_where_somebody_watches() {
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
    let mut terminal =
        Terminal::start(&home.remo(&server.url(), &["--dialect", "0.3", "-c", "put r large"]));
    terminal.expect("the file has not moved for 10 s (a Python remo_serv under cheroot");
    drop(keep);
    assert_eq!(terminal.expect_end(), Some(0));
}

#[test]
fn the_password_of_a_key_is_asked_for_and_not_shown() {
    let home = Home::new();
    home.write(
        "zoe_key.pem",
        home.user_key
            .to_encrypted_pem(b"sesame")
            .unwrap()
            .as_bytes(),
    );
    let server = Server::start(&home, Script::new(echo));
    let mut terminal = prompt(&home, &server);
    terminal.expect("Password of zoe_key.pem: ");
    let end = Instant::now() + PATIENCE;
    while tcgetattr(&terminal.keys)
        .unwrap()
        .local_modes
        .contains(LocalModes::ECHO)
    {
        assert!(Instant::now() < end, "what is typed would be shown");
    }
    terminal.type_in("sesame\r");
    let shown = terminal.expect("remo> ");
    assert!(!shown.contains("sesame"), "{shown}");
}

#[test]
fn a_log_in_that_fails_ends_the_prompt_before_it_begins() {
    let home = Home::new();
    let other = Home::new();
    let server = Server::start(&other, Script::new(echo));
    let mut terminal = prompt(&home, &server);
    terminal.expect("the log-in of 'zoe' was refused");
    assert_eq!(terminal.expect_end(), Some(1));
}

#[test]
fn sigterm_ends_the_prompt_and_a_command_and_leaves_nothing() {
    let home = Home::new();
    let server = Server::start(&home, Script::new(echo));
    for command in ["", "get slow target\r"] {
        let mut terminal = prompt(&home, &server);
        terminal.expect("remo> ");
        terminal.type_in(command);
        let end = Instant::now() + PATIENCE;
        while !command.is_empty() && !is_receiving(&home) {
            assert!(Instant::now() < end, "no download began");
        }
        kill_process(Pid::from_child(&terminal.child), Signal::TERM).unwrap();
        assert_eq!(terminal.expect_end(), Some(143));
        assert!(!is_receiving(&home), "something is left");
    }
}

#[test]
fn signals_end_a_batch_and_leave_nothing() {
    let home = Home::new();
    let server = Server::start(&home, Script::new(echo));
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut child = home
            .remo(&server.url(), &["-c", "get slow target"])
            .spawn()
            .unwrap();
        let end = Instant::now() + PATIENCE;
        while !is_receiving(&home) {
            assert!(Instant::now() < end, "no download began");
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(home.names().is_empty());
    }
}

/// Whether some process has a file open in the folder that has no name yet, or one that is its own.
fn is_receiving(home: &Home) -> bool {
    let folder = home.folder.path();
    let open = |process: std::fs::DirEntry| std::fs::read_dir(process.path().join("fd")).ok();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|process| open(process.ok()?))
        .flatten()
        .filter_map(|descriptor| std::fs::read_link(descriptor.ok()?.path()).ok())
        .any(|file| {
            let name = file.to_string_lossy();
            file.starts_with(folder)
                && (name.ends_with(" (deleted)") || name.contains(".remo-unfinished-"))
        })
}
