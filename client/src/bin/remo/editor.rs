//! Lines typed on a terminal: editing, history, completion.
//! What a line means is not known here.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use remo_client::prompt::command::COMMANDS;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::there::There;

/// What a person has done at the prompt.
#[derive(Debug)]
pub(crate) enum Typed {
    /// Entered a line.
    Line(String),
    /// Thrown the line away, with Ctrl-C.
    Nothing,
    /// Left, with Ctrl-D.
    End,
}

/// A line editor with its history.
pub(crate) struct LineEditor {
    editor: Editor<Words, DefaultHistory>,
    history: Option<PathBuf>,
}

impl LineEditor {
    /// A line editor; `there` completes names of the server, where it can be asked.
    pub(crate) fn new(there: Option<There>) -> rustyline::Result<Self> {
        let config = Config::builder()
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Words {
            files: FilenameCompleter::new(),
            there,
        }));
        let history = history_file();
        if let Some(file) = &history {
            // There is none at first.
            let _ = editor.load_history(file);
        }
        Ok(Self { editor, history })
    }

    pub(crate) fn read(&mut self) -> rustyline::Result<Typed> {
        match self.editor.readline("remo> ") {
            Ok(line) => {
                self.remember(&line)?;
                Ok(Typed::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::Nothing),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(error),
        }
    }

    /// What is typed into interactive commands may be passwords.
    fn remember(&mut self, line: &str) -> rustyline::Result<()> {
        if !line.trim_start().starts_with("idata") {
            self.editor.add_history_entry(line)?;
        }
        Ok(())
    }

    /// Adds the lines of this run to the history of all runs.
    pub(crate) fn save(&mut self) -> rustyline::Result<()> {
        let Some(file) = &self.history else {
            return Ok(());
        };
        if let Some(folder) = file.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        self.editor.append_history(file)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
        Ok(())
    }
}

/// Where the XDG base directories want it.
fn history_file() -> Option<PathBuf> {
    let named = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")))?;
    Some(state.join("remo").join("history"))
}

/// Completes the commands' names, and paths after those that take files.
struct Words {
    files: FilenameCompleter,
    there: Option<There>,
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..at).unwrap_or_default();
        let start = typed.len() - typed.trim_start().len();
        let words = typed.trim_start();
        match words.split_once(char::is_whitespace) {
            None => Ok((start, command_names(words))),
            Some(("help", rest)) => Ok((
                at - rest.trim_start().len(),
                command_names(rest.trim_start()),
            )),
            // The remote name comes first.
            Some(("get" | "put", rest)) if is_one_word(rest) && self.there.is_some() => {
                let there = self.there.as_ref().map(|there| there.complete(typed));
                Ok(there.unwrap_or_default())
            }
            Some(("get" | "put" | "lcd", _)) => self.files.complete_path(line, at),
            Some(_) => Ok((at, Vec::new())),
        }
    }
}

/// Whether no second word has begun.
fn is_one_word(rest: &str) -> bool {
    let mut escaped = false;
    !rest.trim_start().chars().any(|c| {
        let ends = c.is_whitespace() && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })
}

fn command_names(begun: &str) -> Vec<Pair> {
    let fitting = COMMANDS
        .iter()
        .filter(|(name, _, _)| name.starts_with(begun));
    fitting
        .map(|(name, _, _)| Pair {
            display: (*name).to_owned(),
            replacement: format!("{name} "),
        })
        .collect()
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}

#[cfg(test)]
mod tests {
    use rustyline::history::MemHistory;

    use super::*;

    fn completions(line: &str) -> (usize, Vec<String>) {
        let history = MemHistory::new();
        let words = Words {
            files: FilenameCompleter::new(),
            there: None,
        };
        let (start, pairs) = words
            .complete(line, line.len(), &Context::new(&history))
            .unwrap();
        (
            start,
            pairs.into_iter().map(|pair| pair.replacement).collect(),
        )
    }

    #[test]
    fn commands_are_completed_at_the_start_and_after_help() {
        assert_eq!(
            completions("ie"),
            (0, vec!["iexec ".into(), "iend ".into()])
        );
        assert_eq!(completions("  qu"), (2, vec!["quit ".into()]));
        assert_eq!(completions("help se"), (5, vec!["set_encoding ".into()]));
        assert_eq!(completions("exec qu"), (7, vec![]));
    }

    #[test]
    fn the_first_word_of_a_file_command_is_there() {
        for one in ["", " ", "a", " /a/b", "a\\ b"] {
            assert!(is_one_word(one), "{one}");
        }
        for two in ["a ", "a b", "a\\\\ b"] {
            assert!(!is_one_word(two), "{two}");
        }
    }

    #[test]
    fn local_paths_are_completed_after_commands_that_take_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a file"), "").unwrap();
        let line = format!("put remote {}/a", folder.path().display());
        let (_, found) = completions(&line);
        assert_eq!(found.len(), 1);
        let whole = format!("put remote {}", found[0]);
        assert_eq!(
            shell_words::split(&whole).unwrap()[2],
            format!("{}/a file", folder.path().display())
        );
    }
}
