//! One channel: a process, what goes in, what comes out, and who is attached. Its user owns it; a session
//! is attached to it, and another may take its place.

use std::{
    collections::VecDeque,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use remo_protocol::remo2::session_id::SessionId;
use rustix::{process::Signal, termios};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::unix::pipe::{Receiver, Sender},
    sync::watch,
    time::Instant,
};

use super::{
    Refused,
    start::{Start, Started},
    window::Window,
};
use crate::exec::{End, Group, Task};

/// A process and its streams.
pub(crate) struct Channel {
    /// The verb that opened it.
    pub(crate) verb: &'static str,
    pid: i32,
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
    tasks: Mutex<Vec<Task<()>>>,
}

pub(super) struct Inner {
    pub(super) main: Window,
    pub(super) second: Window,
    input: Input,
    signals: u64,
    exit: Option<Exit>,
    last_output: Instant,
    group: Option<Group>,
    master: Option<OwnedFd>,
    attached: SessionId,
    /// How often another session took the place of the one before.
    taken_over: u64,
    sized_by: u64,
    /// Answers that are under way; while there are any, it is wanted.
    answers: usize,
    idle_since: Instant,
    keep: Duration,
    forgotten: bool,
    stopping: bool,
}

#[derive(Default)]
struct Input {
    waiting: VecDeque<u8>,
    taken: u64,
    ends: bool,
    /// Where it was ended: on a terminal it may go on, and end again further on.
    ended_at: Option<u64>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

/// What `T` says of a channel.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) taken: u64,
    pub(super) signals: u64,
}

/// Who asks, and with which request.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) session: SessionId,
    pub(crate) number: u64,
}

/// What an `/idt` or `/edt` wants of a channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) attach: bool,
    pub(crate) at: Option<u64>,
    pub(crate) data: Vec<u8>,
    pub(crate) ends: bool,
    pub(crate) out: Option<u64>,
    pub(crate) err: Option<u64>,
    pub(crate) size: Option<(u16, u16)>,
    /// A signal, and how many were taken before it.
    pub(crate) signal: Option<(i32, u64)>,
}

impl Exchange {
    /// Whether it counts only from the session that is attached.
    fn is_owners(&self) -> bool {
        let reads =
            self.at.is_none() && self.out.is_none() && self.err.is_none() && self.data.is_empty();
        !reads || self.ends || self.size.is_some() || self.signal.is_some()
    }
}

impl Channel {
    /// Starts what `start` says, with an input that may be whole already.
    pub(super) fn start(
        verb: &'static str,
        start: &Start,
        input: Option<Vec<u8>>,
        session: SessionId,
        living: &Arc<crate::exec::Living>,
    ) -> Result<Arc<Self>, Refused> {
        let Started {
            group,
            input: to,
            output,
            second,
            master,
        } = start.start(living)?;
        let end = group
            .end()
            .map_err(|error| Refused::new(500, "failed", error.to_string()))?;
        let tail = if master.is_some() { TAIL } else { 0 };
        let mut second_window = Window::new(WINDOW, 0);
        if second.is_none() {
            second_window.close();
        }
        let given = input.unwrap_or_default();
        let inner = Inner {
            main: Window::new(WINDOW, tail),
            second: second_window,
            input: Input {
                taken: given.len() as u64,
                waiting: given.into(),
                ends: verb == "cmd",
                ended_at: None,
            },
            signals: 0,
            exit: None,
            last_output: Instant::now(),
            group: None,
            master,
            attached: session,
            taken_over: 0,
            sized_by: 0,
            answers: 0,
            idle_since: Instant::now(),
            keep: start.keep,
            forgotten: false,
            stopping: false,
        };
        let pid = group.pid().unwrap_or_default();
        let inner = Mutex::new(Inner {
            group: Some(group),
            ..inner
        });
        let channel = Arc::new(Self {
            verb,
            pid,
            inner,
            changed: watch::Sender::new(()),
            tasks: Mutex::default(),
        });
        let mut tasks = vec![
            Task::spawn(channel.clone().write(to)),
            Task::spawn(channel.clone().read(output, |inner| &mut inner.main)),
            Task::spawn(channel.clone().await_exit(end)),
        ];
        if let Some(second) = second {
            tasks.push(Task::spawn(
                channel.clone().read(second, |inner| &mut inner.second),
            ));
        }
        if let Some(time) = start.timeout {
            tasks.push(Task::spawn(channel.clone().time_out(time)));
        }
        *channel.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        Ok(channel)
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Does what an exchange wants, in the order in which the specification lists it.
    ///
    /// # Errors
    /// `not_attached`.
    pub(crate) fn exchange(&self, exchange: &Exchange, access: &Access) -> Result<(), Refused> {
        let mut inner = self.lock();
        if exchange.attach {
            if inner.attached != access.session {
                inner.sized_by = 0;
                inner.taken_over += 1;
            }
            inner.attached = access.session.clone();
        } else if exchange.is_owners() && inner.attached != access.session {
            return Err(not_attached());
        }
        if let Some(out) = exchange.out {
            inner.main.receive(out);
        }
        if let Some(err) = exchange.err {
            inner.second.receive(err);
        }
        inner.take_input(exchange);
        inner.resize(exchange, access.number);
        inner.take_signal(exchange);
        drop(inner);
        self.changed.send_replace(());
        Ok(())
    }

    /// Whether this session may say that it is no longer wanted.
    pub(crate) fn is_attached(&self, session: &SessionId) -> bool {
        self.lock().attached == *session
    }

    /// What `T` says of it now.
    pub(super) fn state(&self) -> State {
        let inner = self.lock();
        State {
            taken: inner.input.taken,
            signals: inner.signals,
        }
    }

    /// Whether nobody has asked for it for as long as it was to be kept.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        let inner = self.lock();
        inner.answers == 0 && now.duration_since(inner.idle_since) >= inner.keep
    }

