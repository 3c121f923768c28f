//! Asking for a password, on a terminal or from a pipe.
//! What the password then opens or seals is not known here.

use std::error::Error;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::os::fd::AsFd;

use zeroize::{Zeroize, Zeroizing};

/// Why there is no password.
#[derive(Debug)]
pub enum PasswordError {
    /// Standard input ended before a line.
    Missing,
    /// The two entries were not the same.
    Differ,
    /// The line is longer than 1024 bytes.
    TooLong,
    /// The line is not UTF-8.
    NotText,
    /// The user broke off, with Ctrl-C or Ctrl-D.
    BrokenOff,
    /// The terminal or the pipe cannot be read.
    Io(io::Error),
}

impl Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(
                "no password on standard input (give one line; an empty one means no password)",
            ),
            Self::Differ => f.write_str("the two passwords differ (enter the same one twice)"),
            Self::TooLong => write!(f, "the password is too long (at most {MAX_BYTES} bytes)"),
            Self::NotText => f.write_str("the password is not UTF-8 text"),
            Self::BrokenOff => f.write_str("no password was given"),
            Self::Io(error) => write!(f, "cannot read the password: {}", crate::reason(error)),
        }
    }
}

impl Error for PasswordError {}

/// Asks for a password that is to open something.
///
/// On a terminal the `prompt` is shown and nothing is echoed; otherwise one line of standard input is
/// the password, without its end, and what follows that line stays to be read.
///
/// # Errors
/// See [`PasswordError`].
pub fn read_password(prompt: &str) -> Result<Zeroizing<String>, PasswordError> {
    match io::stdin().is_terminal() {
        true => ask(prompt),
        false => read_line(stdin_unbuffered()?),
    }
}

/// Asks for a password that is to seal something: on a terminal twice, to catch a slip of the finger;
/// otherwise as [`read_password`]. An empty one is the user's way to want none.
///
/// # Errors
/// See [`PasswordError`].
pub fn read_new_password(prompt: &str) -> Result<Zeroizing<String>, PasswordError> {
    let first = read_password(prompt)?;
    match io::stdin().is_terminal() {
        true => agree(first, ask("The same again: ")?),
        false => Ok(first),
    }
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, PasswordError> {
    let typed = rpassword::prompt_password(prompt).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::Interrupted => PasswordError::BrokenOff,
        _ => PasswordError::Io(error),
    })?;
    let typed = Zeroizing::new(typed);
    match typed.len() > MAX_BYTES {
        true => Err(PasswordError::TooLong),
        false => Ok(typed),
    }
}

fn agree(
    first: Zeroizing<String>,
    second: Zeroizing<String>,
) -> Result<Zeroizing<String>, PasswordError> {
    match *first == *second {
        true => Ok(first),
        false => Err(PasswordError::Differ),
    }
}

/// Standard input without the buffer of `std`, in which a password would stay behind.
fn stdin_unbuffered() -> Result<File, PasswordError> {
    let descriptor = io::stdin().as_fd().try_clone_to_owned();
    Ok(File::from(descriptor.map_err(PasswordError::Io)?))
}

/// Reads byte by byte: what follows the line belongs to somebody else.
fn read_line(mut source: impl Read) -> Result<Zeroizing<String>, PasswordError> {
    // Reserved at once: a buffer that grows leaves copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 2));
    let mut ended = false;
    while !ended {
        match next(&mut source)? {
            None if line.is_empty() => return Err(PasswordError::Missing),
            None | Some(b'\n') => ended = true,
            Some(_) if line.len() > MAX_BYTES => return Err(PasswordError::TooLong),
            Some(byte) => line.push(byte),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    into_text(&mut line)
}

fn next(source: &mut impl Read) -> Result<Option<u8>, PasswordError> {
    let mut byte = Zeroizing::new([0_u8]);
    loop {
        match source.read(byte.as_mut()) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(byte.first().copied()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(PasswordError::Io(error)),
        }
    }
}

fn into_text(line: &mut Vec<u8>) -> Result<Zeroizing<String>, PasswordError> {
    if line.len() > MAX_BYTES {
        return Err(PasswordError::TooLong);
    }
    String::from_utf8(std::mem::take(line))
        .map(Zeroizing::new)
        .map_err(|error| {
            error.into_bytes().zeroize();
            PasswordError::NotText
        })
}

/// What a password may take, in bytes.
const MAX_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8]) -> Result<String, PasswordError> {
        read_line(bytes).map(|password| password.to_string())
    }

    #[test]
    fn a_line_is_read_without_its_end() {
        for bytes in ["päss\n", "päss\r\n", "päss", "päss\nnext\n"] {
            assert_eq!(line(bytes.as_bytes()).unwrap(), "päss");
        }
        assert_eq!(line(b" spaces count \n").unwrap(), " spaces count ");
    }

    #[test]
    fn an_empty_line_is_an_empty_password_and_no_line_is_none() {
        assert_eq!(line(b"\n").unwrap(), "");
        assert_eq!(line(b"\r\n").unwrap(), "");
        assert!(matches!(line(b""), Err(PasswordError::Missing)));
    }

    #[test]
    fn what_follows_the_line_stays_unread() {
        let mut source: &[u8] = b"secret\nget a b\n";
        read_line(&mut source).unwrap();
        assert_eq!(source, b"get a b\n");
    }

    #[test]
    fn a_line_has_a_ceiling_of_1024_bytes() {
        assert_eq!(line(&[b'x'; MAX_BYTES]).unwrap().len(), MAX_BYTES);
        let with_end = [vec![b'x'; MAX_BYTES], b"\r\n".to_vec()].concat();
        assert_eq!(line(&with_end).unwrap().len(), MAX_BYTES);
        assert!(matches!(
            line(&[b'x'; MAX_BYTES + 1]),
            Err(PasswordError::TooLong)
        ));
        assert!(matches!(
            read_line(io::repeat(b'x')),
            Err(PasswordError::TooLong)
        ));
    }

    #[test]
    fn what_is_not_text_is_refused() {
        assert!(matches!(line(b"\xff\n"), Err(PasswordError::NotText)));
    }

    #[test]
    fn two_entries_must_agree() {
        let entry = |text: &str| Zeroizing::new(text.to_owned());
        assert_eq!(*agree(entry("a"), entry("a")).unwrap(), "a");
        assert!(matches!(
            agree(entry("a"), entry("b")),
            Err(PasswordError::Differ)
        ));
    }

    #[test]
    fn no_message_shows_a_password() {
        let error = line(b"sesame\xff\n").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("sesame"));
    }
}
