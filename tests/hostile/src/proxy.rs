//! The proxy itself: how it is set up, and the connections it takes.
//! Does not hold what becomes of a request.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::{client::Client, plan::Plan, shape::Shape, turn::Shared};

/// Where each line of the log goes.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// How the proxy behaves.
#[derive(Clone)]
pub struct Settings {
    /// The server, `HOST:PORT`.
    pub to: String,
    /// What is done to which request.
    pub plan: Plan,
    /// The silence that [`Kind::IdleOut`](crate::Kind::IdleOut) bears.
    pub idle: Duration,
    /// The longest that a request is delayed.
    pub delay: Duration,
    /// The bytes of a body that [`Kind::Ceiling`](crate::Kind::Ceiling) bears.
    pub ceiling: u64,
    /// The bytes of an answer that are borne; a longer one is 502.
    pub answer_ceiling: Option<u64>,
    /// Ways to log in: a request without `Proxy-Authorization: Basic` gets 407 with these.
    pub log_in: Vec<String>,
    /// Nothing goes on, and everything gets a page of this status, as a portal does it.
    pub portal: Option<u16>,
    /// What the link to the client is like.
    pub shape: Shape,
    /// Where misdeeds are told.
    pub log: Log,
}

impl Settings {
    /// The ordinary ones; nothing is logged.
    pub fn new(to: &str, plan: Plan) -> Self {
        Self {
            to: to.to_owned(),
            plan,
            idle: Duration::from_secs(1),
            delay: Duration::from_secs(1),
            ceiling: 1 << 20,
            answer_ceiling: None,
            log_in: vec![],
            portal: None,
            shape: Shape::default(),
            log: Arc::new(|_| {}),
        }
    }
}

/// A running proxy, which stops when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens there and begins.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(listen: &str, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(settings));
        let task = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends all that is still held back, and waits for the answers of all that nobody else waits for.
    pub async fn release(&self) {
        for request in self.shared.memory.release() {
            let _ = request.send_aside().await;
        }
        let mut asides = std::mem::take(&mut *self.shared.asides());
        while asides.join_next().await.is_some() {}
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(shared.clone(), stream))),
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    match shared.link.is_shaped() {
        true => {
            Client::new(shared.link.stretch(stream))
                .serve(&shared)
                .await
        }
        false => Client::new(stream).serve(&shared).await,
    }
}
