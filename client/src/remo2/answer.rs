//! One answer of remo/2, read line by line: what is handed out is proved to be the server's, and in its place.
//! Not here: what follows from an answer that is none.

use std::time::Duration;

use remo_protocol::fernet::FernetKey;
use remo_protocol::lines::Lines;
use remo_protocol::remo2::answer::{Opener, Part};
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::request::Number;
use reqwest::Response;
use tokio::time::timeout;

use super::failure::Fault;
use crate::answer::next_piece;

/// An answer that is being read.
#[derive(Debug)]
pub(crate) struct Answer {
    response: Response,
    lines: Lines,
    opener: Opener,
    /// How long the next bytes may take.
    patience: Duration,
    body_ended: bool,
    head_seen: bool,
}

impl Answer {
    pub(crate) fn new(
        response: Response,
        down: FernetKey,
        number: &Number,
        patience: Duration,
    ) -> Self {
        Self {
            response,
            lines: Lines::default(),
            opener: Opener::new(down, number),
            patience,
            body_ended: false,
            head_seen: false,
        }
    }

    /// The next part, head first; nothing once the body is over.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, Fault> {
        while let Some(line) = self.line().await? {
            let part = self
                .opener
                .open(&line)
                .map_err(|refusal| self.unsealed(&refusal.to_string()))?;
            self.head_seen |= matches!(part, Part::Head(_));
            if part != Part::Nothing {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    /// The trailer of an answer that has proved its end.
    pub(crate) fn finish(self) -> Result<Object, Fault> {
        self.opener
            .finish()
            .map_err(|_| Fault::Path("the answer was cut".into()))
    }

    /// What an answer that nothing seals, or seals no more, comes to.
    fn unsealed(&self, what: &str) -> Fault {
        match self.response.status().as_u16() {
            _ if self.head_seen => Fault::Path(format!("the answer was changed: {what}")),
            200 => Fault::Path("an answer that the server did not seal".into()),
            status => by_status(status),
        }
    }

    async fn line(&mut self) -> Result<Option<bytes::Bytes>, Fault> {
        loop {
            let found = self.lines.next();
            match found.map_err(|refusal| self.unsealed(&refusal.to_string()))? {
                Some(line) if line.is_empty() => {}
                Some(line) => return Ok(Some(line)),
                None if self.body_ended => return self.no_more(),
                None => self.read().await?,
            }
        }
    }

    /// The end of the body: a last line may lack its end; an answer without a head is none.
    fn no_more(&mut self) -> Result<Option<bytes::Bytes>, Fault> {
        let rest = std::mem::take(&mut self.lines).rest();
        if rest.is_none() && !self.head_seen {
            return Err(match self.response.status().as_u16() {
                200 => Fault::Path("an empty answer".into()),
                status => by_status(status),
            });
        }
        Ok(rest)
    }

    async fn read(&mut self) -> Result<(), Fault> {
        let piece = timeout(self.patience, next_piece(&mut self.response)).await;
        let piece = piece.map_err(|_| silent(self.patience))?;
        match piece.map_err(|error| Fault::Path(error.to_string()))? {
            Some(piece) => self.lines.push(&piece),
            None => self.body_ended = true,
        }
        Ok(())
    }
}

/// What a bare answer of this status comes to.
fn by_status(status: u16) -> Fault {
    match status {
        403 => Fault::SessionLost,
        409 => Fault::Repeated,
        413 => Fault::TooLarge,
        status => Fault::Path(format!("an answer {status} that the server did not seal")),
    }
}

/// Nothing came for so long.
pub(crate) fn silent(patience: Duration) -> Fault {
    Fault::Path(format!("no answer for {} s", patience.as_secs()))
}
