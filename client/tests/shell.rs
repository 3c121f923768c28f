//! `remo shell`, `remo attach` and `remo list` on a terminal, against the real server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::process::Command;
use std::time::Instant;

use common::real::{Path, Real, cut_once};
use common::terminal::{PATIENCE, Terminal};
use common::{Home, bare};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A home in which `box` is a name of the server.
fn at_home(home: &Home, url: &str) {
    let print = home.server_key.public().fingerprint().to_string();
    let mut trust = bare(home.folder.path());
    trust.args(["trust", "box", url, "--fingerprint", &print]);
    trust.args(["--user", "zoe", "--key", "zoe_key.pem"]);
    assert!(trust.output().unwrap().status.success());
}

fn remo(home: &Home, arguments: &[&str]) -> Command {
    let mut command = bare(home.folder.path());
    command.args(arguments);
    command
}

/// A shell there, once it obeys.
fn shell(home: &Home, arguments: &[&str]) -> Terminal {
    let mut terminal = Terminal::start(&remo(home, arguments));
    obeys(&mut terminal, "ready");
    terminal
}

/// Types a line whose output differs from it.
fn obeys(terminal: &mut Terminal, word: &str) {
    terminal.type_in(&format!("echo {word}-$((40+2))\r"));
    terminal.expect(&format!("{word}-42"));
}

fn is_raw(terminal: &Terminal) -> bool {
    let modes = tcgetattr(&terminal.keys).unwrap().local_modes;
    !modes.contains(LocalModes::ECHO | LocalModes::ICANON)
}

fn listed(home: &Home) -> String {
    let output = remo(home, &["list", "box"]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_shell_is_a_terminal_of_this_size_and_ends_with_its_status() {
    let home = Home::new();
    let server = Real::start(&home);
    at_home(&home, &server.url());
    for arguments in [&["shell", "box"][..], &["box"]] {
        let mut terminal = shell(&home, arguments);
        assert!(is_raw(&terminal));
        let size = |rows, cols| Winsize {
            ws_row: rows,
            ws_col: cols,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal.keys, size(31, 97)).unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            terminal.type_in("echo $((40+2))size=$(stty size).\r");
            terminal.expect("42size=");
            if terminal.expect(".") == "31 97" {
                break;
            }
            assert!(Instant::now() < end, "the size did not change");
        }
        terminal.type_in("PS1=p'> '\r");
        terminal.expect("p> ");
        terminal.type_in("tty; echo $TERM; cat\r");
        terminal.expect("/dev/pts/");
        terminal.expect("xterm");
        // While a shell starts a process, Ctrl-C may reach either of them.
        terminal.type_in("twice\r");
        terminal.expect("twice\r\ntwice\r\n");
        // What was typed before Ctrl-C is thrown away with it, as on any terminal.
        terminal.type_in("\x03");
        terminal.expect("^C");
        terminal.expect("p> ");
        obeys(&mut terminal, "after");
        terminal.type_in("exit 7\r");
        assert_eq!(terminal.expect_end(), Some(7));
        assert!(!is_raw(&terminal));
    }
    assert_eq!(listed(&home), "");
}

#[test]
fn what_is_detached_runs_on_and_is_attached_to_with_its_screen() {
    let home = Home::new();
    let server = Real::start(&home);
    at_home(&home, &server.url());
    let mut terminal = shell(&home, &["box"]);
    terminal.type_in("mark=kept\r");
    obeys(&mut terminal, "seen");
    terminal.type_in("~?");
    terminal.expect("detach: leave");
    terminal.type_in("\r~d");
    terminal.expect("detached (remo attach box ");
    assert_eq!(terminal.expect_end(), Some(0));
    assert!(!is_raw(&terminal));
    let list = listed(&home);
    assert!(
        list.contains("running") && list.lines().count() == 1,
        "{list}"
    );

    let mut again = Terminal::start(&remo(&home, &["attach", "box", &list[..8]]));
    again.expect("seen-42");
    again.type_in("echo $mark-$((1+1))\r");
    again.expect("kept-2");
    let mut elsewhere = Terminal::start(&remo(&home, &["attach", "box"]));
    elsewhere.expect("kept-2");
    again.type_in("x");
    again.expect("it was attached from elsewhere");
    assert_eq!(again.expect_end(), Some(255));
    obeys(&mut elsewhere, "mine");
    elsewhere.type_in("\r~.");
    assert_eq!(elsewhere.expect_end(), Some(0));
    assert_eq!(listed(&home), "", "what one leaves is ended");
    let nothing = remo(&home, &["attach", "box"]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(255));
}

#[test]
fn a_job_left_behind_is_collected_with_its_status() {
    let home = Home::new();
    let server = Real::start(&home);
    at_home(&home, &server.url());
    let line = "echo out; echo err >&2; exit 5";
    let left = remo(
        &home,
        &["exec", "box", "--detach", "--json", "--shell", line],
    )
    .output()
    .unwrap();
    let id = String::from_utf8(left.stdout).unwrap();
    assert!(id.starts_with("{\"id\":\""), "{id}");
    let got = remo(&home, &["attach", "box", &id[7..39]])
        .output()
        .unwrap();
    assert_eq!(
        (got.status.code(), &got.stdout[..], &got.stderr[..]),
        (Some(5), &b"out\n"[..], &b"err\n"[..])
    );
}

#[test]
fn a_path_that_loses_every_second_answer_loses_no_key_and_doubles_none() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::to(server.address, cut_once(&["/auth", "/icm", "/idt"]));
    at_home(&home, &path.url());
    let mut terminal = shell(&home, &["box"]);
    // Keys typed before the line is carried out are the line editor's, which leaves CR as it is.
    terminal.type_in("echo go-$((40+2)); cat > got\r");
    terminal.expect("go-42");
    for number in 0..100 {
        terminal.type_in(&format!("{number}\r"));
    }
    terminal.type_in("\x04");
    obeys(&mut terminal, "then");
    terminal.type_in("cksum < got; rm got\r");
    let text: String = (0..100).map(|number| format!("{number}\n")).collect();
    home.write("expected", &text);
    let sum = Command::new("cksum")
        .stdin(std::fs::File::open(home.path("expected")).unwrap())
        .output()
        .unwrap();
    terminal.expect(String::from_utf8(sum.stdout).unwrap().trim());
    terminal.type_in("\rexit\r");
    assert_eq!(terminal.expect_end(), Some(0));
}

