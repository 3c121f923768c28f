//! The command line of `remo`. Help, man page and completions are made from it.
//! What the arguments lead to is not here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use remo_client::encoding::Encoding;
use remo_protocol::dialect::AnyDialect;
use remo_protocol::name::UserName;

use crate::agent_args::{self, AgentArgs};
use crate::cp_args::{AFTER as AFTER_CP, CpArgs};
use crate::forward_args::ForwardArgs;
use crate::fs_args::FilesCommand;

/// The client of remo-serv: commands and files on machines that can be reached by nothing but HTTP
#[derive(Debug, Parser)]
#[command(name = "remo", version, after_help = AFTER)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) subcommand: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    /// Run commands and copy files at a prompt, by -c, or from a script on standard input
    #[command(after_help = AFTER_PROMPT, after_long_help = AFTER_PROMPT)]
    Prompt(PromptArgs),
    /// Run one command, with its standard streams and its exit status
    #[command(after_help = AFTER_EXEC, after_long_help = AFTER_EXEC)]
    Exec(ExecArgs),
    /// Give a server a name, and trust its key from now on
    Trust(TrustArgs),
    /// Open a login shell on this terminal; remo NAME does the same
    #[command(after_help = AFTER_SHELL, after_long_help = AFTER_SHELL)]
    Shell(ServerArgs),
    /// Go on with what was detached, or take it over from elsewhere
    #[command(after_help = AFTER_SHELL, after_long_help = AFTER_SHELL)]
    Attach(AttachArgs),
    /// Show what runs on a server for you
    List(ListArgs),
    /// Carry connections to ports here on to where the server reaches
    #[command(after_help = AFTER_FORWARD, after_long_help = AFTER_FORWARD)]
    Forward(ForwardArgs),
    /// Copy files and folders to, from and between servers; goes on where it broke off
    #[command(after_help = AFTER_CP, after_long_help = AFTER_CP)]
    Cp(CpArgs),
    /// Keep unlocked keys and live sessions for all other commands
    #[command(after_help = agent_args::AFTER, after_long_help = agent_args::AFTER)]
    Agent(AgentArgs),
    #[command(flatten)]
    Files(FilesCommand),
    /// Find out what the path to a server does, and what remo does about it
    #[command(after_help = AFTER_DOCTOR, after_long_help = AFTER_DOCTOR)]
    Doctor(DoctorArgs),
    #[command(external_subcommand)]
    Named(Vec<OsString>),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AttachArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// Which one, by its id or the beginning of it [default: the only one]
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// As a list in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// The server: a name that remo trust gave it, or a URL with its prefix
    #[arg(value_name = "NAME|URL")]
    pub(crate) target: String,

    /// The server's public key [default: those trusted under NAME; for a URL, remo_serv.pem]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,

    /// The name under which the server knows you [default: as of NAME, or your name on this machine]
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<UserName>,

    /// Your private key [default: as of NAME, or USER_key.pem; where there is none, tests that need a log-in are left out]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// A file whose first line is the password of the key, where nobody can be asked for it
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// Test only what needs no log-in
    #[arg(long, conflicts_with_all = ["key", "password_file"])]
    pub(crate) no_key: bool,

    /// Go by this proxy, in place of what the configuration or the environment names
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,

    /// A file of CA certificates to trust too, for https
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    /// The longest silence to try [default: 20; with --quick 2]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=25))]
    pub(crate) idle: Option<u64>,

    /// What all of it may take; what is not found out by then is left out [default: 45; with --quick 10]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) time: Option<u64>,

    /// Try short silences and smaller bodies only
    #[arg(long)]
    pub(crate) quick: bool,

    /// As one object in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which server, and who we are there.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// The server: a name that remo trust gave it, or a URL with its prefix
    #[arg(value_name = "NAME|URL")]
    pub(crate) target: String,

    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

