//! `/idt` and `/edt`: what one request brings to a process, and what its answer tells of it.
//! Not here: when which is due, which is `channel`'s.

use std::time::Duration;

use bytes::Bytes;
use remo_protocol::remo2::answer::Stream;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::{Run, SessionId};
use serde_json::Value;

use super::asking::{Act, Filling, Room};
use super::channel::Channel;
use super::failure::Failure;
use super::live::Live;

/// `/idt` and `/edt`: something in, something out.
pub(super) struct Exchange<'a> {
    channel: &'a Channel,
    wait: Duration,
    /// Bytes of output that are waited for.
    most: usize,
    /// The answer may stay open.
    may_stream: bool,
    input: Option<(u64, Bytes)>,
    ends: bool,
    signal: Option<(i32, u64)>,
    sized: bool,
    /// What comes out is not taken, and so not received.
    deaf: bool,
    /// What the last attempt was.
    pub(super) last: Attempt,
    incoming: Incoming,
}

/// What one attempt asked for.
#[derive(Default)]
pub(super) struct Attempt {
    /// It ended the input.
    pub(super) closes: bool,
    pub(super) session: Option<SessionId>,
    /// What it acknowledged.
    pub(super) acknowledged: (u64, u64),
    streams: bool,
}

/// The output in one answer, each piece at its offset.
#[derive(Default)]
pub(super) struct Incoming {
    at: (u64, u64),
    /// Bytes that came.
    pub(super) came: usize,
}

impl Incoming {
    pub(super) fn begin(&mut self, head: &Object) {
        let number = |name: &str| head.get(name).and_then(Value::as_u64).unwrap_or_default();
        self.at = (number("out"), number("err"));
    }

    pub(super) async fn take(
        &mut self,
        channel: &Channel,
        stream: Stream,
        data: &[u8],
    ) -> Result<(), Failure> {
        let place = match stream {
            Stream::Main => &mut self.at.0,
            Stream::Second => &mut self.at.1,
        };
        let offset = *place;
        *place += data.len() as u64;
        self.came += data.len();
        channel.take(stream, offset, data).await
    }
}

impl<'a> Exchange<'a> {
    pub(super) fn new(channel: &'a Channel) -> Self {
        Self {
            channel,
            wait: Duration::ZERO,
            most: usize::MAX,
            may_stream: false,
            input: None,
            ends: false,
            signal: None,
            sized: false,
            deaf: false,
            last: Attempt::default(),
            incoming: Incoming::default(),
        }
    }

    /// Answered when something comes, or after so long, if the path lets it be parked for that time.
    pub(super) fn waiting(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Answered for as long as it takes, if the path lets answers stay open.
    pub(super) fn streaming(self, may_stream: bool) -> Self {
        Self { may_stream, ..self }
    }

    /// The rest of an answer that says more is left to others.
    pub(super) fn up_to(self, most: usize) -> Self {
        Self { most, ..self }
    }

    pub(super) fn carrying(self, at: u64, data: Bytes, ends: bool) -> Self {
        Self {
            input: Some((at, data)),
            ends,
            ..self
        }
    }

    pub(super) fn signalling(self, signal: i32, before: u64) -> Self {
        Self {
            signal: Some((signal, before)),
            ..self
        }
    }

    pub(super) fn deaf(self) -> Self {
        Self { deaf: true, ..self }
    }

    pub(super) fn sized(self) -> Self {
        Self {
            sized: true,
            ..self
        }
    }

    /// Bytes of output that came.
    pub(super) fn came(&self) -> usize {
        self.incoming.came
    }

    /// The input, as much as there is room for. What is cut short does not end the input.
    fn input(&mut self, head: &mut Object, room: Room) -> Bytes {
        let Some((at, data)) = &self.input else {
            return Bytes::new();
        };
        let length = data.len().min(room.data);
        self.last.closes = self.ends && length == data.len();
        head.insert("in".into(), (*at).into());
        data.slice(..length)
    }

    fn patience(&mut self, head: &mut Object, room: Room) {
        self.last.streams = self.may_stream && room.stream;
        if self.last.streams {
            head.insert("stream".into(), true.into());
        } else {
            let wait = self.wait.min(room.wait).as_millis();
            let wait = u64::try_from(wait).unwrap_or_default();
            head.insert("wait".into(), wait.into());
        }
    }
}

impl Act for Exchange<'_> {
    fn verb(&self) -> &'static str {
        if self.last.closes { "edt" } else { "idt" }
    }

    fn compose(&mut self, live: &Live, room: Room) -> (Object, Bytes) {
        let mut head = Object::new();
        let data = self.input(&mut head, room);
        self.patience(&mut head, room);
        let mut marks = self.channel.marks();
        marks.run.get_or_insert_with(|| live.run.clone());
        if marks.attached.as_ref() != Some(&live.session) {
            head.insert("attach".into(), true.into());
        }
        head.insert("id".into(), self.channel.id().into());
        head.insert("out".into(), marks.out.into());
        head.insert("err".into(), marks.err.into());
        if let Some((signal, before)) = self.signal {
            head.insert("signal".into(), signal.into());
            head.insert("signals".into(), before.into());
        }
        if let Some(size) = marks.size.filter(|_| self.sized) {
            head.insert("rows".into(), size.rows.into());
            head.insert("cols".into(), size.cols.into());
        }
        self.last.acknowledged = (marks.out, marks.err);
        self.last.session = Some(live.session.clone());
        (head, data)
    }

    fn filling(&self) -> Filling {
        match &self.input {
            Some((_, data)) if data.len() <= TYPED => Filling::Typed,
            _ => Filling::None,
        }
    }

    fn has_enough(&self) -> bool {
        self.came() > self.most || (self.last.streams && self.channel.unacknowledged() > STREAMED)
    }

    fn belongs(&self, run: &Run) -> Result<(), Failure> {
        match &self.channel.marks().run {
            Some(ours) if ours != run => Err(Failure::Restarted),
            _ => Ok(()),
        }
    }

    fn head(&mut self, head: &Object) -> Result<(), Failure> {
        self.incoming.begin(head);
        Ok(())
    }

    async fn data(&mut self, stream: Stream, data: Bytes) -> Result<(), Failure> {
        if self.deaf {
            return Ok(());
        }
        self.incoming.take(self.channel, stream, &data).await
    }
}

/// Bytes of input whose length is not to be told.
const TYPED: usize = 8 * 1024;

/// Bytes of a stream that wait to be acknowledged, beyond which asking anew is cheaper: each acknowledgement is answered with all
/// that the server has not heard of.
const STREAMED: u64 = 64 * 1024;
