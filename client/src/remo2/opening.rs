//! What is to run on a server, and the act that starts it: once, whatever the path does.
//! Not here: what goes in and comes out then.

use std::time::Duration;

use bytes::Bytes;
use remo_protocol::remo2::answer::Stream;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::Run;
use serde_json::{Value, json};

use super::asking::{Act, Room};
use super::channel::Channel;
use super::exchange::Incoming;
use super::failure::Failure;
use super::live::Live;

/// What is to run, and how.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Exact words, the program first.
    pub argv: Option<Vec<String>>,
    /// A line for the login shell. With neither, the login shell itself runs.
    pub line: Option<String>,
    /// The folder to run in; the home where none is given.
    pub cwd: Option<String>,
    /// What is added to the environment.
    pub env: Vec<(String, String)>,
    /// Standard error apart from standard output.
    pub split: bool,
    /// Seconds after which it is ended.
    pub timeout: Option<u64>,
    /// Seconds for which it is kept when nobody asks for it.
    pub keep: Option<u64>,
    /// A terminal of this size, and the name of its kind.
    pub pty: Option<(Size, String)>,
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub cols: u16,
}

/// `/icm`: starts it. The id makes sure that it is started once.
pub(super) struct Open<'a> {
    pub(super) channel: &'a Channel,
    pub(super) opening: &'a Opening,
    pub(super) patience: Duration,
}

impl Act for Open<'_> {
    fn verb(&self) -> &'static str {
        "icm"
    }

    fn compose(&mut self, live: &Live, _: Room) -> (Object, Bytes) {
        self.channel.begins(live);
        let mut head = members(self.opening);
        head.insert("id".into(), self.channel.id().into());
        // Held back until we have long given up, it must not be carried out.
        head.insert("by".into(), live.by(self.patience * 2).into());
        (head, Bytes::new())
    }

    fn belongs(&self, run: &Run) -> Result<(), Failure> {
        unanswered(self.channel, run)
    }
}

/// `/cmd`: starts it with all its input, and hears what it says at once.
pub(super) struct Command<'a> {
    pub(super) channel: &'a Channel,
    pub(super) opening: &'a Opening,
    pub(super) input: Bytes,
    pub(super) patience: Duration,
    /// Set once the server has said that it runs.
    pub(super) runs: bool,
    pub(super) incoming: Incoming,
}

impl Act for Command<'_> {
    fn verb(&self) -> &'static str {
        "cmd"
    }

    fn compose(&mut self, live: &Live, room: Room) -> (Object, Bytes) {
        self.channel.begins(live);
        let mut head = members(self.opening);
        head.remove("keep");
        head.insert("id".into(), self.channel.id().into());
        head.insert("by".into(), live.by(self.patience * 2).into());
        // It ends at no pause: what comes later is asked for by requests that do.
        let wait = room.wait.min(FIRST_WAIT).as_millis();
        let wait = u64::try_from(wait).unwrap_or_default();
        head.insert("wait".into(), wait.into());
        (head, self.input.clone())
    }

    /// What is known to run is followed by its offsets.
    fn is_settled(&self) -> bool {
        self.runs
    }

    fn belongs(&self, run: &Run) -> Result<(), Failure> {
        unanswered(self.channel, run)
    }

    fn head(&mut self, head: &Object) -> Result<(), Failure> {
        self.runs = true;
        self.incoming.begin(head);
        Ok(())
    }

    async fn data(&mut self, stream: Stream, data: Bytes) -> Result<(), Failure> {
        self.incoming.take(self.channel, stream, &data).await
    }
}

/// What was sent to another run of the server, and not answered, is not sent again.
pub(super) fn unanswered(channel: &Channel, run: &Run) -> Result<(), Failure> {
    match &channel.marks().run {
        Some(first) if first != run => Err(Failure::Unknown),
        _ => Ok(()),
    }
}

fn members(opening: &Opening) -> Object {
    let mut members = Object::new();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members.insert(name.into(), value);
        }
    };
    add("argv", opening.argv.clone().map(Into::into));
    add("line", opening.line.clone().map(Into::into));
    add("cwd", opening.cwd.clone().map(Into::into));
    let env: Object = opening
        .env
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    add("env", (!env.is_empty()).then(|| env.into()));
    add("split", opening.split.then(|| true.into()));
    add("timeout", opening.timeout.map(Into::into));
    add("keep", opening.keep.map(Into::into));
    let pty = opening
        .pty
        .as_ref()
        .map(|(size, term)| json!({"rows": size.rows, "cols": size.cols, "term": term}));
    add("pty", pty);
    members
}

/// How long the answer to a command waits for its end: what takes longer is followed.
const FIRST_WAIT: Duration = Duration::from_secs(1);
