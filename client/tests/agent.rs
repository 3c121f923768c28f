//! What `remo agent` promises: a password once, a command in one round trip, nothing for strangers, and no harm when it goes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::real::{Path, Real};
use common::terminal::Terminal;
use common::{Ended, Home, bare};
use remo_client::agent::{Agent, Limits, Listening, Moment, Service, Trouble};
use remo_protocol::agent::{KeyFile, Why};
use remo_protocol::keys::PrivateKey;
use rustix::process::{Pid, Signal, geteuid, kill_process};

const PASSWORD: &str = "open sesame";

/// A home whose key has a password, and an agent in it that ends with the value.
struct Held {
    home: Home,
    agent: Child,
}

impl Held {
    fn start() -> Self {
        let home = Home::new();
        let sealed = home.user_key.to_encrypted_pem(PASSWORD.as_bytes()).unwrap();
        home.write("zoe_key.pem", sealed.as_bytes());
        home.allow("zoe_key.pem", 0o600);
        home.write("password", PASSWORD);
        let agent = foreground(bare(home.folder.path()).args(["agent", "--foreground"]));
        Self { home, agent }
    }

    /// The same, and it holds the key.
    fn with_key() -> Self {
        let held = Self::start();
        held.tell(&["add", "--password-file", "password", "zoe_key.pem"])
            .success();
        held
    }

    fn tell(&self, words: &[&str]) -> Ended {
        tell(&self.home, words)
    }

    /// Tells it a word whose password is in a file.
    fn tell_with(&self, word: &str, file: &str) -> Ended {
        let mut command = bare(self.home.folder.path());
        command.args(["agent", word]);
        command.stdin(fs::File::open(self.home.path(file)).unwrap());
        Ended::from(command.output().unwrap())
    }

    fn exec(&self, url: &str, words: &[&str]) -> Command {
        let mut command = bare(self.home.folder.path());
        command.args(["exec", "-u", "zoe", url, "--"]).args(words);
        command
    }

    fn run(&self, url: &str, words: &[&str]) -> Ended {
        Ended::from(self.exec(url, words).output().unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.home.path(".local/state/remo/agent/agent.sock")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// Starts an agent and waits until it listens.
fn foreground(command: &mut Command) -> Child {
    let mut agent = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    let mut lines = BufReader::new(agent.stdout.take().unwrap());
    lines.read_line(&mut told).unwrap();
    assert!(told.starts_with("REMO_AGENT="), "{told}");
    agent
}

fn tell(home: &Home, words: &[&str]) -> Ended {
    let mut command = bare(home.folder.path());
    Ended::from(command.arg("agent").args(words).output().unwrap())
}

/// Types the password once it is asked for, and not echoed.
fn give_password(terminal: &mut Terminal) {
    terminal.expect("Password of");
    let echoes = || {
        let modes = rustix::termios::tcgetattr(&terminal.keys)
            .unwrap()
            .local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO)
    };
    while echoes() {
        std::thread::sleep(Duration::from_millis(5));
    }
    terminal.type_in(&format!("{PASSWORD}\n"));
}

/// Answers as they are.
fn plain(_: &str, _: u64, answer: Vec<u8>) -> Vec<u8> {
    answer
}

#[test]
fn a_password_is_asked_once_and_a_command_then_takes_one_request() {
    let held = Held::start();
    let server = Real::start(&held.home);
    let path = Path::to(server.address, plain);
    let mut add = bare(held.home.folder.path());
    add.args(["agent", "add", "zoe_key.pem"]);
    let mut terminal = Terminal::start(&add);
    give_password(&mut terminal);
    assert_eq!(terminal.expect_end(), Some(0));
    for expected in [&["/auth", "/cmd"][..], &["/cmd"], &["/cmd"]] {
        let before = path.routes().len();
        assert_eq!(
            held.run(&path.url(), &["echo", "hello"]).success(),
            "hello\n"
        );
        assert_eq!(path.routes()[before..], *expected);
    }
    let list = held.tell(&["list", "--json"]).success();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let key = &list["keys"][0];
    let fingerprint = held.home.user_key.public().fingerprint().to_string();
    assert_eq!(key["fingerprint"], fingerprint.as_str());
    assert_eq!(key["sessions"].as_array().unwrap().len(), 1);
    assert!(key["seconds"].as_u64().unwrap() > 8 * 3600 - 600);
}

#[test]
fn it_starts_in_the_background_once_and_ends_when_told() {
    let home = Home::new();
    let told = tell(&home, &[]).success();
    let socket = home.path(".local/state/remo/agent/agent.sock");
    assert!(
        told.contains(&format!("REMO_AGENT={}; export", socket.display())),
        "{told}"
    );
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&socket), mode(socket.parent().unwrap())),
        (0o600, 0o700)
    );
    let again = tell(&home, &[]).failure();
    assert!(again.contains("runs already"), "{again}");
    tell(&home, &["stop"]).success();
    let pid = told
        .split("echo agent ")
        .nth(1)
        .unwrap()
        .trim_end_matches(";\n");
    while fs::metadata(format!("/proc/{pid}")).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!socket.exists());
    assert!(tell(&home, &["list"]).failure().contains("no agent runs"));
}

