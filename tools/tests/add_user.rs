//! `add-user` as people and scripts run it, its databases read and made by Python.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    dead_code
)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use common::{add_user, build_key_pair, python};
use remo_protocol::keys::UserKey;
use serde_json::Value;
use tempfile::TempDir;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/remo_serv.json")).unwrap()
}

/// A folder with the pair of `zoë`, the vectors' user, and a card's public key.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let v = vectors();
    for (file, part, name) in [
        ("zoë.pem", "keys", "user_public_pem"),
        ("zoë_key.pem", "keys", "user_private_pem"),
        ("card.pem", "rsa_auth_0_6", "public_pem"),
    ] {
        fs::write(folder.path().join(file), v[part][name].as_str().unwrap()).unwrap();
    }
    folder
}

fn list(folder: &Path) -> Value {
    serde_json::from_str(&add_user(folder, &["--list", "--json"]).ok()).unwrap()
}

fn fingerprint(folder: &Path, file: &str) -> String {
    let key = UserKey::from_pem(&fs::read(folder.join(file)).unwrap()).unwrap();
    key.fingerprint().to_string()
}

#[test]
fn user_alone_means_user_pem_and_users_db_sqlite() {
    let folder = folder();
    let out = add_user(folder.path(), &["zoë"]).ok();
    assert!(
        out.contains(&fingerprint(folder.path(), "zoë.pem")),
        "{out}"
    );
    let database = folder.path().join("users_db.sqlite");
    assert_eq!(fs::metadata(database).unwrap().mode() & 0o777, 0o600);
    let rows = python(folder.path(), READ_ROWS, &["users_db.sqlite"]);
    let v = vectors();
    let pem = v["users_db"]["pub_dialect_0_6"].as_str().unwrap();
    let expected = serde_json::json!([[1, "zoë", null, "bytes", pem]]);
    assert_eq!(serde_json::from_str::<Value>(&rows).unwrap(), expected);
}

#[test]
fn base_and_pem_can_be_named_with_or_without_the_suffix() {
    let folder = folder();
    add_user(folder.path(), &["-b", "other", "a", "zoë.pem"]).ok();
    add_user(folder.path(), &["--base", "other.sqlite", "b", "card.pem"]).ok();
    let out = add_user(folder.path(), &["-b", "other", "--list"]).ok();
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.starts_with("a\tEd448\tSHA256:"), "{out}");
    assert!(out.contains("\nb\tRSA 2048\tSHA256:"), "{out}");
}

#[test]
fn what_is_stored_for_0_3_is_what_its_python_server_reads() {
    let folder = folder();
    add_user(folder.path(), &["--store", "0.3", "zoë"]).ok();
    let raw = python(folder.path(), READ_AS_0_3, &["users_db.sqlite", "zoë"]);
    let v = vectors();
    assert_eq!(raw.trim(), v["keys"]["user_public_raw"].as_str().unwrap());
    let refused = add_user(folder.path(), &["--store", "0.3", "-b", "new", "card"]);
    refused.fails(1, &["RSA", "--store"]);
    assert!(!folder.path().join("new.sqlite").exists());
}

#[test]
fn what_is_stored_for_0_6_is_what_its_python_server_reads() {
    let folder = folder();
    for user in ["zoë", "card"] {
        add_user(folder.path(), &[user]).ok();
        let pem = python(folder.path(), READ_AS_0_6, &["users_db.sqlite", user]);
        assert_eq!(
            pem,
            fs::read_to_string(folder.path().join(format!("{user}.pem"))).unwrap()
        );
    }
    // Floors are in a table of their own, which Python does not look at.
    add_user(folder.path(), &["--min-dialect", "0.6", "zoë"]).ok();
    python(folder.path(), READ_AS_0_6, &["users_db.sqlite", "zoë"]);
}

