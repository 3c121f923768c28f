//! Whole conversations of the library with the real server, in both dialects.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::Home;
use remo_client::address::ServerAddress;
use remo_client::answer::Answer;
use remo_client::error::Error;
use remo_client::session::{Identity, Options, Session};
use remo_client::transport::Transport;
use remo_client::upload::Upload;
use remo_protocol::dialect::Dialect;
use remo_protocol::keys::{PrivateKey, UserKey};
use remo_protocol::name::UserName;
use remo_serv::listener::{Address, Listener};
use remo_serv::server::{ConnectionLimits, serve};
use remo_serv::users::MemoryUserService;
use remo_serv::{Application, Settings};

/// A real server, and a session with it that has not logged in yet.
async fn begin(home: &Home, dialect: Dialect) -> Session {
    let copy =
        |key: &PrivateKey| PrivateKey::from_pem(key.to_pem().unwrap().as_bytes(), None).unwrap();
    let user = UserName::parse("zoe").unwrap();
    let users = MemoryUserService::new();
    let public = home.user_key.public().to_pem();
    users.insert(
        user.clone(),
        UserKey::from_pem(public.as_bytes()).unwrap(),
        None,
    );
    let application = Application::new(Settings::new(copy(&home.server_key), Arc::new(users)));
    let listener = Listener::bind(&Address::new("127.0.0.1", 0)).await.unwrap();
    let address: ServerAddress = listener.address().to_string().parse().unwrap();
    tokio::spawn(serve(
        listener,
        application,
        ConnectionLimits::default(),
        std::future::pending(),
    ));
    let identity = Identity {
        user,
        key: copy(&home.user_key).into(),
        server: home.server_key.public(),
    };
    Session::new(
        Transport::new(address).unwrap(),
        identity,
        Options {
            dialect,
            ..Options::default()
        },
    )
}

async fn text(answer: Result<Answer<'_>, Error>) -> String {
    String::from_utf8(answer.unwrap().collect(1 << 20).await.unwrap()).unwrap()
}

#[tokio::test]
async fn commands_and_their_input_go_through() {
    for dialect in Dialect::ALL {
        let home = Home::new();
        let mut session = begin(&home, dialect).await;
        assert!(session.info().await.unwrap().starts_with("remo_serv "));
        assert_eq!(
            text(session.exec("echo 'a  b' é", Upload::empty()).await).await,
            "a  b é\n"
        );
        let long = "line\n".repeat(100_000);
        assert_eq!(
            text(session.exec("cat", Upload::bytes(long.as_str())).await).await,
            long
        );
        assert!(matches!(
            session.exec("no-such-program", Upload::empty()).await,
            Err(Error::Refused { status: 400, .. })
        ));
        assert_eq!(
            text(session.exec("echo on", Upload::empty()).await).await,
            "on\n"
        );
        session.logout().await.unwrap();
    }
}

#[tokio::test]
async fn an_interactive_command_is_talked_with() {
    for dialect in Dialect::ALL {
        let home = Home::new();
        let mut session = begin(&home, dialect).await;
        let mut said = text(session.iexec("cat").await).await;
        said += &text(session.idata("one\n").await).await;
        said += &text(session.idata("two\n").await).await;
        said += &text(session.iend().await).await;
        assert_eq!(said, "one\ntwo\n");
        assert!(matches!(
            session.iend().await,
            Err(Error::Refused { status: 400, .. })
        ));
    }
}

#[tokio::test]
async fn files_come_back_as_they_went() {
    for dialect in Dialect::ALL {
        for size in [0, 1, 65_536, 3_000_001_u32] {
            let home = Home::new();
            let data: Vec<u8> = (0..size)
                .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect();
            home.write("here", &data);
            let there = home.path("there é").into_os_string().into_string().unwrap();
            let told = Arc::new(AtomicU64::new(0));
            let (up, down) = (Arc::clone(&told), Arc::clone(&told));
            let mut session = begin(&home, dialect).await;
            let upload = Upload::file(&home.path("here")).unwrap();
            let upload =
                upload.with_progress(Box::new(move |done| up.store(done, Ordering::SeqCst)));
            session.put(&there, upload).await.unwrap();
            assert_eq!(told.swap(0, Ordering::SeqCst), u64::from(size));
            let progress = Box::new(move |done| down.store(done, Ordering::SeqCst));
            let got = session
                .get_file(&there, &home.path("back"), Some(progress))
                .await
                .unwrap();
            assert_eq!(
                (got, told.load(Ordering::SeqCst)),
                (u64::from(size), u64::from(size))
            );
            assert!(home.read("back") == data, "{dialect} {size}");
        }
    }
}

#[tokio::test]
async fn a_missing_file_is_told_and_nothing_is_made_of_it() {
    for dialect in Dialect::ALL {
        let home = Home::new();
        let mut session = begin(&home, dialect).await;
        let missing = home.path("missing").into_os_string().into_string().unwrap();
        let refused = session.get_file(&missing, &home.path("back"), None).await;
        assert!(
            matches!(refused, Err(Error::Refused { status: 400, .. })),
            "{refused:?}"
        );
        assert!(home.names().is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_is_left_unread_costs_no_more_than_a_log_in() {
    for dialect in Dialect::ALL {
        let home = Home::new();
        let mut session = begin(&home, dialect).await;
        let mut endless = session.exec("yes", Upload::empty()).await.unwrap();
        assert!(
            endless
                .next()
                .await
                .unwrap()
                .unwrap()
                .starts_with(b"y\ny\n")
        );
        drop(endless);
        assert_eq!(session.is_logged_in(), dialect == Dialect::V0_3);
        assert_eq!(
            text(session.exec("echo on", Upload::empty()).await).await,
            "on\n"
        );
    }
}

#[tokio::test]
async fn a_reader_that_fails_leaves_nothing_on_the_server() {
    struct Failing(u32);
    impl std::io::Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            if self.0 > 100 {
                Err(std::io::Error::other("the disk broke"))
            } else {
                Ok(buffer.len())
            }
        }
    }
    for dialect in Dialect::ALL {
        let home = Home::new();
        let mut session = begin(&home, dialect).await;
        let there = home.path("there").into_os_string().into_string().unwrap();
        let failed = session
            .put(&there, Upload::reader(Failing(0), "source"))
            .await
            .unwrap_err();
        assert!(
            failed
                .to_string()
                .contains("cannot read 'source': the disk broke"),
            "{failed}"
        );
        assert_eq!(
            text(session.exec("echo on", Upload::empty()).await).await,
            "on\n"
        );
        assert!(!home.path("there").exists());
    }
}
