//! What the commands of the prompt mean in remo/2.
//! Not here: how an act survives its path, which is `crate::remo2`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio::time::sleep;

use super::sink::{PIPE, Sink};
use super::{Console, PromptError};
use crate::remo2::{Channel, Ended, Failure, Opening, Output, Remote, ask_for_keys};

/// A server of remo/2, and what a prompt has running there.
#[derive(Debug)]
pub struct Conversation {
    pub(super) remote: Arc<Remote>,
    greeted: bool,
    interactive: Option<Interactive>,
    /// What was begun, and nobody has seen its end.
    underway: Option<String>,
    /// What the server need not keep any more.
    finished: Vec<String>,
}

/// A process that is talked to.
#[derive(Debug)]
struct Interactive {
    channel: Channel,
    pipe: DuplexStream,
}

impl Conversation {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(remote: Arc<Remote>) -> Self {
        Self {
            remote,
            greeted: false,
            interactive: None,
            underway: None,
            finished: Vec::new(),
        }
    }

    /// Logs in anew, and asks the server who it is.
    pub(super) async fn greet(&mut self) -> Result<String, PromptError> {
        self.end_interactive().await;
        self.remote.leave_session().await;
        self.ask_who().await
    }

    /// Asks the server who it is.
    pub(super) async fn info(&mut self) -> Result<String, PromptError> {
        self.end_interactive().await;
        self.ask_who().await
    }

    async fn ask_who(&mut self) -> Result<String, PromptError> {
        let who = tokio::select! {
            who = self.remote.who() => who,
            Some(older) = suspect(&self.remote) => Err(older),
        };
        let who = who?;
        self.greeted = true;
        let version = who.get("version").and_then(Value::as_str);
        Ok(format!(
            "remo_serv {} here",
            version.unwrap_or("of no version")
        ))
    }

    /// What goes before every command but those that talk to the interactive one: that ends. The first thing that is asked is who
    /// is there: an older server is told apart before anything is done.
    pub(super) async fn begin(&mut self) -> Result<(), PromptError> {
        self.end_interactive().await;
        if self.finished.len() >= MANY {
            self.leave().await;
        }
        if !self.greeted {
            self.ask_who().await?;
        }
        Ok(())
    }

    /// Runs a command line to its end. It is split into words here; no shell runs.
    pub(super) async fn exec<C: Console>(
        &mut self,
        line: &str,
        sink: &mut Sink<'_, C>,
    ) -> Result<(), PromptError> {
        let opening = opening(line)?;
        self.begin().await?;
        let (channel, mut pipe) = self.draw()?;
        let ended = sink.pour_while(&mut pipe, run(&channel, &opening)).await?;
        sink.end()?;
        self.finish(channel.id(), ended)
    }

    /// Starts a command to talk to, and shows what it says in the first moment.
    pub(super) async fn iexec<C: Console>(
        &mut self,
        line: &str,
        sink: &mut Sink<'_, C>,
    ) -> Result<(), PromptError> {
        let opening = Opening {
            keep: Some(KEEP),
            ..opening(line)?
        };
        self.begin().await?;
        let (channel, pipe) = self.draw()?;
        channel.start(&opening).await?;
        self.interactive = Some(Interactive { channel, pipe });
        self.idata(Bytes::new(), sink).await
    }

    /// Sends input to it, and shows what it says in the moment after.
    pub(super) async fn idata<C: Console>(
        &mut self,
        data: Bytes,
        sink: &mut Sink<'_, C>,
    ) -> Result<(), PromptError> {
        let talk = self.interactive.as_mut().ok_or(PromptError::NoneRuns)?;
        let said = talk.channel.say(data, MOMENT);
        let ended = sink.pour_while(&mut talk.pipe, said).await;
        self.settle(ended)
    }

