//! What each command of the prompt does.
//! Not here: how commands are typed, which is `command`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::{Command, base_name, help};
use crate::answer::Answer;
use crate::encoding::{Decoder, Encoding, UnknownEncoding, Unmappable};
use crate::error::Error;
use crate::escape::escape;
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

/// A prompt: one session, an encoding, and a place to show things.
#[derive(Debug)]
pub struct Prompt<C> {
    session: Session,
    encoding: Encoding,
    console: C,
    /// Of the interactive command: one read may end within a character.
    interactive: Option<Decoder>,
    told_of_cuts: bool,
}

impl<C: Console> Prompt<C> {
    /// A prompt over `session`.
    pub fn new(session: Session, encoding: Encoding, console: C) -> Self {
        Self {
            session,
            encoding,
            console,
            interactive: None,
            told_of_cuts: false,
        }
    }

    /// The session, to log in or out.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
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
        let size = self.session.get_file(remote, &local, progress).await?;
        self.console.remark(&format!(
            "'{}': {size} bytes",
            escape(&local.to_string_lossy())
        ));
        Ok(())
    }

    async fn put(&mut self, remote: &str, local: Option<&Path>) -> Result<(), PromptError> {
        let local = local.map_or_else(|| default_name(remote), |local| Ok(local.into()))?;
        let mut upload = Upload::file(&local)?;
        if let Some(progress) = self.console.progress(remote, upload.size()) {
            upload = upload.with_progress(progress);
        }
        let meter = upload.meter();
        let mut put = std::pin::pin!(self.session.put(remote, upload));
        tokio::select! {
            done = &mut put => done?,
            () = meter.stands_still(STILL) => {
                self.console.hint(STANDS_STILL);
                put.await?;
            }
        }
        self.console
            .remark(&format!("'{}' is stored", escape(remote)));
        Ok(())
    }

    async fn exec(&mut self, line: &str) -> Result<(), PromptError> {
        let mut decoder = self.encoding.decoder();
        let mut sink = Sink {
            console: &mut self.console,
            encoding: self.encoding,
            decoder: &mut decoder,
        };
        let answer = self.session.exec(line, Upload::empty()).await?;
        sink.pour(answer).await?;
        Ok(sink.end()?)
    }

    async fn iexec(&mut self, line: &str) -> Result<(), PromptError> {
        let mut decoder = self.encoding.decoder();
        let mut sink = Sink {
            console: &mut self.console,
            encoding: self.encoding,
            decoder: &mut decoder,
        };
        let answer = self.session.iexec(line).await?;
        sink.pour(answer).await?;
        self.interactive = Some(decoder);
        Ok(())
    }

    async fn idata(&mut self, text: &str) -> Result<(), PromptError> {
        let data = self.encoding.encode(&format!("{text}\n"))?;
        let decoder = self
            .interactive
            .get_or_insert_with(|| self.encoding.decoder());
        let mut sink = Sink {
            console: &mut self.console,
            encoding: self.encoding,
            decoder,
        };
        let answer = self.session.idata(data).await?;
        Ok(sink.pour(answer).await?)
    }

    async fn iend(&mut self) -> Result<(), PromptError> {
        let mut decoder = self
            .interactive
            .take()
            .unwrap_or_else(|| self.encoding.decoder());
        let mut sink = Sink {
            console: &mut self.console,
            encoding: self.encoding,
            decoder: &mut decoder,
        };
        let answer = self.session.iend().await?;
        sink.pour(answer).await?;
        Ok(sink.end()?)
    }

    async fn login(&mut self) -> Result<(), PromptError> {
        if let Some(greeting) = self.session.greet().await? {
            self.console.remark(&escape(greeting.trim()));
        }
        Ok(())
    }

    async fn info(&mut self) -> Result<(), PromptError> {
        let text = self.session.info().await?;
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
        if self.session.saw_unmarked_end() && !self.told_of_cuts {
            self.told_of_cuts = true;
            self.console.warning(
                "the server does not mark the end of its answers, as the Python remo_serv 0.6 does not: a cut answer cannot be told from a whole one",
            );
        }
    }
}

/// How long a large file may stand still before that is remarked on.
const STILL: Duration = Duration::from_secs(10);

const STANDS_STILL: &str = "the file has not moved for 10 s (a Python remo_serv under cheroot reads no chunked bodies, as those over 4 MiB are: \
     then send the file in parts of 4 MB, or run that server under gunicorn)";

/// Where the output of one command goes, decoded on the way.
struct Sink<'a, C> {
    console: &'a mut C,
    encoding: Encoding,
    decoder: &'a mut Decoder,
}

impl<C: Console> Sink<'_, C> {
    async fn pour(&mut self, mut answer: Answer<'_>) -> Result<(), Error> {
        while let Some(data) = answer.next().await? {
            self.write(&data, false)?;
        }
        Ok(())
    }

    /// Shows what was left of a character that never got whole.
    fn end(&mut self) -> Result<(), Error> {
        self.write(&[], true)
    }

    fn write(&mut self, data: &[u8], last: bool) -> Result<(), Error> {
        let written = if self.encoding.is_utf_8() && self.console.is_raw() {
            self.console.output(data)
        } else {
            let text = self.decoder.decode(data, last);
            self.console.output(text.as_bytes())
        };
        written.map_err(Error::Output)
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
