//! `build-key-pair` as people and scripts run it, its files read by Python.

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
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use common::{build_key_pair, python};
use remo_protocol::keys::{PrivateKey, PublicKey};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_pair_is_two_files_that_belong_together_with_a_printed_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let out = build_key_pair(folder.path(), &["server"], "\n").ok();
    assert_eq!(names(folder.path()), ["server.pem", "server_key.pem"]);
    let private = fs::read(folder.path().join("server_key.pem")).unwrap();
    let public = fs::read(folder.path().join("server.pem")).unwrap();
    let key = PrivateKey::from_pem(&private, None).unwrap();
    assert_eq!(PublicKey::from_pem(&public).unwrap(), key.public());
    assert!(
        out.contains(&key.public().fingerprint().to_string()),
        "{out}"
    );
    assert!(out.contains("not encrypted"), "{out}");
}

#[test]
fn the_private_file_is_its_owners_only() {
    let folder = tempfile::tempdir().unwrap();
    build_key_pair(folder.path(), &["a", "--no-password"], "").ok();
    assert_eq!(mode(&folder.path().join("a_key.pem")), 0o600);
    assert_eq!(mode(&folder.path().join("a.pem")), 0o644);
}

#[test]
fn a_line_from_a_pipe_is_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let out = build_key_pair(folder.path(), &["a"], "pässword\r\nmore\n").ok();
    assert!(out.contains("(encrypted)"), "{out}");
    assert!(!out.contains("pässword"));
    let private = fs::read(folder.path().join("a_key.pem")).unwrap();
    assert!(PrivateKey::from_pem(&private, Some("pässword".as_bytes())).is_ok());
}

#[test]
fn python_reads_both_files_encrypted_or_not() {
    let folder = tempfile::tempdir().unwrap();
    build_key_pair(folder.path(), &["open", "--no-password"], "").ok();
    build_key_pair(folder.path(), &["sealed"], "pässword\n").ok();
    python(folder.path(), READ_PAIR, &["open", ""]);
    python(folder.path(), READ_PAIR, &["sealed", "pässword"]);
}

#[test]
fn no_password_at_all_makes_no_key() {
    let folder = tempfile::tempdir().unwrap();
    build_key_pair(folder.path(), &["a"], "").fails(1, &["no password", "--no-password"]);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_terminal_is_asked_twice_without_echo() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_build-key-pair");
    python(
        folder.path(),
        ON_TERMINAL,
        &[program, "same", "sesame", "sesame", "0"],
    );
    python(
        folder.path(),
        ON_TERMINAL,
        &[program, "other", "sesame", "sesamo", "1"],
    );
    assert_eq!(names(folder.path()), ["same.pem", "same_key.pem"]);
    let private = fs::read(folder.path().join("same_key.pem")).unwrap();
    assert!(PrivateKey::from_pem(&private, Some(b"sesame")).is_ok());
}

#[test]
fn no_file_is_replaced_without_force() {
    for existing in ["a_key.pem", "a.pem"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(existing), "precious").unwrap();
        let refused = build_key_pair(folder.path(), &["a", "--no-password"], "");
        refused.fails(1, &[existing, "exists", "--force"]);
        assert_eq!(names(folder.path()), [existing]);
        let kept = fs::read_to_string(folder.path().join(existing)).unwrap();
        assert_eq!(kept, "precious");
    }
}

#[test]
fn a_link_that_leads_nowhere_is_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    symlink("nowhere", folder.path().join("a_key.pem")).unwrap();
    build_key_pair(folder.path(), &["a", "--no-password"], "").fails(1, &["exists"]);
    assert_eq!(names(folder.path()), ["a_key.pem"]);
}

