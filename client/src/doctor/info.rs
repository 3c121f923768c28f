//! `/info`, which everybody may ask: what came of it tells who answered.
//! Not here: what is found in that.

use std::time::Duration;

use base64_simd::URL_SAFE;
use remo_protocol::keys::PublicKey;
use remo_protocol::remo2::json;
use serde_json::Value;

use super::line::Got;
use super::patient::{PATIENCE, Patient, TRIES};
use super::road::{Fault, schemes};
use crate::transport::location_of;

/// Who answered.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// A server of remo/2, with these keys and dialects. Nothing proves it yet.
    Server(Vec<PublicKey>, Vec<String>),
    /// Perhaps a server of an older dialect: it wants a session for it.
    Older(u16),
    /// The proxy wants a log-in, of one of these schemes.
    LogIn(Vec<String>),
    /// Something else: a status, where it points to, and the beginning of the page's title.
    Other(u16, Option<String>),
    /// What should have been an answer was cut.
    Cut,
}

/// The body of the request, filled up to so many bytes.
pub(super) fn request(length: usize) -> Vec<u8> {
    let mut body = br#"{"v":2}"#.to_vec();
    body.resize(length.max(body.len()), b' ');
    body
}

/// Asks until a server answers, a few times.
pub(super) async fn ask(patient: &Patient) -> Result<(Told, Got), Fault> {
    let mut last = Err(Fault::Silent(Duration::ZERO));
    for _ in 0..TRIES {
        last = ask_once(patient, 0, PATIENCE).await;
        if matches!(last, Ok((Told::Server(..) | Told::LogIn(_), _))) {
            break;
        }
    }
    last
}

/// Asks once with a body of so many bytes.
pub(super) async fn ask_once(
    patient: &Patient,
    length: usize,
    patience: Duration,
) -> Result<(Told, Got), Fault> {
    let got = patient
        .post("/info", None, request(length), patience)
        .await?;
    Ok((read(&got), got))
}

/// What an answer is.
pub(super) fn read(got: &Got) -> Told {
    match got.status {
        200 if got.broken.is_some() => Told::Cut,
        200 => server(&got.body).unwrap_or(Told::Other(200, None)),
        400 | 403 if got.body.is_empty() => Told::Older(got.status),
        407 => Told::LogIn(schemes(&got.headers)),
        status => Told::Other(status, location_of(&got.headers)),
    }
}

fn server(body: &[u8]) -> Option<Told> {
    let info = json::parse(body).ok()?;
    let list = |name: &str| info.get(name).and_then(Value::as_array);
    let keys = list("keys")?
        .iter()
        .filter_map(|key| read_key(key.as_str()?));
    let dialects = list("dialects").into_iter().flatten();
    let dialects = dialects.filter_map(|one| Some(one.as_str()?.chars().take(20).collect()));
    Some(Told::Server(keys.collect(), dialects.take(20).collect()))
}

fn read_key(text: &str) -> Option<PublicKey> {
    let raw: [u8; 57] = URL_SAFE.decode_to_vec(text).ok()?.try_into().ok()?;
    PublicKey::from_raw(&raw).ok()
}
