//! The servers that have names, in `~/.config/remo/config.toml`: read and written whole.
//! What follows from an entry is `place`'s to know.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use remo_client::escape::escape;
use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    pub(crate) servers: BTreeMap<String, Server>,
}

/// `[servers.NAME]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// Each a fingerprint, 57 bytes in URL-safe base64, or a PEM file.
    #[serde(default)]
    pub(crate) server_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl Config {
    /// What the file holds; nothing where there is none.
    pub(crate) fn read() -> Result<Self, Box<dyn Error>> {
        let Some(file) = file() else {
            return Ok(Self::default());
        };
        let shown = escape(&file.to_string_lossy());
        match fs::read_to_string(&file) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| format!("cannot use '{shown}': {}", error.message()).into()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                Err(format!("cannot read '{shown}': {}", remo_cli::reason(&error)).into())
            }
        }
    }

    /// Puts it in the place of the file: whole, and for its owner's eyes.
    pub(crate) fn write(&self) -> Result<PathBuf, Box<dyn Error>> {
        let file = file().ok_or("there is no home to keep names in (set HOME)")?;
        let text = format!("{HEAD}{}", toml::to_string(self)?);
        remo_files::write_private(&file, text.as_bytes()).map_err(|error| {
            let shown = escape(&file.to_string_lossy());
            format!("cannot write '{shown}': {}", remo_cli::reason(&error))
        })?;
        Ok(file)
    }
}

fn file() -> Option<PathBuf> {
    Some(folder()?.join("config.toml"))
}

/// Where what is known of servers is kept; none where there is no home.
pub(crate) fn folder() -> Option<PathBuf> {
    below("XDG_CONFIG_HOME", ".config")
}

/// Where things are kept that may be lost.
pub(crate) fn cache() -> Option<PathBuf> {
    below("XDG_CACHE_HOME", ".cache")
}

fn below(named: &str, usual: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = set(named).map(PathBuf::from);
    let base = base.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(usual)))?;
    Some(base.join("remo"))
}

const HEAD: &str = "# Servers that have names: url, user, key, server_keys, proxy, ca_file. Written anew by remo trust.\n\n";
