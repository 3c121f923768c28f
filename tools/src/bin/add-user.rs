//! The command `add-user`: administers a user database.
//! What a database is and holds is in `remo_serv::users`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use remo_cli::printable;
use remo_protocol::dialect::AnyDialect;
use remo_protocol::keys::UserKey;
use remo_protocol::name::UserName;
use remo_serv::users::{SqliteUserService, StoredForm};
use remo_tools::{database, key_files, print};
use serde_json::json;

/// Adds a user, with a public key, to a user database, which is made where there is none.
///
/// A server that runs sees the change at once. Keys are Ed448 (build-key-pair makes them) or RSA of 2048
/// to 8192 bits, in PEM form. With --min-dialect and no PEM, a user that exists keeps the key and gets
/// the floor.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = EXAMPLES)]
struct Options {
    /// The database; '.sqlite' is appended if missing
    #[arg(short, long, value_name = "BASE", default_value = "users_db")]
    base: PathBuf,
    /// The name to log in with: 1 to 64 characters, no control characters, no '/'
    #[arg(required_unless_present = "list")]
    user: Option<String>,
    /// The file of the public key [default: USER.pem]
    pem: Option<PathBuf>,
    /// Show the users, their keys' fingerprints and their floors
    #[arg(long, conflicts_with_all = ["user", "pem", "remove", "replace", "min_dialect", "store"])]
    list: bool,
    /// Remove the user
    #[arg(long, conflicts_with_all = ["pem", "replace", "min_dialect", "store", "json"])]
    remove: bool,
    /// Give a user that exists another key
    #[arg(long)]
    replace: bool,
    /// The oldest dialect that the user may speak: 0.3, 0.6 or 2
    #[arg(long, value_name = "DIALECT")]
    min_dialect: Option<AnyDialect>,
    /// The version of the Python server that can read the entry too
    #[arg(long, value_name = "VERSION", default_value = "0.6")]
    store: Store,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Store {
    #[value(name = "0.3", help = "Base64 of the raw key")]
    V0_3,
    #[value(name = "0.6", help = "PEM text")]
    V0_6,
}

fn main() -> ExitCode {
    match remo_cli::parse::<Options>() {
        Ok(options) => match run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => remo_cli::fail(PROGRAM, &message),
        },
        Err(code) => code,
    }
}

fn run(options: &Options) -> Result<(), String> {
    let path = database::path(&options.base);
    match options.user.as_deref() {
        None => list(options, &path),
        Some(user) if options.remove => remove(user, &path),
        Some(user) if options.replace => replace(options, user, &path),
        Some(user) => add(options, user, &path),
    }
}

fn list(options: &Options, path: &Path) -> Result<(), String> {
    let users = open(path)?.list().map_err(text)?;
    print(&match options.json {
        true => format!("{}\n", database::list_as_json(&users)),
        false => database::list(&users),
    })
}

fn remove(user: &str, path: &Path) -> Result<(), String> {
    open(path)?.remove(user).map_err(text)?;
    print(&format!("removed user '{}'\n", printable(user)))
}

fn replace(options: &Options, user: &str, path: &Path) -> Result<(), String> {
    let key = key(options, user)?;
    open(path)?
        .replace(user, &key, form(options), options.min_dialect)
        .map_err(text)?;
    say(options, "replaced the key of", user, &key)
}

fn add(options: &Options, user: &str, path: &Path) -> Result<(), String> {
    if let (None, Some(floor)) = (&options.pem, options.min_dialect)
        && has(path, user)?
    {
        return limit(options, user, floor, path);
    }
    let name = UserName::parse(user).map_err(text)?;
    let key = key(options, user)?;
    form(options).of(&key).map_err(text)?; // before a database is made for nothing
    let users = SqliteUserService::open_or_create(path).map_err(text)?;
    users
        .add(&name, &key, form(options), options.min_dialect)
        .map_err(text)?;
    say(options, "added", user, &key)
}

fn limit(options: &Options, user: &str, floor: AnyDialect, path: &Path) -> Result<(), String> {
    open(path)?.set_floor(user, Some(floor)).map_err(text)?;
    print(&match options.json {
        true => format!("{}\n", json!({"user": user, "min_dialect": floor.name()})),
        false => format!("user '{}' speaks {floor} or later\n", printable(user)),
    })
}

/// Whether there is a database, and in it the user.
fn has(path: &Path, user: &str) -> Result<bool, String> {
    match path.exists() {
        true => open(path)?.has(user).map_err(text),
        false => Ok(false),
    }
}

fn open(path: &Path) -> Result<SqliteUserService, String> {
    SqliteUserService::open(path).map_err(text)
}

fn key(options: &Options, user: &str) -> Result<UserKey, String> {
    let default = || PathBuf::from(format!("{user}.pem"));
    key_files::read_public(&options.pem.clone().unwrap_or_else(default))
}

fn form(options: &Options) -> StoredForm {
    match options.store {
        Store::V0_3 => StoredForm::V0_3,
        Store::V0_6 => StoredForm::V0_6,
    }
}

fn say(options: &Options, act: &str, user: &str, key: &UserKey) -> Result<(), String> {
    let (kind, fingerprint) = (key.kind(), key.fingerprint());
    print(&match options.json {
        true => {
            let fingerprint = fingerprint.to_string();
            let made = json!({"user": user, "kind": kind, "fingerprint": fingerprint});
            format!("{made}\n")
        }
        false => format!("{act} user '{}'\n{kind} {fingerprint}\n", printable(user)),
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

const PROGRAM: &str = "add-user";
const EXAMPLES: &str = "Examples:
  add-user zoe                       with the key in zoe.pem, to users_db.sqlite
  add-user -b /srv/users zoe k.pem   with that key, to that database
  add-user --min-dialect 2 zoe       no older dialect for zoe from now on
  add-user --list --json             for programs";
