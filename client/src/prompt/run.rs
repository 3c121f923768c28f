//! What each command of the prompt does.
//! Not here: how commands are typed, which is `command`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::command::{Command, base_name, help};
use super::remo2::Conversation;
use super::sink::Sink;
use crate::encoding::{Decoder, Encoding, UnknownEncoding, Unmappable};
use crate::error::Error;
use crate::escape::escape;
use crate::remo2::{Ended, Failure, Remote};
use crate::session::Session;
use crate::upload::{Progress, Upload};

/// Where a prompt shows things.
pub trait Console {
    /// Takes output of commands: text in UTF-8, or bytes as they came where [`is_raw`](Self::is_raw).
    ///
    /// # Errors
    /// Those of writing; a reader that went away is one.
    fn output(&mut self, bytes: &[u8]) -> std::io::Result<()>;

    /// Whether UTF-8 output is passed on byte by byte, even where it is not text.
    fn is_raw(&self) -> bool;

    /// Takes a remark for a person, not part of any output.
    fn remark(&mut self, text: &str);

    /// Takes a remark on a command that is still at work, for a person who may be waiting for it.
    fn hint(&mut self, text: &str);

    /// Takes a warning, which is shown in any case.
    fn warning(&mut self, text: &str);

    /// Begins to show how far a transfer is, where somebody watches. What it gives is dropped at the end.
    fn progress(&mut self, name: &str, size: Option<u64>) -> Option<Progress>;
}

/// What comes after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next command.
    Continue,
    /// The end.
    Quit,
}

