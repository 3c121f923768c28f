//! Commands without a terminal: those of `-c`, or a script on standard input.
//! What a command does is not here.

use std::io::{self, BufRead, stdin};
use std::process::ExitCode;

use remo_client::escape::escape;
use remo_client::prompt::command::{Command, CommandError};
use remo_client::prompt::{Next, Prompt, PromptError};
use tokio::sync::mpsc;

use crate::PROGRAM;
use crate::console::Screen;
use crate::signals::Endings;

/// A command and the text that it was given as.
pub(crate) type Given = (String, Command);

/// Reads the commands of `-c`; one that is wrong stops everything before it begins.
pub(crate) fn parse_all(lines: &[String]) -> Result<Vec<Given>, String> {
    let read = |line: &String| match Command::parse(line) {
        Ok(command) => command.map(|command| Ok((line.clone(), command))),
        Err(error) => Some(Err(format!("-c '{}': {error}", escape(line)))),
    };
    lines.iter().filter_map(read).collect()
}

/// Carries out the commands of `-c`, or where `script` says so those of standard input.
pub(crate) async fn run(
    prompt: Prompt<Screen>,
    commands: Vec<Given>,
    script: bool,
    keep_going: bool,
) -> ExitCode {
    let ended = match Endings::listen() {
        Ok(endings) => endings.watch(),
        Err(error) => return remo_cli::fail(PROGRAM, &error),
    };
    let source = if script {
        Source::Script(Script::read())
    } else {
        Source::Given(commands.into_iter())
    };
    let mut batch = Batch {
        prompt,
        source,
        keep_going,
        failed: false,
    };
    let ending = tokio::select! {
        Ok(ending) = ended => ending,
        code = batch.all() => return code,
    };
    batch.prompt.break_off().await;
    ending.code()
}

struct Batch {
    prompt: Prompt<Screen>,
    source: Source,
    keep_going: bool,
    failed: bool,
}

impl Batch {
    async fn all(&mut self) -> ExitCode {
        while let Some(next) = self.source.next().await {
            match self.one(next).await {
                Ok(Next::Continue) => {}
                Ok(Next::Quit) => break,
                Err(error) if self.goes_on_after(&error) => {}
                Err(_) => break,
            }
        }
        // The server ends what is left there: an interactive command, and a session.
        self.prompt.leave().await;
        if self.failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    async fn one(&mut self, next: Result<Command, Failure>) -> Result<Next, Failure> {
        Ok(self.prompt.run(&next?).await?)
    }

    /// Reports a failure; where nobody reads the output any more, there is nothing to go on for.
    fn goes_on_after(&mut self, error: &Failure) -> bool {
        self.failed = true;
        if error.is_broken_pipe() {
            return false;
        }
        remo_cli::report(PROGRAM, &format!("{}{error}", self.source.place()));
        if !self.keep_going {
            self.source.report_rest();
        }
        self.keep_going && !matches!(error, Failure::Input(_))
    }
}

/// Where the commands come from.
enum Source {
    Given(std::vec::IntoIter<Given>),
    Script(Script),
}

impl Source {
    async fn next(&mut self) -> Option<Result<Command, Failure>> {
        match self {
            Self::Given(commands) => commands.next().map(|(_, command)| Ok(command)),
            Self::Script(script) => script.next().await,
        }
    }

    /// What goes before a message.
    fn place(&self) -> String {
        match self {
            Self::Given(_) => String::new(),
            Self::Script(script) => format!("line {}: ", script.line),
        }
    }

    /// Says what is not run after a failure. A pipe is not waited for.
    fn report_rest(&self) {
        let left = match self {
            Self::Given(left) => left.as_slice(),
            Self::Script(_) => {
                return remo_cli::report(
                    PROGRAM,
                    &"the lines after that are not run (--keep-going runs them)",
                );
            }
        };
        if !left.is_empty() {
            let texts: Vec<_> = left
                .iter()
                .map(|(text, _)| format!("  {}", escape(text)))
                .collect();
            remo_cli::report(
                PROGRAM,
                &format!("not run (--keep-going runs them):\n{}", texts.join("\n")),
            );
        }
    }
}

/// Lines of standard input.
struct Script {
    lines: mpsc::Receiver<io::Result<String>>,
    /// The number of the line that was read last.
    line: u64,
}

impl Script {
    /// A thread of its own reads: a signal may end the program while it waits for a line.
    fn read() -> Self {
        let (to, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in stdin().lock().lines() {
                let broken = line.is_err();
                if to.blocking_send(line).is_err() || broken {
                    break;
                }
            }
        });
        Self { lines, line: 0 }
    }

    async fn next(&mut self) -> Option<Result<Command, Failure>> {
        loop {
            let line = self.lines.recv().await?;
            self.line += 1;
            match line
                .map_err(Failure::Input)
                .and_then(|line| Ok(Command::parse(&line)?))
            {
                Ok(None) => {}
                Ok(Some(command)) => return Some(Ok(command)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Prompt(#[from] PromptError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
}

impl Failure {
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Prompt(error) if error.is_broken_pipe())
    }
}
