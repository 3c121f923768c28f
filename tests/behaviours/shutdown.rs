use std::{
    io::Read,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    thread,
    time::Duration,
};

use remo_protocol::{dialect::Dialect, keys::PrivateKey};

use crate::support::{Connection, Peer, Server, eventually, exists, program::Folder, runs};

#[test]
fn requests_in_flight_finish_and_processes_end_when_the_server_stops() {
    let mut server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let mut other = Peer::bob(&server, Dialect::V0_6);
    let (_, pid) = other.call(
        "icm",
        Some(b"sh -c 'sleep 1000 & echo $$; echo $!; wait'"),
        b"",
    );
    let pids: Vec<i32> = String::from_utf8(pid)
        .unwrap()
        .lines()
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert!(!pids.is_empty() && pids.iter().all(|&pid| runs(pid)));
    let started = server.path("started");
    let line = format!("sh -c 'touch {started}; sleep 1; echo finished'");
    let request = peer.make("cmd", Some(line.as_bytes()), b"");
    let number = request.number;
    let in_flight = thread::spawn(move || {
        let answer = peer.send(&request);
        peer.open(&answer, number).unwrap()
    });
    eventually("the start", || Path::new(&started).exists());
    let address = server.address;
    server.stop();
    assert_eq!(in_flight.join().unwrap(), b"finished\n");
    assert!(
        !exists(pids[0]),
        "its interactive command is gone and reaped"
    );
    // What it left is killed with it, and init's to reap.
    eventually("the end of its group", || {
        !pids.iter().any(|&pid| runs(pid))
    });
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn what_does_not_finish_in_time_is_cut_with_all_that_it_started() {
    let mut server = Server::start_with(|wanted| {
        wanted.connections.grace = Duration::from_millis(200);
    });
    let (mut commands, pids) = (Vec::new(), server.path("pids"));
    for (verb, line) in [("cmd", "sleep 1000"), ("cmd", "yes"), ("icm", "sleep 1000")] {
        let mut peer = Peer::alice(&server, Dialect::V0_6);
        let line = format!("sh -c 'echo $$ >> {pids}; exec {line}'");
        if verb == "cmd" {
            let request = peer.make("cmd", Some(line.as_bytes()), b"");
            commands.push(thread::spawn(move || drop(peer.send(&request))));
        } else {
            peer.call("icm", Some(line.as_bytes()), b"");
            let request = peer.make("edt", None, b"");
            commands.push(thread::spawn(move || drop(peer.send(&request))));
        }
    }
    let started = || {
        let pids = std::fs::read_to_string(&pids).unwrap_or_default();
        pids.lines()
            .map(|pid| pid.parse().unwrap())
            .collect::<Vec<i32>>()
    };
    eventually("the start", || started().len() == 3);
    server.stop();
    assert!(!started().into_iter().any(runs), "nothing is left");
    for command in commands {
        let _ = command.join();
    }
}

#[test]
fn the_program_says_where_it_listens_and_ends_well_by_sigterm() {
    let folder = Folder::new();
    let running = folder.start(&["--port", "0", "--interface", "127.0.0.1"]);
    assert!(running.ready.starts_with(&format!(
        "remo-serv {} listening on http://127.0.0.1:",
        env!("CARGO_PKG_VERSION")
    )));
    assert_eq!(
        Connection::open(running.address())
            .request("/info", "", b"")
            .status,
        200
    );
    let (status, log) = running.stop();
    assert!(status.success(), "{log}");
}

#[test]
fn the_options_of_python_work_short_and_long() {
    let folder = Folder::new();
    for arguments in [
        &[
            "-p",
            "0",
            "-i",
            "127.0.0.1",
            "-k",
            "remo_serv_key.pem",
            "-u",
            "SqliteUserService:users_db.sqlite",
            "-s",
            "5",
            "-d",
        ][..],
        &[
            "--port",
            "0",
            "--interface",
            "127.0.0.1",
            "--key-file",
            "remo_serv_key.pem",
            "--user-service",
            "SqliteUserService:users_db.sqlite",
            "--session",
            "5",
            "--debug",
            "--log",
            "remo.log",
        ],
    ] {
        let running = folder.start(arguments);
        assert_eq!(
            Connection::open(running.address())
                .request("/info", "", b"")
                .status,
            200
        );
        assert!(running.stop().0.success());
    }
    assert!(
        std::fs::read_to_string(folder.0.path().join("remo.log"))
            .unwrap()
            .contains("stopping")
    );
}

#[test]
fn a_configuration_file_is_read_and_a_wrong_one_names_its_line() {
    let folder = Folder::new();
    let conf = folder.0.path().join("remo.toml");
    std::fs::write(
        &conf,
        "port = 0\nhost = '127.0.0.1'\ntimeout = 60\nmin-dialect = '0.6'\n",
    )
    .unwrap();
    let running = folder.start(&["--conf", "remo.toml"]);
    assert_eq!(
        Connection::open(running.address())
            .request("/info", "", b"")
            .status,
        200
    );
    running.stop();
    std::fs::write(&conf, "port = 0\n\ntime-out = 60\n").unwrap();
    let (status, error) = folder.run(&["-c", "remo.toml"]);
    assert_eq!(status.code(), Some(1));
    assert!(
        error.contains("line 3") && error.contains("time-out"),
        "{error}"
    );
}

#[test]
fn what_is_missing_or_wrong_is_named_with_the_command_that_makes_it() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["--config-check"]).0.code(), Some(0));
    let key = folder.0.path().join("remo_serv_key.pem");
    let sound = std::fs::read(&key).unwrap();
    let wrong = |needle: &[&str]| {
        let (status, error) = folder.run(&["--config-check"]);
        assert_eq!(status.code(), Some(1), "{error}");
        assert!(
            needle.iter().all(|needle| error.contains(needle)),
            "{error}"
        );
    };
    std::fs::remove_file(&key).unwrap();
    wrong(&[
        "remo_serv_key.pem",
        "build-key-pair --no-password remo_serv",
    ]);
    let private = PrivateKey::from_raw(&[3; 57]);
    std::fs::write(&key, private.public().to_pem()).unwrap();
    wrong(&["remo_serv_key.pem", "public"]);
    std::fs::write(
        &key,
        private.to_encrypted_pem(b"secret").unwrap().as_bytes(),
    )
    .unwrap();
    wrong(&["encrypted", "build-key-pair --no-password"]);
    std::fs::write(&key, sound).unwrap();
    std::fs::remove_file(folder.0.path().join("users_db.sqlite")).unwrap();
    wrong(&["users_db.sqlite", "add-user"]);
    assert_eq!(folder.run(&["--prot", "1"]).0.code(), Some(2));
}

