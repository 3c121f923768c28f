//! Opens a body line by line: proves each token, and that it is the next one. What the data are for is
//! not known here.

use bytes::Bytes;

use super::{Frame, RequestNumber};
use crate::{
    fernet::{FernetKey, Opened},
    mark::Mark,
    refusal::Refusal,
};

/// Opens one body. Give it every line, then [`finish`](Self::finish) it: only that proves the body whole.
#[derive(Debug)]
pub struct Opener {
    key: FernetKey,
    form: Form,
    own: Option<Mark>,
}

#[derive(Debug)]
enum Form {
    /// Dialect 0.3; the newest time stamp seen.
    Plain { newest: u64 },
    /// Dialect 0.6.
    Numbered(Place),
}

/// Where in a numbered body we are.
#[derive(Debug)]
struct Place {
    request: RequestNumber,
    /// The number of the token that must come next.
    next: i32,
    ended: bool,
    /// Where a first token is still to come: the status that its prefix must hold.
    status: Option<u16>,
}

impl Opener {
    /// A body of dialect 0.3.
    pub fn v0_3(key: FernetKey) -> Self {
        Self {
            key,
            form: Form::Plain { newest: 0 },
            own: None,
        }
    }

    /// The same body, in which a token with this mark is refused.
    #[must_use]
    pub fn refusing(self, own: Mark) -> Self {
        Self {
            own: Some(own),
            ..self
        }
    }

    /// The answer of dialect 0.6 to `request`, whose HTTP status is `status`.
    pub fn answer_v0_6(key: FernetKey, request: RequestNumber, status: u16) -> Self {
        let place = Place {
            request,
            next: 0,
            ended: false,
            status: Some(status),
        };
        Self {
            key,
            form: Form::Numbered(place),
            own: None,
        }
    }

    /// A request of dialect 0.6 whose first token was taken; `ended` says that this was all of it.
    pub(crate) fn rest_of_v0_6(key: FernetKey, request: RequestNumber, ended: bool) -> Self {
        let place = Place {
            request,
            next: 1,
            ended,
            status: None,
        };
        Self {
            key,
            form: Form::Numbered(place),
            own: None,
        }
    }

    /// Opens one line and gives its data.
    ///
    /// # Errors
    /// Whatever is wrong with the token, its origin or its place. After an error nothing more may be asked.
    pub fn open(&mut self, line: &[u8]) -> Result<Bytes, Refusal> {
        let opened = self.key.open(line)?;
        if self.own.as_ref().is_some_and(|own| own.is_on(&opened.iv)) {
            return Err(Refusal::TokenReflected);
        }
        match &mut self.form {
            Form::Plain { newest } => {
                *newest = opened.at.max(*newest);
                Ok(opened.plain)
            }
            Form::Numbered(place) => place.take(&opened),
        }
    }

    /// Ends the body, and gives the newest time stamp that a body of dialect 0.3 showed.
    ///
    /// # Errors
    /// [`Refusal::EndMissing`] where dialect 0.6 says that there is more.
    pub fn finish(self) -> Result<u64, Refusal> {
        match self.form {
            Form::Plain { newest } => Ok(newest),
            Form::Numbered(place) if place.ended => Ok(0),
            Form::Numbered(_) => Err(Refusal::EndMissing),
        }
    }
}

impl Place {
    fn take(&mut self, opened: &Opened) -> Result<Bytes, Refusal> {
        if self.ended {
            return Err(Refusal::AfterEnd);
        }
        let mut frame = Frame::parse(&opened.plain)?;
        if frame.begin != (self.next == 0) {
            return Err(Refusal::BeginMisplaced);
        }
        if i32::from(frame.token) != self.next
            || RequestNumber::parse(frame.request) != Some(self.request)
        {
            return Err(Refusal::TokenOutOfStep);
        }
        if let Some(status) = self.status.take() {
            check_status(&frame.split_prefix(3)?, status)?;
        }
        self.next += 1;
        self.ended = frame.end;
        Ok(frame.data)
    }
}

fn check_status(digits: &[u8], status: u16) -> Result<(), Refusal> {
    if digits == format!("{status:03}").as_bytes() {
        Ok(())
    } else {
        Err(Refusal::StatusMismatch)
    }
}
