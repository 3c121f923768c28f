//! A program with a page of its own, and remo_serv below `/remo` beside it, in one axum server.
//! Configuration, logs and ceilings of connections are not here: a proxy in front of it keeps those.
//!
//! `cargo run --example embed -- remo_serv_key.pem users_db.sqlite 127.0.0.1:8080`, and then
//! `remo prompt --user zoe http://127.0.0.1:8080/remo`. Ctrl-C ends it in good order.

use std::{error::Error, fs, io, path::Path, sync::Arc};

use axum::{Router, routing::get};
use remo_protocol::keys::PrivateKey;
use remo_serv::{Application, Settings, users::SqliteUserService};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [key, users, address] = arguments.as_slice() else {
        return Err("usage: embed KEY_PEM USERS_DB ADDRESS:PORT".into());
    };
    let key = PrivateKey::from_pem(&fs::read(key)?, None)?;
    let users = SqliteUserService::open(Path::new(users))?;
    let application = Application::new(Settings::new(key, Arc::new(users)));
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}/remo", listener.local_addr()?);
    serve(listener, application, async {
        let _ = tokio::signal::ctrl_c().await;
    })
    .await?;
    Ok(())
}

/// The whole site: `nest_service` takes `/remo` off before the application sees a path, which dialect 0.6
/// needs, since its requests are bound to the path below the prefix.
fn site(application: Application) -> Router {
    Router::new()
        .route("/", get(|| async { "a page of our own\n" }))
        .nest_service("/remo", application)
}

/// Serves until `stop`. Requests in flight finish; then every session and every process that was started
/// ends. A handle of the application is kept for that.
pub(crate) async fn serve(
    listener: TcpListener,
    application: Application,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, site(application.clone()))
        .with_graceful_shutdown(stop)
        .await?;
    application.shut_down().await;
    Ok(())
}
