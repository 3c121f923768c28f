//! The log-in: what a session needs before its first request.
//! Not here: when it is due, which is `session`'s to know.

use std::time::Instant;

use remo_protocol::limits;
use remo_protocol::login::ClientLogin;
use reqwest::Response;
use reqwest::header::{HeaderValue, SET_COOKIE};

use crate::answer::next_piece;
use crate::error::Error;
use crate::live::Live;
use crate::remedy::Asked;
use crate::session::Identity;
use crate::transport::{Transport, location};

/// Logs in once.
pub(crate) async fn log_in(transport: &Transport, identity: &Identity) -> Result<Live, Error> {
    let begun = Instant::now();
    let unsigned = ClientLogin::prepare(&identity.user).map_err(Error::Seal)?;
    let sign = identity.key.sign(&unsigned.message()).await?;
    let (login, body) = unsigned.signed(&sign);
    let response = transport.send("/auth", None, Some(body.into())).await?;
    let status = response.status().as_u16();
    tracing::debug!(
        status,
        milliseconds = begun.elapsed().as_millis(),
        "log-in answered"
    );
    match status {
        200 => {}
        403 => {
            return Err(Error::LoginRefused {
                user: identity.user.as_str().to_owned(),
            });
        }
        status => {
            let location = location(&response);
            return Err(Error::unsealed(Asked::LogIn, status, location.as_deref()));
        }
    }
    let cookie = session_cookie(&response);
    let answer = read_small(response).await?;
    let key = login
        .finish(&answer, &identity.server)
        .map_err(Error::WrongServer)?;
    Live::new(key, cookie.ok_or(Error::NoSession)?)
}

/// The `SESSION_ID` of this very answer, as it is sent back.
fn session_cookie(response: &Response) -> Option<HeaderValue> {
    let cookies = response.headers().get_all(SET_COOKIE).iter();
    let mut ids = cookies.filter_map(|cookie| {
        let pair = cookie.to_str().ok()?.split(';').next()?.trim();
        pair.starts_with("SESSION_ID=").then(|| pair.to_owned())
    });
    let mut value = HeaderValue::from_str(&ids.next_back()?).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The answer to a log-in, which is short.
async fn read_small(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(piece) = next_piece(&mut response).await? {
        all.extend_from_slice(&piece);
        if all.len() > limits::AUTH_ANSWER {
            return Err(Error::unsealed(Asked::LogIn, 200, None));
        }
    }
    Ok(all)
}