    /// Whether it is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.lock().master.is_some()
    }

    /// Whether its process has ended.
    pub(crate) fn has_exited(&self) -> bool {
        self.lock().exit.is_some()
    }

    /// Lets the answers that wait for something end: the server stops.
    pub(super) fn stop_answers(&self) {
        self.lock().stopping = true;
        self.changed.send_replace(());
    }

    /// Hangs up: the group gets SIGHUP, 1 s later SIGKILL, and only then is its input closed.
    pub(crate) fn forget(self: &Arc<Self>) {
        let group = {
            let mut inner = self.lock();
            inner.forgotten = true;
            inner.main.close();
            inner.second.close();
            inner.group.take()
        };
        self.changed.send_replace(());
        let channel = self.clone();
        let end = async move {
            if let Some(group) = group {
                group.end_by(Signal::HUP, HANG_UP).await;
            }
            channel
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(end);
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what the process writes into its window, as far as there is room.
    async fn read(self: Arc<Self>, mut from: Receiver, window: fn(&mut Inner) -> &mut Window) {
        let mut changed = self.subscribe();
        let mut buffer = vec![0; PIECE];
        loop {
            let room = window(&mut self.lock()).room().min(PIECE);
            if room == 0 {
                let _ = changed.changed().await;
                continue;
            }
            let read = from.read(buffer.get_mut(..room).unwrap_or_default()).await;
            let mut inner = self.lock();
            inner.last_output = Instant::now();
            match read {
                Ok(0) | Err(_) => {
                    // EIO is how a terminal ends.
                    window(&mut inner).close();
                    drop(inner);
                    self.changed.send_replace(());
                    return;
                }
                Ok(read) => window(&mut inner).push(buffer.get(..read).unwrap_or_default()),
            }
            drop(inner);
            self.changed.send_replace(());
        }
    }

    /// Moves input to the process, and ends it where that was asked for.
    async fn write(self: Arc<Self>, mut to: Sender) {
        let mut changed = self.subscribe();
        loop {
            let (data, ends, terminal) = {
                let mut inner = self.lock();
                let data: Vec<u8> = {
                    let length = inner.input.waiting.len().min(PIECE);
                    inner.input.waiting.drain(..length).collect()
                };
                let ends = inner.input.ends && inner.input.waiting.is_empty();
                (data, ends, end_of_file(inner.master.as_ref()))
            };
            if !data.is_empty() {
                self.changed.send_replace(());
                if to.write_all(&data).await.is_err() {
                    break;
                }
                continue;
            }
            if ends {
                if let Some(end_of_file) = terminal {
                    let _ = to.write_all(&[end_of_file]).await;
                    self.lock().input.ends = false;
                    continue;
                }
                break;
            }
            let _ = changed.changed().await;
        }
        // What comes now is taken by nobody.
        let mut inner = self.lock();
        if inner.master.is_none() {
            inner.input.waiting = VecDeque::new();
        }
    }

    /// Waits for the end of the process, and then for that of its output: where others hold it open, for 1 s
    /// of silence.
    async fn await_exit(self: Arc<Self>, end: End) {
        end.reached().await;
        {
            let mut inner = self.lock();
            let Some(mut group) = inner.group.take() else {
                return;
            };
            let status = group.reap();
            let signal = status.and_then(|status| status.signal()).map(Exit::Signal);
            let code = status.and_then(|status| status.code()).map(Exit::Code);
            inner.exit = signal.or(code);
            inner.last_output = Instant::now();
        }
        self.changed.send_replace(());
        loop {
            let silent_at = {
                let mut inner = self.lock();
                let closed = inner.main.is_closed() && inner.second.is_closed();
                let waits = inner.main.room() == 0 || inner.second.room() == 0;
                let silent_at = inner.last_output + SILENCE;
                if closed || (!waits && silent_at <= Instant::now()) {
                    inner.main.close();
                    inner.second.close();
                    break;
                }
                silent_at.max(Instant::now() + Duration::from_millis(20))
            };
            tokio::time::sleep_until(silent_at).await;
        }
        self.changed.send_replace(());
    }

    async fn time_out(self: Arc<Self>, time: Duration) {
        tokio::time::sleep(time).await;
        self.signal(Signal::TERM);
        tokio::time::sleep(TIME_OUT_GRACE).await;
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = &self.lock().group {
            group.signal(signal);
        }
    }
}

impl Inner {
    pub(super) fn exit(&self) -> Option<Exit> {
        self.exit
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten
    }

    pub(super) fn taken_over(&self) -> u64 {
        self.taken_over
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub(super) fn answers(&mut self, more: bool) {
        if more {
            self.answers += 1;
        } else {
            self.answers = self.answers.saturating_sub(1);
            self.idle_since = Instant::now();
        }
    }

    fn take_input(&mut self, exchange: &Exchange) {
        let at = exchange.at.unwrap_or(self.input.taken);
        let end = at + exchange.data.len() as u64;
        if at <= self.input.taken && !self.input.ends {
            let known = usize::try_from(self.input.taken - at).unwrap_or(usize::MAX);
            let fresh = exchange.data.get(known..).unwrap_or_default();
            let room = INPUT.saturating_sub(self.input.waiting.len());
            let taken = fresh.get(..fresh.len().min(room)).unwrap_or_default();
            self.input.waiting.extend(taken);
            self.input.taken += taken.len() as u64;
        }
        if exchange.ends && self.input.taken >= end && self.input.ended_at != Some(self.input.taken)
        {
            self.input.ends = true;
            self.input.ended_at = Some(self.input.taken);
        }
    }

    fn resize(&mut self, exchange: &Exchange, number: u64) {
        let Some(master) = &self.master else { return };
        let current = || {
            termios::tcgetwinsize(master)
                .map(|size| (size.ws_row, size.ws_col))
                .ok()
        };
        let wanted = exchange.size.filter(|_| number >= self.sized_by);
        if wanted.is_some() {
            self.sized_by = number;
        }
        if let Some((rows, cols)) = wanted.or_else(|| exchange.attach.then(current).flatten()) {
            if exchange.attach {
                // Changed and set back: full-screen programs draw anew.
                set_size(master, rows, cols.saturating_add(1));
            }
            set_size(master, rows, cols);
        }
    }

    fn take_signal(&mut self, exchange: &Exchange) {
        let Some((signal, before)) = exchange.signal else {
            return;
        };
        if before != self.signals {
            return;
        }
        self.signals += 1;
        let foreground = self
            .master
            .as_ref()
            .and_then(|master| termios::tcgetpgrp(master).ok());
        if let Some(group) = &self.group {
            group.send(signal, foreground);
        }
    }
}

fn set_size(master: &OwnedFd, rows: u16, cols: u16) {
    let size = termios::Winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let _ = termios::tcsetwinsize(master, size);
}

/// The character that ends input on a terminal.
fn end_of_file(master: Option<&OwnedFd>) -> Option<u8> {
    let attributes = termios::tcgetattr(master?).ok();
    Some(attributes.map_or(4, |attributes| {
        attributes.special_codes[termios::SpecialCodeIndex::VEOF]
    }))
}

fn not_attached() -> Refused {
    Refused::new(
        409,
        "not_attached",
        "another session is attached to this channel (send attach)",
    )
}

/// Bytes of each stream that are kept until they are received.
const WINDOW: usize = 1 << 20;

/// Bytes of a terminal's output that are kept after they were received.
const TAIL: usize = 16 * 1024;

/// Bytes of input that wait for the process.
const INPUT: usize = 1 << 20;

/// Bytes that are moved at once.
const PIECE: usize = 64 * 1024;

/// Silence after which the output of a process that has ended counts as ended.
const SILENCE: Duration = Duration::from_secs(1);

/// Time between SIGHUP and SIGKILL.
const HANG_UP: Duration = Duration::from_secs(1);

/// Time between SIGTERM and SIGKILL after a time-out.
const TIME_OUT_GRACE: Duration = Duration::from_secs(2);
