//! What a log-in has brought: the key of the session, its cookie, and where its requests stand.
//! Not here: how one logs in, and when.

use remo_protocol::body::{Lineation, Opener, RequestNumber, Sealer, hash_path};
use remo_protocol::dialect::Dialect;
use remo_protocol::fernet::{FernetKey, Sealed};
use remo_protocol::limits;
use remo_protocol::mark::Mark;
use reqwest::header::HeaderValue;

use crate::error::Error;
use crate::upload::now;

/// A session that is logged in to. A request of dialect 0.6 takes it along and its whole answer brings it back: when it is
/// cut off on the way, nobody knows which number comes next, and the next request logs in anew.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) keys: Keys,
    pub(crate) cookie: HeaderValue,
    /// The number of the next request (dialect 0.6); none is left after the last.
    pub(crate) next: Option<RequestNumber>,
}

impl Live {
    pub(crate) fn new(key: FernetKey, cookie: HeaderValue) -> Result<Self, Error> {
        let keys = Keys {
            key,
            mark: Mark::draw().map_err(Error::Seal)?,
        };
        Ok(Self {
            keys,
            cookie,
            next: Some(RequestNumber::FIRST),
        })
    }

    /// Begins a request: what is left for the one after it, and the number of this one where the dialect has numbers.
    pub(crate) fn advance(self, dialect: Dialect) -> (Self, Option<RequestNumber>) {
        match dialect {
            Dialect::V0_3 => (self, None),
            Dialect::V0_6 => {
                let number = self.next;
                let next = number.and_then(RequestNumber::next);
                (Self { next, ..self }, number)
            }
        }
    }
}

/// What seals requests and opens their answers. Our own tokens carry a mark: one that is sent back to us is no answer.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    key: FernetKey,
    mark: Mark,
}

impl Keys {
    /// The path of a verb, with its argument sealed in it.
    pub(crate) fn seal_path(&self, verb: &str, argument: Option<&str>) -> Result<String, Error> {
        let Some(argument) = argument else {
            return Ok(format!("/{verb}"));
        };
        if argument.len() > limits::ARGUMENT {
            return Err(Error::ArgumentTooLong(argument.len()));
        }
        let vector = self.mark.vector().map_err(Error::Seal)?;
        let mut sealed = Sealed::default();
        self.key
            .seal_with(&[], argument.as_bytes(), now(), &vector, &mut sealed);
        Ok(format!("/{verb}/{}", String::from_utf8_lossy(&sealed.text)))
    }

    /// What seals the body of a request to `path`; `number` is that of dialect 0.6.
    pub(crate) fn sealer(&self, number: Option<RequestNumber>, path: &str) -> Sealer {
        let key = self.key.clone();
        let sealer = match number {
            Some(number) => Sealer::v0_6(key, Lineation::Between, number, &hash_path(path)),
            None => Sealer::v0_3(key, Lineation::Between),
        };
        sealer.marked(self.mark.clone())
    }

    /// What opens the answer to that request, which came with `status`.
    pub(crate) fn opener(&self, number: Option<RequestNumber>, status: u16) -> Opener {
        let key = self.key.clone();
        let opener = match number {
            Some(number) => Opener::answer_v0_6(key, number, status),
            None => Opener::v0_3(key),
        };
        opener.refusing(self.mark.clone())
    }
}
