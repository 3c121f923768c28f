//! How a program says what went wrong, and how it writes what it was asked for.
//! Logs of the server are not written here.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Writes `PROGRAM: message` to standard error. Control characters, which a file's name or a server's
/// answer may hold, are shown and not sent to the terminal.
pub fn report(program: &str, message: &dyn Display) {
    let line = format!("{program}: {}\n", printable(&message.to_string()));
    // There is nobody left to tell when standard error is closed.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Reports `message` and gives the code to exit with, 1.
#[must_use]
pub fn fail(program: &str, message: &dyn Display) -> ExitCode {
    report(program, message);
    ExitCode::FAILURE
}

/// Writes `text` to standard output, all of it at once.
///
/// # Errors
/// Those of writing, such as a full disk; but a reader that left, having seen enough, is none.
pub fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    forgive_leaving(out.write_all(text.as_ref()).and_then(|()| out.flush()))
}

/// What an error of the system means, in the words that messages use: lower case, no number.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    let first: Option<String> = letters.next().map(|first| first.to_lowercase().collect());
    first.unwrap_or_default() + letters.as_str()
}

/// Prints `text` as all that `program` had to do.
pub(crate) fn printed(program: &str, text: &[u8]) -> ExitCode {
    match print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let why = reason(&error);
            fail(program, &format!("cannot write to standard output: {why}"))
        }
    }
}

fn forgive_leaving(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// The message with its control characters shown as escapes, save for line ends and tabs.
#[must_use]
pub fn printable(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    for c in message.chars() {
        match c.is_control() && c != '\n' && c != '\t' {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable("zoë\n\tnext"), "zoë\n\tnext");
    }

    #[test]
    fn a_reader_that_left_is_no_error_and_a_full_disk_is() {
        assert!(forgive_leaving(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert!(forgive_leaving(Err(ErrorKind::StorageFull.into())).is_err());
    }

    #[test]
    fn a_reason_is_lower_case_and_has_no_number() {
        let error = io::Error::from_raw_os_error(13);
        assert_eq!(reason(&error), "permission denied");
        assert_eq!(reason(&io::Error::other("")), "");
    }

    #[test]
    fn failing_exits_with_1() {
        assert_eq!(fail("demo", &"nothing works"), ExitCode::from(1));
    }
}
