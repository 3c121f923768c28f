//! The log-in of remo/2, and the hint by which a client finds the server's key.

use std::sync::Arc;

use base64_simd::URL_SAFE;
use bytes::Bytes;
use remo_protocol::{
    dialect::AnyDialect,
    keys::{PrivateKey, UserKey},
    refusal::Refusal,
    remo2::{
        handshake::{LoginRequest, SessionKeys},
        json,
        session_id::SessionId,
    },
};
use serde_json::json;

use super::super::{
    Crypter,
    auth::{Failure, user_key},
};
use crate::users::UserService;

impl Crypter {
    /// Logs in; gives the body of the answer and the name of the session. It looks at no cookie.
    pub(in crate::crypter) async fn log_in_remo2(
        &self,
        body: &[u8],
    ) -> Result<(Bytes, SessionId), Failure> {
        let request = LoginRequest::parse(body).map_err(Failure::Refused)?;
        let server = self.asked_for(&request)?;
        let (user, key) = (request.user.clone(), request.key);
        let session = self.remo2.name().map_err(Failure::Refused)?;
        let name = session.clone();
        let proved = self
            .checked(&key, move |users| prove(request, session, users, &server))
            .await;
        let (answer, keys) = proved.inspect_err(|failure| failure.log(&user))?;
        self.use_up(key)?;
        self.remo2
            .log_in(user.clone(), keys)
            .map_err(|_| Failure::Busy)?;
        tracing::info!(user = user.as_str(), dialect = "2", "logged in");
        Ok((answer.into(), name))
    }

    /// The answer to an `/info` that asks for remo/2; `None` where it does not.
    pub(crate) fn info_remo2(&self, body: &[u8]) -> Option<String> {
        let asked = json::parse(body).ok()?;
        (asked.get("v")?.as_u64()? == 2).then(|| {
            let keys = self
                .keys()
                .map(|key| URL_SAFE.encode_to_string(key.public().to_raw()));
            let keys: Vec<_> = keys.collect();
            json!({"v": 2, "keys": keys, "dialects": self.dialects()}).to_string()
        })
    }

    /// The server's keys, the present one first.
    fn keys(&self) -> impl Iterator<Item = &Arc<PrivateKey>> {
        [&self.settings.key]
            .into_iter()
            .chain(&self.settings.old_key)
    }

    /// The one of the server's keys that a log-in is meant for.
    fn asked_for(&self, request: &LoginRequest) -> Result<Arc<PrivateKey>, Failure> {
        let found = self.keys().find(|key| request.is_for(&key.public()));
        found
            .cloned()
            .ok_or(Failure::Refused(Refusal::ServerUnknown))
    }

    /// The dialects that this server speaks, oldest first.
    pub(super) fn dialects(&self) -> Vec<&'static str> {
        let floor = self.settings.floor;
        let spoken = AnyDialect::ALL.into_iter().filter(|one| *one >= floor);
        spoken.map(AnyDialect::name).collect()
    }
}

fn prove(
    request: LoginRequest,
    session: SessionId,
    users: &dyn UserService,
    server: &PrivateKey,
) -> Result<(Vec<u8>, SessionKeys), Failure> {
    let public = server.public();
    match user_key(&request.user, users)? {
        Some((key, _)) => {
            let proved = request.prove(&key, &public).map_err(Failure::Refused)?;
            proved.answer(server, session).map_err(Failure::Refused)
        }
        None => {
            // An unknown user goes the same way with another key.
            let _ = request.prove(&UserKey::Ed448(public.clone()), &public);
            Err(Failure::Refused(Refusal::UserUnknown))
        }
    }
}
