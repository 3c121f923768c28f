//! Starts the process of a channel: with pipes, or on a terminal of its own.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io::{self, Read},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::Duration,
};

use tokio::net::unix::pipe::{Receiver, Sender};

use super::{Refused, environment::Account};
use crate::exec::{Group, Living};

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// These words.
    Words(Vec<String>),
    /// A line, by the login shell.
    Line(String),
    /// The login shell itself.
    Shell,
}

/// The terminal that a process gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terminal {
    pub(crate) rows: u16,
    pub(crate) cols: u16,
    pub(crate) term: String,
}

/// How something is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) what: What,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) env: BTreeMap<String, String>,
    /// Standard error is a stream of its own.
    pub(crate) split: bool,
    pub(crate) terminal: Option<Terminal>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) keep: Duration,
}

/// A process that was started, and our ends of its streams.
pub(super) struct Started {
    pub(super) group: Group,
    /// None, where it was given an input that has ended.
    pub(super) input: Option<Sender>,
    pub(super) output: Receiver,
    pub(super) second: Option<Receiver>,
    /// The terminal, where it has one.
    pub(super) master: Option<OwnedFd>,
}

impl Start {
    /// Starts it, with an input that is to come, unless it `has_none`.
    pub(super) fn start(&self, has_none: bool, living: &Arc<Living>) -> Result<Started, Refused> {
        let account = Account::own();
        let (program, arguments) = self.words(&account);
        let folder = self.cwd.clone().unwrap_or_else(|| account.home.clone());
        if !folder.is_dir() {
            let folder = folder.display().to_string();
            return Err(Refused::new(
                404,
                "not_found",
                format!("there is no folder '{}'", folder.escape_debug()),
            ));
        }
        let mut environment = account.environment();
        if let Some(terminal) = &self.terminal {
            environment.insert("TERM".into(), terminal.term.clone().into());
        }
        environment.extend(
            self.env
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        );

        let started = match &self.terminal {
            None => self.with_pipes(&program, &arguments, &folder, environment, has_none, living),
            Some(terminal) => {
                on_terminal(terminal, &program, &arguments, &folder, environment, living)
            }
        };
        started.map_err(|error| refused(&program, &error))
    }

    fn words(&self, account: &Account) -> (OsString, Vec<OsString>) {
        let shell = account.shell.clone().into_os_string();
        match &self.what {
            What::Words(words) => {
                let mut words = words.iter().map(OsString::from);
                (words.next().unwrap_or_default(), words.collect())
            }
            What::Line(line) => (shell, vec!["-c".into(), line.into()]),
            What::Shell => (shell, vec!["-l".into()]),
        }
    }

    fn with_pipes(
        &self,
        program: &OsString,
        arguments: &[OsString],
        folder: &PathBuf,
        environment: BTreeMap<OsString, OsString>,
        has_none: bool,
        living: &Arc<Living>,
    ) -> io::Result<Started> {
        use std::os::unix::process::CommandExt;
        let (stdin, input) = io::pipe()?;
        let input = Some(input).filter(|_| !has_none);
        let (output, stdout) = io::pipe()?;
        let found = found(program, &environment);
        let mut command = Command::new(
            found
                .as_ref()
                .map_or(program.as_os_str(), |found| found.as_os_str()),
        );
        command
            .arg0(program)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(environment)
            .process_group(0);
        command.stdin(stdin);
        let second = if self.split {
            let (second, stderr) = io::pipe()?;
            command.stderr(stderr);
            Some(Receiver::from_owned_fd(second.into())?)
        } else {
            command.stderr(stdout.try_clone()?);
            None
        };
        command.stdout(stdout);
        let group = Group::spawn(&mut command, living)?;
        // It holds our copies of the process's ends.
        drop(command);
        let input = input.map(|input| Sender::from_owned_fd(input.into()));
        let input = input.transpose()?;
        let output = Receiver::from_owned_fd(output.into())?;
        Ok(Started {
            group,
            input,
            output,
            second,
            master: None,
        })
    }
}

/// Where the `PATH` of the environment has this program, if that is plain. With the whole path the library
/// starts it by posix_spawn(3); by a bare name it forks, which costs the more the larger the server is. What is
/// neither ELF nor names its interpreter is left to execvp(3), which knows what to do with it.
fn found(program: &OsStr, environment: &BTreeMap<OsString, OsString>) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return None;
    }
    let folders = environment.get(OsStr::new("PATH"))?;
    let folders = std::env::split_paths(folders).take_while(|folder| folder.is_absolute());
    let first = folders
        .map(|folder| folder.join(program))
        .find(|file| file.symlink_metadata().is_ok())?;
    rustix::fs::access(&first, rustix::fs::Access::EXEC_OK).ok()?;
    let mut beginning = [0; 4];
    let file = first.metadata().ok().filter(Metadata::is_file);
    file.and_then(|_| File::open(&first).ok())?
        .read_exact(&mut beginning)
        .ok()?;
    (beginning == *b"\x7fELF" || beginning.starts_with(b"#!")).then_some(first)
}

fn on_terminal(
    terminal: &Terminal,
    program: &OsString,
    arguments: &[OsString],
    folder: &PathBuf,
    environment: BTreeMap<OsString, OsString>,
    living: &Arc<Living>,
) -> io::Result<Started> {
    let (master, slave) = pty_process::blocking::open().map_err(io::Error::other)?;
    master
        .resize(pty_process::Size::new(terminal.rows, terminal.cols))
        .map_err(io::Error::other)?;
    let command = pty_process::blocking::Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment);
    let group = Group::of(living, || {
        command.spawn(slave).map_err(|error| match error {
            pty_process::Error::Io(error) => error,
            error => io::Error::other(error),
        })
    })?;
    let master = OwnedFd::from(master);
    // No pipes, but of what tokio reads and writes these take a descriptor of another kind.
    let input = Sender::from_owned_fd_unchecked(master.try_clone()?)?;
    let output = Receiver::from_owned_fd_unchecked(master.try_clone()?)?;
    Ok(Started {
        group,
        input: Some(input),
        output,
        second: None,
        master: Some(master),
    })
}

fn refused(program: &OsString, error: &io::Error) -> Refused {
    let program = program.to_string_lossy();
    let message = format!(
        "cannot run '{}': {}",
        program.escape_debug(),
        remo_cli::reason(error)
    );
    match error.kind() {
        io::ErrorKind::NotFound => Refused::new(404, "not_found", message),
        io::ErrorKind::PermissionDenied => Refused::new(403, "forbidden", message),
        io::ErrorKind::InvalidInput => Refused::new(400, "bad_request", message),
        _ => Refused::new(500, "failed", message),
    }
}
