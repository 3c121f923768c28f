//! `remo shell` and `remo attach`: a terminal there, on the one here; or a job's output, where there is none.
//! How it survives its path is the library's to know.

use std::error::Error;
use std::io::{self, Write, stderr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remo_client::escape::escape;
use remo_client::remo2::{Channel, Ended, Failure, Opening, Remote};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::args::{AttachArgs, ServerArgs};
use crate::exec::OWN;
use crate::keys::{HELP, Keyboard, Typed};
use crate::list::{Running, running};
use crate::raw::{self, Raw};
use crate::signals::{Ending, Endings};
use crate::{PROGRAM, block_on, log_to_stderr, place, streams};

/// How a conversation ended.
enum End {
    Remote(Ended),
    Detached,
    Left,
    Signal(Ending),
}

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A login shell of its own.
pub(crate) fn shell(args: &ServerArgs) -> ExitCode {
    log_to_stderr(args.who.verbose);
    if !raw::is_there() {
        return own(
            &"a shell needs a terminal (remo exec NAME --shell LINE runs a line without one)",
        );
    }
    run(open(args))
}

/// What runs there already.
pub(crate) fn attach(args: &AttachArgs) -> ExitCode {
    log_to_stderr(args.server.who.verbose);
    run(resume(args))
}

fn run(conversation: impl Future<Output = Outcome<ExitCode>>) -> ExitCode {
    block_on(conversation).unwrap_or_else(|error| own(&error))
}

fn own(error: &dyn std::fmt::Display) -> ExitCode {
    remo_cli::report(PROGRAM, error);
    ExitCode::from(OWN)
}

async fn open(args: &ServerArgs) -> Outcome<ExitCode> {
    let mut endings = Endings::listen()?;
    let remote = Arc::new(place::find(args).await?);
    let opening = Opening {
        pty: Some((raw::size(), raw::kind())),
        keep: Some(KEEP),
        ..Opening::default()
    };
    let channel = tokio::select! {
        channel = Channel::open(remote.clone(), &opening, streams::terminal()) => channel?,
        ending = endings.wait() => return Ok(ending.code()),
    };
    remote.learn();
    on_terminal(&channel, &mut endings, &args.target).await
}

async fn resume(args: &AttachArgs) -> Outcome<ExitCode> {
    let mut endings = Endings::listen()?;
    let remote = Arc::new(place::find_alone(&args.server).await?);
    let found = find(&remote, args).await?;
    remote.learn();
    let target = &args.server.target;
    if found.terminal.unwrap_or(true) && raw::is_there() {
        let output = streams::terminal().resumed();
        let size = Some(raw::size());
        let channel = Channel::attach(remote, &found.id, size, output).await?;
        return on_terminal(&channel, &mut endings, target).await;
    }
    let output = streams::output().resumed();
    let channel = Channel::attach(remote, &found.id, None, output).await?;
    let end = tokio::select! {
        ended = channel.follow() => End::Remote(ended?),
        // The job is not ours to end.
        ending = endings.wait() => End::Signal(ending),
    };
    if matches!(end, End::Remote(_)) {
        channel.done().await;
    }
    Ok(code(&end))
}

/// The one that was named, by the beginning of its id; or the only one.
async fn find(remote: &Remote, args: &AttachArgs) -> Outcome<Running> {
    let target = escape(&args.server.target);
    let wanted = args.id.as_deref().unwrap_or_default();
    let all = running(&remote.who().await?);
    let mut fits: Vec<_> = all
        .into_iter()
        // A forwarded connection has its owner, and nothing to show.
        .filter(|one| one.connect.is_none() && one.id.starts_with(wanted))
        .collect();
    match (fits.pop(), fits.len()) {
        (Some(one), 0) => Ok(one),
        (Some(_), _) => Err(format!(
            "more than one fits (remo list {target} shows them; name one by its id)"
        )
        .into()),
        (None, _) if args.id.is_none() => {
            Err(format!("nothing of yours runs on '{target}'").into())
        }
        (None, _) => Err(format!(
            "nothing of that id runs there (remo list {target} shows what does)"
        )
        .into()),
    }
}

/// The terminal here is the one there, until one of them ends it.
async fn on_terminal(channel: &Channel, endings: &mut Endings, target: &str) -> Outcome<ExitCode> {
    let raw = Raw::begin().map_err(|error| {
        let error = io::Error::from(error);
        format!("cannot use the terminal: {}", remo_cli::reason(&error))
    })?;
    let outcome = attend(channel, endings).await;
    drop(raw);
    let again = format!("remo attach {} {}", escape(target), channel.id());
    match &outcome {
        Ok(End::Detached) => remo_cli::report(PROGRAM, &format!("detached ({again} goes on)")),
        Err(Failure::Path { .. }) => {
            remo_cli::report(PROGRAM, &format!("it may still run ({again} goes on)"));
        }
        Err(Failure::Taken | Failure::Gone | Failure::Restarted) => {}
        _ => channel.done().await,
    }
    Ok(code(&outcome?))
}

fn code(end: &End) -> ExitCode {
    match end {
        End::Remote(ended) => ExitCode::from(ended.code()),
        End::Detached | End::Left => ExitCode::SUCCESS,
        End::Signal(ending) => ending.code(),
    }
}

/// Keys there, output here, and the size as it changes: all at once.
async fn attend(channel: &Channel, endings: &mut Endings) -> Result<End, Failure> {
    let (to, mut keys) = channel_of_keys();
    let feeding = async {
        channel.feed(Bytes::new(), &mut keys, ECHO).await?;
        std::future::pending().await
    };
    tokio::select! {
        ended = channel.follow() => ended.map(End::Remote),
        failed = feeding => failed,
        failed = resizing(channel) => failed,
        end = typing(to) => Ok(end),
        ending = endings.wait() => Ok(End::Signal(ending)),
    }
}

/// Keys wait here while the path is slow: as many as it takes, so that `~.` is always heard.
fn channel_of_keys() -> (Sender<io::Result<Bytes>>, Receiver<io::Result<Bytes>>) {
    channel(4096)
}

/// Reads keys until they say that one leaves. The end of them ends the input there.
async fn typing(to: Sender<io::Result<Bytes>>) -> End {
    let mut input = streams::input();
    let mut keyboard = Keyboard::new();
    while let Some(piece) = input.recv().await {
        let Ok(piece) = piece else { break };
        for typed in keyboard.read(&piece) {
            match typed {
                Typed::Keys(keys) => drop(to.send(Ok(keys.into())).await),
                Typed::Help => drop(stderr().write_all(HELP.as_bytes())),
                Typed::Leave => return End::Left,
                Typed::Detach => return End::Detached,
            }
        }
    }
    drop(to);
    std::future::pending().await
}

async fn resizing(channel: &Channel) -> Result<End, Failure> {
    let Ok(mut changes) = signal(SignalKind::window_change()) else {
        return std::future::pending().await;
    };
    loop {
        changes.recv().await;
        channel.resize(raw::size()).await?;
    }
}

/// How long the answer to keys waits for what the process says to them: an echo comes with it.
const ECHO: Duration = Duration::from_millis(50);

/// Seconds for which a terminal is kept that nobody is attached to: a day.
const KEEP: u64 = 24 * 3600;
