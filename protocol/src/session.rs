//! What a server keeps of a session of dialects 0.3 and 0.6: its dialect, once that is known, and which
//! requests were made. A request is opened here up to its first token; an [`Opener`] takes the rest.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{
    body::{Frame, Lineation, Opener, PathHash, RequestNumber, Sealer, hash_path},
    dialect::Dialect,
    fernet::{FernetKey, Opened},
    limits,
    mark::Mark,
    refusal::Refusal,
};

/// The memory of one session. The caller lets its requests take turns.
#[derive(Debug)]
pub struct Session {
    key: FernetKey,
    mark: Mark,
    speaks: Speaks,
}

#[derive(Debug)]
enum Speaks {
    Undecided,
    V0_3(Arguments),
    V0_6(Requests),
}

/// What a request brings to its first token.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The path below the application's base, as sent.
    pub path: &'a str,
    /// The token in the path, for the verbs that have one.
    pub argument: Option<&'a str>,
    /// The first line of the body, where it has one.
    pub first: Option<&'a [u8]>,
}

/// A request whose head was proved.
#[derive(Debug)]
pub struct Begun {
    /// The dialect that the session speaks; `None` while nothing has settled it.
    pub dialect: Option<Dialect>,
    /// The verb's argument. In dialect 0.6 it may be false in a request that is good otherwise.
    pub argument: Option<Result<Bytes, Refusal>>,
    /// The data of the first line.
    pub data: Bytes,
    /// Opens the lines that follow.
    pub body: Opener,
    /// Seals the answer.
    pub answer: Answer,
}

/// A request that was refused by its head.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejected {
    /// What is wrong with it.
    pub refusal: Refusal,
    /// In dialect 0.6 a wrong first token ends the session.
    pub ends_session: bool,
    /// It is the argument that is wrong, and not the body.
    pub by_argument: bool,
}

impl Rejected {
    fn body(refusal: Refusal) -> Self {
        Self {
            refusal,
            ends_session: false,
            by_argument: false,
        }
    }

    fn argument(refusal: Refusal) -> Self {
        Self {
            refusal,
            ends_session: false,
            by_argument: true,
        }
    }

    fn fatal(refusal: Refusal) -> Self {
        Self {
            refusal,
            ends_session: true,
            by_argument: false,
        }
    }
}

/// How the answer to a request is sealed.
#[derive(Clone, Debug)]
pub struct Answer {
    key: FernetKey,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    V0_3(Mark),
    V0_6(RequestNumber),
}

impl Answer {
    /// The sealer of an answer with this status.
    pub fn sealer(self, status: u16) -> Sealer {
        match self.kind {
            Kind::V0_3(mark) => Sealer::v0_3(self.key, Lineation::After).marked(mark),
            Kind::V0_6(request) => Sealer::v0_6(
                self.key,
                Lineation::After,
                request,
                format!("{status:03}").as_bytes(),
            ),
        }
    }
}

impl Session {
    /// A session that was just logged in to.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`].
    pub fn new(key: FernetKey) -> Result<Self, Refusal> {
        Ok(Self {
            key,
            mark: Mark::draw()?,
            speaks: Speaks::Undecided,
        })
    }

    /// The dialect that it speaks, once a request has settled it.
    pub fn dialect(&self) -> Option<Dialect> {
        match self.speaks {
            Speaks::Undecided => None,
            Speaks::V0_3(_) => Some(Dialect::V0_3),
            Speaks::V0_6(_) => Some(Dialect::V0_6),
        }
    }

    /// Opens a request at `now` (seconds since 1970): proves its first token and its place among the
    /// session's requests. A session that speaks nothing yet will speak nothing below `floor`.
    ///
    /// # Errors
    /// What is wrong with it, and whether the session ends by it.
    pub fn begin(&mut self, head: Head<'_>, floor: Dialect, now: u64) -> Result<Begun, Rejected> {
        let path = hash_path(head.path);
        let first = head.first.map(|line| self.key.open(line));
        if let Speaks::Undecided = self.speaks {
            self.settle(&path, &first, head.argument, floor)?;
        }
        match &mut self.speaks {
            Speaks::V0_6(requests) => {
                let (number, frame) = requests.admit(&path, first, now).map_err(Rejected::fatal)?;
                Ok(begun_v0_6(&self.key, number, frame, head.argument))
            }
            Speaks::V0_3(arguments) => {
                let (argument, first) =
                    arguments.begin(&self.key, &self.mark, head.argument, first)?;
                Ok(self.begun_v0_3(Some(Dialect::V0_3), argument, first))
            }
            // Nothing that could be proved was sent, and nothing that needs it: `/info`, `/idt`, `/edt`.
            Speaks::Undecided => Ok(self.begun_v0_3(None, None, None)),
        }
    }

