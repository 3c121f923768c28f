//! What a server says of its keys to everybody: a hint, worth no more than the fingerprint that somebody compares.
//! Who is trusted in the end is not decided here.

use std::time::Duration;

use base64_simd::URL_SAFE;
use remo_protocol::keys::PublicKey;
use remo_protocol::remo2::json;
use tokio::time::timeout;

use super::failure::{Failure, Fault};
use super::login::read_small;
use crate::error::Error;
use crate::remedy::Asked;
use crate::transport::{Transport, location, schemes};

/// What a server offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The keys that it says it has, the first one first.
    pub keys: Vec<PublicKey>,
    /// Whether it says that it speaks remo/2.
    pub speaks: bool,
}

/// Asks the server for its keys. Nothing proves the answer.
///
/// # Errors
/// Those of the path, and [`Failure::OtherDialect`] where no remo/2 answers.
pub async fn ask_for_keys(transport: &Transport) -> Result<Offer, Failure> {
    let asked = timeout(LONGEST, ask(transport)).await;
    let silent = Err(Failure::First(Error::Silent(LONGEST.as_secs())));
    asked.unwrap_or(silent)
}

async fn ask(transport: &Transport) -> Result<Offer, Failure> {
    let response = transport
        .post("/info", None, br#"{"v":2}"#.to_vec())
        .await?;
    let status = response.status().as_u16();
    match status {
        200 => {}
        // The older ones want a session for it.
        400 | 403 => return Err(Failure::OtherDialect),
        407 => return Err(Error::proxy_log_in(&schemes(&response)).into()),
        status => {
            let location = location(&response);
            return Err(Error::unsealed(Asked::LogIn, status, location.as_deref()).into());
        }
    }
    let text = read_small(response).await.map_err(|fault| match fault {
        Fault::Final(failure) | Fault::AtFirst(failure) => failure,
        other => Failure::Path {
            seconds: 1,
            cause: other.cause(),
        },
    })?;
    if text.starts_with(b"remo_serv ") {
        return Err(Failure::OtherDialect); // an older one does not read what is asked
    }
    read(&text).ok_or_else(|| Error::unsealed(Asked::LogIn, status, None).into())
}

fn read(text: &[u8]) -> Option<Offer> {
    let info = json::parse(text).ok()?;
    let keys = info.get("keys")?.as_array()?;
    let dialects = info.get("dialects").and_then(serde_json::Value::as_array);
    let keys: Vec<_> = keys
        .iter()
        .filter_map(|key| read_key(key.as_str()?))
        .collect();
    Some(Offer {
        keys,
        speaks: dialects.is_some_and(|all| all.iter().any(|dialect| dialect == "2")),
    })
}

/// The key of 57 bytes in URL-safe base64.
fn read_key(text: &str) -> Option<PublicKey> {
    let raw: [u8; 57] = URL_SAFE.decode_to_vec(text).ok()?.try_into().ok()?;
    PublicKey::from_raw(&raw).ok()
}

/// How long it may take.
const LONGEST: Duration = Duration::from_secs(30);