#[test]
fn sigterm_ends_it_and_takes_its_socket_along() {
    let mut held = Held::start();
    kill_process(Pid::from_child(&held.agent), Signal::TERM).unwrap();
    assert!(held.agent.wait().unwrap().success());
    assert!(!held.socket().exists());
}

#[test]
fn what_is_locked_gives_nothing_until_it_is_unlocked() {
    let held = Held::with_key();
    let server = Real::start(&held.home);
    held.run(&server.url(), &["true"]).success();
    held.home.write("lock", "shut\n");
    let told = |word: &str, file: &str| held.tell_with(word, file);
    told("lock", "lock").success();
    assert_eq!(held.tell(&["list"]).success(), "locked\n");
    let refused = held.run(&server.url(), &["true"]);
    assert!(
        refused.code == 255 && refused.err.contains("has a password"),
        "{refused:?}"
    );
    assert!(
        held.tell(&["add", "zoe_key.pem"])
            .failure()
            .contains("locked")
    );
    let wrong = told("unlock", "password").failure();
    assert!(wrong.contains("wrong"), "{wrong}");
    let early = told("unlock", "lock").failure();
    assert!(early.contains("looked at in 1 s"), "{early}");
    std::thread::sleep(Duration::from_millis(1100));
    told("unlock", "lock").success();
    held.run(&server.url(), &["true"]).success();
}

#[test]
fn a_lock_cuts_what_is_under_way_and_what_runs_there_goes_on() {
    let held = Held::with_key();
    let server = Real::start(&held.home);
    let mut remo = held.exec(&server.url(), &["sh", "-c", "echo up; exec sleep 60"]);
    remo.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut remo = remo.spawn().unwrap();
    let mut byte = [0];
    remo.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    held.tell_with("lock", "password").success();
    let cut = Ended::from(remo.wait_with_output().unwrap());
    assert!(
        cut.code == 255 && cut.err.contains("has a password"),
        "{cut:?}"
    );
    held.tell_with("unlock", "password").success();
    let mut list = bare(held.home.folder.path());
    list.args(["list", "-u", "zoe", &server.url()]);
    let runs = Ended::from(list.output().unwrap()).success();
    assert!(runs.contains("running"), "{runs}");
}

#[test]
fn who_attaches_takes_over_though_one_agent_serves_them_all() {
    let held = Held::with_key();
    let server = Real::start(&held.home);
    let start = |word: &str| {
        let mut remo = bare(held.home.folder.path());
        remo.args([word, "-u", "zoe", &server.url()]);
        Terminal::start(&remo)
    };
    let mut first = start("shell");
    first.type_in("PS1='ready''> '\r");
    first.expect("ready> ");
    let mut second = start("attach");
    first.expect("attached from elsewhere");
    second.type_in("echo $((6 * 7))\r");
    second.expect("42");
    let mut third = start("attach");
    second.expect("attached from elsewhere");
    third.type_in("exit\r");
    assert_eq!(third.expect_end(), Some(0));
}

