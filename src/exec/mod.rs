//! Processes: started from a list of words, each in a process group of its own, and never left behind.
//! Who asked for them is not known here.

mod group;
mod interactive;
mod run;
mod spool;

pub(crate) use group::{Counted, End, Group, Living};
pub(crate) use interactive::{Borrowed, Interactive, Slot};
pub(crate) use run::{RunError, Task, gather, run};
pub(crate) use spool::{Spool, SpoolError};

use bytes::Bytes;

/// Why there is no command to run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineError {
    #[error("the command line is empty")]
    Empty,
    #[error("the command line is not UTF-8")]
    Encoding,
    #[error("the command line contains a NUL character")]
    Nul,
    #[error(
        "the command line is longer than {} bytes",
        remo_protocol::limits::ARGUMENT
    )]
    Long,
    #[error("the command line has an opening quote or a backslash without its end")]
    Quote,
}

/// The words of a command line, split as a POSIX shell splits them. No shell runs.
pub(crate) fn words(line: &Bytes) -> Result<Vec<String>, LineError> {
    if line.len() > remo_protocol::limits::ARGUMENT {
        return Err(LineError::Long);
    }
    let line = std::str::from_utf8(line).map_err(|_| LineError::Encoding)?;
    if line.contains('\0') {
        return Err(LineError::Nul);
    }
    let words = shell_words::split(&plain(line)).map_err(|_| LineError::Quote)?;
    if words.is_empty() {
        Err(LineError::Empty)
    } else {
        Ok(words)
    }
}

/// The same line with every `#` that begins a word escaped: to a shell's script it would begin a comment, and a command line
/// has none (Python's server takes it as it is).
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let (mut quote, mut escaped, mut begins, mut before) = (None, false, true, true);
    for character in line.chars() {
        if character == '#' && begins {
            plain.push('\\');
        }
        plain.push(character);
        let began = begins;
        begins = !escaped && quote.is_none() && matches!(character, ' ' | '\t' | '\n');
        if escaped {
            escaped = false;
            // An escaped end of a line is nothing at all.
            begins = character == '\n' && quote.is_none() && before;
        } else if character == '\\' && quote != Some('\'') {
            escaped = true;
            before = began;
        } else if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && matches!(character, '\'' | '"') {
            quote = Some(character);
        }
    }
    plain
}

/// The command that these words name, in a process group of its own.
pub(crate) fn command(words: &[String]) -> std::process::Command {
    use std::os::unix::process::CommandExt;
    let (program, arguments) = words
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let mut command = std::process::Command::new(program);
    command.args(arguments).process_group(0);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        let split = |line: &str| words(&Bytes::copy_from_slice(line.as_bytes()));
        assert_eq!(
            split("#a #b c#d '#e' \"x #y\" '\\' #f \\#g \\ #h \\\n#i j\\\n#k").unwrap(),
            [
                "#a", "#b", "c#d", "#e", "x #y", "\\", "#f", "#g", " #h", "#i", "j#k"
            ],
            "nothing is a comment"
        );
        assert_eq!(
            split(r#"a 'b c' "d e" f\ g"#).unwrap(),
            ["a", "b c", "d e", "f g"]
        );
        assert_eq!(
            split("$HOME *").unwrap(),
            ["$HOME", "*"],
            "nothing is expanded"
        );
        assert_eq!(split("''").unwrap(), [""]);
        assert_eq!(split("  "), Err(LineError::Empty));
        assert_eq!(split("a 'b"), Err(LineError::Quote));
        assert_eq!(split("a\0b"), Err(LineError::Nul));
        assert_eq!(
            words(&Bytes::from_static(b"\xff")),
            Err(LineError::Encoding)
        );
        assert_eq!(split(&"a".repeat(40_000)), Err(LineError::Long));
    }
}
