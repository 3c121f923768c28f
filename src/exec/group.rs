//! A process and its group: awaited without being reaped, signalled while it cannot be another's, reaped
//! in the end.

use std::{
    io,
    process::{Child, Command},
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
    ended: pipe::Receiver,
    _counted: Counted,
}

impl Group {
    /// Starts `command`, which must make a process group.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn spawn(command: &mut Command, living: &Arc<Living>) -> io::Result<Self> {
        let counted = living.count();
        let mut child = command.spawn()?;
        let leader = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(io::ErrorKind::Other);
        let leader = leader.map_err(io::Error::from).and_then(|pid| {
            let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
            let ended = pipe::Receiver::from_owned_fd_unchecked(pidfd)?;
            Ok((pid, ended))
        });
        match leader {
            Ok((pid, ended)) => Ok(Self {
                leader: Some(Leader {
                    child,
                    pid,
                    ended,
                    _counted: counted,
                }),
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
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
    pub(crate) fn terminate(mut self, grace: Duration) {
        let Some(mut leader) = self.leader.take() else {
            return;
        };
        leader.signal(Signal::TERM);
        in_background(async move {
            let _ = tokio::time::timeout(grace, leader.ended()).await;
            // The leader is not reaped yet, so its number is still its own and its group's.
            leader.signal(Signal::KILL);
            leader.ended().await;
            leader.reap();
        });
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

impl Leader {
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

/// Goes on without the caller. Outside of a runtime nothing can wait: then the server is ending, and the
/// system reaps.
fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

/// How many groups a server has that are not reaped.
#[derive(Debug, Default)]
pub(crate) struct Living {
    count: AtomicUsize,
    changed: Notify,
}

impl Living {
    fn count(self: &Arc<Self>) -> Counted {
        self.count.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
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

struct Counted(Arc<Living>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}
