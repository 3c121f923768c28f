//! The road to a server: which proxy it goes by, and connections of our own along it, so that a test knows
//! which connection a request takes. It goes where `transport` goes. Not here: what is sent along it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::line::{Body, Line};
use super::tls::{Recorder, plain_config, recording_config};
use crate::address::ServerAddress;
use crate::error::{Error, innermost};
use crate::transport::Way;

/// A way to a server, with what is between.
pub(super) struct Road {
    pub(super) address: ServerAddress,
    pub(super) hop: Option<Hop>,
    pub(super) recorder: Option<Arc<Recorder>>,
    host: String,
    port: u16,
    /// TLS with the server, for https.
    tls: Option<Arc<ClientConfig>>,
}

/// The proxy that the road goes by.
#[derive(Clone)]
pub(super) struct Hop {
    host: String,
    port: u16,
    scheme: String,
    login: Option<HeaderValue>,
}

/// Why something got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No connection to the server.
    Unreachable(String),
    /// No connection to the proxy.
    Proxy(String),
    /// The proxy makes no tunnel: its status, and the ways to log in that it offers.
    NoTunnel(u16, Vec<String>),
    /// No TLS with the server.
    Tls(String),
    /// The connection broke.
    Broken(String),
    /// Nothing came for so long.
    Silent(Duration),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(cause) => write!(f, "the server cannot be reached: {cause}"),
            Self::Proxy(cause) => write!(f, "the proxy cannot be reached: {cause}"),
            Self::NoTunnel(status, _) => write!(f, "the proxy makes no tunnel: {status}"),
            Self::Tls(cause) => write!(f, "no TLS with the server: {cause}"),
            Self::Broken(cause) => write!(f, "the connection broke: {cause}"),
            Self::Silent(time) => write!(f, "no answer for {:.1} s", time.as_secs_f64()),
        }
    }
}

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Road {
    /// Plans the way that `transport` would take.
    ///
    /// # Errors
    /// [`Error::Setup`], for https without CA certificates.
    pub(super) fn plan(address: ServerAddress, way: &Way) -> Result<Self, Error> {
        let url = address.endpoint("/");
        let host = url.host_str().unwrap_or_default();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let (tls, recorder) = if address.is_https() {
            let (config, recorder) = recording_config(way.authorities.as_deref())?;
            (Some(config), Some(recorder))
        } else {
            (None, None)
        };
        let matcher = match &way.proxy {
            Some(proxy) => Matcher::builder().all(proxy.as_str()).build(),
            None => Matcher::from_env(),
        };
        let target: Uri = url
            .as_str()
            .parse()
            .map_err(|_| Error::Setup("the address is no URI".into()))?;
        Ok(Self {
            hop: matcher.intercept(&target).map(|proxy| Hop::of(&proxy)),
            address,
            recorder,
            host,
            port,
            tls,
        })
    }

    /// Whether a proxy reads our requests.
    pub(super) fn is_read_by_proxy(&self) -> bool {
        self.hop.is_some() && self.tls.is_none()
    }

    /// The host and port of the server.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Opens a connection of its own.
    ///
    /// # Errors
    /// What of the way there fails.
    pub(super) async fn open(&self) -> Result<Line, Fault> {
        let begun = Instant::now();
        let opened = timeout(CONNECT_TIME, self.connect()).await;
        let stream = opened.unwrap_or(Err(Fault::Silent(CONNECT_TIME)))?;
        Line::over(stream, begun).await
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Fault> {
        let stream = match &self.hop {
            None => tcp(&self.host, self.port)
                .await
                .map_err(Fault::Unreachable)?,
            Some(hop) => hop.connect().await.map_err(Fault::Proxy)?,
        };
        let Some(config) = &self.tls else {
            return Ok(stream);
        };
        let stream = match &self.hop {
            None => stream,
            Some(hop) => hop.tunnel(stream, &self.authority()).await?,
        };
        tls(config, &self.host, stream).await.map_err(Fault::Tls)
    }

    /// A request as it goes along this road.
    pub(super) fn request(
        &self,
        path: &str,
        cookie: Option<&HeaderValue>,
    ) -> http::request::Builder {
        let url = self.address.endpoint(path);
        let target = if self.is_read_by_proxy() {
            url.as_str()
        } else {
            url.path()
        };
        let name = url.host_str().unwrap_or_default();
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(target)
            .header(HOST, host)
            .header(http::header::CACHE_CONTROL, "no-store")
            .header(http::header::CONTENT_TYPE, "application/octet-stream");
        if let Some(cookie) = cookie {
            request = request.header(http::header::COOKIE, cookie);
        }
        let login = self.hop.as_ref().and_then(|hop| hop.login.as_ref());
        if let Some(login) = login.filter(|_| self.is_read_by_proxy()) {
            request = request.header(PROXY_AUTHORIZATION, login);
        }
        request
    }
}

impl Hop {
    fn of(proxy: &hyper_util::client::proxy::matcher::Intercept) -> Self {
        let uri = proxy.uri();
        let scheme = uri.scheme_str().unwrap_or("http").to_ascii_lowercase();
        let host = uri.host().unwrap_or_default();
        Self {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: uri
                .port_u16()
                .unwrap_or(if scheme == "https" { 443 } else { 80 }),
            scheme,
            login: proxy.basic_auth().cloned(),
        }
    }

    /// Without its log-in.
    pub(super) fn shown(&self) -> String {
        format!("{}://{}:{}", self.scheme, self.host, self.port)
    }

    pub(super) fn has_login(&self) -> bool {
        self.login.is_some()
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        if self.scheme.starts_with("socks") {
            return Err("remo does not speak SOCKS (name an HTTP proxy)".into());
        }
        let stream = tcp(&self.host, self.port).await?;
        if self.scheme != "https" {
            return Ok(stream);
        }
        let config = plain_config().map_err(|error| error.to_string())?;
        tls(&config, &self.host, stream).await
    }

    /// Asks for a tunnel to the server.
    async fn tunnel(
        &self,
        stream: Box<dyn Stream>,
        authority: &str,
    ) -> Result<Box<dyn Stream>, Fault> {
        let broken = |error: hyper::Error| Fault::Broken(innermost(&error));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::connect(authority).header(HOST, authority);
        if let Some(login) = &self.login {
            request = request.header(PROXY_AUTHORIZATION, login);
        }
        let request = request
            .body(Empty::<bytes::Bytes>::new().boxed_unsync() as Body)
            .map_err(|error| Fault::Broken(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Fault::NoTunnel(
                status.as_u16(),
                schemes(response.headers()),
            ));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(broken)?;
        Ok(Box::new(TokioIo::new(upgraded)))
    }
}

/// The ways to log in that a proxy offers.
pub(super) fn schemes(headers: &http::HeaderMap) -> Vec<String> {
    let offers = headers.get_all(PROXY_AUTHENTICATE).iter();
    let texts = offers.map(|offer| String::from_utf8_lossy(offer.as_bytes()).into_owned());
    let words = texts.filter_map(|text| {
        let word = text.split([' ', ',']).next()?;
        Some(word.chars().take(40).collect::<String>()).filter(|word| !word.is_empty())
    });
    words.take(8).collect()
}

async fn tcp(host: &str, port: u16) -> Result<Box<dyn Stream>, String> {
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|error| innermost(&error))?;
    let _ = stream.set_nodelay(true);
    Ok(Box::new(stream))
}

async fn tls(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(config.clone());
    let stream = connector.connect(name, stream).await;
    Ok(Box::new(stream.map_err(|error| innermost(&error))?))
}

/// How long a connection may take to come about.
const CONNECT_TIME: Duration = Duration::from_secs(10);
