//! One channel: what goes in, what comes out, and who is attached. Its user owns it; a session is attached to
//! it, and another may take its place. What stands behind it, a process or a connection, is not known here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use remo_protocol::remo2::session_id::SessionId;
use tokio::{sync::watch, time::Instant};

use super::{
    Refused,
    exchange::{Access, Exchange},
    far::Exit,
    state::{Beginning, Opening, State},
};
use crate::exec::Task;

/// A far end and its streams.
pub(crate) struct Channel {
    /// The verb that opened it.
    pub(crate) verb: &'static str,
    /// What it is connected to, if it is a connection.
    pub(crate) connects: Option<String>,
    pid: Option<i32>,
    terminal: bool,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    tasks: Mutex<Vec<Task<()>>>,
}

impl Channel {
    pub(super) fn new(
        verb: &'static str,
        connects: Option<String>,
        beginning: Beginning,
    ) -> Arc<Self> {
        Arc::new(Self {
            verb,
            connects,
            pid: beginning.far.pid(),
            terminal: beginning.far.is_terminal(),
            state: Mutex::new(State::new(beginning)),
            changed: watch::Sender::new(()),
            tasks: Mutex::default(),
        })
    }

    /// Lets something go on for as long as it is not forgotten.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let task = Task::spawn(work);
        self.tasks().push(task);
    }

    /// The number of its process, if there is one.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// Whether it is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Does what an exchange wants.
    ///
    /// # Errors
    /// `not_attached`; `bad_request` for a signal to what takes none.
    pub(crate) fn exchange(&self, exchange: &Exchange, access: &Access) -> Result<(), Refused> {
        self.lock().exchange(exchange, access)?;
        self.changed();
        Ok(())
    }

    /// Whether this session may say that it is no longer wanted.
    pub(crate) fn is_attached(&self, session: &SessionId) -> bool {
        self.lock().is_attached(session)
    }

    /// Whether nobody has asked for it for as long as it was to be kept.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.lock().is_stale(now)
    }

    /// Since when nobody needs it, if that is so: its end was told, and no answer is under way.
    pub(crate) fn over_since(&self) -> Option<Instant> {
        self.lock().over_since()
    }

    /// Whether its far end has ended.
    pub(crate) fn has_exited(&self) -> bool {
        self.lock().exit.is_some()
    }

    /// Why there is no far end, once that is known.
    pub(super) fn refusal(&self) -> Option<Refused> {
        match &self.lock().opening {
            Opening::Refused(refused) => Some(refused.clone()),
            Opening::UnderWay | Opening::Done => None,
        }
    }

    /// Waits until the far end is there.
    ///
    /// # Errors
    /// Why it is not; `gone` where it was forgotten before it was there.
    pub(crate) async fn opened(&self) -> Result<(), Refused> {
        let mut changed = self.subscribe();
        loop {
            {
                let state = self.lock();
                match &state.opening {
                    Opening::Done => return Ok(()),
                    Opening::Refused(refused) => return Err(refused.clone()),
                    Opening::UnderWay if state.is_forgotten() => return Err(Refused::gone()),
                    Opening::UnderWay => {}
                }
            }
            let _ = changed.changed().await;
        }
    }

    /// Whether the far end is there is known now.
    pub(super) fn settle(&self, opening: Opening) {
        self.lock().opening = opening;
        self.changed();
    }

    /// The far end has ended.
    pub(super) fn ends(&self, exit: Option<Exit>) {
        let mut state = self.lock();
        state.exit = exit;
        state.last_output = Instant::now();
        drop(state);
        self.changed();
    }

    /// Lets the answers that wait for something end: the server stops.
    pub(super) fn stop_answers(&self) {
        self.lock().stopping = true;
        self.changed();
    }

    /// Hangs up, and only then closes its streams.
    pub(crate) fn forget(self: &Arc<Self>) {
        let far = self.lock().forget();
        self.changed();
        let channel = self.clone();
        let end = async move {
            if let Some((far, left)) = far {
                far.hang_up(left).await;
            }
            channel.tasks().clear();
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(end);
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whoever waits for something looks again.
    pub(super) fn changed(&self) {
        self.changed.send_replace(());
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<Task<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