    /// Ends its input, and shows all that it still says.
    pub(super) async fn iend<C: Console>(
        &mut self,
        sink: &mut Sink<'_, C>,
    ) -> Result<(), PromptError> {
        let talk = self.interactive.as_mut().ok_or(PromptError::NoneRuns)?;
        let finishing = talk.channel.finish();
        let ended = sink.pour_while(&mut talk.pipe, finishing).await;
        sink.end()?;
        self.settle(ended.map(Some))
    }

    /// What is begun is known from now on, so that it can be broken off.
    fn draw(&mut self) -> Result<(Channel, DuplexStream), Failure> {
        let (to, pipe) = tokio::io::duplex(PIPE);
        let output = Output::new(
            Box::new(to),
            Box::new(tokio::io::sink()),
            // Nobody but us receives what is read here.
            Box::new(|_| {}),
        );
        let channel = Channel::prepare(self.remote.clone(), output)?;
        self.underway(channel.id());
        Ok((channel, pipe))
    }

    /// What has this id is to be ended where nobody waits for its end.
    pub(super) fn underway(&mut self, id: &str) {
        self.underway = Some(id.to_owned());
    }

    /// It has ended, and the server need not keep its end.
    pub(super) fn over(&mut self, id: &str) {
        self.underway = None;
        self.finished.push(id.to_owned());
    }

    /// The interactive command goes on, or has ended, well or not.
    fn settle(&mut self, ended: Result<Option<Ended>, PromptError>) -> Result<(), PromptError> {
        match ended {
            Ok(None) => Ok(()),
            Ok(Some(ended)) => match self.interactive.take() {
                Some(talk) => self.finish(talk.channel.id(), ended),
                None => Ok(()),
            },
            Err(error) => {
                if error.is_the_end_of_it() {
                    self.interactive = None;
                    self.underway = None;
                }
                Err(error)
            }
        }
    }

    fn finish(&mut self, id: &str, ended: Ended) -> Result<(), PromptError> {
        self.over(id);
        match ended {
            Ended::Exit(0) => Ok(()),
            ended => Err(PromptError::Ended(ended)),
        }
    }

    async fn end_interactive(&mut self) {
        self.interactive = None;
        if self.underway.is_some() {
            self.leave().await;
        }
    }

    /// Ends what runs.
    pub(super) async fn leave(&mut self) {
        self.interactive = None;
        self.finished.extend(self.underway.take());
        let finished: Vec<_> = self.finished.iter().map(String::as_str).collect();
        if !finished.is_empty() {
            self.remote.done(&finished).await;
        }
        self.finished.clear();
    }
}

/// Exact words: no shell reads the line.
fn opening(line: &str) -> Result<Opening, PromptError> {
    let words = shell_words::split(line).map_err(|_| PromptError::Quote)?;
    Ok(Opening {
        argv: Some(words),
        ..Opening::default()
    })
}

/// A command without input, to its end.
async fn run(channel: &Channel, opening: &Opening) -> Result<Ended, Failure> {
    match channel.run(opening, Bytes::new()).await? {
        (Some(ended), _) => Ok(ended),
        (None, None) => channel.follow().await,
        // Whether its input has ended was not answered.
        (None, Some(_)) => channel.finish().await,
    }
}

/// A log-in that takes long may be one to an older server, whose answers look like faults of the path.
async fn suspect(remote: &Remote) -> Option<Failure> {
    sleep(SUSPICION).await;
    match ask_for_keys(remote.transport()).await {
        Err(older @ Failure::OtherDialect) => Some(older),
        _ => None,
    }
}

/// Seconds for which the server keeps a command that nobody talks to: as long as a session of the older dialects.
const KEEP: u64 = 600;

/// Commands whose ends the server keeps for us, before it is told that it need not.
const MANY: usize = 16;

/// How long a command that is talked to may take to answer.
const MOMENT: Duration = Duration::from_millis(100);

/// How long a log-in takes before it is asked whether an older server is there.
const SUSPICION: Duration = Duration::from_secs(2);
