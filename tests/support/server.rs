//! A server on port 0, that stops and leaves nothing when it is dropped.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread::JoinHandle,
    time::{SystemTime, UNIX_EPOCH},
};

use remo_protocol::{dialect::AnyDialect, keys::PrivateKey, name::UserName};
use remo_serv::{
    Application, Settings,
    clock::Clock,
    limits::Limits,
    listener::{Address, Listener},
    server::{ConnectionLimits, serve},
    users::MemoryUserService,
};
use tokio::sync::oneshot;

/// A running server, with the users `alice` and `bob`.
pub struct Server {
    pub address: SocketAddr,
    pub key: PrivateKey,
    pub alice: PrivateKey,
    pub bob: PrivateKey,
    pub folder: tempfile::TempDir,
    pub application: Application,
    /// Seconds that the server's clock is ahead.
    pub ahead: Arc<AtomicI64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a test wants to be different.
pub struct Wanted {
    pub floor: AnyDialect,
    /// Whether it has a key besides that is being rotated out, all of whose bytes are 4.
    pub old_key: bool,
    pub limits: Limits,
    pub connections: ConnectionLimits,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            floor: AnyDialect::V0_3,
            old_key: false,
            limits: Limits::default(),
            connections: ConnectionLimits::default(),
        }
    }
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub fn start_with(change: impl FnOnce(&mut Wanted)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut wanted = Wanted::default();
        wanted.limits.spool_folder = folder.path().to_owned();
        change(&mut wanted);

        let raw = |byte| PrivateKey::from_raw(&[byte; 57]);
        let users = MemoryUserService::default();
        for (name, key) in [("alice", raw(1)), ("bob", raw(2))] {
            users.insert(UserName::parse(name).unwrap(), key.public().into(), None);
        }
        let ahead = Arc::new(AtomicI64::new(0));
        let mut settings = Settings::new(raw(3), Arc::new(users));
        settings.floor = wanted.floor;
        settings.old_key = wanted.old_key.then(|| Arc::new(raw(4)));
        settings.limits = Arc::new(wanted.limits);
        settings.clock = clock(ahead.clone());
        let application = Application::new(settings);

        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let served = application.clone();
        let thread = std::thread::spawn(move || run(served, wanted.connections, bound, stopped));
        Self {
            address: address.recv().unwrap(),
            key: raw(3),
            alice: raw(1),
            bob: raw(2),
            folder,
            application,
            ahead,
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

    /// A path in the test's own folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(
    application: Application,
    limits: ConnectionLimits,
    bound: std::sync::mpsc::Sender<SocketAddr>,
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
        bound
            .send(format!("{host}:{port}").parse().unwrap())
            .unwrap();
        serve(listener, application, limits, async {
            let _ = stopped.await;
        })
        .await;
    });
}

fn clock(ahead: Arc<AtomicI64>) -> Clock {
    Clock::new(move || {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        now.saturating_add_signed(ahead.load(Ordering::Relaxed))
    })
}
