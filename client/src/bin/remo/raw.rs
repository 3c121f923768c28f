//! The terminal as a process there wants it: every key at once, nothing echoed here, and put back in the end.
//! What the keys mean is not known here.

use std::io::{IsTerminal, stdin, stdout};
use std::sync::{Mutex, MutexGuard, PoisonError};

use remo_client::remo2::Size;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// A terminal that is raw until this is dropped, however that comes about.
pub(crate) struct Raw(Termios);

impl Raw {
    pub(crate) fn begin() -> rustix::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        *kept() = Some(before.clone());
        Ok(Self(before))
    }
}

/// Does something on a terminal that is not raw meanwhile.
pub(crate) fn suspended<T>(act: impl FnOnce() -> T) -> T {
    let before = kept().clone();
    let raw = before.and_then(|before| {
        let raw = tcgetattr(stdin()).ok()?;
        tcsetattr(stdin(), OptionalActions::Now, &before).ok()?;
        Some(raw)
    });
    let outcome = act();
    if let Some(raw) = raw {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &raw);
    }
    outcome
}

/// What the terminal was like before it became raw.
fn kept() -> MutexGuard<'static, Option<Termios>> {
    static KEPT: Mutex<Option<Termios>> = Mutex::new(None);
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Raw {
    fn drop(&mut self) {
        *kept() = None;
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// Whether somebody sits here.
pub(crate) fn is_there() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}

/// How large the terminal is.
pub(crate) fn size() -> Size {
    let size = tcgetwinsize(stdout()).ok();
    let known = size.filter(|size| size.ws_row > 0 && size.ws_col > 0);
    known.map_or(Size { rows: 24, cols: 80 }, |size| Size {
        rows: size.ws_row,
        cols: size.ws_col,
    })
}

/// The kind of the terminal.
pub(crate) fn kind() -> String {
    let term = std::env::var("TERM").ok().filter(|term| !term.is_empty());
    term.unwrap_or_else(|| "xterm-256color".into())
}