#[test]
fn a_lost_session_is_not_noticed_at_the_terminal() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::to(server.address, |route, count, answer| {
        if count % 7 == 6 && route != "/auth" && route != "/info" {
            return b"HTTP/1.0 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        answer
    });
    at_home(&home, &path.url());
    let mut terminal = shell(&home, &["box"]);
    for _ in 0..10 {
        obeys(&mut terminal, "on");
    }
    terminal.type_in("exit\r");
    assert_eq!(terminal.expect_end(), Some(0));
    assert!(
        path.routes()
            .iter()
            .filter(|route| *route == "/auth")
            .count()
            > 1
    );
}

#[test]
fn signals_put_the_terminal_back_and_end_what_ran() {
    let home = Home::new();
    let server = Real::start(&home);
    at_home(&home, &server.url());
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut terminal = shell(&home, &["box"]);
        assert!(is_raw(&terminal));
        kill_process(Pid::from_child(&terminal.child), signal).unwrap();
        assert_eq!(terminal.expect_end(), Some(code));
        assert!(!is_raw(&terminal));
        assert_eq!(listed(&home), "");
    }
}

#[test]
fn a_shell_without_a_terminal_says_what_to_do_and_a_wrong_name_is_told() {
    let home = Home::new();
    let server = Real::start(&home);
    at_home(&home, &server.url());
    let output = remo(&home, &["shell", "box"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(255) && text.contains("remo exec"),
        "{text}"
    );
    let output = remo(&home, &["bix"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && text.contains("'bix' is neither"),
        "{text}"
    );
}
