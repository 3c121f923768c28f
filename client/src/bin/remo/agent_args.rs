//! The command line of `remo agent`. Help, man page and completions are made from it.
//! What the arguments lead to is not here.

use std::path::PathBuf;

/// What an agent is started with, or told.
#[derive(Debug, clap::Args)]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    pub(crate) act: Option<Act>,

    /// Where it listens [default: as of REMO_AGENT, else $XDG_RUNTIME_DIR/remo/agent.sock]
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) socket: Option<PathBuf>,

    /// Stay in the foreground
    #[arg(long)]
    pub(crate) foreground: bool,

    /// Hold no key for longer
    #[arg(long, value_name = "SECONDS", default_value = "28800", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub(crate) time: u64,

    /// Leave the terminal, once it listens
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

/// What an agent is told.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Act {
    /// Hand it a key; its password is asked for once
    Add(AddArgs),
    /// Show what it holds: fingerprints, sessions, and the time left
    List {
        /// As one object in JSON
        #[arg(long)]
        json: bool,
    },
    /// Let it give nothing until it is unlocked; asks for a password to do that with
    Lock,
    /// Let it go on
    Unlock,
    /// Erase a key, or all, and the sessions that rest on it
    Forget(ForgetArgs),
    /// End it
    Stop,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// The file of the key, or the name of a server that has one [default: USER_key.pem]
    #[arg(value_name = "KEY|NAME")]
    pub(crate) key: Option<String>,

    /// Hold it for so long [default: as long as the agent holds any]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) time: Option<u64>,

    /// A file whose first line is the password of the key, where nobody can be asked for it
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ForgetArgs {
    /// Its fingerprint, its file, or the name of a server that has it
    #[arg(value_name = "KEY|NAME", required_unless_present = "all")]
    pub(crate) key: Option<String>,

    /// Erase all
    #[arg(long, conflicts_with = "key")]
    pub(crate) all: bool,
}

/// What `--help` ends with.
pub(crate) const AFTER: &str = "\
Examples:
  eval \"$(remo agent)\"
  remo agent add box
  remo exec box -- uptime

While it runs, remo uses it for the keys that it holds, and works without it
for all others. Keys go in and never out: it signs log-ins, and carries out
requests in sessions of its own, for processes of its own user only.";
