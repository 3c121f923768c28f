//! HTTP to one server, through whichever proxy the environment names.
//! Not here: what is sent, and what of an answer may be believed.

use std::time::Duration;

use reqwest::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderValue, LOCATION, PROXY_AUTHENTICATE,
};
use reqwest::{Body, Certificate, Client, Method, Proxy, Response, redirect};

use sha2::{Digest, Sha256};

use crate::address::ServerAddress;
use crate::error::{Error, innermost};
use crate::remedy::Asked;

/// How long a connection may take to come about.
pub const CONNECT_TIME: Duration = Duration::from_secs(30);

/// How long a connection is kept for the next request: less than servers and proxies keep it, so that
/// none is sent into a connection that is just being closed.
const IDLE_TIME: Duration = Duration::from_secs(20);

/// Connections that are kept for the next request.
const KEPT: usize = 8;

/// Where the environment names a proxy for plain http.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// What a request carries.
pub(crate) struct Payload {
    pub(crate) body: Body,
    /// The length of a body that is handed over piece by piece; without it, such a body is chunked.
    pub(crate) length: Option<u64>,
}

impl<B: Into<Body>> From<B> for Payload {
    fn from(body: B) -> Self {
        Self {
            body: body.into(),
            length: None,
        }
    }
}

/// The way to one server. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Transport {
    client: Client,
    address: ServerAddress,
    way: Way,
}

/// What a way to a server has of its own.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// The URL of a proxy, in place of what the environment names.
    pub proxy: Option<String>,
    /// CA certificates in PEM form that are trusted too.
    pub authorities: Option<Vec<u8>>,
}

impl Transport {
    /// Prepares the way to `address`; nothing is sent yet.
    ///
    /// `http_proxy`, `HTTPS_PROXY` and `no_proxy` are heeded, in capitals or not. No redirect is followed, no cookie
    /// kept, nothing compressed.
    ///
    /// # Errors
    /// [`Error::Setup`], for https without CA certificates.
    pub fn new(address: ServerAddress) -> Result<Self, Error> {
        Self::by(address, Way::default())
    }

    /// The same by a way of its own.
    ///
    /// # Errors
    /// [`Error::Setup`], also where the proxy is no URL and the certificates are none.
    pub fn by(address: ServerAddress, way: Way) -> Result<Self, Error> {
        let client = client(&address, &way)?;
        Ok(Self {
            client,
            address,
            way,
        })
    }

    /// Leaves all connections that were kept: the next request opens one of its own.
    ///
    /// # Errors
    /// See [`new`](Self::new).
    pub(crate) fn renew(&mut self) -> Result<(), Error> {
        self.client = client(&self.address, &self.way)?;
        Ok(())
    }

    /// Where it leads.
    #[must_use]
    pub fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// What it has of its own.
    pub(crate) fn way(&self) -> &Way {
        &self.way
    }

    /// What tells this path from others, and does not tell where it leads.
    pub(crate) fn mark(&self) -> String {
        mark(&self.address, &self.way)
    }

    /// Sends one request and waits for the head of its answer.
    pub(crate) async fn send(
        &self,
        path: &str,
        cookie: Option<&HeaderValue>,
        payload: Option<Payload>,
    ) -> Result<Response, Error> {
        let method = if payload.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let mut request = self
            .client
            .request(method, self.address.endpoint(path))
            .header(CACHE_CONTROL, "no-store");
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        if let Some(Payload { body, length }) = payload {
            if let Some(length) = length {
                request = request.header(CONTENT_LENGTH, length);
            }
            request = request.body(body);
        }
        request.send().await.map_err(|error| self.failure(&error))
    }

