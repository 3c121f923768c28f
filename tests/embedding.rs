//! The application within another program's server, as `examples/embed.rs` mounts it: that very code runs here.
//! What the verbs do is tested elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use remo_client::{
    answer::Answer,
    error::Error,
    session::{Identity, Options, Session},
    transport::Transport,
    upload::Upload,
};
use remo_protocol::{
    dialect::Dialect,
    keys::{PrivateKey, UserKey},
    name::UserName,
};
use remo_serv::{Application, Settings, users::MemoryUserService};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

#[path = "../examples/embed.rs"]
#[expect(dead_code, reason = "its main reads a command line")]
mod embed;

/// The example's server, with a user in memory.
struct Site {
    address: SocketAddr,
    application: Application,
    server: PrivateKey,
    user: Arc<PrivateKey>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Site {
    async fn open() -> Self {
        let server = PrivateKey::generate().unwrap();
        let user = PrivateKey::generate().unwrap();
        let users = MemoryUserService::new();
        let public = UserKey::from_pem(user.public().to_pem().as_bytes()).unwrap();
        users.insert(UserName::parse("zoe").unwrap(), public, None);
        let copy = PrivateKey::from_pem(server.to_pem().unwrap().as_bytes(), None).unwrap();
        let application = Application::new(Settings::new(copy, Arc::new(users)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(embed::serve(listener, application.clone(), async {
            let _ = stopped.await;
        }));
        Self {
            address,
            application,
            server,
            user: Arc::new(user),
            stop,
            serving,
        }
    }

    fn session(&self, prefix: &str, dialect: Dialect) -> Session {
        let address = format!("http://{}{prefix}", self.address).parse().unwrap();
        let identity = Identity {
            user: UserName::parse("zoe").unwrap(),
            key: self.user.clone().into(),
            server: self.server.public(),
        };
        let options = Options {
            dialect,
            ..Options::default()
        };
        Session::new(Transport::new(address).unwrap(), identity, options)
    }

    async fn close(self) {
        self.stop.send(()).unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(30), self.serving).await;
        closed.expect("the site closes").unwrap().unwrap();
    }
}

async fn run(session: &mut Session, command: &str) -> String {
    heard(session.exec(command, Upload::empty()).await).await
}

async fn heard(answer: Result<Answer<'_>, Error>) -> String {
    String::from_utf8(answer.unwrap().collect(1 << 20).await.unwrap()).unwrap()
}

/// In 0.6 every request holds the hash of its path below the prefix: a server that hashed the whole path
/// would refuse them all.
#[tokio::test]
async fn below_a_prefix_both_dialects_log_in_and_run_commands() {
    let site = Site::open().await;
    for dialect in Dialect::ALL {
        let mut session = site.session("/remo", dialect);
        session.login().await.unwrap();
        assert_eq!(run(&mut session, "echo one").await, "one\n", "{dialect}");
        assert_eq!(run(&mut session, "echo two").await, "two\n", "{dialect}");
        assert!(session.info().await.unwrap().starts_with("remo_serv "));
        session.logout().await.unwrap();
    }
    site.close().await;
}

#[tokio::test]
async fn outside_of_the_prefix_is_the_other_program() {
    let site = Site::open().await;
    let mut session = site.session("", Dialect::V0_6);
    let refused = session.login().await.unwrap_err();
    assert!(
        matches!(refused, Error::Path { status: 404, .. }),
        "{refused}"
    );
    site.close().await;
}

#[tokio::test]
async fn when_the_program_stops_sessions_and_processes_end() {
    let site = Site::open().await;
    let mut session = site.session("/remo", Dialect::V0_6);
    let command = "sh -c 'echo $$; exec sleep 1000'";
    let mut process = heard(session.iexec(command).await).await;
    while process.is_empty() {
        process = heard(session.idata("").await).await;
    }
    let process = Path::new("/proc").join(process.trim());
    assert!(process.exists());
    let application = site.application.clone();
    assert_eq!(application.sessions(), 1);
    site.close().await;
    assert_eq!(application.sessions(), 0);
    assert!(!process.exists());
}
