//! `NAME:PATH` on a command line, or a path on this machine.
//! What stands there is not known here.

use std::collections::HashMap;
use std::error::Error;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::{OsStringValueParser, TypedValueParser, ValueParserFactory};
use remo_client::escape::{escape, escape_bytes};
use remo_client::remo2::Remote;

use crate::args::{ServerArgs, WhoArgs};
use crate::place;

/// A place for files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// On this machine.
    Here(PathBuf),
    /// On a server: its name or URL, and a path there.
    There(String, Vec<u8>),
}

impl Spot {
    /// What an argument means. A stroke before the first colon makes it a path here, save in a URL.
    pub(crate) fn parse(argument: OsString) -> Self {
        let bytes = argument.as_bytes();
        let from = begin_of_path(bytes);
        let colon = bytes.iter().skip(from).position(|byte| *byte == b':');
        let parts = colon.and_then(|colon| {
            let name = bytes.get(..from + colon)?;
            let path = bytes.get(from + colon + 1..)?;
            let is_name = from > 0 || !(name.is_empty() || name.contains(&b'/'));
            let name = std::str::from_utf8(name).ok().filter(|_| is_name)?;
            Some((name.to_owned(), path.to_vec()))
        });
        match parts {
            Some((name, path)) if path.is_empty() => Self::There(name, b".".to_vec()),
            Some((name, path)) => Self::There(name, path),
            None => Self::Here(argument.into()),
        }
    }

    /// As it is shown, and can be typed again unless something in it had to be escaped.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Here(path) => escape_bytes(path.as_os_str().as_bytes()),
            Self::There(name, path) => format!("{}:{}", escape(name), escape_bytes(path)),
        }
    }
}

/// Where the colon before the path may stand at the earliest: in a URL, behind the stroke after the host.
fn begin_of_path(bytes: &[u8]) -> usize {
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|scheme| bytes.starts_with(scheme.as_bytes()));
    let Some(scheme) = scheme else { return 0 };
    let mut rest = bytes.iter().skip(scheme.len());
    rest.position(|byte| *byte == b'/')
        .map_or(bytes.len(), |stroke| scheme.len() + stroke)
}

impl ValueParserFactory for Spot {
    type Parser = clap::builder::MapValueParser<OsStringValueParser, fn(OsString) -> Spot>;

    fn value_parser() -> Self::Parser {
        OsStringValueParser::new().map(Self::parse)
    }
}

/// The servers of one command line, each found once.
#[derive(Debug)]
pub(crate) struct Servers {
    who: WhoArgs,
    found: HashMap<String, Arc<Remote>>,
}

impl Servers {
    pub(crate) fn new(who: &WhoArgs) -> Self {
        Self {
            who: who.clone(),
            found: HashMap::new(),
        }
    }

    /// The server of this name or URL.
    pub(crate) async fn find(&mut self, name: &str) -> Result<Arc<Remote>, Box<dyn Error>> {
        if let Some(remote) = self.found.get(name) {
            return Ok(remote.clone());
        }
        let args = ServerArgs {
            target: name.to_owned(),
            who: self.who.clone(),
        };
        let remote = Arc::new(place::find(&args).await?);
        self.found.insert(name.to_owned(), remote.clone());
        Ok(remote)
    }

    /// The server of a spot, and the path there.
    pub(crate) async fn reach(
        &mut self,
        spot: &Spot,
    ) -> Result<(Arc<Remote>, Vec<u8>), Box<dyn Error>> {
        match spot {
            Spot::There(name, path) => Ok((self.find(name).await?, path.clone())),
            Spot::Here(_) => {
                let shown = spot.shown();
                Err(
                    format!("'{shown}' names no server (NAME:PATH is a path on the server NAME)")
                        .into(),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn there(name: &str, path: &str) -> Spot {
        Spot::There(name.into(), path.into())
    }

    #[test]
    fn what_has_a_name_before_a_colon_is_there() {
        let cases = [
            ("box:/etc/passwd", there("box", "/etc/passwd")),
            ("box:a:b", there("box", "a:b")),
            ("box:", there("box", ".")),
            ("http://h:80/remo:/etc", there("http://h:80/remo", "/etc")),
            ("https://h/:x", there("https://h/", "x")),
            ("./a:b", Spot::Here("./a:b".into())),
            (":b", Spot::Here(":b".into())),
            ("a", Spot::Here("a".into())),
            ("http://h:80", Spot::Here("http://h:80".into())),
        ];
        for (text, spot) in cases {
            assert_eq!(Spot::parse(text.into()), spot, "{text}");
        }
        let odd = OsString::from_vec(b"box:\xff".to_vec());
        assert_eq!(
            Spot::parse(odd),
            Spot::There("box".into(), b"\xff".to_vec())
        );
    }
}