#[test]
fn what_is_forgotten_has_to_be_asked_for_again() {
    let held = Held::with_key();
    let server = Real::start(&held.home);
    held.run(&server.url(), &["true"]).success();
    held.tell(&["forget", "zoe_key.pem"]).success();
    assert_eq!(held.tell(&["list"]).success(), "");
    assert_eq!(held.run(&server.url(), &["true"]).code, 255);
    assert!(
        held.tell(&["forget", "zoe_key.pem"])
            .failure()
            .contains("no such key")
    );
    held.tell(&["add", "--password-file", "password", "zoe_key.pem"])
        .success();
    held.tell(&["forget", "--all"]).success();
    assert_eq!(held.tell(&["list"]).success(), "");
}

#[test]
fn the_older_dialects_are_logged_in_to_by_its_signature() {
    let held = Held::with_key();
    let server = Real::start(&held.home);
    for dialect in ["0.3", "0.6"] {
        let url = server.url();
        let mut remo = held
            .home
            .remo(&url, &["--dialect", dialect, "-c", "exec echo hello"]);
        assert_eq!(Ended::from(remo.output().unwrap()).success(), "hello\n");
    }
}

#[test]
fn where_the_way_is_another_it_signs_and_no_more() {
    let held = Held::with_key();
    let server = Real::start(&held.home);
    let path = Path::to(server.address, plain);
    for _ in 0..2 {
        let before = path.routes().len();
        let mut remo = held.exec(&path.url(), &["true"]);
        Ended::from(remo.env("no_proxy", "localhost").output().unwrap()).success();
        assert_eq!(path.routes()[before..], ["/auth", "/cmd"]);
    }
}

