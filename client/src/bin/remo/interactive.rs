//! The prompt on a terminal: a person types, Ctrl-C ends a command, Ctrl-D the program.
//! How lines are edited is `editor`'s.

use std::io::stdin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use remo_client::prompt::command::Command;
use remo_client::prompt::{Next, Prompt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::PROGRAM;
use crate::console::Screen;
use crate::editor::{LineEditor, Typed};
use crate::signals::{Ending, Endings, interrupted};
use crate::there::There;

/// Logs in and runs the prompt until its end.
pub(crate) fn run(runtime: &Runtime, prompt: Prompt<Screen>) -> ExitCode {
    let there = prompt.remote();
    let there = there.map(|remote| There::new(runtime.handle().clone(), remote));
    let conversation =
        LineEditor::new(there).map(|editor| Conversation::new(runtime, prompt, editor));
    let mut conversation = match conversation {
        Ok(conversation) => conversation,
        Err(error) => return remo_cli::fail(PROGRAM, &format!("cannot use the terminal: {error}")),
    };
    if !conversation.does(&Command::Login) {
        return ExitCode::FAILURE;
    }
    let code = conversation.hold();
    conversation.close();
    code
}

struct Conversation<'r> {
    runtime: &'r Runtime,
    prompt: Prompt<Screen>,
    editor: LineEditor,
    /// A signal that ends the program has come.
    ended: watch::Receiver<Option<Ending>>,
    /// Nobody but the line editor is at work: it would not notice such a signal.
    waiting: Arc<AtomicBool>,
    next: Next,
}

impl<'r> Conversation<'r> {
    fn new(runtime: &'r Runtime, prompt: Prompt<Screen>, editor: LineEditor) -> Self {
        let waiting = Arc::new(AtomicBool::new(false));
        let (tell, ended) = watch::channel(None);
        runtime.spawn(watch_for_the_end(
            tell,
            Arc::clone(&waiting),
            tcgetattr(stdin()).ok(),
        ));
        Self {
            runtime,
            prompt,
            editor,
            ended,
            waiting,
            next: Next::Continue,
        }
    }

    fn hold(&mut self) -> ExitCode {
        while self.next == Next::Continue {
            match self.read() {
                Ok(Typed::Line(line)) => self.take(&line),
                Ok(Typed::Nothing) => {}
                Ok(Typed::End) => break,
                Err(error) => {
                    return remo_cli::fail(PROGRAM, &format!("cannot read the terminal: {error}"));
                }
            }
            if let Some(ending) = *self.ended.borrow() {
                return ending.code();
            }
        }
        ExitCode::SUCCESS
    }

    fn read(&mut self) -> rustyline::Result<Typed> {
        self.waiting.store(true, Ordering::SeqCst);
        let typed = if self.ended.borrow().is_some() {
            Ok(Typed::End)
        } else {
            self.editor.read()
        };
        self.waiting.store(false, Ordering::SeqCst);
        typed
    }

    fn take(&mut self, line: &str) {
        match Command::parse(line) {
            Ok(Some(command)) => drop(self.does(&command)),
            Ok(None) => {}
            Err(error) => remo_cli::report(PROGRAM, &error),
        }
    }

    /// Carries out one command, until it ends or a signal ends it; says whether it succeeded.
    fn does(&mut self, command: &Command) -> bool {
        let Self {
            runtime,
            prompt,
            ended,
            ..
        } = self;
        let outcome = runtime.block_on(async {
            tokio::select! {
                outcome = prompt.run(command) => return outcome.map_err(|error| error.to_string()),
                () = interrupted() => {}
                _ = ended.changed() => {}
            }
            prompt.break_off().await;
            Err(format!("{} was broken off", command.name()))
        });
        self.prompt.console().close_line();
        match outcome {
            Ok(next) => self.next = next,
            Err(ref error) => remo_cli::report(PROGRAM, error),
        }
        outcome.is_ok()
    }

    fn close(mut self) {
        if let Err(error) = self.editor.save() {
            remo_cli::report(PROGRAM, &format!("cannot save the history: {error}"));
        }
        // The server ends what is left there: an interactive command, and a session.
        self.runtime.block_on(self.prompt.leave());
    }
}

/// Tells of the signal that ends the program. While the line editor waits, the program ends here, and the terminal is left
/// as it was found.
async fn watch_for_the_end(
    tell: watch::Sender<Option<Ending>>,
    waiting: Arc<AtomicBool>,
    terminal: Option<Termios>,
) {
    let Ok(mut endings) = Endings::listen() else {
        return;
    };
    let ending = endings.wait_but_interrupt().await;
    let _ = tell.send(Some(ending));
    if waiting.load(Ordering::SeqCst) {
        if let Some(terminal) = terminal {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &terminal);
        }
        std::process::exit(ending.number());
    }
    // Kept until the conversation has heard of it.
    tell.closed().await;
}
