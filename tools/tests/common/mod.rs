//! Runs the real programs in a fresh folder, and Python where another reader must agree.
//! What is expected of them is in the tests.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A program's end: its code and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// The program succeeded, without complaints.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.err, "", "{self:?}");
        self.out
    }

    /// The program failed with this code, printed nothing else, and complained in a single line with
    /// all of these words.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in {:?}", self.err);
        }
        if code == 1 {
            assert_eq!(self.err.lines().count(), 1, "{self:?}");
        }
    }
}

pub fn build_key_pair(folder: &Path, arguments: &[&str], input: &str) -> Ended {
    run(
        env!("CARGO_BIN_EXE_build-key-pair"),
        folder,
        arguments,
        input,
    )
}

pub fn add_user(folder: &Path, arguments: &[&str]) -> Ended {
    run(env!("CARGO_BIN_EXE_add-user"), folder, arguments, "")
}

/// Runs a Python program, which prints what it found.
#[track_caller]
pub fn python(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let arguments = [&["-c", program], arguments].concat();
    let ended = run(&interpreter(), folder, &arguments, "");
    assert!(
        !ended.err.contains("ModuleNotFoundError"),
        "Python lacks a module: run ./test, which installs it\n{}",
        ended.err
    );
    ended.ok()
}

/// The interpreter that `./test` has prepared.
pub fn interpreter() -> String {
    std::env::var("REMO_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

fn run(program: &str, folder: &Path, arguments: &[&str], input: &str) -> Ended {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    // A program that needs no input may have ended before it is written.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    Ended {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}