#[test]
fn an_option_that_names_what_is_not_there_is_named_itself() {
    let folder = Folder::new();
    std::fs::write(folder.0.path().join("file"), "").unwrap();
    for (option, given) in [
        ("--old-key-file", "nosuch"),
        ("--state-folder", "file"),
        ("--state-folder", "nosuch/state"),
        ("--spool-folder", "nosuch"),
    ] {
        let (status, error) = folder.run(&["--config-check", option, given]);
        assert_eq!(status.code(), Some(1), "{error}");
        let name = option.trim_start_matches('-');
        assert!(error.contains(name) && error.contains(given), "{error}");
    }
    let (status, error) = folder.run(&["--config-check", "--log", "nowhere/log"]);
    assert_eq!(status.code(), Some(1));
    assert!(error.contains("'nowhere/log' cannot be written"), "{error}");
    assert_eq!(
        folder.run(&["--config-check", "--log", "new-log"]).0.code(),
        Some(0)
    );
    assert!(!folder.0.path().join("new-log").exists(), "it only checks");
    let made = folder.run(&["--config-check", "--state-folder", "new"]);
    assert_eq!(made.0.code(), Some(0), "{}", made.1);
}

#[test]
fn man_page_and_completions_come_from_the_program() {
    let generated = |what: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_remo-serv"));
        let output = command.args(["--generate", what]).output().unwrap();
        assert!(output.status.success(), "{what}");
        String::from_utf8(output.stdout).unwrap()
    };
    let page = generated("man");
    assert!(
        page.contains(".TH remo-serv 1") && page.contains("min\\-dialect"),
        "{page}"
    );
    for shell in ["bash", "zsh", "fish"] {
        assert!(generated(shell).contains("min-dialect"), "{shell}");
    }
}