#[test]
fn force_replaces_the_pair_and_closes_a_key_that_others_could_read() {
    let folder = tempfile::tempdir().unwrap();
    build_key_pair(folder.path(), &["a", "--no-password"], "").ok();
    let private = folder.path().join("a_key.pem");
    let before = fs::read(&private).unwrap();
    fs::write(folder.path().join("loose"), "x").unwrap(); // of the umask's mode
    fs::rename(folder.path().join("loose"), &private).unwrap();
    build_key_pair(folder.path(), &["a", "--no-password", "--force"], "").ok();
    assert_ne!(fs::read(&private).unwrap(), before);
    assert_eq!(mode(&private), 0o600);
    assert_eq!(names(folder.path()), ["a.pem", "a_key.pem"]);
}

#[test]
fn another_folder_is_used_and_a_missing_one_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    build_key_pair(folder.path(), &["a", "keys", "--no-password"], "").ok();
    assert_eq!(names(&folder.path().join("keys")), ["a.pem", "a_key.pem"]);
    let missing = build_key_pair(folder.path(), &["a", "kyes", "--no-password"], "");
    missing.fails(1, &["no folder 'kyes'", "mkdir -p"]);
    build_key_pair(folder.path(), &[""], "").fails(1, &["prefix is empty"]);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a.pem/in the way")).unwrap();
    let refused = build_key_pair(folder.path(), &["a", "--no-password"], "");
    refused.fails(1, &["a.pem", "exists"]);
    assert_eq!(names(folder.path()), ["a.pem"]);
}

#[test]
fn json_is_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let out = build_key_pair(
        folder.path(),
        &["a", "keys/..", "--no-password", "--json"],
        "",
    );
    out.fails(1, &["no folder"]);
    let out = build_key_pair(folder.path(), &["a", "--no-password", "--json"], "").ok();
    let made: serde_json::Value = serde_json::from_str(&out).unwrap();
    let public = fs::read(folder.path().join(made["public"].as_str().unwrap())).unwrap();
    let fingerprint = PublicKey::from_pem(&public).unwrap().fingerprint();
    assert_eq!(made["fingerprint"], fingerprint.to_string());
    assert_eq!(made["encrypted"], false);
    assert!(
        folder
            .path()
            .join(made["private"].as_str().unwrap())
            .exists()
    );
}

#[test]
fn help_version_and_generated_texts_come_from_the_program() {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        build_key_pair(folder.path(), &["--help"], "")
            .ok()
            .contains("--no-password")
    );
    assert!(
        build_key_pair(folder.path(), &["--version"], "")
            .ok()
            .contains(env!("CARGO_PKG_VERSION"))
    );
    let page = build_key_pair(folder.path(), &["--generate", "man"], "").ok();
    assert!(page.contains(".TH build-key-pair 1"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        let script = build_key_pair(folder.path(), &["--generate", shell], "").ok();
        assert!(script.contains("no-password"));
    }
    build_key_pair(folder.path(), &[], "").fails(2, &["PREFIX"]);
}

/// Loads the pair PREFIX with a password and checks that its halves belong together.
const READ_PAIR: &str = "
import sys
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
prefix, password = sys.argv[1:]
private = load_pem_private_key(open(prefix + '_key.pem', 'rb').read(), password.encode() or None)
public = load_pem_public_key(open(prefix + '.pem', 'rb').read())
public.verify(private.sign(b'message'), b'message')
";

/// Runs PROGRAM PREFIX on a terminal, answers its two questions, and expects a code and no echo.
const ON_TERMINAL: &str = "
import os, pty, sys, termios, time
program, prefix, first, second, code = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execv(program, [program, prefix])
seen = b''
def until(mark):
    global seen
    while mark not in seen:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            sys.exit('ended early: ' + repr(seen))
        seen += more
def until_quiet():
    while termios.tcgetattr(terminal)[3] & termios.ECHO:
        time.sleep(0.001)
until(b'not encrypted): ')
until_quiet()
os.write(terminal, first.encode() + b'\\n')
until(b'again: ')
until_quiet()
os.write(terminal, second.encode() + b'\\n')
try:
    while more := os.read(terminal, 4096):
        seen += more
except OSError:
    pass
ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert ended == int(code), (ended, seen)
assert first.encode() not in seen and second.encode() not in seen, seen
";
