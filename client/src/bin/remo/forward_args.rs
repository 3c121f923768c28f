//! The command line of `remo forward`: which ports lead where.
//! What follows from it is `forward`'s to know.

use crate::args::ServerArgs;

#[derive(Debug, clap::Args)]
pub(crate) struct ForwardArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// Listen on PORT here, and carry each connection to PORT of HOST as the server reaches it; may be given several times
    #[arg(value_name = "[ADDR:]PORT:HOST:PORT", required = true, value_parser = Port::parse)]
    pub(crate) ports: Vec<Port>,

    /// Tell what is listened on as lines of JSON, and of connections that fail on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// A port here, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) to: String,
}

impl Port {
    fn parse(text: &str) -> Result<Self, String> {
        let parts = parts(text).ok_or(FORM)?;
        let (address, port, host, to) = match parts.as_slice() {
            [port, host, to] => (LOOPBACK, *port, *host, *to),
            [address, port, host, to] => (*address, *port, *host, *to),
            _ => return Err(FORM.into()),
        };
        if address.is_empty() || host.is_empty() {
            return Err(FORM.into());
        }
        let port = number(port)?;
        let to = match number(to)? {
            0 => return Err("there is no port 0 to connect to".into()),
            to => to,
        };
        Ok(Self {
            address: bare(address).to_owned(),
            port,
            to: format!("{host}:{to}"),
        })
    }
}

/// What stands between colons; within brackets a colon is one of IPv6.
fn parts(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let end = if rest.starts_with('[') {
            rest.find(']')? + 1
        } else {
            rest.find(':').unwrap_or(rest.len())
        };
        let (part, after) = rest.split_at(end);
        parts.push(part);
        match after.strip_prefix(':') {
            Some(after) => rest = after,
            None => return after.is_empty().then_some(parts),
        }
    }
}

fn bare(address: &str) -> &str {
    let inner = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(address)
}

fn number(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| format!("'{}' is no port", text.escape_debug()))
}

const FORM: &str =
    "it has not the form [ADDR:]PORT:HOST:PORT (an address of IPv6 stands in brackets)";

/// Where is listened unless told otherwise: for this machine alone.
const LOOPBACK: &str = "127.0.0.1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_leads_from_an_address_here_to_a_host_there() {
        for (text, address, port, to) in [
            ("8080:db:5432", "127.0.0.1", 8080, "db:5432"),
            ("0:[::1]:80", "127.0.0.1", 0, "[::1]:80"),
            ("0.0.0.0:1:10.0.0.1:2", "0.0.0.0", 1, "10.0.0.1:2"),
            (
                "[::1]:8080:[2001:db8::1]:443",
                "::1",
                8080,
                "[2001:db8::1]:443",
            ),
            ("localhost:65535:h:65535", "localhost", 65535, "h:65535"),
        ] {
            let wanted = Port {
                address: address.into(),
                port,
                to: to.into(),
            };
            assert_eq!(Port::parse(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn whatever_else_is_refused() {
        for text in [
            "",
            "80",
            "80:h",
            "80:h:0",
            "h:80",
            "80::80",
            ":80:h:80",
            "65536:h:80",
            "80:h:65536",
            "80:h:+1",
            "80:::1:80",
            "80:[::1:80",
            "80:[::1]x:80",
            "1:2:3:4:5",
            "a:80:h:x",
        ] {
            assert!(Port::parse(text).is_err(), "{text}");
        }
    }
}