#[test]
fn a_second_sigterm_waits_for_no_request_and_leaves_no_process() {
    let folder = Folder::new();
    let running = folder.start(&["--port", "0", "--interface", "127.0.0.1", "--log", "log"]);
    let (alice, server) = (
        PrivateKey::from_raw(&[1; 57]),
        PrivateKey::from_raw(&[3; 57]),
    );
    let mut peer = Peer::log_in_at(running.address(), &server, "alice", &alice, Dialect::V0_6);
    let pids = folder.0.path().join("pids");
    let line = format!("sh -c 'echo $$ > {}; exec sleep 1000'", pids.display());
    let request = peer.make("cmd", Some(line.as_bytes()), b"");
    let asking = thread::spawn(move || drop(peer.send(&request)));
    let pid = || {
        std::fs::read_to_string(&pids)
            .ok()?
            .trim()
            .parse::<i32>()
            .ok()
    };
    eventually("the start", || pid().is_some());
    let server = rustix::process::Pid::from_child(&running.child);
    rustix::process::kill_process(server, rustix::process::Signal::TERM).unwrap();
    let told = || std::fs::read_to_string(folder.0.path().join("log")).unwrap();
    eventually("the first signal", || told().contains("stopping"));
    let (status, error) = running.stop();
    assert!(status.success(), "{error}");
    assert!(
        told().contains("are cut") && !runs(pid().unwrap()),
        "{}",
        told()
    );
    let _ = asking.join();
}

#[test]
fn a_socket_of_the_file_system_does_as_well() {
    use std::io::Write;
    let folder = Folder::new();
    let path = folder.0.path().join("remo.socket");
    let running = folder.start(&["--interface", &format!("unix:{}", path.display())]);
    assert!(running.ready.ends_with(&format!("unix:{}", path.display())));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "its folder says who may connect");
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /info HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("200 OK") && answer.ends_with("here"),
        "{answer}"
    );
    running.stop();
    assert!(!path.exists(), "nothing is left behind");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let folder = Folder::new();
    let running = folder.start(&["--port", "0", "--interface", "127.0.0.1"]);
    let port = running.address().port().to_string();
    let (status, error) = folder.run(&["--port", &port, "--interface", "127.0.0.1"]);
    assert_eq!(status.code(), Some(1));
    assert!(error.contains(&port) && error.contains("in use"), "{error}");
}

#[test]
fn the_log_tells_who_did_what_and_holds_no_secret() {
    let folder = Folder::new();
    let running = folder.start(&["--port", "0", "--interface", "127.0.0.1", "--debug"]);
    let (alice, server) = (
        PrivateKey::from_raw(&[1; 57]),
        PrivateKey::from_raw(&[3; 57]),
    );
    let mut peer = Peer::log_in_at(running.address(), &server, "alice", &alice, Dialect::V0_6);
    assert_eq!(peer.cmd("echo WORD-OF-THE-COMMAND", b"").0, 200);
    let mut forged = peer.make("cmd", Some(b"true"), b"");
    let byte = &mut forged.lines[0][70];
    *byte = if *byte == b'A' { b'B' } else { b'A' };
    assert_eq!(peer.send(&forged).status, 400);
    let token = forged.path.trim_start_matches("/cmd/").to_owned();
    let (_, log) = running.stop();
    let fingerprint = server.public().fingerprint().to_string();
    for wanted in [
        "listening",
        &fingerprint,
        "alice",
        "logged in",
        "verb=\"cmd\"",
        "token_forged",
    ] {
        assert!(log.contains(wanted), "{wanted} in {log}");
    }
    let cookie = peer.cookie.trim_start_matches("SESSION_ID=");
    for secret in ["WORD-OF-THE-COMMAND", &token, cookie] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn what_the_program_was_started_to_ignore_its_commands_do_not() {
    let folder = Folder::new();
    let running = folder.start_after(
        "trap '' HUP INT QUIT",
        &["--port", "0", "--interface", "127.0.0.1"],
    );
    let (server, alice) = (
        PrivateKey::from_raw(&[3; 57]),
        PrivateKey::from_raw(&[1; 57]),
    );
    let mut peer = Peer::log_in_at(running.address(), &server, "alice", &alice, Dialect::V0_6);
    let (_, told) = peer.cmd("grep SigIgn /proc/self/status", b"");
    let told = String::from_utf8(told).unwrap();
    let mask = told.trim_end().strip_prefix("SigIgn:\t").unwrap();
    let ignored = u64::from_str_radix(mask, 16).unwrap();
    assert_eq!(ignored & 0b111, 0, "SIGHUP, SIGINT, SIGQUIT: {mask}");
}
