//! The user database as people name and see it.
//! What is in the file is for `remo_serv::users` to know.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use remo_cli::printable;
use remo_serv::users::Entry;
use serde_json::{Value, json};

/// The file that BASE names: `.sqlite` is appended where it is missing.
#[must_use]
pub fn path(base: &Path) -> PathBuf {
    let mut name: OsString = base.as_os_str().to_owned();
    if !name.as_encoded_bytes().ends_with(SUFFIX.as_bytes()) {
        name.push(SUFFIX);
    }
    PathBuf::from(name)
}

/// A line for each user: name, kind of key, fingerprint, floor.
#[must_use]
pub fn list(users: &[Entry]) -> String {
    users.iter().map(line).collect()
}

fn line(user: &Entry) -> String {
    let name = one_line(&user.name);
    let floor = match &user.floor {
        Some(floor) => format!("\tmin-dialect {}", one_line(floor)),
        None => String::new(),
    };
    match &user.key {
        Ok(key) => format!("{name}\t{}\t{}{floor}\n", key.kind(), key.fingerprint()),
        Err(error) => format!("{name}\tunusable key: {error}{floor}\n"),
    }
}

/// The same for programs.
#[must_use]
pub fn list_as_json(users: &[Entry]) -> Value {
    users.iter().map(describe).collect()
}

fn describe(user: &Entry) -> Value {
    let key = user.key.as_ref();
    json!({
        "user": user.name,
        "kind": key.ok().map(|key| key.kind()),
        "fingerprint": key.ok().map(|key| key.fingerprint().to_string()),
        "min_dialect": user.floor,
        "error": key.err().map(ToString::to_string),
    })
}

/// A stored name need not be a proper one: line ends and tabs would forge lines of the list.
fn one_line(name: &str) -> String {
    printable(name).replace('\n', "\\n").replace('\t', "\\t")
}

const SUFFIX: &str = ".sqlite";
