//! Where the agent's socket is, and who may be at its other end: the same user, and nobody else.
//! What is said there is not here.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};

use crate::escape::escape;

/// Why a socket is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unsafe {
    /// Others could put something in its place.
    #[error(
        "cannot use the agent's folder '{}': {why} (it must be yours and writable by you alone: mode 0700)",
        shown(.folder)
    )]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What listens there is not ours.
    #[error(
        "what listens at '{}' belongs to another user (name your own agent's socket with REMO_AGENT)",
        shown(.0)
    )]
    Stranger(PathBuf),
    /// An agent runs there.
    #[error("an agent runs already at '{}' (remo agent stop ends it)", shown(.0))]
    Runs(PathBuf),
    /// The system says no.
    #[error("cannot use the agent's socket '{}': {}", shown(.path), plain(.cause))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
}

/// The socket of this user: `REMO_AGENT`; else in `$XDG_RUNTIME_DIR`; else in the home. `None` where there is no such place, or
/// `REMO_AGENT` is empty.
#[must_use]
pub fn usual_socket() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let named = |name: &str| set(name).filter(|value| value.is_absolute());
    if let Some(socket) = set("REMO_AGENT") {
        return Some(socket).filter(|socket| !socket.as_os_str().is_empty());
    }
    if let Some(folder) = named("XDG_RUNTIME_DIR") {
        return Some(folder.join("remo/agent.sock"));
    }
    let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")))?;
    Some(state.join("remo/agent/agent.sock"))
}

/// Connects to the agent at `socket`; `None` where none listens.
///
/// # Errors
/// See [`Unsafe`].
pub(super) async fn connect(socket: &Path) -> Result<Option<UnixStream>, Unsafe> {
    let failed = |cause| Unsafe::Io {
        path: socket.to_path_buf(),
        cause,
    };
    match fs::symlink_metadata(socket) {
        Ok(about) if about.file_type().is_socket() => {}
        Ok(_) => return Err(failed(io::Error::other("it is no socket"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    check_folder(folder_of(socket))?;
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if is_ours(&stream) {
        Ok(Some(stream))
    } else {
        Err(Unsafe::Stranger(socket.to_path_buf()))
    }
}

/// Whether the process at the other end is of our user, as the kernel says. Root is a stranger as well: whoever is root reads our
/// memory anyway, and what became root by mistake should not use our keys.
pub(super) fn is_ours(stream: &UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == geteuid().as_raw())
}

/// A socket that is listened at. The lock beside it is held as long as this lives; the socket goes with it.
#[derive(Debug)]
pub struct Listening {
    pub(super) listener: UnixListener,
    socket: PathBuf,
    _lock: File,
}

impl Listening {
    /// Listens at `socket`, for this user alone. Its folder is made where it is missing.
    ///
    /// # Errors
    /// See [`Unsafe`]; [`Unsafe::Runs`] where another agent listens there.
    pub fn at(socket: &Path) -> Result<Self, Unsafe> {
        let failed = |cause| Unsafe::Io {
            path: socket.to_path_buf(),
            cause,
        };
        let folder = folder_of(socket);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(folder).map_err(failed)?;
        check_folder(folder)?;
        let lock = lock(socket)?;
        // Who has the lock is the only agent here: what is left is of one that was killed.
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(socket);
        rustix::process::umask(before);
        let listener = listener.map_err(failed)?;
        fs::set_permissions(socket, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self {
            listener,
            socket: socket.to_path_buf(),
            _lock: lock,
        })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}

fn lock(socket: &Path) -> Result<File, Unsafe> {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let failed = |cause| Unsafe::Io {
        path: path.clone(),
        cause,
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Unsafe::Runs(socket.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// A folder in which nobody but us can put anything.
fn check_folder(folder: &Path) -> Result<(), Unsafe> {
    let refused = |why: String| Unsafe::Folder {
        folder: folder.to_path_buf(),
        why,
    };
    let about = fs::symlink_metadata(folder).map_err(|error| refused(plain(&error)))?;
    if !about.is_dir() {
        return Err(refused("it is no folder".into()));
    }
    if about.uid() != geteuid().as_raw() {
        return Err(refused("it belongs to another user".into()));
    }
    if about.mode() & 0o022 != 0 {
        return Err(refused("others may write there".into()));
    }
    Ok(())
}

fn folder_of(socket: &Path) -> &Path {
    match socket.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_folder(mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        folder
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner_and_goes_with_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("run/agent.sock");
        let listening = Listening::at(&socket).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(
            (mode(&socket), mode(socket.parent().unwrap())),
            (0o600, 0o700)
        );
        assert!(connect(&socket).await.unwrap().is_some());
        assert!(matches!(Listening::at(&socket), Err(Unsafe::Runs(_))));
        drop(listening);
        assert!(!socket.exists());
        assert!(connect(&socket).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_no_agent_and_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(socket.exists());
        assert!(connect(&socket).await.unwrap().is_none());
        let listening = Listening::at(&socket).unwrap();
        assert!(connect(&socket).await.unwrap().is_some());
        drop(listening);
    }

    #[tokio::test]
    async fn a_folder_that_others_may_write_to_is_refused_at_both_ends() {
        for mode in [0o770, 0o707, 0o1777] {
            let folder = open_folder(mode);
            let socket = folder.path().join("agent.sock");
            assert!(matches!(Listening::at(&socket), Err(Unsafe::Folder { .. })));
            let _listener = UnixListener::bind(&socket).unwrap();
            assert!(matches!(connect(&socket).await, Err(Unsafe::Folder { .. })));
        }
    }

    #[tokio::test]
    async fn a_file_or_a_link_in_the_place_of_the_socket_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        fs::write(&socket, "").unwrap();
        assert!(matches!(connect(&socket).await, Err(Unsafe::Io { .. })));
    }
}
