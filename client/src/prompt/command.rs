//! The commands of the prompt: their grammar, their names, their help.
//! Not here: what they do, which is `run`.

use std::path::{Path, PathBuf};

use crate::escape::escape;

/// One command as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Fetches a remote file.
    Get {
        /// The remote name, as the server is to understand it.
        remote: String,
        /// The local name; none: the last part of the remote name, in the current folder.
        local: Option<PathBuf>,
    },
    /// Stores a local file remotely.
    Put {
        /// The remote name, which comes first, as in Python's client.
        remote: String,
        /// The local name; none: the last part of the remote name, in the current folder.
        local: Option<PathBuf>,
    },
    /// Runs a command line to its end.
    Exec(String),
    /// Starts an interactive command.
    Iexec(String),
    /// A line for the interactive command, still without its newline.
    Idata(String),
    /// Ends the input of the interactive command.
    Iend,
    /// Another encoding for text.
    SetEncoding(String),
    /// Who answers there?
    Info,
    /// Logs in anew.
    Login,
    /// Another local folder.
    Lcd(PathBuf),
    /// The local folder.
    Lpwd,
    /// Help on all, or on one command.
    Help(Option<String>),
    /// The end.
    Quit,
}

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The first word is no command's name.
    #[error("unknown command '{0}' (help lists them)")]
    Unknown(String),
    /// Words are missing or left over.
    #[error("usage: {0}")]
    Usage(&'static str),
    /// A quote is not closed.
    #[error("a quote is not closed (usage: {0})")]
    Quote(&'static str),
}

/// Name, usage, and what `help` says of each command.
pub const COMMANDS: &[(&str, &str, &str)] = &[
    (
        "get",
        "get REMOTE [LOCAL]",
        "fetch a file into the local folder, or as LOCAL",
    ),
    (
        "put",
        "put REMOTE [LOCAL]",
        "store a file; the remote name comes first",
    ),
    (
        "exec",
        "exec COMMAND",
        "run a command and show its output; no shell runs",
    ),
    (
        "iexec",
        "iexec COMMAND",
        "start a command to talk to; all but idata, iend end it",
    ),
    (
        "idata",
        "idata TEXT",
        "send the interactive command a line, show its answer",
    ),
    (
        "iend",
        "iend",
        "end the interactive command's input, show the rest",
    ),
    (
        "set_encoding",
        "set_encoding ENCODING",
        "use ENCODING for text (utf_8, latin_1, cp1252, ...)",
    ),
    ("info", "info", "ask the server who it is"),
    (
        "login",
        "login",
        "log in anew (happens by itself where it is needed)",
    ),
    ("lcd", "lcd FOLDER", "go to a local folder"),
    ("lpwd", "lpwd", "show the local folder"),
    ("help", "help [COMMAND]", "show this"),
    ("quit", "quit", "leave; so does the end of the input"),
];

impl Command {
    /// Reads one line; an empty one, and one that begins with `#`, is no command.
    ///
    /// # Errors
    /// [`CommandError`] for a line that is no command.
    pub fn parse(line: &str) -> Result<Option<Self>, CommandError> {
        let line = line.trim_end_matches(['\r', '\n']).trim_start();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let usage = usage(name).ok_or_else(|| CommandError::Unknown(escape(name)))?;
        parse_as(name, rest, usage).map(Some)
    }

    /// The command's name, for messages: it never holds what was typed after it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Get { .. } => "get",
            Self::Put { .. } => "put",
            Self::Exec(_) => "exec",
            Self::Iexec(_) => "iexec",
            Self::Idata(_) => "idata",
            Self::Iend => "iend",
            Self::SetEncoding(_) => "set_encoding",
            Self::Info => "info",
            Self::Login => "login",
            Self::Lcd(_) => "lcd",
            Self::Lpwd => "lpwd",
            Self::Help(_) => "help",
            Self::Quit => "quit",
        }
    }
}

/// The text of `help`, or of `help NAME`; none when there is no such command.
#[must_use]
pub fn help(name: Option<&str>) -> Option<String> {
    let chosen = COMMANDS
        .iter()
        .filter(|(known, _, _)| name.is_none_or(|name| name == *known));
    let text: String = chosen
        .map(|(_, usage, about)| format!("  {usage:<22} {about}\n"))
        .collect();
    (!text.is_empty()).then_some(text)
}

/// The last part of a remote name, in the manner of either kind of system; none when there is none.
#[must_use]
pub fn base_name(remote: &str) -> Option<&str> {
    let name = remote.rsplit(['/', '\\']).next()?;
    (!matches!(name, "" | "." | "..")).then_some(name)
}

fn usage(name: &str) -> Option<&'static str> {
    COMMANDS
        .iter()
        .find(|(known, _, _)| *known == name)
        .map(|(_, usage, _)| *usage)
}

fn parse_as(name: &str, rest: &str, usage: &'static str) -> Result<Command, CommandError> {
    Ok(match name {
        "get" => {
            let (remote, local) = file_names(rest, usage)?;
            Command::Get { remote, local }
        }
        "put" => {
            let (remote, local) = file_names(rest, usage)?;
            Command::Put { remote, local }
        }
        "exec" => Command::Exec(command_line(rest, usage)?),
        "iexec" => Command::Iexec(command_line(rest, usage)?),
        "idata" => Command::Idata(rest.to_owned()),
        "set_encoding" => Command::SetEncoding(one_word(rest, usage)?),
        "lcd" => Command::Lcd(one_word(rest, usage)?.into()),
        "help" => Command::Help(at_most_one(rest, usage)?),
        _ => bare(name, rest, usage)?,
    })
}

