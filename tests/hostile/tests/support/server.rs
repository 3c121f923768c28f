//! The real server on a free port, that stops and leaves nothing when it is dropped.

use std::{net::SocketAddr, sync::Arc, thread::JoinHandle};

use remo_protocol::{keys::PrivateKey, name::UserName};
use remo_serv::{
    Application, Settings,
    listener::{Address, Listener},
    server::{ConnectionLimits, serve},
    users::MemoryUserService,
};
use tokio::sync::oneshot;

/// A running server with one user, `alice`.
pub struct Server {
    pub address: SocketAddr,
    pub key: PrivateKey,
    pub folder: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = || PrivateKey::from_raw(&[3; 57]);
        let alice = PrivateKey::from_raw(&[1; 57]);
        let users = MemoryUserService::default();
        let name = UserName::parse("alice").unwrap();
        users.insert(name, alice.public().into(), None);
        let application = Application::new(Settings::new(key(), Arc::new(users)));
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || run(application, &bound, stopped));
        Self {
            address: address.recv().unwrap(),
            key: key(),
            folder,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Stops it as SIGTERM does, and waits until it has stopped.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(
    application: Application,
    bound: &std::sync::mpsc::Sender<SocketAddr>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = Listener::bind(&Address::new("127.0.0.1", 0)).await.unwrap();
        let Address::Tcp(host, port) = listener.address() else {
            panic!("a TCP address")
        };
        let address = format!("{host}:{port}").parse().unwrap();
        bound.send(address).unwrap();
        let stopped = async { drop(stopped.await) };
        serve(listener, application, ConnectionLimits::default(), stopped).await;
    });
}
