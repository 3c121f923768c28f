//! `remo exec`: one command there, as if it ran here.
//! How it gets there and back is the library's to know.

use std::error::Error;
use std::io::{Write, stderr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use remo_client::escape::escape;
use remo_client::remo2::{Channel, Ended, Failure, Opening, Remote};

use crate::args::ExecArgs;
use crate::signals::{Ending, Endings, Interrupts};
use crate::{PROGRAM, block_on, log_to_stderr, place, streams};

/// How a run ended.
enum End {
    Remote(Ended),
    /// Left behind, under this id.
    Detached(String),
    /// A signal ended us.
    Left(Ending),
}

/// Runs the command; the exit code says how it ended.
pub(crate) fn run(args: &ExecArgs) -> ExitCode {
    log_to_stderr(args.server.who.verbose);
    match block_on(carry_out(args)) {
        Ok(end) => told(&end, args.json),
        Err(error) => failed(&*error, args.json),
    }
}

fn told(end: &End, json: bool) -> ExitCode {
    match end {
        End::Remote(ended) => {
            if json {
                say(&in_json(*ended));
            }
            ExitCode::from(ended.code())
        }
        End::Detached(id) => {
            let line = if json {
                format!("{}\n", serde_json::json!({"id": id}))
            } else {
                format!("{id}\n")
            };
            match remo_cli::print(line) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error, json),
            }
        }
        End::Left(ending) => ending.code(),
    }
}

/// One line on standard error, which may be closed.
fn say(line: &serde_json::Value) {
    let _ = writeln!(stderr(), "{line}");
}

fn in_json(ended: Ended) -> serde_json::Value {
    match ended {
        Ended::Exit(code) => serde_json::json!({"exit": code}),
        Ended::Signal(signal) => serde_json::json!({"signal": signal}),
    }
}

/// What went wrong here, or on the way: never what the command itself says.
fn failed(error: &(dyn Error + 'static), json: bool) -> ExitCode {
    let left = error
        .downcast_ref::<Failure>()
        .is_some_and(Failure::is_broken_pipe);
    if left {
        // Nobody reads the output: as when SIGPIPE ends a command here.
        return ExitCode::from(BROKEN_PIPE);
    }
    if json {
        let text = escape(&error.to_string());
        say(&serde_json::json!({"error": text}));
    } else {
        remo_cli::report(PROGRAM, &error);
    }
    ExitCode::from(OWN)
}

async fn carry_out(args: &ExecArgs) -> Result<End, Box<dyn Error>> {
    let mut endings = Endings::listen()?;
    let mut interrupts = Interrupts::listen()?;
    let remote = Arc::new(place::find(&args.server).await?);
    let channel = Channel::prepare(remote.clone(), streams::output())?;
    let opening = opening(args);
    if args.detach {
        tokio::select! {
            started = channel.start(&opening) => started?,
            ending = endings.wait() => return Ok(End::Left(ending)),
        }
        channel.end_input().await?;
        return Ok(End::Detached(channel.id().to_owned()));
    }
    let job = Job {
        remote: &remote,
        channel: &channel,
        opening: &opening,
    };
    let outcome = attend(&job, &mut endings, &mut interrupts).await;
    if is_wanted_no_more(&outcome) && channel.is_sent() {
        channel.done().await;
    }
    Ok(match outcome? {
        Told::AtOnce(ended) => End::Remote(ended),
        Told::Later(end) => end,
    })
}

/// What has told its end in its first answer is forgotten by itself, as is what the server does not have.
fn is_wanted_no_more(outcome: &Result<Told, Failure>) -> bool {
    !matches!(
        outcome,
        Ok(Told::AtOnce(_))
            | Err(Failure::Gone | Failure::Restarted | Failure::Unknown | Failure::Taken)
    )
}

fn opening(args: &ExecArgs) -> Opening {
    Opening {
        argv: args.shell.is_none().then(|| args.words.clone()),
        line: args.shell.clone(),
        cwd: args.cwd.clone(),
        env: args.env.clone(),
        split: true,
        timeout: args.timeout,
        keep: Some(if args.detach {
            JOB
        } else {
            (2 * args.server.who.give_up).max(SHORT)
        }),
        pty: None,
    }
}

/// A command, and the way to its server.
struct Job<'a> {
    remote: &'a Remote,
    channel: &'a Channel,
    opening: &'a Opening,
}

/// When a command told how it ended.
enum Told {
    /// In the answer to the request that started it.
    AtOnce(Ended),
    Later(End),
}

/// Input and output at once, until the command has ended. The first Ctrl-C is the command's, the second ours.
async fn attend(
    job: &Job<'_>,
    endings: &mut Endings,
    interrupts: &mut Interrupts,
) -> Result<Told, Failure> {
    let left = |ending| Ok(Told::Later(End::Left(ending)));
    // One listener for all of them: between two listeners a Ctrl-C would be lost.
    let keys = async {
        interrupts.next().await;
        if !job.channel.is_sent() {
            return left(Ending::INTERRUPT);
        }
        let forwarded = async {
            job.channel.signal(SIGINT).await?;
            std::future::pending().await
        };
        tokio::select! {
            failed = forwarded => failed,
            () = interrupts.next() => left(Ending::INTERRUPT),
        }
    };
    tokio::select! {
        told = carry(job) => told,
        ended = keys => ended,
        ending = endings.wait_but_interrupt() => left(ending),
    }
}

/// Starts the command: with all its input where that is there already, or else with what comes then.
async fn carry(job: &Job<'_>) -> Result<Told, Failure> {
    let mut input = streams::input();
    job.remote.ready().await?;
    let room = job.remote.data_room();
    let early = streams::early(&mut input, room).await?;
    let mut first = early.data;
    if early.is_all && job.opening.keep == Some(SHORT) {
        match job.channel.run(job.opening, first).await? {
            (Some(ended), _) => return Ok(Told::AtOnce(ended)),
            (None, None) => return follow(job.channel).await,
            (None, Some(rest)) => first = rest,
        }
    } else {
        job.channel.start(job.opening).await?;
    }
    let feeding = async {
        job.channel.feed(first, &mut input, Duration::ZERO).await?;
        std::future::pending().await
    };
    tokio::select! {
        told = follow(job.channel) => told,
        failed = feeding => failed,
    }
}

async fn follow(channel: &Channel) -> Result<Told, Failure> {
    let ended = channel.follow().await?;
    Ok(Told::Later(End::Remote(ended)))
}

/// What remo itself exits with where it failed.
pub(crate) const OWN: u8 = 255;

const BROKEN_PIPE: u8 = 128 + 13;

const SIGINT: i32 = 2;

/// Seconds for which a server keeps a command that nobody asks for, where nothing else is said.
const SHORT: u64 = 60;

/// Seconds for which a job is kept that nobody asks for: a week.
const JOB: u64 = 7 * 24 * 3600;
