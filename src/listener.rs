//! Sockets that connections come in by: TCP, or one of the file system.

use std::{
    fmt,
    fs::{self, Permissions},
    io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address or host name, and a port (0: any free one).
    Tcp(String, u16),
    /// A socket of the file system.
    Unix(PathBuf),
}

impl Address {
    /// What `--interface` and `--port` name.
    pub fn new(interface: &str, port: u16) -> Self {
        match interface.strip_prefix("unix:") {
            Some(path) => Self::Unix(path.into()),
            None => Self::Tcp(
                interface
                    .trim_start_matches('[')
                    .trim_end_matches(']')
                    .to_owned(),
                port,
            ),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that is listened on. The file of a Unix socket is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: Address,
    _bound: Option<Bound>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The file of a socket.
#[derive(Debug)]
struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A connection that came in.
pub(crate) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Listens. A Unix socket that nobody listens on any more is replaced; its folder decides who may
    /// connect.
    ///
    /// # Errors
    /// Where that cannot be.
    pub async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(host, port) => {
                let socket = TcpListener::bind((host.as_str(), *port)).await?;
                let bound = socket.local_addr()?;
                let address = Address::Tcp(bound.ip().to_string(), bound.port());
                Ok(Self {
                    socket: Socket::Tcp(socket),
                    address,
                    _bound: None,
                })
            }
            Address::Unix(path) => {
                remove_stale(path).await?;
                let socket = UnixListener::bind(path)?;
                let bound = Some(Bound(path.clone()));
                // Who may enter its folder may connect, whatever the umask: to connect is to write.
                fs::set_permissions(path, Permissions::from_mode(0o666))?;
                Ok(Self {
                    socket: Socket::Unix(socket),
                    address: address.clone(),
                    _bound: bound,
                })
            }
        }
    }

    /// Where it listens, with the port that was free.
    pub fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, _) = socket.accept().await?;
                keep_alive(&stream)?;
                Ok(Accepted::Tcp(stream))
            }
            Socket::Unix(socket) => Ok(Accepted::Unix(socket.accept().await?.0)),
        }
    }
}

/// Answers go out at once, and a peer that is gone without a word is noticed though nothing is sent.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepcnt(stream, 4)?;
    Ok(())
}

/// Removes a socket that a server left behind, and nothing else.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket =
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket
        && UnixStream::connect(path)
            .await
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_as_they_are_typed() {
        assert_eq!(
            Address::new("unix:/run/x", 1),
            Address::Unix("/run/x".into())
        );
        assert_eq!(Address::new("::1", 1), Address::Tcp("::1".into(), 1));
        assert_eq!(Address::new("[::1]", 1).to_string(), "http://[::1]:1");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_or_another_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let address = Address::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let live = Listener::bind(&address).await.unwrap();
        assert!(Listener::bind(&address).await.is_err());
        drop(live);
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert!(Listener::bind(&address).await.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