    /// Tells the session what the rest of a body of dialect 0.3 showed to be the newest time.
    pub fn observe(&mut self, newest: u64) {
        if let Speaks::V0_3(arguments) = &mut self.speaks {
            arguments.observe(newest);
        }
    }

    fn begun_v0_3(
        &self,
        dialect: Option<Dialect>,
        argument: Option<Bytes>,
        first: Option<Opened>,
    ) -> Begun {
        let (key, mark) = (self.key.clone(), self.mark.clone());
        Begun {
            dialect,
            argument: argument.map(Ok),
            data: first.map(|opened| opened.plain).unwrap_or_default(),
            body: Opener::v0_3(key.clone()).refusing(mark.clone()),
            answer: Answer {
                key,
                kind: Kind::V0_3(mark),
            },
        }
    }

    /// Takes the dialect of the first request that proves a token.
    fn settle(
        &mut self,
        path: &PathHash,
        first: &Option<Result<Opened, Refusal>>,
        argument: Option<&str>,
        floor: Dialect,
    ) -> Result<(), Rejected> {
        let proved = first.as_ref().and_then(|first| first.as_ref().ok());
        if proved
            .is_some_and(|opened| Frame::parse(&opened.plain).is_ok_and(|frame| frame.names(path)))
        {
            self.speaks = Speaks::V0_6(Requests::default());
            return Ok(());
        }
        if first.is_none() && argument.is_none() {
            return Ok(());
        }
        if floor > Dialect::V0_3 {
            // What is no good request of 0.6 is one of 0.3, or a wrong first token.
            let refusal = match first {
                Some(Ok(opened)) if Frame::parse(&opened.plain).is_ok() => Refusal::PathMismatch,
                Some(Ok(_)) | None => Refusal::BelowFloor,
                Some(Err(refusal)) => *refusal,
            };
            return Err(Rejected::fatal(refusal));
        }
        if proved.is_none() {
            // Nothing is settled by what nobody sealed.
            let body = first
                .as_ref()
                .and_then(|first| first.as_ref().err().copied());
            match argument {
                Some(token) => drop(
                    self.key
                        .open(token.as_bytes())
                        .map_err(Rejected::argument)?,
                ),
                None => return Err(Rejected::body(body.unwrap_or(Refusal::BodyMissing))),
            }
        }
        self.speaks = Speaks::V0_3(Arguments::default());
        Ok(())
    }
}

fn begun_v0_6(
    key: &FernetKey,
    number: RequestNumber,
    frame: Frame,
    argument: Option<&str>,
) -> Begun {
    Begun {
        dialect: Some(Dialect::V0_6),
        argument: argument.map(|token| key.open(token.as_bytes()).map(|opened| opened.plain)),
        data: frame.data,
        body: Opener::rest_of_v0_6(key.clone(), number, frame.end),
        answer: Answer {
            key: key.clone(),
            kind: Kind::V0_6(number),
        },
    }
}

/// The arguments that a session of dialect 0.3 has used.
#[derive(Debug, Default)]
struct Arguments {
    newest: u64,
    used: HashMap<[u8; 32], u64>,
}

impl Arguments {
    /// Proves the argument and the first line of a request.
    fn begin(
        &mut self,
        key: &FernetKey,
        own: &Mark,
        argument: Option<&str>,
        first: Option<Result<Opened, Refusal>>,
    ) -> Result<(Option<Bytes>, Option<Opened>), Rejected> {
        let argument = argument.map(|token| self.admit(key, own, token));
        let argument = argument.transpose().map_err(Rejected::argument)?;
        let first = first.transpose().map_err(Rejected::body)?;
        if let Some(first) = &first {
            refuse_own(first, own).map_err(Rejected::body)?;
            self.observe(first.at);
        }
        Ok((argument, first))
    }

