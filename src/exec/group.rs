//! A process and its group: awaited without being reaped, signalled while it cannot be another's, reaped
//! in the end.

use std::{
    io,
    process::{Child, Command, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::{net::unix::pipe, sync::Notify};

/// A process that leads a process group. Dropped, the whole group is killed, and the leader reaped.
pub(crate) struct Group {
    leader: Option<Leader>,
}

struct Leader {
    child: Child,
    pid: Pid,
    /// A pidfd: readable once the process has ended; it does not reap. No pipe at all, but of what tokio
    /// waits for, this is what takes a descriptor of another kind, and nothing is ever read from it.
    ended: Arc<pipe::Receiver>,
    _counted: Counted,
}

impl Group {
    /// Starts `command`, which must make a process group.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn spawn(command: &mut Command, living: &Arc<Living>) -> io::Result<Self> {
        Self::of(living, || command.spawn())
    }

    /// Starts what makes itself the leader of a process group.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn of(
        living: &Arc<Living>,
        start: impl FnOnce() -> io::Result<Child>,
    ) -> io::Result<Self> {
        let counted = living.count();
        let mut child = start()?;
        match Leader::watch(&child) {
            Ok((pid, ended)) => {
                let leader = Leader {
                    child,
                    pid,
                    ended,
                    _counted: counted,
                };
                Ok(Self {
                    leader: Some(leader),
                })
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// The number of the leader, while it is not reaped.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.leader
            .as_ref()
            .map(|leader| leader.pid.as_raw_nonzero().get())
    }

    /// Signals the group.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(leader) = &self.leader {
            leader.signal(signal);
        }
    }

    /// Signals the group, or another one of its session, by the number of the signal.
    pub(crate) fn send(&self, signal: i32, group: Option<Pid>) {
        let Some(leader) = &self.leader else { return };
        let group = group.unwrap_or(leader.pid);
        match Signal::from_named_raw(signal) {
            Some(signal) => drop(kill_process_group(group, signal)),
            None => send_unnamed(signal, group),
        }
    }

    /// Something that waits for the leader's end without holding the group.
    pub(crate) fn end(&self) -> End {
        End(self.leader.as_ref().map(|leader| leader.ended.clone()))
    }

    /// Reaps the leader, which has ended, and gives how.
    pub(crate) fn reap(&mut self) -> Option<ExitStatus> {
        self.leader
            .take()
            .and_then(|mut leader| leader.child.wait().ok())
    }

    /// Waits until the leader has ended, and reaps it. The rest of its group is left alone.
    pub(crate) async fn reaped(&mut self) {
        if let Some(leader) = &mut self.leader {
            leader.ended().await;
            leader.reap();
        }
        self.leader = None;
    }

    /// Kills the group at once.
    pub(crate) fn kill(&mut self) {
        let Some(mut leader) = self.leader.take() else {
            return;
        };
        leader.signal(Signal::KILL);
        in_background(async move {
            leader.ended().await;
            leader.reap();
        });
    }

    /// Asks the group to end, and kills what is left of it after `grace`.
    pub(crate) fn terminate(self, grace: Duration) {
        in_background(self.end_by(Signal::TERM, grace));
    }

    /// Signals the group, kills what is left of it after `grace`, and reaps the leader.
    pub(crate) async fn end_by(mut self, signal: Signal, grace: Duration) {
        let Some(mut leader) = self.leader.take() else {
            return;
        };
        leader.signal(signal);
        let _ = tokio::time::timeout(grace, leader.ended()).await;
        // The leader is not reaped yet, so its number is still its own and its group's.
        leader.signal(Signal::KILL);
        leader.ended().await;
        leader.reap();
    }

    /// Lets a command end whose input and output are closed: killed with its group only if it is still
    /// there after `grace`.
    pub(crate) fn release(mut self, grace: Duration) {
        let Some(mut leader) = self.leader.take() else {
            return;
        };
        in_background(async move {
            if tokio::time::timeout(grace, leader.ended()).await.is_err() {
                leader.signal(Signal::KILL);
                leader.ended().await;
            }
            leader.reap();
        });
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The end of a process, to be waited for.
pub(crate) struct End(Option<Arc<pipe::Receiver>>);

impl End {
    pub(crate) async fn reached(self) {
        if let Some(ended) = &self.0 {
            let _ = ended.readable().await;
        }
    }
}

impl Leader {
    fn watch(child: &Child) -> io::Result<(Pid, Arc<pipe::Receiver>)> {
        let pid = Pid::from_child(child);
        let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        let ended = pipe::Receiver::from_owned_fd_unchecked(pidfd)?;
        Ok((pid, Arc::new(ended)))
    }

    async fn ended(&self) {
        // An error of the poller would mean that we can never know: then reaping waits in its place.
        let _ = self.ended.readable().await;
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.pid, signal);
    }

    fn reap(&mut self) {
        let _ = self.child.wait();
    }
}

/// Sends a real-time signal, for which the library has no name: the shell has its number.
fn send_unnamed(signal: i32, group: Pid) {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "kill -s \"$1\" -- \"-$2\"", "sh"]);
    shell.args([signal.to_string(), group.as_raw_nonzero().to_string()]);
    if let Err(error) = shell.status() {
        tracing::warn!(%error, signal, "cannot send a signal");
    }
}

/// Goes on without the caller. Outside of a runtime nothing can wait: then the server is ending, and the
/// system reaps.
fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

/// How many groups a server has that are not reaped, and connections that are not closed.
#[derive(Debug, Default)]
pub(crate) struct Living {
    count: AtomicUsize,
    changed: Notify,
}

impl Living {
    /// Counts one more, for as long as what is given lives.
    pub(crate) fn count(self: &Arc<Self>) -> Counted {
        self.count.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }

    /// How many there are.
    pub(crate) fn number(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until there is none.
    pub(crate) async fn gone(&self) {
        loop {
            let changed = self.changed.notified();
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// Something that is counted.
pub(crate) struct Counted(Arc<Living>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}
