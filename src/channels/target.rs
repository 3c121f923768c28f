//! Where a forwarded connection goes: a host, by its name or address, and a port. Names are looked up here,
//! and tried address by address.

use std::{
    fmt, io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpStream, lookup_host},
    sync::Semaphore,
    time::{Instant, timeout_at},
};

/// `HOST:PORT`, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(String),
}

impl Target {
    /// Reads `name:port`, `1.2.3.4:port` or `[::1]:port`; nothing else is one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port > 0)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => Host::Address(IpAddr::V6(
                rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?,
            )),
            None => match host.parse() {
                Ok(IpAddr::V4(address)) => Host::Address(address.into()),
                Ok(IpAddr::V6(_)) => return None,
                Err(_) => Host::Name(name(host)?),
            },
        };
        Some(Self { host, port })
    }

    /// Connects, within 10 s in all: each address gets its share of the time that is left.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let until = Instant::now() + LONGEST;
        let addresses = timeout_at(until, self.addresses())
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let mut failed = io::Error::other("the name has no address");
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            let share = until.saturating_duration_since(Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            let connected = timeout_at(Instant::now() + share, TcpStream::connect(address)).await;
            match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let name = match &self.host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, self.port)]),
            Host::Name(name) => name,
        };
        // Each look-up takes a thread, for as long as the system's resolver waits.
        let _place = LOOKUPS.acquire().await.map_err(io::Error::other)?;
        let found = lookup_host((name.as_str(), self.port)).await;
        let found = found.map_err(|_| io::Error::other("no such host is known to the server"))?;
        Ok(found.take(ADDRESSES).collect())
    }
}

/// A name that can be one of a host: no spaces, no control characters, nothing that a resolver reads otherwise.
fn name(text: &str) -> Option<String> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let sound = !text.is_empty() && text.len() <= 253 && text.bytes().all(sound);
    (sound && !text.starts_with(['.', '-'])).then(|| text.to_owned())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(address) => write!(f, "{address}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Names that are looked up at once, of all users.
static LOOKUPS: Semaphore = Semaphore::const_new(32);

/// How long it may take to connect.
const LONGEST: Duration = Duration::from_secs(10);

/// Addresses of one name that are tried.
const ADDRESSES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_name_or_an_address_and_a_port() {
        for sound in [
            "localhost:1",
            "a-b_c.example.:65535",
            "127.0.0.1:80",
            "[::1]:22",
            "[2001:db8::7]:443",
        ] {
            let target = Target::parse(sound);
            assert_eq!(target.unwrap().to_string(), sound);
        }
    }

    #[test]
    fn whatever_else_is_none() {
        let long = format!("{}:80", "a".repeat(254));
        for wrong in [
            "",
            "host",
            ":80",
            "host:",
            "host:0",
            "host:65536",
            "host:+80",
            "host: 80",
            "ho st:80",
            "host\n:80",
            "h\u{e4}user:80",
            "::1:80",
            "[::1]80",
            "[::1:80",
            "[1.2.3.4]:80",
            "[fe80::1%eth0]:80",
            "-x:80",
            "http://host:80",
            "user@host:80",
            &long,
        ] {
            assert_eq!(Target::parse(wrong), None, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_and_each_of_its_addresses_tried() {
        let there = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = there.local_addr().unwrap().port();
        let target = Target::parse(&format!("localhost:{port}")).unwrap();
        assert!(target.connect().await.is_ok());
    }
}
