//! Standard input has one reader at a time: who goes on reading it steps aside for a question to the user.
//! What is read, and what is asked, is not known here.

use std::io::{self, PipeReader, PipeWriter, Read, Write, stdin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use crate::raw;

/// Questions that are asked, or wait.
static ASKING: AtomicUsize = AtomicUsize::new(0);

/// Whose turn it is on standard input.
static TURN: Mutex<()> = Mutex::new(());

/// What wakes the reader.
static WAKE: OnceLock<(PipeReader, PipeWriter)> = OnceLock::new();

/// Asks something on the terminal: nobody else reads it meanwhile, and it shows what a terminal shows.
pub(crate) fn aside<T>(ask: impl FnOnce() -> T) -> T {
    ASKING.fetch_add(1, Ordering::SeqCst);
    if let Some((_, wake)) = WAKE.get() {
        let mut wake = wake;
        let _ = wake.write_all(&[0]);
    }
    let turn = turn();
    let answer = raw::suspended(ask);
    ASKING.fetch_sub(1, Ordering::SeqCst);
    drop(turn);
    answer
}

/// Reads from the terminal on standard input, as `read` does; steps aside for questions.
pub(crate) fn read(piece: &mut [u8]) -> io::Result<usize> {
    if WAKE.get().is_none() {
        let _ = WAKE.set(io::pipe()?);
    }
    let Some((woken, _)) = WAKE.get() else {
        return stdin().lock().read(piece);
    };
    loop {
        while ASKING.load(Ordering::SeqCst) > 0 {
            thread::sleep(MOMENT);
        }
        let _turn = turn();
        let input = stdin();
        let mut both = [
            PollFd::new(&input, PollFlags::IN),
            PollFd::new(woken, PollFlags::IN),
        ];
        poll(&mut both, None)?;
        let [_, asked] = both;
        if asked.revents().is_empty() {
            return input.lock().read(piece);
        }
        let mut woken = woken;
        let _ = woken.read(&mut [0])?;
    }
}

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long the reader waits before it looks whether a question is over.
const MOMENT: Duration = Duration::from_millis(20);
