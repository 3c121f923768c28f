//! The real program, in a folder of its own.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
};

use remo_protocol::{
    keys::{PrivateKey, UserKey},
    name::UserName,
};
use remo_serv::users::{SqliteUserService, StoredForm};
use rustix::process::{Pid, Signal, kill_process};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_remo-serv");

/// A folder with a key and a database, and the program in it.
pub struct Folder(pub tempfile::TempDir);

pub struct Running {
    pub child: Child,
    pub ready: String,
}

impl Folder {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = PrivateKey::from_raw(&[3; 57]);
        std::fs::write(
            folder.path().join("remo_serv_key.pem"),
            key.to_pem().unwrap().as_bytes(),
        )
        .unwrap();
        let users =
            SqliteUserService::open_or_create(&folder.path().join("users_db.sqlite")).unwrap();
        let alice = UserKey::from(PrivateKey::from_raw(&[1; 57]).public());
        users
            .add(
                &UserName::parse("alice").unwrap(),
                &alice,
                StoredForm::V0_6,
                None,
            )
            .unwrap();
        Self(folder)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let output = self.command(arguments).output().unwrap();
        (output.status, String::from_utf8(output.stderr).unwrap())
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments)).expect("the program starts")
    }

    /// The program, started by a shell after the lines of `before`.
    pub fn start_after(&self, before: &str, arguments: &[&str]) -> Running {
        let mut command = Command::new("sh");
        command
            .args(["-ec", &format!("{before}\nexec \"$0\" \"$@\""), PROGRAM])
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null());
        Running::start(command).expect("the program starts")
    }

    /// The program in a namespace of its own, after the lines of `before`; none where the system does not
    /// let this user have one.
    pub fn start_apart(&self, before: &str, arguments: &[&str]) -> Option<Running> {
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-ec"])
            .arg(format!("{before}\nexec \"$0\" \"$@\""))
            .arg(PROGRAM)
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null());
        Running::start(command)
    }
}

impl Running {
    fn start(mut command: Command) -> Option<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut ready)
            .unwrap();
        let ready = ready.trim_end().to_owned();
        let running = Self { child, ready };
        (!running.ready.is_empty()).then_some(running)
    }

    pub fn address(&self) -> SocketAddr {
        self.ready
            .rsplit("http://")
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Stops it, and gives its log.
    pub fn stop(mut self) -> (ExitStatus, String) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut log = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        (self.child.wait().unwrap(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
