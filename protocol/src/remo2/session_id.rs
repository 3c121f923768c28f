//! The name of a session: which run of the server it is of, and which it is.

use std::fmt;

use crate::refusal::Refusal;

/// `RUN "." ID`: two times 22 characters of `A-Z a-z 0-9 - _`. It is signed, and no secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

/// The half of a [`SessionId`] that is drawn when a server starts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Run(String);

impl Run {
    /// Draws the name of a run.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`].
    pub fn draw() -> Result<Self, Refusal> {
        draw().map(Self)
    }

    /// Draws the name of a session of this run.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`].
    pub fn session(&self) -> Result<SessionId, Refusal> {
        Ok(SessionId(format!("{}.{}", self.0, draw()?)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SessionId {
    /// The name that a text is, if it has the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let (run, id) = text.split_once('.')?;
        (is_half(run) && is_half(id)).then(|| Self(text.to_owned()))
    }

    /// The run of the server that it is of.
    pub fn run(&self) -> Run {
        Run(self.0.split('.').next().unwrap_or_default().to_owned())
    }

    /// The name as text: what the cookie holds.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn draw() -> Result<String, Refusal> {
    let mut raw = [0; 16];
    getrandom::fill(&mut raw).map_err(|_| Refusal::RandomMissing)?;
    Ok(base64_simd::URL_SAFE_NO_PAD.encode_to_string(raw))
}

fn is_half(text: &str) -> bool {
    text.len() == 22
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
