//! Where a prompt shows things: standard output and standard error.
//! Not here: lines that are typed, which are `editor`'s.

use std::io::{self, IsTerminal, Write, stderr, stdout};

use remo_client::prompt::Console;
use remo_client::upload::Progress;

use crate::{PROGRAM, progress};

/// Standard output for what commands say, standard error for the rest.
#[derive(Debug)]
pub(crate) struct Screen {
    raw: bool,
    remarks: bool,
    /// The output so far ends in the middle of a line.
    open_line: bool,
}

impl Screen {
    /// A screen; `by_hand` says that a person types the commands.
    pub(crate) fn new(by_hand: bool, verbose: bool) -> Self {
        Self {
            raw: !stdout().is_terminal(),
            remarks: by_hand || verbose,
            open_line: false,
        }
    }

    /// Ends an open line, so that the prompt stands at the left.
    pub(crate) fn close_line(&mut self) {
        if std::mem::take(&mut self.open_line) && !self.raw {
            let _ = stdout().write_all(b"\n");
        }
    }
}

impl Console for Screen {
    fn output(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(last) = bytes.last() {
            self.open_line = *last != b'\n';
        }
        let mut out = stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    fn is_raw(&self) -> bool {
        self.raw
    }

    fn remark(&mut self, text: &str) {
        if self.remarks {
            let _ = writeln!(stderr(), "{text}");
        }
    }

    fn hint(&mut self, text: &str) {
        if stderr().is_terminal() {
            // A bar of progress may stand in this line; it is drawn anew below.
            let _ = writeln!(stderr(), "\r\x1b[K{text}");
        } else if self.remarks {
            let _ = writeln!(stderr(), "{text}");
        }
    }

    fn warning(&mut self, text: &str) {
        remo_cli::report(PROGRAM, &format!("warning: {text}"));
    }

    fn progress(&mut self, name: &str, size: Option<u64>) -> Option<Progress> {
        stderr().is_terminal().then(|| progress::start(name, size))
    }
}
