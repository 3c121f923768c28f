//! `remo`, the client of remo-serv: arguments, signals and exit codes.
//! What the commands do is in the library.

mod agent;
mod agent_args;
mod args;
mod aside;
mod batch;
mod config;
mod console;
mod cp;
mod cp_args;
mod cp_show;
mod doctor;
mod editor;
mod exec;
mod forward;
mod forward_args;
mod fs;
mod fs_args;
mod fs_show;
mod identity;
mod interactive;
mod keys;
mod known;
mod list;
mod place;
mod progress;
mod prompt;
mod raw;
mod shell;
mod signals;
mod spot;
mod streams;
mod there;
mod trust;

use std::error::Error;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use remo_client::escape::escape;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Args, Subcommand};
use crate::config::Config;

/// The name under which everything is reported.
pub(crate) const PROGRAM: &str = "remo";

fn main() -> ExitCode {
    remo_heap::keep();
    let args: Args = match remo_cli::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    carry_out(&args.subcommand)
}

fn carry_out(subcommand: &Subcommand) -> ExitCode {
    let done = match subcommand {
        Subcommand::Prompt(args) => prompt::run(args),
        Subcommand::Exec(args) => return exec::run(args),
        Subcommand::Trust(args) => trust::run(args),
        Subcommand::Shell(args) => return shell::shell(args),
        Subcommand::Attach(args) => return shell::attach(args),
        Subcommand::List(args) => list::run(args),
        Subcommand::Forward(args) => return forward::run(args),
        Subcommand::Cp(args) => return cp::run(args),
        Subcommand::Agent(args) => agent::run(args),
        Subcommand::Files(command) => return fs::run(command),
        Subcommand::Doctor(args) => return doctor::run(args),
        Subcommand::Named(words) => return named(words),
    };
    match done {
        Ok(code) => code,
        Err(error) => remo_cli::fail(PROGRAM, &error),
    }
}

/// `remo NAME`, which is `remo shell NAME` where a server has that name.
fn named(words: &[OsString]) -> ExitCode {
    let name = words.first().and_then(|name| name.to_str());
    let known =
        Config::read().map(|config| name.is_some_and(|name| config.servers.contains_key(name)));
    match known {
        Err(error) => return remo_cli::fail(PROGRAM, &error),
        Ok(false) => {
            let name = escape(name.unwrap_or_default());
            return wrong_usage(&format!(
                "'{name}' is neither a subcommand nor the name of a server (remo --help; remo trust gives names)"
            ));
        }
        Ok(true) => {}
    }
    let whole = [PROGRAM.into(), "shell".into()];
    match Args::try_parse_from(whole.iter().chain(words)) {
        Ok(args) => carry_out(&args.subcommand),
        Err(error) => error.exit(),
    }
}

/// What everything else runs in.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// Does something, and waits for nothing that is left then: reading standard input may have no end.
fn block_on<T>(work: impl Future<Output = Result<T, Box<dyn Error>>>) -> Result<T, Box<dyn Error>> {
    let runtime = runtime()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome
}

fn wrong_usage(error: &dyn std::fmt::Display) -> ExitCode {
    remo_cli::report(PROGRAM, error);
    ExitCode::from(2)
}

/// Requests and timings, never a path, a key or a body.
fn log_to_stderr(verbose: bool) {
    if verbose {
        let filter = Targets::new().with_target("remo_client", Level::DEBUG);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .without_time()
            .with_target(false);
        let _ = tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .try_init();
    }
}