/// The commands that take nothing.
fn bare(name: &str, rest: &str, usage: &'static str) -> Result<Command, CommandError> {
    if !rest.trim().is_empty() {
        return Err(CommandError::Usage(usage));
    }
    match name {
        "iend" => Ok(Command::Iend),
        "info" => Ok(Command::Info),
        "login" => Ok(Command::Login),
        "lpwd" => Ok(Command::Lpwd),
        "quit" => Ok(Command::Quit),
        _ => Err(CommandError::Unknown(escape(name))),
    }
}

/// The rest of the line as it stands: it is the server that splits it into words.
fn command_line(rest: &str, usage: &'static str) -> Result<String, CommandError> {
    let line = rest.trim_start();
    if line.trim().is_empty() {
        return Err(CommandError::Usage(usage));
    }
    Ok(line.to_owned())
}

fn file_names(rest: &str, usage: &'static str) -> Result<(String, Option<PathBuf>), CommandError> {
    let mut words = words(rest, usage)?.into_iter();
    match (words.next(), words.next(), words.next()) {
        (Some(remote), local, None) => Ok((remote, local.map(|local| expand_home(&local)))),
        _ => Err(CommandError::Usage(usage)),
    }
}

/// `~` and `~/…` of a local name are the user's home, as completion writes them.
fn expand_home(local: &str) -> PathBuf {
    let rest = match local.strip_prefix('~') {
        Some("") => "",
        Some(rest) if rest.starts_with('/') => rest.trim_start_matches('/'),
        _ => return local.into(),
    };
    std::env::var_os("HOME").map_or_else(|| local.into(), |home| Path::new(&home).join(rest))
}

fn one_word(rest: &str, usage: &'static str) -> Result<String, CommandError> {
    at_most_one(rest, usage)?.ok_or(CommandError::Usage(usage))
}

fn at_most_one(rest: &str, usage: &'static str) -> Result<Option<String>, CommandError> {
    let mut words = words(rest, usage)?.into_iter();
    match (words.next(), words.next()) {
        (word, None) => Ok(word),
        _ => Err(CommandError::Usage(usage)),
    }
}

fn words(rest: &str, usage: &'static str) -> Result<Vec<String>, CommandError> {
    shell_words::split(rest).map_err(|_| CommandError::Quote(usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Command {
        Command::parse(line).unwrap().unwrap()
    }

    #[test]
    fn file_names_are_split_as_a_shell_does_remote_first() {
        let expected = Command::Put {
            remote: "a b".into(),
            local: Some("c d".into()),
        };
        assert_eq!(read("put 'a b' c\\ d"), expected);
        assert_eq!(
            read("get /tmp/x"),
            Command::Get {
                remote: "/tmp/x".into(),
                local: None
            }
        );
    }

    #[test]
    fn command_lines_are_taken_as_they_stand() {
        assert_eq!(
            read("exec  sh -c \"a  'b\" \\x "),
            Command::Exec("sh -c \"a  'b\" \\x ".into())
        );
        assert_eq!(
            read("idata   two spaces kept"),
            Command::Idata("  two spaces kept".into())
        );
        assert_eq!(read("idata"), Command::Idata(String::new()));
    }

    #[test]
    fn nothing_and_comments_are_no_commands() {
        for line in ["", "  \n", "# a word", "\r\n"] {
            assert_eq!(Command::parse(line), Ok(None));
        }
    }

    #[test]
    fn wrong_lines_say_what_is_right() {
        assert_eq!(
            Command::parse("gte\x1b x"),
            Err(CommandError::Unknown("gte\\u{1b}".into()))
        );
        assert_eq!(
            Command::parse("get"),
            Err(CommandError::Usage("get REMOTE [LOCAL]"))
        );
        assert_eq!(
            Command::parse("get a b c"),
            Err(CommandError::Usage("get REMOTE [LOCAL]"))
        );
        assert_eq!(
            Command::parse("get 'a"),
            Err(CommandError::Quote("get REMOTE [LOCAL]"))
        );
        assert_eq!(Command::parse("iend now"), Err(CommandError::Usage("iend")));
        assert_eq!(
            Command::parse("exec "),
            Err(CommandError::Usage("exec COMMAND"))
        );
    }

    #[test]
    fn every_command_of_the_help_is_understood() {
        for (name, usage, _) in COMMANDS {
            let command = read(&usage.replace(['[', ']'], ""));
            assert_eq!(command.name(), *name);
            assert!(help(Some(name)).unwrap().contains(usage));
        }
        assert_eq!(help(Some("nothing")), None);
        let whole = help(None).unwrap();
        assert!(whole.lines().all(|line| line.len() < 80), "{whole}");
    }

    #[test]
    fn the_default_local_name_cannot_leave_the_folder() {
        assert_eq!(base_name("/etc/hosts"), Some("hosts"));
        assert_eq!(base_name("C:\\a\\b.txt"), Some("b.txt"));
        for bad in ["", "/", "a/", "..", "a/..", "."] {
            assert_eq!(base_name(bad), None, "{bad}");
        }
    }
}