/// Who we are, whom we trust, and how long we try.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WhoArgs {
    /// The server's public key [default: those trusted under NAME; for a URL, remo_serv.pem]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,

    /// The name under which the server knows you [default: as of NAME, or your name on this machine]
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<UserName>,

    /// Your private key [default: as of NAME, or USER_key.pem]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// A file whose first line is the password of the key, where nobody can be asked for it
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// Give up when no answer of the server has come through for so long
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) give_up: u64,

    /// Tell of every request and how long it took, on standard error
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// Run this line by the login shell there, in place of PROG
    #[arg(long, value_name = "LINE", conflicts_with = "words")]
    pub(crate) shell: Option<String>,

    /// The folder to run in [default: the home of the server's user]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) cwd: Option<String>,

    /// Add to the environment there; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,

    /// End the command after so long: SIGTERM, 2 s later SIGKILL
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,

    /// Leave it running without input, and print its id
    #[arg(long)]
    pub(crate) detach: bool,

    /// Tell the end as one line of JSON on standard error; with --detach, the id on standard output
    #[arg(long)]
    pub(crate) json: bool,

    /// The program and its arguments, as they are: no shell reads them
    #[arg(value_name = "PROG", last = true, required_unless_present = "shell")]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TrustArgs {
    /// The name that the server gets here
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Where it is: an http or https URL with its prefix
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// Trust the key that has this fingerprint, and ask nobody
    #[arg(long, value_name = "SHA256:…", conflicts_with = "server")]
    pub(crate) fingerprint: Option<String>,

    /// Trust the public key in this file, and ask neither the server nor anybody
    #[arg(short, long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,

    /// The name under which the server knows you
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<UserName>,

    /// Your private key
    #[arg(short, long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// Reach it by this proxy, in place of what the environment names
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,

    /// A file of CA certificates to trust too, for https
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Trust another key than before, if that is what the server offers now
    #[arg(long)]
    pub(crate) replace: bool,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or("it has not the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Debug, clap::Args)]
pub(crate) struct PromptArgs {
    /// The server: a name that remo trust gave it, an http or https URL with its prefix, or a host
    #[arg(value_name = "NAME|URL|HOST")]
    pub(crate) target: String,

    /// The port, where the server is named by its host [default: 80]
    #[arg(value_name = "PORT")]
    pub(crate) port: Option<u16>,

    #[command(flatten)]
    pub(crate) who: WhoArgs,

    /// The encoding of output, and of what idata sends, named as in Python
    #[arg(short, long, value_name = "NAME", default_value = "utf_8")]
    pub(crate) encoding: Encoding,

    /// The dialect to speak: 2; or 0.6 or 0.3 with an older remo_serv, as Python's are [default: 2]
    #[arg(long, value_name = "DIALECT")]
    pub(crate) dialect: Option<AnyDialect>,

    /// The server is the Python remo_serv 0.6, whose answers do not mark their end: speak 0.6, and do not take that for an
    /// error, though a cut can then not be noticed
    #[arg(long)]
    pub(crate) accept_cut_answers: bool,

    /// Give up when the server is silent for so long [default: with an older dialect never, else as of --give-up]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) time_out: Option<u64>,

    /// Run this command and leave; may be given several times
    #[arg(short, value_name = "COMMAND")]
    pub(crate) commands: Vec<String>,

    /// Go on when a command of -c or of a script fails; the exit code is 1 all the same
    #[arg(long)]
    pub(crate) keep_going: bool,
}

const AFTER: &str = "\
Examples:
  remo trust box https://example.org/remo --user zoe --key zoe_key.pem
  remo exec box -- uname -a
  remo box
  remo prompt -u zoe -k zoe_key.pem http://example.org/remo -c 'exec uname -a'

Files: ~/.config/remo/config.toml holds the servers that have names.";

const AFTER_SHELL: &str = "\
After Enter, ~. leaves and ends what runs there, ~d detaches and lets it run,
~? helps, and ~~ types ~. What was detached is kept for a day, a job of exec
--detach for a week. Without a terminal here, attach passes output on.

Exit codes: that of the shell or job; 128 and the number of the signal that
ended it; 0 where you left; 255 where remo itself failed.";

const AFTER_FORWARD: &str = "\
Examples:
  remo forward box 5432:db.internal:5432
  remo forward box 0:localhost:80 [::1]:8443:[2001:db8::7]:443

It listens on 127.0.0.1 unless ADDR names another address; 0 takes a free
port. One line a port, 127.0.0.1:5432 -> db.internal:5432, says that it is
ready. The server looks up HOST. Each direction of a connection ends by
itself; a connection that breaks on one side is reset on the other. At most
256 connections are carried at once. It goes on until Ctrl-C.

Exit codes: 128 and the number of the signal that ended it, 1 where it could
not begin, 2 wrong usage.";

const AFTER_DOCTOR: &str = "\
Each line tells what was found: ok, note (remo adapts), BAD (remo does not work
so) or -- (left out, and why). Nothing changes at the server: it is asked who it
is, and to run head on /dev/zero.

Exit codes: 0 remo works over this path, 1 it does not, 255 remo itself failed,
2 wrong usage.";

const AFTER_EXEC: &str = "\
Example: remo exec box -- tar -cf - /etc > etc.tar

Standard input, output and error are those of the command, byte by byte and
without limit. Ctrl-C sends SIGINT to the command; a second one leaves, and
ends it.

Exit codes: that of the command; 128 and the number of the signal that ended
it; 255 where remo itself failed, which standard error tells (with --json as
{\"error\": …}, where a command's own is {\"exit\": …} or {\"signal\": …});
2 wrong usage.";

const AFTER_PROMPT: &str = "\
Commands:
  get REMOTE [LOCAL]     fetch a file; LOCAL is by default the last part of
                         REMOTE, in the current folder (Python's client
                         writes to the same path as REMOTE)
  put REMOTE [LOCAL]     store a file; the remote name comes first
  exec COMMAND           run a command and show its output
  iexec COMMAND          start an interactive command
  idata TEXT             send it a line
  iend                   end its input, show all it still says
  set_encoding ENCODING, info, login, lcd FOLDER, lpwd, help [COMMAND], quit

A command that ends with another status than 0 has failed; the older dialects
carry no exit codes, and exec succeeds there when the server could run it.
Remote names and commands begin at the home of the server's user, in the older
dialects in the folder of the server.

Without -c and without a terminal, commands are read from standard input, one a
line; lines that begin with # are skipped.

Exit codes: 0 all commands succeeded, 1 one failed, 2 wrong usage;
128 and the number of the signal that ended remo.

Environment: http_proxy, https_proxy, all_proxy and no_proxy, in capitals or
not; http_proxy=http://USER:PASSWORD@HOST:PORT logs in to the proxy.

Files: ~/.local/state/remo/history holds the lines typed, but not those of
idata and those that begin with a space. ~/.config/remo/dialects holds which
servers have spoken remo/2: they are spoken to by no older dialect again.";
