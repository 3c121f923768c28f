//! One log-in of remo/2: what is signed, sent and proved.
//! Not here: when it is due, and how often it is tried.

use std::time::{Duration, Instant};

use remo_protocol::keys::PublicKey;
use remo_protocol::limits;
use remo_protocol::remo2::handshake::{ClientHandshake, ClientSecrets};
use reqwest::Response;
use tokio::time::timeout;

use super::failure::{Failure, Fault};
use super::live::Live;
use super::remote::Person;
use crate::answer::next_piece;
use crate::error::Error;
use crate::remedy::Asked;
use crate::transport::{Transport, location, schemes};

/// Logs in once, to the server that has this key.
pub(crate) async fn log_in(
    transport: &Transport,
    person: &Person,
    server: &PublicKey,
) -> Result<Live, Fault> {
    let secrets = ClientSecrets::draw().map_err(Failure::Seal)?;
    let unsigned = ClientHandshake::prepare(&person.user, server, secrets);
    let signed = person.key.sign(unsigned.message()).await;
    let sign = signed.map_err(|error| Fault::Final(error.into()))?;
    let (handshake, body) = unsigned.signed(&sign);
    let begun = Instant::now();
    let answer = timeout(LONGEST, ask(transport, person, body))
        .await
        .map_err(|_| {
            Fault::Path(format!(
                "no answer to the log-in for {} s",
                LONGEST.as_secs()
            ))
        })??;
    tracing::debug!(milliseconds = begun.elapsed().as_millis(), "logged in");
    let keys = handshake
        .finish(&answer, server)
        .map_err(|refusal| at_first(Error::WrongServer(refusal)))?;
    Live::here(keys, transport.clone())
}

async fn ask(transport: &Transport, person: &Person, body: Vec<u8>) -> Result<Vec<u8>, Fault> {
    let response = match transport.post("/auth", None, body).await {
        Ok(response) => response,
        Err(
            error @ (Error::Certificate { .. }
            | Error::Unreachable { .. }
            | Error::Path { status: 407, .. }),
        ) => {
            return Err(at_first(error));
        }
        Err(error) => return Err(Fault::Path(error.to_string())),
    };
    match response.status().as_u16() {
        200 => read_small(response).await,
        400 => Err(Fault::AtFirst(Failure::OtherDialect)),
        403 => Err(at_first(Error::LoginRefused {
            user: person.user.as_str().to_owned(),
        })),
        407 => Err(at_first(Error::proxy_log_in(&schemes(&response)))),
        421 => Err(Fault::AtFirst(Failure::OtherKey)),
        status => {
            let location = location(&response);
            let error = Error::unsealed(Asked::LogIn, status, location.as_deref());
            Err(if status < 500 {
                at_first(error)
            } else {
                Fault::Path(error.to_string())
            })
        }
    }
}

fn at_first(error: Error) -> Fault {
    Fault::AtFirst(Failure::First(error))
}

/// An answer that is short.
pub(super) async fn read_small(mut response: Response) -> Result<Vec<u8>, Fault> {
    let mut all = Vec::new();
    while let Some(piece) = next_piece(&mut response)
        .await
        .map_err(|error| Fault::Path(error.to_string()))?
    {
        all.extend_from_slice(&piece);
        if all.len() > limits::AUTH_ANSWER {
            return Err(at_first(Error::unsealed(Asked::LogIn, 200, None)));
        }
    }
    Ok(all)
}

/// The longest that a log-in may take.
const LONGEST: Duration = Duration::from_secs(15);
