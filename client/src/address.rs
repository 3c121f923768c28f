//! The address of a server as people type it: `URL` or `HOST [PORT]`.
//! Not here: how the address is reached, which is `transport`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use reqwest::Url;

use crate::escape::escape;

/// The port of a server that is named by its host alone.
pub const DEFAULT_PORT: u16 = 80;

/// Where a server is: an `http` or `https` URL, with the prefix below which the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// Ends in `/`, has neither user nor query nor fragment.
    base: Url,
}

/// Why a text is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text is neither a URL nor a host.
    #[error(
        "'{0}' is neither a URL nor a host (example: http://example.org/prefix, or example.org 8080)"
    )]
    Malformed(String),
    /// The URL is of another scheme than `http` and `https`.
    #[error("a server cannot be reached by '{0}' (use http:// or https://)")]
    Scheme(String),
    /// The URL holds a user or a password.
    #[error(
        "the URL holds a user or a password (the user is named by --user; the key stands for the password)"
    )]
    Credentials,
    /// The URL has a query or a fragment.
    #[error("the URL has a query or a fragment (end it after the prefix)")]
    Query,
    /// A port is named twice, and the two differ.
    #[error("the address says port {0}, the argument says port {1} (give one of them)")]
    TwoPorts(u16, u16),
    /// Port 0 is nobody's.
    #[error("port 0 cannot be reached (give the port that the server printed)")]
    PortZero,
}

impl ServerAddress {
    /// Reads `URL`, `HOST` or `HOST:PORT`, and a port given apart.
    ///
    /// # Errors
    /// [`AddressError`] says what is wrong with the text.
    pub fn parse(target: &str, port: Option<u16>) -> Result<Self, AddressError> {
        let mut base = if target.contains("://") {
            parse_url(target)?
        } else {
            parse_host(target)?
        };
        place_port(&mut base, target, port)?;
        close_path(&mut base);
        Ok(Self { base })
    }

    /// The URL of `path`, which begins with `/` and stands below the server's prefix.
    #[must_use]
    pub fn endpoint(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let whole = format!("{}{}", self.base.path().trim_end_matches('/'), path);
        url.set_path(&whole);
        url
    }

    /// Whether the way to the server is TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text, None)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str())
    }
}

fn parse_url(text: &str) -> Result<Url, AddressError> {
    let url = Url::parse(text.trim()).map_err(|_| malformed(text))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(AddressError::Scheme(escape(url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::Query);
    }
    Ok(url)
}

/// A host, an IPv4 or IPv6 address (with or without brackets), with or without a port.
fn parse_host(text: &str) -> Result<Url, AddressError> {
    let host = text.trim();
    if host.is_empty()
        || host.contains(['/', '?', '#', '@', '\\'])
        || host.contains(char::is_whitespace)
    {
        return Err(malformed(text));
    }
    let url = if host.parse::<Ipv6Addr>().is_ok() {
        format!("http://[{host}]/")
    } else {
        format!("http://{host}/")
    };
    Url::parse(&url).map_err(|_| malformed(text))
}

fn place_port(base: &mut Url, text: &str, port: Option<u16>) -> Result<(), AddressError> {
    let Some(port) = port else {
        return if base.port() == Some(0) {
            Err(AddressError::PortZero)
        } else {
            Ok(())
        };
    };
    if port == 0 {
        return Err(AddressError::PortZero);
    }
    if let Some(other) = base.port().filter(|other| *other != port) {
        return Err(AddressError::TwoPorts(other, port));
    }
    base.set_port(Some(port)).map_err(|()| malformed(text))
}

fn close_path(base: &mut Url) {
    if !base.path().ends_with('/') {
        let path = format!("{}/", base.path());
        base.set_path(&path);
    }
}

fn malformed(text: &str) -> AddressError {
    AddressError::Malformed(escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str, port: Option<u16>) -> Result<String, AddressError> {
        ServerAddress::parse(target, port).map(|address| address.to_string())
    }

    #[test]
    fn a_host_alone_means_port_80() {
        assert_eq!(read("example.org", None).unwrap(), "http://example.org/");
        assert_eq!(
            ServerAddress::parse("example.org", None)
                .unwrap()
                .base
                .port_or_known_default(),
            Some(DEFAULT_PORT)
        );
    }

    #[test]
    fn a_host_takes_its_port_apart_or_after_a_colon() {
        assert_eq!(
            read("example.org", Some(8080)).unwrap(),
            "http://example.org:8080/"
        );
        assert_eq!(
            read("127.0.0.1:8080", None).unwrap(),
            "http://127.0.0.1:8080/"
        );
    }

    #[test]
    fn ipv6_is_understood_with_and_without_brackets() {
        assert_eq!(read("::1", Some(8080)).unwrap(), "http://[::1]:8080/");
        assert_eq!(read("[::1]:8080", None).unwrap(), "http://[::1]:8080/");
    }

    #[test]
    fn a_prefix_stays_in_front_of_every_path() {
        let address = ServerAddress::parse("https://example.org/a/remo", None).unwrap();
        assert_eq!(
            address.endpoint("/cmd/gAAA-_=").as_str(),
            "https://example.org/a/remo/cmd/gAAA-_="
        );
        assert!(address.is_https());
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_with_its_reason() {
        assert_eq!(
            read("ftp://example.org", None),
            Err(AddressError::Scheme("ftp".into()))
        );
        assert_eq!(
            read("http://me:pw@example.org", None),
            Err(AddressError::Credentials)
        );
        assert_eq!(
            read("http://example.org/?a", None),
            Err(AddressError::Query)
        );
        assert_eq!(
            read("http://example.org:81", Some(82)),
            Err(AddressError::TwoPorts(81, 82))
        );
        assert_eq!(read("example.org", Some(0)), Err(AddressError::PortZero));
        for text in ["", "a b", "a/b", "http://", "me@host", "host:99999"] {
            assert!(
                matches!(read(text, None), Err(AddressError::Malformed(_))),
                "{text}"
            );
        }
    }
}