#[test]
fn many_at_once_share_one_session() {
    let held = Held::with_key();
    let server = Real::start(&held.home);
    let path = Path::to(server.address, plain);
    let all: Vec<_> = (0..20)
        .map(|number: u32| {
            let mut remo = held.exec(&path.url(), &["echo", &number.to_string()]);
            remo.stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for (number, remo) in all.into_iter().enumerate() {
        let ended = Ended::from(remo.wait_with_output().unwrap());
        assert_eq!(ended.success(), format!("{number}\n"));
    }
    let log_ins = path
        .routes()
        .iter()
        .filter(|route| *route == "/auth")
        .count();
    assert_eq!(log_ins, 1);
}

#[test]
fn a_caller_that_dies_leaves_the_session_to_the_others() {
    let held = Held::with_key();
    let server = Real::start(&held.home);
    let path = Path::to(server.address, plain);
    let mut remo = held.exec(&path.url(), &["sh", "-c", "echo up; exec sleep 60"]);
    let mut remo = remo.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(remo.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    remo.kill().unwrap();
    remo.wait().unwrap();
    held.run(&path.url(), &["true"]).success();
    let log_ins = path
        .routes()
        .iter()
        .filter(|route| *route == "/auth")
        .count();
    assert_eq!(log_ins, 1);
}

#[test]
fn when_it_is_killed_midway_the_password_is_asked_for_and_nothing_is_done_twice() {
    let held = Held::with_key();
    let server = Real::start(&held.home);
    let pid = Pid::from_child(&held.agent);
    let killed = AtomicBool::new(false);
    let path = Path::to(server.address, move |route, _, answer| {
        if route == "/icm" && !killed.swap(true, Ordering::SeqCst) {
            kill_process(pid, Signal::KILL).unwrap();
            return answer[..answer.len() / 2].to_vec();
        }
        answer
    });
    let script = format!(
        "echo done >> {}; echo over",
        held.home.path("acts").display()
    );
    let mut terminal = Terminal::start(&held.exec(&path.url(), &["sh", "-c", &script]));
    give_password(&mut terminal);
    terminal.expect("over");
    assert_eq!(terminal.expect_end(), Some(0));
    assert_eq!(held.home.read("acts"), b"done\n");
}

#[test]
fn a_terminal_goes_on_when_the_agent_is_killed_and_the_password_is_no_key_for_it() {
    let held = Held::with_key();
    let server = Real::start(&held.home);
    let mut shell = bare(held.home.folder.path());
    shell.args(["shell", "-u", "zoe", &server.url()]);
    let mut terminal = Terminal::start(&shell);
    terminal.type_in("PS1='ready''> '\r");
    terminal.expect("ready> ");
    kill_process(Pid::from_child(&held.agent), Signal::KILL).unwrap();
    give_password(&mut terminal);
    terminal.type_in("echo still $((40 + 2))\r");
    let between = terminal.expect("still 42");
    assert!(!between.contains("sesame"), "{between}");
    terminal.type_in("exit\r");
    assert_eq!(terminal.expect_end(), Some(0));
}

/// A service in this process, by a clock that the test sets.
struct Here {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    agent: Agent,
    seconds: Arc<AtomicU64>,
}

impl Here {
    fn start(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let listening = Listening::at(&socket).unwrap();
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = seconds.clone();
        let clock = move || Moment::after(Duration::from_secs(clock.load(Ordering::SeqCst)));
        let service = Service::with_clock(limits, clock);
        tokio::spawn(service.serve(listening, std::future::pending()));
        let agent = Agent::at(&socket);
        Self {
            _folder: folder,
            socket,
            agent,
            seconds,
        }
    }

    async fn add(&self, seconds: Option<u64>) {
        let key = PrivateKey::from_raw(&[7; 57]);
        self.agent.add(&key, FILE, "k", seconds).await.unwrap();
    }

    fn talk(&self, bytes: Vec<u8>) -> Vec<u8> {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }
}

const FILE: KeyFile = KeyFile([5; 32]);

#[track_caller]
fn why<T: std::fmt::Debug>(told: Result<T, Trouble>) -> Why {
    match told {
        Err(Trouble::Refused(refused)) => refused.why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_held_for_its_time_and_never_for_longer_than_the_agent_allows() {
    let here = Here::start(Limits {
        time: Duration::from_secs(100),
        ..Limits::default()
    });
    for (asked, held) in [(Some(60), 60), (None, 100), (Some(1_000_000), 100)] {
        let start = here.seconds.load(Ordering::SeqCst);
        here.add(asked).await;
        here.seconds.store(start + held - 1, Ordering::SeqCst);
        here.agent.holds(FILE).await.unwrap();
        here.seconds.store(start + held, Ordering::SeqCst);
        assert_eq!(why(here.agent.holds(FILE).await), Why::NoKey);
        assert!(here.agent.status().await.unwrap().keys.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_signs_log_ins_and_nothing_else() {
    let here = Here::start(Limits::default());
    here.add(None).await;
    let sign = |message: &[u8]| {
        let ask = br#"{"ask":"sign","file":"0505050505050505050505050505050505050505050505050505050505050505"}"#;
        here.talk([frame(b'M', ask), frame(b'D', message)].concat())
    };
    let login = [b"zoe".as_slice(), &[1; 56]].concat();
    assert!(String::from_utf8_lossy(&sign(&login)).contains("signed"));
    for other in [
        b"I owe you a fortune".as_slice(),
        b"",
        &[b"remo_serv/2 server\0".as_slice(), &[0; 300]].concat(),
        &[b"remo_serv/2 client\0".as_slice(), &[0; 300]].concat(),
    ] {
        let told = sign(other);
        assert!(
            String::from_utf8_lossy(&told).contains("refused"),
            "{told:?}"
        );
    }
}

fn frame(kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], &[kind], data].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_and_oversize_frames_are_refused_and_harm_nobody() {
    let here = Here::start(Limits::default());
    here.add(None).await;
    let exchange = br#"{"ask":"exchange","session":"a","verb":"who","head":{},"fill":"none","patience":1,"silence":1}"#;
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        frame(b'M', b"{}"),
        frame(b'M', b"\xff\xff"),
        frame(b'D', b"{\"ask\":\"status\"}"),
        vec![0xff, 0xff, 0xff, 0xff, b'M'],
        vec![0xff, 0xff, 0xff, 0xff, b'S'],
        frame(b'M', &vec![b' '; 256 * 1024]),
        [frame(b'M', br#"{"ask":"lock"}"#), frame(b'M', b"x")].concat(),
        [frame(b'M', br#"{"ask":"lock"}"#), vec![0, 1, 0, 0, b'S']].concat(),
        [frame(b'M', exchange), frame(b'S', b"x")].concat(),
    ] {
        let told = String::from_utf8_lossy(&here.talk(bytes)).into_owned();
        assert!(
            told.contains("refused") || told.contains("session_lost"),
            "{told:?}"
        );
    }
    // What stops in the middle gets no answer, and half a frame is none.
    for bytes in [
        vec![],
        vec![0, 0],
        frame(b'M', br#"{"ask":"stop"}"#)[..12].to_vec(),
    ] {
        assert_eq!(here.talk(bytes), b"");
    }
    let mut state: u64 = 0x9e37_79b9;
    for _ in 0..300 {
        let mut bytes = Vec::new();
        for _ in 0..state % 61 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            bytes.push((state >> 33) as u8);
        }
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        here.talk(bytes);
    }
    here.agent.holds(FILE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_beyond_the_ceiling_are_told_so_and_the_others_are_served() {
    let here = Here::start(Limits {
        connections: 3,
        ..Limits::default()
    });
    here.add(None).await;
    let silent: Vec<_> = (0..3)
        .map(|_| UnixStream::connect(&here.socket).unwrap())
        .collect();
    // They are received in their order.
    assert_eq!(why(here.agent.holds(FILE).await), Why::Full);
    drop(silent);
    while matches!(here.agent.holds(FILE).await, Err(Trouble::Refused(_))) {
        tokio::task::yield_now().await;
    }
    here.agent.holds(FILE).await.unwrap();
}

/// Needs root, who alone can be two users.
#[test]
fn another_user_s_process_gets_nothing_and_root_is_another_user() {
    if !geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let nobody = Some(65534);
    std::os::unix::fs::chown(folder.path(), nobody, nobody).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path().join("remo");
    fs::copy(env!("CARGO_BIN_EXE_remo"), &binary).unwrap();
    let remo = |words: &[&str]| {
        let mut command = Command::new(&binary);
        command.arg("agent").args(words).env_clear();
        command
            .env("HOME", folder.path())
            .current_dir(folder.path());
        command.stdin(Stdio::null());
        command
    };
    let mut agent = foreground(remo(&["--foreground"]).uid(65534).gid(65534));
    let socket = folder.path().join(".local/state/remo/agent/agent.sock");
    let own = remo(&["list"]).uid(65534).gid(65534).output().unwrap();
    // Root passes all modes: what refuses it is who it is.
    let mut stream = UnixStream::connect(&socket).unwrap();
    let _ = stream.write_all(&frame(b'M', br#"{"ask":"status"}"#));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let root = Ended::from(remo(&["list"]).output().unwrap());
    // A third user finds a folder that is closed.
    let third = remo(&["list"]).uid(65533).gid(65533).output().unwrap();
    let dumps = fs::metadata(format!("/proc/{}/mem", agent.id())).unwrap();
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(own.status.success(), "{own:?}");
    assert_eq!(answer, b"");
    assert!(root.failure().contains("belongs to another user"));
    assert_eq!(third.status.code(), Some(1), "{third:?}");
    let owner = std::os::unix::fs::MetadataExt::uid(&dumps);
    assert_eq!(owner, 0, "its memory is not its user's to read");
}
