//! A process behind a channel: on pipes or a terminal, signalled as a group, awaited, hung up.
//! How it is started is `start`'s to know.

use std::{
    future::Future,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use remo_protocol::remo2::session_id::SessionId;
use rustix::{process::Signal, termios};
use tokio::time::Instant;

use super::{
    Refused, Stream,
    channel::Channel,
    far::{Exit, Far, Left},
    input::Input,
    start::{Start, Started},
    state::{Beginning, Opening},
    window::Window,
};
use crate::exec::{End, Group, Living};

struct Process {
    group: Shared,
    pid: Option<i32>,
    master: Option<OwnedFd>,
}

/// The group of a process, until it is reaped or ended.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<Group>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.lock().as_ref() {
            group.signal(signal);
        }
    }
}

/// Starts what `start` says, with an input that may be whole already.
///
/// # Errors
/// What starting it refused.
pub(super) fn open(
    verb: &'static str,
    start: &Start,
    input: Option<Vec<u8>>,
    session: SessionId,
    window: usize,
    living: &Arc<Living>,
) -> Result<Arc<Channel>, Refused> {
    let has_none = verb == "cmd" && input.as_ref().is_none_or(Vec::is_empty);
    let Started {
        group,
        input: to,
        output,
        second,
        master,
    } = start.start(has_none, living)?;
    let end = group.end();
    let tail = if master.is_some() { TAIL } else { 0 };
    let mut second_window = Window::new(window, 0);
    if second.is_none() {
        second_window.close();
    }
    let process = Process {
        pid: group.pid(),
        group: Shared(Arc::new(Mutex::new(Some(group)))),
        master,
    };
    let group = process.group.clone();
    let beginning = Beginning {
        main: Window::new(window, tail),
        second: second_window,
        input: Input::new(input.unwrap_or_default(), verb == "cmd"),
        opening: Opening::Done,
        far: Box::new(process),
        session,
        keep: start.keep,
    };
    let channel = Channel::new(verb, None, beginning);
    if let Some(to) = to {
        let here = channel.clone();
        channel.spawn(async move { drop(here.give_input(to).await) });
    }
    let here = channel.clone();
    channel.spawn(async move { drop(here.take_output(output, Stream::Main).await) });
    if let Some(second) = second {
        let here = channel.clone();
        channel.spawn(async move { drop(here.take_output(second, Stream::Second).await) });
    }
    channel.spawn(await_exit(channel.clone(), end, group.clone()));
    if let Some(time) = start.timeout {
        channel.spawn(time_out(group, time));
    }
    Ok(channel)
}

/// Waits for the end of the process, and then for that of its output: where others hold it open, for 1 s of
/// silence.
async fn await_exit(channel: Arc<Channel>, end: End, group: Shared) {
    end.reached().await;
    let Some(mut group) = group.lock().take() else {
        return;
    };
    let status = group.reap();
    let signal = status.and_then(|status| status.signal()).map(Exit::Signal);
    let code = status.and_then(|status| status.code()).map(Exit::Code);
    channel.ends(signal.or(code));
    let mut changed = channel.subscribe();
    while let Some(until) = silent_at(&channel) {
        // As long as nobody receives what fills a window, nothing can come.
        match until {
            Some(until) => drop(tokio::time::timeout_at(until, changed.changed()).await),
            None => {
                let _ = changed.changed().await;
                // From now on it can speak again.
                channel.lock().last_output = Instant::now();
            }
        }
    }
    channel.changed();
}

/// Until when output may still come, if no time is set: as long as a window is full. `None` once it has ended.
#[allow(clippy::option_option)]
fn silent_at(channel: &Channel) -> Option<Option<Instant>> {
    let mut state = channel.lock();
    let until = state.last_output + SILENCE;
    if state.is_closed() {
        return None;
    }
    if state.is_full() {
        return Some(None);
    }
    if until <= Instant::now() {
        state.close();
        return None;
    }
    Some(Some(until))
}

async fn time_out(group: Shared, time: Duration) {
    tokio::time::sleep(time).await;
    group.signal(Signal::TERM);
    tokio::time::sleep(TIME_OUT_GRACE).await;
    group.signal(Signal::KILL);
}

impl Far for Process {
    fn pid(&self) -> Option<i32> {
        self.pid
    }

    fn is_terminal(&self) -> bool {
        self.master.is_some()
    }

    /// Of a terminal, whatever is set there now.
    fn end_of_file(&self) -> Option<u8> {
        let attributes = termios::tcgetattr(self.master.as_ref()?).ok();
        Some(attributes.map_or(4, |attributes| {
            attributes.special_codes[termios::SpecialCodeIndex::VEOF]
        }))
    }

    /// Of a terminal, as its own line discipline has it: only where it would throw output away too.
    fn interrupts(&self) -> [u8; 3] {
        use termios::{LocalModes, SpecialCodeIndex};
        let attributes = self
            .master
            .as_ref()
            .and_then(|it| termios::tcgetattr(it).ok());
        let flushes = |modes: LocalModes| {
            modes.contains(LocalModes::ISIG) && !modes.contains(LocalModes::NOFLSH)
        };
        match attributes.filter(|attributes| flushes(attributes.local_modes)) {
            None => [0; 3],
            Some(attributes) => {
                let code = |index: SpecialCodeIndex| attributes.special_codes[index];
                [
                    code(SpecialCodeIndex::VINTR),
                    code(SpecialCodeIndex::VQUIT),
                    code(SpecialCodeIndex::VSUSP),
                ]
            }
        }
    }

    fn resize(&self, size: Option<(u16, u16)>, anew: bool) {
        let Some(master) = &self.master else { return };
        let current = || {
            termios::tcgetwinsize(master)
                .map(|size| (size.ws_row, size.ws_col))
                .ok()
        };
        if let Some((rows, cols)) = size.or_else(current) {
            if anew {
                // Changed and set back: full-screen programs draw anew.
                set_size(master, rows, cols.saturating_add(1));
            }
            set_size(master, rows, cols);
        }
    }

    fn signal(&self, signal: i32) -> Result<(), Refused> {
        let foreground = self
            .master
            .as_ref()
            .and_then(|master| termios::tcgetpgrp(master).ok());
        if let Some(group) = self.group.lock().as_ref() {
            group.send(signal, foreground);
        }
        Ok(())
    }

    /// The group gets SIGHUP, 1 s later SIGKILL.
    fn hang_up(self: Box<Self>, _: Left) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let group = self.group.lock().take();
        Box::pin(async move {
            if let Some(group) = group {
                group.end_by(Signal::HUP, HANG_UP).await;
            }
            drop(self);
        })
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

/// Bytes of a terminal's output that are kept after they were received.
const TAIL: usize = 16 * 1024;

/// Silence after which the output of a process that has ended counts as ended.
const SILENCE: Duration = Duration::from_secs(1);

/// Time between SIGHUP and SIGKILL.
const HANG_UP: Duration = Duration::from_secs(1);

/// Time between SIGTERM and SIGKILL after a time-out.
const TIME_OUT_GRACE: Duration = Duration::from_secs(2);
