//! A session with one server: its log-in, its verbs, and when it has to be begun anew.
//! Not here: how an answer is read, which is `answer`, and files, which are `transfer`.

use std::time::{Duration, Instant};

use remo_protocol::body::RequestNumber;
use remo_protocol::dialect::Dialect;
use remo_protocol::keys::PublicKey;
use remo_protocol::limits;
use remo_protocol::name::UserName;
use remo_protocol::refusal::Refusal;
use reqwest::Response;
use reqwest::header::HeaderValue;
use tokio::time::timeout;

use crate::answer::{Answer, Reading};
use crate::error::Error;
use crate::live::Live;
use crate::remedy::Asked;
use crate::sending::{Form, Sending};
use crate::signer::Signer;
use crate::transport::{Transport, location};
use crate::upload::Upload;

/// Who we are, and whom we believe to be the server.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The name under which the server knows the key.
    pub user: UserName,
    /// What signs with the user's private key.
    pub key: Signer,
    /// The server's public key.
    pub server: PublicKey,
}

/// How to speak.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The dialect of the session.
    pub dialect: Dialect,
    /// The server is the Python remo_serv 0.6, whose answers do not mark their end: a cut cannot be noticed.
    pub accept_cut_answers: bool,
    /// For how long the server may be silent while an answer is awaited; `None`: for ever.
    pub time_out: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dialect: Dialect::V0_6,
            accept_cut_answers: false,
            time_out: None,
        }
    }
}

/// A session with one server. It logs in by itself before its first request, and again where that is due.
#[derive(Debug)]
pub struct Session {
    pub(crate) transport: Transport,
    pub(crate) identity: Identity,
    pub(crate) options: Options,
    pub(crate) home: Home,
}

/// What is between two requests.
#[derive(Debug, Default)]
pub(crate) struct Home {
    pub(crate) live: Option<Live>,
    /// An answer has ended without its mark.
    pub(crate) unmarked: bool,
    /// An answer was an accident. Some servers (cheroot) then close the connection without saying so: none is used again.
    pub(crate) stale: bool,
}

/// The verbs that a session has, by their place in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Put,
    Cmd,
    Icm,
    Idt,
    Edt,
    Info,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Cmd => "cmd",
            Self::Icm => "icm",
            Self::Idt => "idt",
            Self::Edt => "edt",
            Self::Info => "info",
        }
    }

    fn asked(self) -> Asked {
        match self {
            Self::Cmd | Self::Icm => Asked::Command,
            Self::Get | Self::Put => Asked::File,
            Self::Idt | Self::Edt | Self::Info => Asked::Other,
        }
    }
}

impl Session {
    /// A session over `transport`; nothing is sent yet.
    #[must_use]
    pub fn new(transport: Transport, identity: Identity, options: Options) -> Self {
        Self {
            transport,
            identity,
            options,
            home: Home::default(),
        }
    }

    /// No request goes into a connection that may be about to close.
    pub(crate) fn leave_stale(&mut self) -> Result<(), Error> {
        if self.home.stale {
            self.transport.renew()?;
            self.home.stale = false;
        }
        Ok(())
    }

