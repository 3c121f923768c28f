//! Files by name: read, replaced as a whole, looked after. How they are spoken of on the wire is not known here.

mod acts;
mod batch;
mod change;
mod facts;
mod hash;
mod intervals;
mod list;
mod range;
mod read;
mod records;
mod refusal;
mod remove;
mod sparse;
mod target;
mod upload;
mod uploads;
mod whole;

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt, path::Path, time::Duration};

use bytes::Bytes;
use remo_files::ReplaceError;
use remo_protocol::remo2::json::Object;

pub(crate) use acts::{Files, Op, Put};
pub(crate) use batch::{MOST, One};
pub(crate) use change::Change;
pub(crate) use read::open;
pub(crate) use target::Attributes;

/// What comes piece by piece, each got where waiting for the disk holds nobody up.
pub(crate) trait Pieces: Send {
    /// Puts the next bytes into the buffer, which is empty; gives the trailer at the end.
    fn next(&mut self, buffer: &mut Vec<u8>) -> Option<Object>;
}

/// How long an answer works on something before it says how far it came.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no file to read, or none can be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("the file name is empty")]
    Empty,
    #[error("the file name contains a NUL character")]
    Nul,
    #[error("'{0}' is {1}, not a regular file")]
    NotRegular(String, &'static str),
    #[error("'{0}' is too large for the token numbers of these dialects (about 120 GiB)")]
    TooLarge(String),
    #[error("cannot {verb} '{name}': {}", remo_cli::reason(.error))]
    Io {
        verb: &'static str,
        name: String,
        error: io::Error,
    },
}

impl FileError {
    /// What keeps `path` from being written.
    pub(crate) fn of_writing(path: &Path, error: ReplaceError) -> Self {
        match error {
            ReplaceError::NotRegular(kind) => Self::NotRegular(shown(path), kind),
            ReplaceError::Io(error) => Self::Io {
                verb: "write",
                name: shown(path),
                error,
            },
        }
    }

    /// Whether the name is at fault, and not the writing.
    pub(crate) fn is_of_name(&self) -> bool {
        use io::ErrorKind as Kind;
        match self {
            Self::Io { error, .. } => matches!(
                error.kind(),
                Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory | Kind::InvalidFilename
            ),
            _ => true,
        }
    }
}

/// The path that a name on the wire means: relative ones start at the server's working directory.
pub(crate) fn path(name: &Bytes) -> Result<&Path, FileError> {
    if name.is_empty() {
        return Err(FileError::Empty);
    }
    if name.contains(&0) {
        return Err(FileError::Nul);
    }
    Ok(Path::new(OsStr::from_bytes(name)))
}

/// A name as people may see it, without control characters.
fn shown(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_debug().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// What is there in place of a regular file.
fn kind(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }
}
