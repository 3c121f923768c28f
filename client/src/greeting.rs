//! How a session begins: a log-in, and a look at the dialect that the server speaks.
//! Not here: what is said in a log-in, which is `login`.

use std::time::Duration;

use remo_protocol::dialect::Dialect;
use remo_protocol::limits;
use remo_protocol::refusal::Refusal;
use tokio::time::timeout;

use crate::error::Error;
use crate::login::log_in;
use crate::remedy::Asked;
use crate::session::{Session, Verb};
use crate::upload::Upload;

impl Session {
    /// Logs in anew, and asks the server who it is: its answer shows whether it speaks the dialect of the session, before
    /// anything else is sent. What an earlier session had running, the server ends when that one times out.
    ///
    /// # Errors
    /// [`Error::LoginRefused`], [`Error::WrongServer`], [`Error::NoSession`], [`Error::OtherDialect`], and those of the path.
    pub async fn login(&mut self) -> Result<(), Error> {
        self.greet().await.map(drop)
    }

    /// Logs in, and gives what the server says of itself, if it says it.
    pub(crate) async fn greet(&mut self) -> Result<Option<String>, Error> {
        self.home.live = None;
        self.leave_stale()?;
        let greeting = timeout(LOGIN_TIME, self.try_greet()).await;
        let greeting = greeting.unwrap_or(Err(Error::Silent(LOGIN_TIME.as_secs())));
        if greeting.is_err() {
            self.home.live = None;
            self.home.stale = true;
        }
        greeting
    }

    async fn try_greet(&mut self) -> Result<Option<String>, Error> {
        self.home.live = Some(log_in(&self.transport, &self.identity).await?);
        match self.ask(Verb::Info, None, Upload::empty()).await {
            Ok(answer) if answer.is_bare() => Err(Error::unsealed(Asked::Other, 200, None)),
            Ok(answer) => {
                let text = answer.collect(limits::ARGUMENT).await?;
                self.recognize(&text)?;
                Ok(Some(String::from_utf8_lossy(&text).into_owned()))
            }
            // Sealed as the dialect seals: that is all we want to know.
            Err(Error::Refused { .. }) => Ok(None),
            // Sealed with the right key, but without a frame.
            Err(Error::Forged(Refusal::FrameMalformed)) => Err(Error::OtherDialect(Dialect::V0_3)),
            Err(other) => Err(other),
        }
    }

    /// Dialect 0.3 takes any data: also the frames of 0.6.
    fn recognize(&self, text: &[u8]) -> Result<(), Error> {
        if self.options.dialect == Dialect::V0_3 && opens_with_a_frame(text) {
            return Err(Error::OtherDialect(Dialect::V0_6));
        }
        Ok(())
    }
}

/// Whether an answer opens as those of dialect 0.6 do: a frame of token 0, and the three digits of a status.
fn opens_with_a_frame(text: &[u8]) -> bool {
    let Some([b'B', b'.' | b'E', _, _, 0, 0, status @ ..]) = text.first_chunk::<9>() else {
        return false;
    };
    status.iter().all(u8::is_ascii_digit)
}

/// The longest that a log-in may take, connection included.
const LOGIN_TIME: Duration = Duration::from_secs(60);
