//! Why a copy, or one file of it, failed.
//! What goes on although something failed is decided where it happens.

use std::io;

use crate::escape::escape_bytes;
use crate::remo2::Failure;

/// What went wrong with one thing, or with all.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// On the way to a server, or by its word.
    #[error(transparent)]
    Remote(#[from] Failure),
    /// On this machine.
    #[error("cannot {act} '{}': {}", escape_bytes(.path), reason(.source))]
    Local {
        /// What was tried.
        act: &'static str,
        /// With what.
        path: Vec<u8>,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be as it was asked for.
    #[error("{0}")]
    Refused(String),
}

impl CopyError {
    pub(super) fn local(act: &'static str, path: &[u8]) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_vec();
        move |source| Self::Local { act, path, source }
    }

    /// Whether the next file may fare better.
    #[must_use]
    pub fn is_of_one(&self) -> bool {
        match self {
            Self::Remote(Failure::Unknown | Failure::Restarted) => true,
            Self::Remote(failure) => failure.is_of_the_act(),
            Self::Local { source, .. } => source.kind() != io::ErrorKind::StorageFull,
            Self::Refused(_) => true,
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        matches!(self, Self::Remote(Failure::Changed))
    }
}

fn reason(error: &io::Error) -> String {
    remo_cli::reason(error)
}