    /// Sends one whole body of remo/2, of known length.
    pub(crate) async fn post(
        &self,
        path: &str,
        cookie: Option<&HeaderValue>,
        body: impl Into<reqwest::Body>,
    ) -> Result<Response, Error> {
        let mut request = self
            .client
            .post(self.address.endpoint(path))
            .header(CACHE_CONTROL, "no-store")
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body);
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, cookie);
        }
        request.send().await.map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &reqwest::Error) -> Error {
        let cause = innermost(error);
        if !error.is_connect() {
            return Error::Broken(cause);
        }
        // The HTTP client asks a proxy for a tunnel by itself, and has but words for what came of it.
        if cause.contains("proxy authorization required") {
            return Error::unsealed(Asked::Other, 407, None);
        }
        let address = self.address.to_string();
        if cause.contains("certificate") {
            return Error::Certificate { address, cause };
        }
        Error::Unreachable { address, cause }
    }
}

/// See [`Transport::mark`].
pub(crate) fn mark(address: &ServerAddress, way: &Way) -> String {
    let mut hash = Sha256::new();
    hash.update(address.to_string());
    for proxy in way.proxy.iter().cloned().chain(environment()) {
        hash.update([0]);
        hash.update(proxy);
    }
    hash.finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn client(address: &ServerAddress, way: &Way) -> Result<Client, Error> {
    let setup = |error: reqwest::Error| Error::Setup(innermost(&error));
    let proxied = way.proxy.is_some() || by_proxy(address);
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIME)
        .pool_idle_timeout(IDLE_TIME)
        .pool_max_idle_per_host(if proxied && !address.is_https() {
            0
        } else {
            KEPT
        })
        .tcp_nodelay(true)
        .http1_only();
    if let Some(proxy) = &way.proxy {
        builder = builder.proxy(Proxy::all(proxy).map_err(setup)?);
    }
    if needs_tls(address, way) {
        // Another part of the program may have installed one, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if let Some(authorities) = &way.authorities {
            let certificates = Certificate::from_pem_bundle(authorities).map_err(setup)?;
            builder = builder.tls_certs_merge(certificates);
        }
    } else {
        builder = builder.tls_backend_preconfigured(no_tls()?);
    }
    builder.build().map_err(setup)
}

/// Where an answer points, if it points elsewhere.
pub(crate) fn location(response: &Response) -> Option<String> {
    location_of(response.headers())
}

/// The same of the header lines alone.
pub(crate) fn location_of(headers: &reqwest::header::HeaderMap) -> Option<String> {
    let value = headers.get(LOCATION)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The ways to log in that a proxy offers: the first words of what it says.
pub(crate) fn schemes(response: &Response) -> Vec<String> {
    let offers = response.headers().get_all(PROXY_AUTHENTICATE).iter();
    let words = offers.filter_map(|offer| offer.to_str().ok()?.split_whitespace().next());
    words
        .take(8)
        .map(|word| word.chars().take(40).collect())
        .collect()
}

/// Whether a proxy reads and writes our requests. Some (tinyproxy) close a connection after each answer without
/// saying so: a request that is sent into one is lost, and cannot be sent again, for it may have been carried out.
fn by_proxy(address: &ServerAddress) -> bool {
    !address.is_https()
        && PROXIES
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|proxy| !proxy.is_empty()))
}

/// What the environment says of proxies.
fn environment() -> impl Iterator<Item = String> {
    let names = PROXIES.into_iter().chain(["https_proxy", "HTTPS_PROXY"]);
    names.filter_map(|name| {
        std::env::var(name)
            .ok()
            .map(|value| format!("{name}={value}"))
    })
}

/// TLS is made ready only where it will be used: without CA certificates on the machine it cannot be.
fn needs_tls(address: &ServerAddress, way: &Way) -> bool {
    let is_tls = |proxy: &str| proxy.trim().to_ascii_lowercase().starts_with("https:");
    let proxy_by_tls = way.proxy.as_deref().is_some_and(is_tls)
        || PROXIES
            .iter()
            .any(|name| std::env::var(name).is_ok_and(|proxy| is_tls(&proxy)));
    address.is_https() || proxy_by_tls
}

/// A TLS that trusts nobody, for a connection that uses none.
fn no_tls() -> Result<rustls::ClientConfig, Error> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Setup(error.to_string()))?;
    Ok(config
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}
