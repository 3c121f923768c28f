//! The answer to a request, read token by token: what comes out is proved to be the server's.
//! Not here: what was asked, and where the data go.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use remo_protocol::body::{Opener, RequestNumber};
use remo_protocol::dialect::Dialect;
use remo_protocol::lines::Lines;
use remo_protocol::refusal::Refusal;
use reqwest::Response;
use tokio::time::timeout;

use crate::error::{Error, innermost};
use crate::live::{Keys, Live};
use crate::remedy::Asked;
use crate::session::{Home, Options};
use crate::transport::location;

/// The data of one answer. Read to its end it leaves the session ready for the next request; dropped before that, it makes
/// the next one log in anew (dialect 0.6).
#[derive(Debug)]
pub struct Answer<'s> {
    reading: Reading,
    first: Option<Bytes>,
    live: Option<Live>,
    home: &'s mut Home,
}

impl<'s> Answer<'s> {
    /// Waits for the first token: it tells the server's answer from one by something on the path.
    pub(crate) async fn begin(
        reading: Reading,
        live: Live,
        home: &'s mut Home,
    ) -> Result<Self, Error> {
        let mut answer = Self {
            reading,
            first: None,
            live: Some(live),
            home,
        };
        match answer.reading.first().await {
            Ok(first) => answer.first = Some(first),
            Err(error) => {
                answer.home.stale = true;
                if matches!(error, Error::SessionGone { .. }) {
                    answer.home.live = None;
                }
                return Err(error);
            }
        }
        answer.accept().await
    }

    /// A status of 200 leads on; any other comes with the server's reason.
    async fn accept(self) -> Result<Self, Error> {
        let status = self.reading.status;
        if status == 200 {
            return Ok(self);
        }
        let text = self.collect(REASON).await?;
        Err(Error::Refused {
            status,
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    /// The next data, in the order in which the server sent them; `None` when the answer is proved to be whole.
    ///
    /// # Errors
    /// [`Error::Cut`], [`Error::CutShort`], [`Error::Forged`], [`Error::Silent`]: what came before is genuine.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Ok(Some(first));
        }
        while let Some(data) = self.reading.next().await? {
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
        self.home.unmarked |= self.reading.unmarked;
        if let Some(live) = self.live.take() {
            self.home.live = Some(live);
        }
        Ok(None)
    }

    /// Whether it came without a single token, so that nothing proves whose it is.
    pub(crate) fn is_bare(&self) -> bool {
        self.reading.opener.is_none()
    }

    /// Reads to the end, and keeps the first `ceiling` bytes.
    ///
    /// # Errors
    /// See [`next`](Self::next).
    pub async fn collect(mut self, ceiling: usize) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(data) = self.next().await? {
            let room = ceiling.saturating_sub(all.len());
            all.extend(data.iter().take(room));
        }
        Ok(all)
    }
}

/// Bytes of a reason that are kept.
const REASON: usize = 4096;

/// A body that is being read.
#[derive(Debug)]
pub(crate) struct Reading {
    response: Response,
    status: u16,
    lines: Lines,
    /// Lines that were found and not opened yet: at most those of one piece.
    waiting: VecDeque<Bytes>,
    opener: Option<Opener>,
    keys: Keys,
    number: Option<RequestNumber>,
    asked: Asked,
    accept_cut: bool,
    time_out: Option<Duration>,
    /// The body came to its end without saying so.
    unmarked: bool,
}

impl Reading {
    pub(crate) fn new(
        response: Response,
        keys: Keys,
        number: Option<RequestNumber>,
        asked: Asked,
        options: Options,
    ) -> Self {
        let status = response.status().as_u16();
        let opener = Some(keys.opener(number, status));
        let (accept_cut, time_out) = (options.accept_cut_answers, options.time_out);
        let (lines, waiting) = (Lines::default(), VecDeque::new());
        Self {
            response,
            status,
            lines,
            waiting,
            opener,
            keys,
            number,
            asked,
            accept_cut,
            time_out,
            unmarked: false,
        }
    }

