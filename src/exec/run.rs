//! A command from its start to its end: standard input from the request, standard output and error as
//! one stream.

use std::{io, process::Stdio, sync::Arc};

use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::{Receiver, Sender},
    task::JoinHandle,
};

use super::{Group, Living, Spool, SpoolError, command};
use crate::{
    call::{Input, InputFault, Source},
    limits::Limits,
};

/// Why a command did not run to its end, as far as its input goes.
#[derive(Debug)]
pub(crate) enum RunError {
    Start(io::Error),
    Input(InputFault),
    Spool(SpoolError),
}

/// Runs `words`, and gives what they write. An input that fits memory is proved whole before anything
/// runs; of a longer one the command gets what is proved, and is killed when the rest proves false. Only
/// then is there an answer: so its status is true.
pub(crate) async fn run(
    words: &[String],
    mut input: Input,
    limits: &Arc<Limits>,
    living: &Arc<Living>,
) -> Result<Running, RunError> {
    let spool = Arc::new(Spool::new(limits.clone()));
    let whole = gather(&mut input, &spool, true).await?;
    let silent = whole && spool.is_empty().await;
    let running = start(words, spool.clone(), silent, living).map_err(RunError::Start)?;
    if !whole {
        gather(&mut input, &spool, false).await?;
    }
    spool.close().await;
    Ok(running)
}

/// Moves the input to the spool, and says whether that was all; with `pause`, it stops when the spool
/// overflows memory.
pub(crate) async fn gather(
    input: &mut Input,
    spool: &Spool,
    pause: bool,
) -> Result<bool, RunError> {
    while let Some(data) = input.next().await {
        spool
            .push(data.map_err(RunError::Input)?)
            .await
            .map_err(RunError::Spool)?;
        if pause && spool.overflows().await {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A command that runs. Dropped, it is killed with its group.
pub(crate) struct Running {
    // The group is dropped, and so killed, before the input is closed: only the end of a whole input
    // may look like one.
    group: Group,
    output: Receiver,
    pump: Option<Pump>,
}

fn start(
    words: &[String],
    spool: Arc<Spool>,
    silent: bool,
    living: &Arc<Living>,
) -> io::Result<Running> {
    let (output, writer) = io::pipe()?;
    let mut command = command(words);
    command.stdout(writer.try_clone()?).stderr(writer);
    let stdin = if silent {
        command.stdin(Stdio::null());
        None
    } else {
        let (reader, stdin) = io::pipe()?;
        command.stdin(reader);
        Some(Sender::from_owned_fd(stdin.into())?)
    };
    let group = Group::spawn(&mut command, living)?;
    // The command holds our copies of its ends; while they live, neither side sees an end.
    drop(command);
    let output = Receiver::from_owned_fd(output.into())?;
    Ok(Running {
        group,
        output,
        pump: stdin.map(|stdin| Pump::start(stdin, spool)),
    })
}

impl Source for Running {
    fn read<'a>(
        &'a mut self,
        into: &'a mut Vec<u8>,
        most: usize,
    ) -> BoxFuture<'a, io::Result<usize>> {
        async move {
            let read = match &mut self.pump {
                None => read_some(&mut self.output, into, most).await?,
                Some(pump) => tokio::select! {
                    biased;
                    read = read_some(&mut self.output, into, most) => read?,
                    broken = pump.broken() => return Err(broken),
                },
            };
            if read == 0 {
                self.group.reaped().await;
            }
            Ok(read)
        }
        .boxed()
    }
}

/// Appends at most `most` bytes that are there.
pub(super) async fn read_some(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    into: &mut Vec<u8>,
    most: usize,
) -> io::Result<usize> {
    // What a pipe holds at once, so that a long stream does not reserve its largest token for a line.
    into.reserve(most.min(64 * 1024));
    from.take(most as u64).read_buf(into).await
}

/// Moves a spool to a process's input.
struct Pump(Task<io::Result<()>>);

impl Pump {
    fn start(mut stdin: Sender, spool: Arc<Spool>) -> Self {
        Self(Task::spawn(async move {
            let drained = spool.drain(&mut stdin).await;
            if drained.is_err() {
                // Closing it would look like the end of the input: it stays open until the group is killed.
                std::mem::forget(stdin);
            }
            drained
        }))
    }

    /// Waits for ever, but if the input breaks.
    async fn broken(&mut self) -> io::Error {
        if !self.0.0.is_finished()
            && let Ok(Err(error)) = (&mut self.0.0).await
        {
            return error;
        }
        std::future::pending().await
    }
}

/// A task that stops when this is dropped.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
