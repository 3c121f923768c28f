//! The real server in this process, and a path to it that cuts each of its answers once.
//! The promises themselves are in the tests.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use remo_protocol::keys::{PrivateKey, UserKey};
use remo_protocol::name::UserName;
use remo_serv::listener::{Address, Listener};
use remo_serv::server::{ConnectionLimits, serve};
use remo_serv::users::MemoryUserService;
use remo_serv::{Application, Settings};
use tokio::runtime::Runtime;

use super::Home;

/// A real server that knows zoe; it ends with the value.
pub struct Real {
    pub address: SocketAddr,
    runtime: Option<Runtime>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    done: Option<tokio::task::JoinHandle<()>>,
}

impl Real {
    pub fn start(home: &Home) -> Self {
        Self::start_at(home, 0)
    }

    pub fn start_at(home: &Home, port: u16) -> Self {
        Self::start_with(home, port, |_| {})
    }

    pub fn start_with(home: &Home, port: u16, change: impl FnOnce(&mut Settings)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let users = MemoryUserService::new();
        let public = home.user_key.public().to_pem();
        users.insert(
            UserName::parse("zoe").unwrap(),
            UserKey::from_pem(public.as_bytes()).unwrap(),
            None,
        );
        let key = PrivateKey::from_pem(home.server_key.to_pem().unwrap().as_bytes(), None).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (address, done) = runtime.block_on(async {
            let mut settings = Settings::new(key, Arc::new(users));
            change(&mut settings);
            let application = Application::new(settings);
            let listener = Listener::bind(&Address::new("127.0.0.1", port))
                .await
                .unwrap();
            let address = listener.address().to_string();
            let limits = ConnectionLimits::default();
            let done = tokio::spawn(async move {
                let stopped = async move { drop(stopped.await) };
                let _ = serve(listener, application, limits, stopped).await;
            });
            (address, done)
        });
        let address = address.trim_start_matches("http://").trim_end_matches('/');
        Self {
            address: address.parse().unwrap(),
            runtime: Some(runtime),
            stop: Some(stop),
            done: Some(done),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn stop(&mut self) {
        self.stop.take();
        if let (Some(runtime), Some(done)) = (self.runtime.take(), self.done.take()) {
            let _ = runtime.block_on(done);
            runtime.shutdown_background();
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a path does to a request: its route, how often it came with this many bytes, and its answer.
pub type Plan = dyn Fn(&str, u64, Vec<u8>) -> Vec<u8> + Send + Sync;

/// A path of HTTP/1.0: a connection a request, whole bodies, and answers as the plan leaves them.
pub struct Path {
    pub address: SocketAddr,
    pub requests: Arc<AtomicU64>,
    routes: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
}

/// What a path does to every request.
#[derive(Default)]
pub struct Manners {
    /// One request at a time.
    pub alone: Option<Mutex<()>>,
    /// Bytes of a request, over which it gets a page and 413.
    pub ceiling: Option<usize>,
}

impl Path {
    /// A path that loses nothing, and has these manners.
    pub fn with(server: SocketAddr, manners: Manners) -> Self {
        let server = Arc::new(Mutex::new(server));
        Self::start(server, |_, _, answer| answer, manners)
    }

    pub fn to(
        server: SocketAddr,
        plan: impl Fn(&str, u64, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::to_changing(Arc::new(Mutex::new(server)), plan)
    }

    /// The same to a server that may become another one.
    pub fn to_changing(
        server: Arc<Mutex<SocketAddr>>,
        plan: impl Fn(&str, u64, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::start(server, plan, Manners::default())
    }

    fn start(
        server: Arc<Mutex<SocketAddr>>,
        plan: impl Fn(&str, u64, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
        manners: Manners,
    ) -> Self {
        let manners = Arc::new(manners);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let path = Self {
            address,
            requests: Arc::default(),
            routes: Arc::default(),
            ended: Arc::default(),
        };
        let plan: Arc<Plan> = Arc::new(plan);
        let (requests, routes, ended) = (
            path.requests.clone(),
            path.routes.clone(),
            path.ended.clone(),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (plan, requests, routes) = (plan.clone(), requests.clone(), routes.clone());
                let (server, manners) = (server.clone(), manners.clone());
                std::thread::spawn(move || {
                    drop(carry(stream, &server, &*plan, &manners, &requests, &routes));
                });
            }
        });
        path
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The routes of all requests, in their order.
    pub fn routes(&self) -> Vec<String> {
        self.routes.lock().unwrap().clone()
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn carry(
    mut from: TcpStream,
    server: &Mutex<SocketAddr>,
    plan: &Plan,
    manners: &Manners,
    requests: &AtomicU64,
    routes: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 65536];
    while !is_whole(&request) {
        let length = from.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        request.extend_from_slice(&piece[..length]);
    }
    let text = String::from_utf8_lossy(&request);
    let route = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let count = requests.fetch_add(1, Ordering::SeqCst);
    routes.lock().unwrap().push(route.clone());
    if manners
        .ceiling
        .is_some_and(|ceiling| request.len() > ceiling)
    {
        let page = b"HTTP/1.0 413 Too Large\r\nContent-Length: 4\r\n\r\npage";
        return from.write_all(page);
    }
    let _alone = manners.alone.as_ref().map(|alone| alone.lock().unwrap());
    let server = *server.lock().unwrap();
    let mut to = TcpStream::connect(server)?;
    let (line, rest) = request.split_at(request.windows(2).position(|w| w == b"\r\n").unwrap());
    to.write_all(
        &String::from_utf8_lossy(line)
            .replace("HTTP/1.1", "HTTP/1.0")
            .into_bytes(),
    )?;
    to.write_all(b"\r\nConnection: close")?;
    to.write_all(rest)?;
    let mut answer = Vec::new();
    to.read_to_end(&mut answer)?;
    from.write_all(&plan(&route, count, answer))
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    request.len() >= end + 4 + length.unwrap_or_default()
}

/// Cuts every second request's answer of these routes: the act is carried out, and its answer is lost.
pub fn cut_once(routes: &'static [&'static str]) -> impl Fn(&str, u64, Vec<u8>) -> Vec<u8> {
    let cut = Mutex::new(HashSet::new());
    move |route, _, answer| {
        let begins = routes.contains(&route);
        let mut cut = cut.lock().unwrap();
        if begins && cut.insert(route.to_owned()) {
            return answer[..answer.len() / 2].to_vec();
        }
        cut.remove(route);
        answer
    }
}