    /// The data of the first token; an answer without one, or with something else, is not the server's.
    async fn first(&mut self) -> Result<Bytes, Error> {
        let line = match self.line().await {
            Ok(Some(line)) => line,
            Ok(None) => return self.without_tokens(),
            Err(Error::Forged(_)) => return Err(self.unsealed()),
            Err(Error::CutShort(cause)) if self.asked == Asked::File => {
                return Err(Error::CutAtOnce(cause));
            }
            Err(other) => return Err(other),
        };
        match self.open(&line) {
            Err(Error::Forged(Refusal::StatusMismatch)) if self.accept_cut => {
                self.open_as_python(&line)
            }
            Err(Error::Forged(Refusal::TokenMalformed | Refusal::TokenForged)) => {
                Err(self.not_by_the_server())
            }
            opened => opened,
        }
    }

    /// Python's 0.6 seals a status of 200 into every answer.
    fn open_as_python(&mut self, line: &[u8]) -> Result<Bytes, Error> {
        self.opener = Some(self.keys.opener(self.number, 200));
        self.open(line)
    }

    /// Dialect 0.3 has no other form for an answer without data, and Python's 0.6 has none either where a file is empty;
    /// 403 without data is the form for an unknown session.
    fn without_tokens(&mut self) -> Result<Bytes, Error> {
        match (self.status, self.number) {
            (200, Some(_)) if !self.accept_cut => return Err(Error::Cut),
            (200, number) => self.unmarked = number.is_some(),
            _ => return Err(self.not_by_the_server()),
        }
        self.opener = None;
        Ok(Bytes::new())
    }

    /// A line that is no token of ours. Proxies answer with pages; a server that does not take the session, with 403 or 400.
    fn not_by_the_server(&self) -> Error {
        let (status, dialect) = (self.status, self.dialect());
        match status {
            400 | 403 => Error::SessionGone { status, dialect },
            _ => self.unsealed(),
        }
    }

    fn dialect(&self) -> Dialect {
        match self.number {
            Some(_) => Dialect::V0_6,
            None => Dialect::V0_3,
        }
    }

    fn unsealed(&self) -> Error {
        Error::unsealed(self.asked, self.status, location(&self.response).as_deref())
    }

    /// The data of the next token; `None` at the proved end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.opener.is_none() {
            return Ok(None);
        }
        match self.line().await? {
            Some(line) => self.open(&line).map(Some),
            None => self.end().map(|()| None),
        }
    }

    fn open(&mut self, line: &[u8]) -> Result<Bytes, Error> {
        let opener = self.opener.as_mut().ok_or(Error::Cut)?;
        opener.open(line).map_err(distrust)
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.opener.take().map(Opener::finish) {
            Some(Err(Refusal::EndMissing)) if self.accept_cut => self.unmarked = true,
            Some(Err(_)) => return Err(Error::Cut),
            Some(Ok(_)) | None => {}
        }
        Ok(())
    }

    /// The next line that is not empty: Python's server sends stray empty ones between the tokens of `/get`.
    async fn line(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(line) = self.waiting.pop_front() {
                return Ok(Some(line));
            }
            match self.piece().await? {
                Some(piece) => self.split(&piece)?,
                None => return Ok(std::mem::take(&mut self.lines).rest()),
            }
        }
    }

    fn split(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.lines.push(piece);
        while let Some(line) = self.lines.next().map_err(Error::Forged)? {
            if !line.is_empty() {
                self.waiting.push_back(line);
            }
        }
        Ok(())
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        match self.time_out {
            None => next_piece(&mut self.response).await,
            Some(limit) => {
                let piece = timeout(limit, next_piece(&mut self.response)).await;
                piece.map_err(|_| Error::Silent(limit.as_secs()))?
            }
        }
    }
}

/// The next bytes of a body as they arrive.
pub(crate) async fn next_piece(response: &mut Response) -> Result<Option<Bytes>, Error> {
    response
        .chunk()
        .await
        .map_err(|error| Error::CutShort(innermost(&error)))
}

/// Why a token is not believed.
fn distrust(refusal: Refusal) -> Error {
    match refusal {
        Refusal::TokenReflected => Error::Reflected,
        other => Error::Forged(other),
    }
}