#[test]
fn databases_of_both_python_versions_are_listed_and_added_to() {
    let folder = folder();
    python(
        folder.path(),
        MAKE_AS_PYTHON,
        &["users_db.sqlite", "zoë.pem"],
    );
    add_user(folder.path(), &["new", "zoë.pem"]).ok();
    let users = list(folder.path());
    let names: Vec<_> = users
        .as_array()
        .unwrap()
        .iter()
        .map(|u| &u["user"])
        .collect();
    assert_eq!(names, ["bad", "new", "of03", "of06"]);
    for user in users.as_array().unwrap() {
        let good = user["user"] != "bad";
        assert_eq!(user["error"].is_null(), good, "{user}");
        assert_eq!(
            user["fingerprint"] == fingerprint(folder.path(), "zoë.pem"),
            good
        );
    }
    let rows = python(folder.path(), READ_ROWS, &["users_db.sqlite"]);
    assert_eq!(
        serde_json::from_str::<Value>(&rows)
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

#[test]
fn a_taken_name_is_said_so_and_replace_gives_it_another_key() {
    let folder = folder();
    add_user(folder.path(), &["--min-dialect", "0.6", "zoë"]).ok();
    add_user(folder.path(), &["zoë"]).fails(1, &["user 'zoë' exists", "--replace"]);
    add_user(folder.path(), &["--replace", "zoë", "card.pem"]).ok();
    let users = list(folder.path());
    assert_eq!(users[0]["kind"], "RSA 2048");
    assert_eq!(users[0]["min_dialect"], "0.6");
    add_user(folder.path(), &["--replace", "bob", "card.pem"]).fails(1, &["no user 'bob'"]);
}

#[test]
fn a_floor_is_set_with_the_user_or_later() {
    let folder = folder();
    add_user(folder.path(), &["zoë"]).ok();
    assert!(list(folder.path())[0]["min_dialect"].is_null());
    for floor in ["0.6", "2", "0.3"] {
        add_user(folder.path(), &["--min-dialect", floor, "zoë"]).ok();
        assert_eq!(list(folder.path())[0]["min_dialect"], floor);
    }
    let out = add_user(folder.path(), &["--list"]).ok();
    assert!(out.ends_with("\tmin-dialect 0.3\n"), "{out}");
    add_user(folder.path(), &["--min-dialect", "0.5", "zoë"]).fails(2, &["0.5", "0.3, 0.6, 2"]);
}

#[test]
fn a_removed_user_is_gone_and_its_floor_too() {
    let folder = folder();
    add_user(folder.path(), &["--min-dialect", "0.6", "zoë"]).ok();
    add_user(folder.path(), &["--remove", "zoë"]).ok();
    assert_eq!(list(folder.path()), serde_json::json!([]));
    add_user(folder.path(), &["--remove", "zoë"]).fails(1, &["no user 'zoë'", "--list"]);
    add_user(folder.path(), &["zoë"]).ok();
    assert!(list(folder.path())[0]["min_dialect"].is_null());
}

#[test]
fn what_is_no_public_key_is_named_and_makes_no_database() {
    let folder = folder();
    fs::write(folder.path().join("text.pem"), "hello").unwrap();
    let add = |pem| add_user(folder.path(), &["zoë", pem]);
    add("zoë_key.pem").fails(1, &["zoë_key.pem", "this is a private key"]);
    add("text.pem").fails(1, &["text.pem", "not a key in PEM form"]);
    add("none.pem").fails(1, &["none.pem", "no such file", "build-key-pair"]);
    add(".").fails(1, &["is a directory"]);
    add("/dev/zero").fails(1, &["larger than 64 KiB"]);
    add_user(folder.path(), &["bob"]).fails(1, &["bob.pem", "no such file"]);
    assert!(!folder.path().join("users_db.sqlite").exists());
}

#[test]
fn a_sealed_private_key_is_recognised_too() {
    let folder = folder();
    build_key_pair(folder.path(), &["bob"], "password\n").ok();
    add_user(folder.path(), &["bob", "bob_key.pem"]).fails(1, &["this is a private key"]);
}

#[test]
fn a_bad_name_is_refused_with_the_rule_that_it_breaks() {
    let folder = folder();
    let long = "x".repeat(65);
    for (name, rule) in [
        ("", "empty"),
        (long.as_str(), "too long"),
        ("a\u{1b}[2J", "control character"),
        ("a\nb", "control character"),
        ("a/b", "'/'"),
    ] {
        add_user(folder.path(), &[name, "zoë.pem"]).fails(1, &[rule]);
    }
    assert!(!folder.path().join("users_db.sqlite").exists());
}

#[test]
fn what_is_no_database_is_said_so() {
    let folder = folder();
    for arguments in [&["--list"][..], &["--remove", "zoë"], &["--replace", "zoë"]] {
        add_user(folder.path(), arguments).fails(1, &["no user database 'users_db.sqlite'"]);
    }
    fs::write(folder.path().join("users_db.sqlite"), "hello ".repeat(500)).unwrap();
    add_user(folder.path(), &["zoë"]).fails(1, &["not a user database"]);
    add_user(folder.path(), &["-b", "no/such", "zoë"])
        .fails(1, &["no/such.sqlite", "no such file"]);
}

#[test]
fn names_that_other_programs_stored_cannot_forge_the_list() {
    let folder = folder();
    add_user(folder.path(), &["zoë"]).ok();
    python(
        folder.path(),
        RENAME,
        &["users_db.sqlite", "x\u{1b}[2J\nadmin\tEd448"],
    );
    let out = add_user(folder.path(), &["--list"]).ok();
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(!out.contains('\u{1b}'), "{out:?}");
    add_user(folder.path(), &["--remove", "x\u{1b}[2J\nadmin\tEd448"]).ok();
}

#[test]
fn options_that_contradict_each_other_are_a_wrong_usage() {
    let folder = folder();
    for arguments in [
        &[][..],
        &["--list", "zoë"],
        &["--list", "--remove"],
        &["--remove", "zoë", "zoë.pem"],
        &["--remove", "--replace", "zoë"],
    ] {
        add_user(folder.path(), arguments).fails(2, &["Usage"]);
    }
    add_user(folder.path(), &["--store", "0.4", "zoë"]).fails(2, &["0.4", "0.3, 0.6"]);
    let page = add_user(folder.path(), &["--generate", "man"]).ok();
    assert!(page.contains(".TH add-user 1"), "{page}");
}

/// All rows of `users` as JSON: id, user, key, and the type and text of pub.
const READ_ROWS: &str = "
import json, sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute('SELECT id, user, key, pub FROM users ORDER BY id')
print(json.dumps([[i, u, k, type(p).__name__, p.decode()] for i, u, k, p in rows]))
";

/// What the 0.3 server makes of a user: the key's raw bytes, shown in base64.
const READ_AS_0_3: &str = "
import base64, sqlite3, sys
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
query = 'SELECT pub FROM users WHERE user = ?'
pub = sqlite3.connect(sys.argv[1]).execute(query, (sys.argv[2],)).fetchone()[0]
key = ed448.Ed448PublicKey.from_public_bytes(base64.urlsafe_b64decode(pub))
raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
print(base64.urlsafe_b64encode(raw).decode())
";

/// What the 0.6 server makes of a user: the key, shown in PEM form.
const READ_AS_0_6: &str = "
import sqlite3, sys
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
query = 'SELECT pub FROM users WHERE user = ?'
pub = sqlite3.connect(sys.argv[1]).execute(query, (sys.argv[2],)).fetchone()[0]
key = load_pem_public_key(pub)
sys.stdout.write(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
";

/// A database as the Python tools make it, with a user of each version and one whose key is spoilt.
const MAKE_AS_PYTHON: &str = "
import base64, sqlite3, sys
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
pem = open(sys.argv[2], 'rb').read()
raw = load_pem_public_key(pem).public_bytes(Encoding.Raw, PublicFormat.Raw)
base = sqlite3.connect(sys.argv[1])
base.execute('CREATE TABLE IF NOT EXISTS users('
             'id INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT UNIQUE, key TEXT, pub TEXT)')
add = 'INSERT INTO users(user, pub) VALUES(?, ?)'
base.execute(add, ('of03', base64.urlsafe_b64encode(raw)))
base.execute(add, ('of06', pem))
base.execute(add, ('bad', b'spoilt'))
base.commit()
";

/// Gives all users the name NAME.
const RENAME: &str = "
import sqlite3, sys
base = sqlite3.connect(sys.argv[1])
base.execute('UPDATE users SET user = ?', (sys.argv[2],))
base.commit()
";
