//! The signals that end `remo`, or the command that it is carrying out.
//! What is then tidied up, the dropped values know themselves.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// A signal that ends the program, as an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending(u8);

impl Ending {
    const HANG_UP: Self = Self(128 + 1);
    pub(crate) const INTERRUPT: Self = Self(128 + 2);
    const TERMINATE: Self = Self(128 + 15);

    /// What `main` returns.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(self.0)
    }

    /// What `exit` takes.
    pub(crate) fn number(self) -> i32 {
        self.0.into()
    }
}

/// The signals that a program must not leave half files behind for.
pub(crate) struct Endings {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Endings {
    /// From now on these signals no longer end the process by themselves.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for any of them.
    pub(crate) async fn wait(&mut self) -> Ending {
        tokio::select! {
            _ = self.interrupt.recv() => Ending::INTERRUPT,
            _ = self.terminate.recv() => Ending::TERMINATE,
            _ = self.hang_up.recv() => Ending::HANG_UP,
        }
    }

    /// At a prompt Ctrl-C ends a command and not the program.
    pub(crate) async fn wait_but_interrupt(&mut self) -> Ending {
        tokio::select! {
            _ = self.terminate.recv() => Ending::TERMINATE,
            _ = self.hang_up.recv() => Ending::HANG_UP,
        }
    }

    /// Waits in a task of its own. Where the program cannot stop, since nobody takes its output, it is ended.
    pub(crate) fn watch(mut self) -> oneshot::Receiver<Ending> {
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let ending = self.wait().await;
            let _ = tell.send(ending);
            tokio::time::sleep(TIME_TO_STOP).await;
            std::process::exit(ending.number());
        });
        told
    }
}

/// How long tidying up may take.
const TIME_TO_STOP: Duration = Duration::from_secs(3);

/// Waits for Ctrl-C.
pub(crate) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Every Ctrl-C from now on; one that comes while nobody waits is told to the next who does.
pub(crate) struct Interrupts(Signal);

impl Interrupts {
    pub(crate) fn listen() -> io::Result<Self> {
        signal(SignalKind::interrupt()).map(Self)
    }

    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
