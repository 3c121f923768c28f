//! `remo cp`: files and trees to, from and between servers.
//! How they are copied is the library's to know.

use std::error::Error;
use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use remo_client::copy::{self, Options, Summary};
use remo_client::escape::escape;
use serde_json::json;

use crate::cp_args::CpArgs;
use crate::cp_show::{Show, summary_in_json, summary_line};
use crate::exec::OWN;
use crate::signals::{Ending, Endings};
use crate::spot::{Servers, Spot};
use crate::{PROGRAM, block_on, log_to_stderr};

/// Copies; the exit code says whether all is there.
pub(crate) fn run(args: &CpArgs) -> ExitCode {
    log_to_stderr(args.who.verbose);
    let begun = Instant::now();
    match block_on(attend(args)) {
        Ok(End::Whole(summary)) => {
            tell(args, &summary, begun.elapsed());
            ExitCode::from(u8::from(!summary.is_whole()))
        }
        Ok(End::Left(ending)) => ending.code(),
        Err(error) => {
            complain(args.json, &*error);
            ExitCode::from(OWN)
        }
    }
}

/// How it ended.
enum End {
    Whole(Summary),
    /// A signal ended us.
    Left(Ending),
}

async fn attend(args: &CpArgs) -> Result<End, Box<dyn Error>> {
    let mut endings = Endings::listen()?;
    tokio::select! {
        done = carry_out(args) => done.map(End::Whole),
        ending = endings.wait() => Ok(End::Left(ending)),
    }
}

async fn carry_out(args: &CpArgs) -> Result<Summary, Box<dyn Error>> {
    let all = args.sources.iter().chain([&args.target]);
    if all.clone().all(|spot| matches!(spot, Spot::Here(_))) {
        return Err("neither side names a server (NAME:PATH is a path on the server NAME)".into());
    }
    let mut servers = Servers::new(&args.who);
    let mut sources = Vec::new();
    for spot in &args.sources {
        sources.push(located(&mut servers, spot).await?);
    }
    let target = located(&mut servers, &args.target).await?;
    if matches!(target, copy::Spot::Here(_))
        && sources
            .iter()
            .any(|spot| matches!(spot, copy::Spot::Here(_)))
    {
        return Err("a source and the target are both on this machine (cp copies there)".into());
    }
    let by_hand = stderr().is_terminal() && !args.quiet && !args.json;
    let options = Options {
        recursive: args.recursive,
        owners: args.owners,
        verify: args.verify,
        skip_identical: args.skip_identical,
        requests: REQUESTS,
        count_ahead: by_hand,
        state: state(),
    };
    let show = Show::new(args.json, args.quiet, by_hand);
    let done = copy::copy(sources, target, options, Arc::new(show)).await;
    Ok(done?)
}

async fn located(servers: &mut Servers, spot: &Spot) -> Result<copy::Spot, Box<dyn Error>> {
    Ok(match spot {
        Spot::Here(path) => copy::Spot::Here(path.clone()),
        Spot::There(name, path) => copy::Spot::There(servers.find(name).await?, path.clone()),
    })
}

/// Where uploads are noted.
fn state() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = set("XDG_STATE_HOME").map(PathBuf::from);
    let base = base.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    Some(base?.join("remo").join("uploads"))
}

fn tell(args: &CpArgs, summary: &Summary, took: Duration) {
    if args.json {
        let _ = remo_cli::print(format!("{}\n", summary_in_json(summary, took)));
    } else if !args.quiet {
        let _ = writeln!(stderr(), "{PROGRAM}: {}", summary_line(summary, took));
    }
}

fn complain(in_json: bool, error: &dyn Error) {
    if in_json {
        let line = json!({"error": escape(&error.to_string())});
        let _ = writeln!(stderr(), "{line}");
    } else {
        remo_cli::report(PROGRAM, &error);
    }
}

/// Requests that are under way at once, where the path lets them.
const REQUESTS: usize = 4;