    /// Whether the next request needs no log-in.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.home
            .live
            .as_ref()
            .is_some_and(|live| live.next.is_some())
    }

    /// Whether an answer has ended without its mark, which [`Options::accept_cut_answers`] allows.
    #[must_use]
    pub fn saw_unmarked_end(&self) -> bool {
        self.home.unmarked
    }

    /// Ends the session on the server.
    ///
    /// # Errors
    /// Those of the path. Here the session has ended in any case.
    pub async fn logout(&mut self) -> Result<(), Error> {
        let Some(live) = self.home.live.take() else {
            return Ok(());
        };
        self.leave_stale()?;
        let sent = self
            .transport
            .send("/auth", Some(&live.cookie), Some("".into()));
        let response = timeout(LOGOUT_TIME, sent)
            .await
            .map_err(|_| Error::Silent(LOGOUT_TIME.as_secs()))??;
        match response.status().as_u16() {
            200 => Ok(()),
            status => {
                self.home.stale = true;
                let location = location(&response);
                Err(Error::unsealed(Asked::Other, status, location.as_deref()))
            }
        }
    }

    /// Runs a command line to its end and streams its output; `input` is its standard input.
    ///
    /// # Errors
    /// See [`Error`]; so it is with all verbs.
    pub async fn exec(&mut self, command: &str, input: Upload) -> Result<Answer<'_>, Error> {
        self.request(Verb::Cmd, Some(command), input).await
    }

    /// Starts an interactive command; the answer is what it said in the first moment.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn iexec(&mut self, command: &str) -> Result<Answer<'_>, Error> {
        self.request(Verb::Icm, Some(command), Upload::empty())
            .await
    }

    /// Gives input to the interactive command; the answer is what it said in the moment after.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn idata(&mut self, data: impl Into<Vec<u8>>) -> Result<Answer<'_>, Error> {
        self.request(Verb::Idt, None, Upload::bytes(data)).await
    }

    /// Ends the input of the interactive command and streams all that it still says.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn iend(&mut self) -> Result<Answer<'_>, Error> {
        self.request(Verb::Edt, None, Upload::empty()).await
    }

    /// Asks the server who it is; a log-in that is due has asked already.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn info(&mut self) -> Result<String, Error> {
        if !self.is_logged_in()
            && let Some(greeting) = self.greet().await?
        {
            return Ok(greeting);
        }
        let answer = self.request(Verb::Info, None, Upload::empty()).await?;
        let text = answer.collect(limits::ARGUMENT).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Sends one request. The answer that comes back is the server's, and its status is 200.
    pub(crate) async fn request(
        &mut self,
        verb: Verb,
        argument: Option<&str>,
        upload: Upload,
    ) -> Result<Answer<'_>, Error> {
        if !self.is_logged_in() {
            self.login().await?;
        }
        self.ask(verb, argument, upload).await
    }

    /// The same within a session that is logged in to.
    pub(crate) async fn ask(
        &mut self,
        verb: Verb,
        argument: Option<&str>,
        upload: Upload,
    ) -> Result<Answer<'_>, Error> {
        self.leave_stale()?;
        let (live, number) = self
            .take_live()
            .ok_or(Error::Seal(Refusal::NumbersExhausted))?;
        let path = live.keys.seal_path(verb.name(), argument)?;
        let sealer = live.keys.sealer(number, &path);
        let sending = Sending::start(upload, sealer, Form::of(self.options)).await?;
        let begun = Instant::now();
        let response = self.exchange(&path, &live.cookie, sending).await?;
        let status = response.status().as_u16();
        let milliseconds = begun.elapsed().as_millis();
        tracing::debug!(
            verb = verb.name(),
            number = number.map(RequestNumber::value),
            status,
            milliseconds,
            "answered"
        );
        self.home.stale = status >= 500;
        let (keys, asked) = (live.keys.clone(), verb.asked());
        let reading = Reading::new(response, keys, number, asked, self.options);
        Answer::begin(reading, live, &mut self.home).await
    }

    /// Takes what the log-in brought; dialect 0.3 numbers nothing, and leaves a copy for the next.
    fn take_live(&mut self) -> Option<(Live, Option<RequestNumber>)> {
        match self.options.dialect {
            Dialect::V0_3 => self.home.live.clone(),
            Dialect::V0_6 => self.home.live.take(),
        }
        .map(|live| live.advance(self.options.dialect))
    }

    /// Sends, and waits for the head of the answer for as long as the body moves or the time-out allows.
    async fn exchange(
        &self,
        path: &str,
        cookie: &HeaderValue,
        mut sending: Sending,
    ) -> Result<Response, Error> {
        let payload = sending.payload.take();
        let mut sent = std::pin::pin!(self.transport.send(path, Some(cookie), payload));
        let outcome = loop {
            let before = sending.moved();
            match self.patiently(sent.as_mut()).await {
                Err(Error::Silent(_)) if sending.moved() != before => {}
                Ok(outcome) => break outcome,
                Err(silent) => return Err(silent),
            }
        };
        match outcome {
            Ok(response) => Ok(response),
            Err(broken) => Err(sending
                .fault()
                .unwrap_or_else(|| broken.while_sending(sending.moved()))),
        }
    }

    async fn patiently<T>(&self, wait: impl Future<Output = T>) -> Result<T, Error> {
        match self.options.time_out {
            None => Ok(wait.await),
            Some(limit) => timeout(limit, wait)
                .await
                .map_err(|_| Error::Silent(limit.as_secs())),
        }
    }
}

/// The longest that a log-out may take; the server's time-out does the same later.
const LOGOUT_TIME: Duration = Duration::from_secs(5);
