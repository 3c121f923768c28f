//! A server of its own for each test, as true or as false as the test wants it, and the real `remo` to face it.
//! The promises themselves are in the tests.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test binary uses its part"
)]

pub mod liar;
pub mod real;
pub mod server;
pub mod terminal;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use remo_protocol::keys::PrivateKey;
use tempfile::TempDir;

pub use server::{Call, Script, Server, http, redirect, seal, seal_with, sealed};

pub use server::bare as bare_response;

/// A folder with the keys of a server and of the user `zoe`, in which `remo` runs.
pub struct Home {
    pub folder: TempDir,
    pub server_key: PrivateKey,
    pub user_key: PrivateKey,
}

impl Home {
    pub fn new() -> Self {
        let home = Self {
            folder: tempfile::tempdir().unwrap(),
            server_key: PrivateKey::generate().unwrap(),
            user_key: PrivateKey::generate().unwrap(),
        };
        home.write("remo_serv.pem", home.server_key.public().to_pem());
        home.write("zoe_key.pem", home.user_key.to_pem().unwrap().as_bytes());
        home.allow("zoe_key.pem", 0o600);
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn allow(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Everything in the folder but the keys.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.ends_with(".pem")).collect();
        names.sort();
        names
    }

    pub fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    /// `remo prompt -u zoe URL …` in dialect 0.6 unless another is named, with nothing of this machine's environment.
    pub fn remo(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = bare(self.folder.path());
        command.args(["prompt", "-u", "zoe"]).args(arguments);
        if !arguments.contains(&"--dialect") {
            command.args(["--dialect", "0.6"]);
        }
        command.arg(url);
        command
    }

    /// Runs commands with `-c`.
    pub fn run(&self, server: &Server, commands: &[&str]) -> Ended {
        self.run_with(server, &[], commands)
    }

    /// The same with options.
    pub fn run_with(&self, server: &Server, options: &[&str], commands: &[&str]) -> Ended {
        let mut arguments = options.to_vec();
        for command in commands {
            arguments.extend(["-c", command]);
        }
        Ended::from(self.remo(&server.url(), &arguments).output().unwrap())
    }
}

/// The program in `folder`, without proxies, home or log-in name.
pub fn bare(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remo"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// How a run of `remo` ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ended {
    /// What it printed, where it succeeded.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        String::from_utf8(self.out).unwrap()
    }

    /// What it complained of, where it failed as commands fail.
    #[track_caller]
    pub fn failure(self) -> String {
        assert_eq!(self.code, 1, "{self:?}");
        self.err
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let err = String::from_utf8(output.stderr).unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err,
        }
    }
}