    /// Proves an argument, and takes it for the only time.
    fn admit(&mut self, key: &FernetKey, own: &Mark, token: &str) -> Result<Bytes, Refusal> {
        // The HMAC stands for the decoded bytes: base64 has many spellings, they have one.
        let opened = key.open(token.as_bytes())?;
        refuse_own(&opened, own)?;
        if self.used.contains_key(&opened.mac) {
            return Err(Refusal::ArgumentReplayed);
        }
        if opened.at.saturating_add(limits::ARGUMENT_AGE) < self.newest {
            return Err(Refusal::ArgumentStale);
        }
        self.observe(opened.at);
        if self.used.len() >= limits::ARGUMENTS {
            let oldest = self.newest.saturating_sub(limits::ARGUMENT_AGE);
            self.used.retain(|_, at| *at >= oldest);
        }
        if self.used.len() >= limits::ARGUMENTS {
            return Err(Refusal::ArgumentsExhausted);
        }
        self.used.insert(opened.mac, opened.at);
        Ok(opened.plain)
    }

    fn observe(&mut self, at: u64) {
        self.newest = self.newest.max(at);
    }
}

/// What a server sealed is no request, in whatever place it comes back.
fn refuse_own(opened: &Opened, own: &Mark) -> Result<(), Refusal> {
    if own.is_on(&opened.iv) {
        Err(Refusal::TokenReflected)
    } else {
        Ok(())
    }
}

/// What a session of dialect 0.6 remembers of its requests.
#[derive(Debug, Default)]
struct Requests {
    last: Option<Last>,
    /// The newest time stamp that a request carried.
    newest: u64,
    /// The newest time stamp when a number out of step was last accepted. Such a number may be lower than the
    /// ones before it, which come round again then: nothing as old as they are is accepted from there on.
    passed: Option<u64>,
}

#[derive(Debug)]
struct Last {
    number: RequestNumber,
    /// When it came, by our clock.
    came: u64,
}

impl Requests {
    /// Proves that a first token begins a request to this path, is of now, and comes next.
    fn admit(
        &mut self,
        path: &PathHash,
        first: Option<Result<Opened, Refusal>>,
        now: u64,
    ) -> Result<(RequestNumber, Frame), Refusal> {
        let opened = first.ok_or(Refusal::BodyMissing)??;
        let mut frame = Frame::parse(&opened.plain)?;
        if !frame.begin {
            return Err(Refusal::BeginMisplaced);
        }
        if frame.token != 0 {
            return Err(Refusal::TokenOutOfStep);
        }
        if frame.split_prefix(path.len())? != path.as_slice() {
            return Err(Refusal::PathMismatch);
        }
        check_age(opened.at, now)?;
        let number = RequestNumber::parse(frame.request).ok_or(Refusal::RequestOutOfStep)?;
        self.step(number, opened.at, now)?;
        Ok((number, frame))
    }

    /// Accepts a number that is the next one, or, after a silence, any with a newer time stamp than every
    /// request so far: a client whose clock is ahead makes tokens that outlive the silence, and one of them
    /// could be played again.
    fn step(&mut self, number: RequestNumber, sealed: u64, now: u64) -> Result<(), Refusal> {
        let (next, silent) = match &self.last {
            None => (Some(RequestNumber::FIRST), false),
            Some(last) => (
                last.number.next(),
                now.saturating_sub(last.came) > limits::STEP_SILENCE,
            ),
        };
        if next == Some(number) {
            if self.passed.is_some_and(|passed| sealed <= passed) {
                return Err(Refusal::RequestOutOfStep);
            }
        } else if silent && sealed > self.newest {
            self.passed = Some(self.newest);
        } else {
            return Err(Refusal::RequestOutOfStep);
        }
        self.last = Some(Last { number, came: now });
        self.newest = self.newest.max(sealed);
        Ok(())
    }
}

fn check_age(at: u64, now: u64) -> Result<(), Refusal> {
    if at.saturating_add(limits::TOKEN_AGE) < now {
        Err(Refusal::TokenStale)
    } else if at > now.saturating_add(limits::CLOCK_SKEW) {
        Err(Refusal::TokenFromFuture)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
