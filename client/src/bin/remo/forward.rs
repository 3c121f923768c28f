//! `remo forward`: ports here that lead to places the server can reach.
//! How a connection is carried is the library's to know.

use std::error::Error;
use std::io::{Write, stderr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use remo_client::escape::escape;
use remo_client::remo2::{Failure, Forwarding};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::forward_args::{ForwardArgs, Port};
use crate::signals::{Ending, Endings};
use crate::{PROGRAM, block_on, log_to_stderr, place};

/// Forwards until a signal ends it.
pub(crate) fn run(args: &ForwardArgs) -> ExitCode {
    log_to_stderr(args.server.who.verbose);
    match block_on(carry_out(args)) {
        Ok(ending) => ending.code(),
        Err(error) => remo_cli::fail(PROGRAM, &error),
    }
}

async fn carry_out(args: &ForwardArgs) -> Result<Ending, Box<dyn Error>> {
    let mut endings = Endings::listen()?;
    // What cannot be listened on is known before anybody is asked for a password.
    let mut listeners = Vec::new();
    for port in &args.ports {
        listeners.push((listen(port).await?, port.to.clone()));
    }
    let remote = Arc::new(place::find(&args.server).await?);
    tokio::select! {
        who = remote.who() => may_forward(&who?)?,
        ending = endings.wait() => return Ok(ending),
    }
    let forwarding = Arc::new(Forwarding::new(remote));
    let mut listening = JoinSet::new();
    let places = Arc::new(Semaphore::new(MOST));
    for (listener, to) in listeners {
        ready(&listener, &to, args.json)?;
        let port = Listening {
            listener,
            to,
            json: args.json,
            forwarding: forwarding.clone(),
            places: places.clone(),
        };
        listening.spawn(port.serve());
    }
    let ending = endings.wait().await;
    let open = forwarding.ids();
    listening.shutdown().await;
    forwarding.end(&open).await;
    Ok(ending)
}

async fn listen(port: &Port) -> Result<TcpListener, Box<dyn Error>> {
    let listener = TcpListener::bind((port.address.as_str(), port.port)).await;
    listener.map_err(|error| {
        let (address, port) = (escape(&port.address), port.port);
        let reason = remo_cli::reason(&error);
        format!("cannot listen on port {port} of '{address}': {reason} (name another; 0 takes a free one)").into()
    })
}

/// The server may have told that it forwards nothing: then no connection has to be tried for that.
fn may_forward(who: &serde_json::Map<String, Value>) -> Result<(), Box<dyn Error>> {
    if who.get("forward") == Some(&Value::Bool(false)) {
        return Err("the server forwards no ports (whoever runs it switched that off)".into());
    }
    Ok(())
}

fn ready(listener: &TcpListener, to: &str, json: bool) -> Result<(), Box<dyn Error>> {
    let address = listener.local_addr()?.to_string();
    let line = if json {
        format!("{}\n", json!({"listening": address, "to": to}))
    } else {
        format!("{address} -> {to}\n")
    };
    Ok(remo_cli::print(line)?)
}

/// One port that is listened on.
struct Listening {
    listener: TcpListener,
    to: String,
    json: bool,
    forwarding: Arc<Forwarding>,
    /// Places for connections, of all ports.
    places: Arc<Semaphore>,
}

impl Listening {
    async fn serve(self) {
        let this = Arc::new(self);
        let mut carried = JoinSet::new();
        loop {
            while carried.try_join_next().is_some() {}
            // Those for whom there is no place wait in the queue of the system.
            let Ok(place) = this.places.clone().acquire_owned().await else {
                return;
            };
            match this.listener.accept().await {
                Ok((stream, from)) => {
                    let this = this.clone();
                    carried.spawn(async move {
                        this.carry(stream, &from.to_string()).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    this.tell("a connection", &remo_cli::reason(&error));
                    tokio::time::sleep(SHORT_OF_DESCRIPTORS).await;
                }
            }
        }
    }

    async fn carry(&self, stream: TcpStream, from: &str) {
        match self.forwarding.carry(stream, &self.to).await {
            Ok(()) => tracing::debug!(from, to = self.to, "closed"),
            Err(error) if error.is_reset() || is_here(&error) => {
                tracing::debug!(from, to = self.to, %error, "reset");
            }
            Err(error) => self.tell(from, &error.to_string()),
        }
    }

    /// One connection failed; the others go on.
    fn tell(&self, from: &str, error: &str) {
        if self.json {
            let line = json!({"connection": from, "to": self.to, "error": escape(error)});
            let _ = writeln!(stderr(), "{line}");
        } else {
            remo_cli::report(PROGRAM, &format!("{from} -> {}: {error}", self.to));
        }
    }
}

/// Whoever connected here broke it, which is theirs to know.
fn is_here(error: &Failure) -> bool {
    matches!(error, Failure::Input(_) | Failure::Output(_))
}

/// Connections at once. Each takes one to the server, which has places for some hundreds.
const MOST: usize = 256;

/// How long nobody is let in after the system had no descriptor.
const SHORT_OF_DESCRIPTORS: Duration = Duration::from_millis(200);