/// Why a command of the prompt failed.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The conversation with the server.
    #[error(transparent)]
    Client(#[from] Error),
    /// The same, by remo/2.
    #[error(transparent)]
    Remote(#[from] Failure),
    /// A command that ended otherwise than well, which remo/2 tells.
    #[error("{}", ended(.0))]
    Ended(Ended),
    /// A command line whose quotes are not closed.
    #[error("a quote in the command line is not closed")]
    Quote,
    /// There is no interactive command.
    #[error("no interactive command runs (iexec starts one)")]
    NoneRuns,
    /// A name of no encoding.
    #[error(transparent)]
    Encoding(#[from] UnknownEncoding),
    /// Text that the encoding cannot write.
    #[error(transparent)]
    Unmappable(#[from] Unmappable),
    /// A remote name whose last part is no file's name.
    #[error("'{}' ends in no file name (give the local name too)", escape(.0))]
    NoName(String),
    /// `help` for a command that is none.
    #[error("no help for '{}' (help lists the commands)", escape(.0))]
    NoHelp(String),
}

impl PromptError {
    /// Whether the reader of the output went away, which is no failure worth words.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Client(error) => error.is_broken_pipe(),
            Self::Remote(failure) => failure.is_broken_pipe(),
            _ => false,
        }
    }

    /// Whether what ran there is gone with it.
    pub(super) fn is_the_end_of_it(&self) -> bool {
        matches!(
            self,
            Self::Remote(Failure::Gone | Failure::Restarted | Failure::Taken)
        )
    }
}

fn ended(how: &Ended) -> String {
    match how {
        Ended::Exit(status) => format!("the command ended with exit status {status}"),
        Ended::Signal(signal) => format!("the command was ended by signal {signal}"),
    }
}

/// With whom a prompt talks, and in which words.
#[derive(Debug)]
pub enum Talk {
    /// A session of dialect 0.3 or 0.6.
    Older(Session),
    /// A server of remo/2.
    Remo2(Conversation),
}

impl From<Session> for Talk {
    fn from(session: Session) -> Self {
        Self::Older(session)
    }
}

impl From<Arc<Remote>> for Talk {
    fn from(remote: Arc<Remote>) -> Self {
        Self::Remo2(Conversation::new(remote))
    }
}

/// A prompt: somebody to talk with, an encoding, and a place to show things.
#[derive(Debug)]
pub struct Prompt<C> {
    talk: Talk,
    encoding: Encoding,
    console: C,
    /// Of the interactive command: one read may end within a character.
    interactive: Option<Decoder>,
    told_of_cuts: bool,
}

impl<C: Console> Prompt<C> {
    /// A prompt; nothing is asked yet.
    pub fn new(talk: impl Into<Talk>, encoding: Encoding, console: C) -> Self {
        Self {
            talk: talk.into(),
            encoding,
            console,
            interactive: None,
            told_of_cuts: false,
        }
    }

    /// Ends what runs on the server, and the session where that can be ended. What cannot be told the server, it notices later.
    pub async fn leave(&mut self) {
        match &mut self.talk {
            Talk::Older(session) => drop(session.logout().await),
            Talk::Remo2(conversation) => conversation.leave().await,
        }
    }

    /// After a command that was left in its middle: what it runs there ends. The older dialects end it with its connection.
    pub async fn break_off(&mut self) {
        if let Talk::Remo2(conversation) = &mut self.talk {
            conversation.leave().await;
        }
    }

    /// The server, where it is one of remo/2, to ask it other things meanwhile.
    #[must_use]
    pub fn remote(&self) -> Option<Arc<Remote>> {
        match &self.talk {
            Talk::Older(_) => None,
            Talk::Remo2(conversation) => Some(conversation.remote.clone()),
        }
    }

    /// The place where things are shown.
    pub fn console(&mut self) -> &mut C {
        &mut self.console
    }

    /// Carries out one command.
    ///
    /// # Errors
    /// [`PromptError`]; the prompt goes on all the same.
    pub async fn run(&mut self, command: &Command) -> Result<Next, PromptError> {
        match command {
            Command::Get { remote, local } => self.get(remote, local.as_deref()).await?,
            Command::Put { remote, local } => self.put(remote, local.as_deref()).await?,
            Command::Exec(line) => self.exec(line).await?,
            Command::Iexec(line) => self.iexec(line).await?,
            Command::Idata(text) => self.idata(text).await?,
            Command::Iend => self.iend().await?,
            Command::SetEncoding(name) => self.encoding = name.parse()?,
            Command::Info => self.info().await?,
            Command::Login => self.login().await?,
            Command::Lcd(folder) => change_folder(folder)?,
            Command::Lpwd => self.show_folder()?,
            Command::Help(name) => self.help(name.as_deref())?,
            Command::Quit => return Ok(Next::Quit),
        }
        self.tell_of_cuts();
        Ok(Next::Continue)
    }

    async fn get(&mut self, remote: &str, local: Option<&Path>) -> Result<(), PromptError> {
        let local = local_target(remote, local)?;
        let progress = self.console.progress(remote, None);
        let size = match &mut self.talk {
            Talk::Older(session) => session.get_file(remote, &local, progress).await?,
            Talk::Remo2(conversation) => conversation.get(remote, &local, progress).await?,
        };
        self.console.remark(&format!(
            "'{}': {size} bytes",
            escape(&local.to_string_lossy())
        ));
        Ok(())
    }

    async fn put(&mut self, remote: &str, local: Option<&Path>) -> Result<(), PromptError> {
        let local = local.map_or_else(|| default_name(remote), |local| Ok(local.into()))?;
        let console = &mut self.console;
        match &mut self.talk {
            Talk::Older(session) => put_older(session, console, remote, &local).await?,
            Talk::Remo2(conversation) => conversation.put(remote, &local, console).await?,
        }
        self.console
            .remark(&format!("'{}' is stored", escape(remote)));
        Ok(())
    }

    async fn exec(&mut self, line: &str) -> Result<(), PromptError> {
        let mut decoder = self.encoding.decoder();
        let mut sink = sink(&mut self.console, self.encoding, &mut decoder);
        match &mut self.talk {
            Talk::Older(session) => {
                sink.pour(session.exec(line, Upload::empty()).await?)
                    .await?;
                Ok(sink.end()?)
            }
            Talk::Remo2(conversation) => conversation.exec(line, &mut sink).await,
        }
    }

    async fn iexec(&mut self, line: &str) -> Result<(), PromptError> {
        let mut decoder = self.encoding.decoder();
        let mut sink = sink(&mut self.console, self.encoding, &mut decoder);
        match &mut self.talk {
            Talk::Older(session) => sink.pour(session.iexec(line).await?).await?,
            Talk::Remo2(conversation) => conversation.iexec(line, &mut sink).await?,
        }
        self.interactive = Some(decoder);
        Ok(())
    }

    async fn idata(&mut self, text: &str) -> Result<(), PromptError> {
        let data = self.encoding.encode(&format!("{text}\n"))?;
        let decoder = self
            .interactive
            .get_or_insert_with(|| self.encoding.decoder());
        let mut sink = sink(&mut self.console, self.encoding, decoder);
        match &mut self.talk {
            Talk::Older(session) => Ok(sink.pour(session.idata(data).await?).await?),
            Talk::Remo2(conversation) => conversation.idata(data.into(), &mut sink).await,
        }
    }

    async fn iend(&mut self) -> Result<(), PromptError> {
        let mut decoder = self
            .interactive
            .take()
            .unwrap_or_else(|| self.encoding.decoder());
        let mut sink = sink(&mut self.console, self.encoding, &mut decoder);
        match &mut self.talk {
            Talk::Older(session) => {
                sink.pour(session.iend().await?).await?;
                Ok(sink.end()?)
            }
            Talk::Remo2(conversation) => conversation.iend(&mut sink).await,
        }
    }

    async fn login(&mut self) -> Result<(), PromptError> {
        let greeting = match &mut self.talk {
            Talk::Older(session) => session.greet().await?,
            Talk::Remo2(conversation) => Some(conversation.greet().await?),
        };
        if let Some(greeting) = greeting {
            self.console.remark(&escape(greeting.trim()));
        }
        Ok(())
    }

    async fn info(&mut self) -> Result<(), PromptError> {
        let text = match &mut self.talk {
            Talk::Older(session) => session.info().await?,
            Talk::Remo2(conversation) => conversation.info().await?,
        };
        self.show(&format!("{}\n", escape(text.trim())))
    }

    fn show_folder(&mut self) -> Result<(), PromptError> {
        let folder = std::env::current_dir().map_err(|cause| Error::read(Path::new("."), cause))?;
        self.show(&format!("{}\n", escape(&folder.to_string_lossy())))
    }

    fn help(&mut self, name: Option<&str>) -> Result<(), PromptError> {
        let text =
            help(name).ok_or_else(|| PromptError::NoHelp(name.unwrap_or_default().to_owned()))?;
        self.show(&text)
    }

    fn show(&mut self, text: &str) -> Result<(), PromptError> {
        Ok(self
            .console
            .output(text.as_bytes())
            .map_err(Error::Output)?)
    }

    fn tell_of_cuts(&mut self) {
        let cuts = matches!(&self.talk, Talk::Older(session) if session.saw_unmarked_end());
        if cuts && !self.told_of_cuts {
            self.told_of_cuts = true;
            self.console.warning(
                "the server does not mark the end of its answers, as the Python remo_serv 0.6 does not: a cut answer cannot be told from a whole one",
            );
        }
    }
}

async fn put_older(
    session: &mut Session,
    console: &mut impl Console,
    remote: &str,
    local: &Path,
) -> Result<(), Error> {
    let mut upload = Upload::file(local)?;
    if let Some(progress) = console.progress(remote, upload.size()) {
        upload = upload.with_progress(progress);
    }
    let meter = upload.meter();
    let mut put = std::pin::pin!(session.put(remote, upload));
    tokio::select! {
        done = &mut put => done,
        () = meter.stands_still(STILL) => {
            console.hint(STANDS_STILL);
            put.await
        }
    }
}

/// How long a large file may stand still before that is remarked on.
const STILL: Duration = Duration::from_secs(10);

const STANDS_STILL: &str = "the file has not moved for 10 s (a Python remo_serv under cheroot reads no chunked bodies, as those over 4 MiB are: \
     then send the file in parts of 4 MB, or run that server under gunicorn)";

fn sink<'a, C>(console: &'a mut C, encoding: Encoding, decoder: &'a mut Decoder) -> Sink<'a, C> {
    Sink {
        console,
        encoding,
        decoder,
    }
}

fn change_folder(folder: &Path) -> Result<(), Error> {
    std::env::set_current_dir(folder).map_err(|cause| Error::read(folder, cause))
}

/// Where a fetched file goes; into a folder under its own name.
fn local_target(remote: &str, local: Option<&Path>) -> Result<PathBuf, PromptError> {
    match local {
        None => default_name(remote),
        Some(folder) if folder.is_dir() => Ok(folder.join(default_name(remote)?)),
        Some(file) => Ok(file.into()),
    }
}

fn default_name(remote: &str) -> Result<PathBuf, PromptError> {
    base_name(remote)
        .map(PathBuf::from)
        .ok_or_else(|| PromptError::NoName(remote.to_owned()))
}
