//! The log-in of dialects 0.3 and 0.6 (`docs/protocol.md`, "/auth"): its messages, the client's state and
//! the server's answer. Who a user is, and how long a refusal takes, is the server's to decide.

use base64_simd::URL_SAFE;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    agreement::{self, TransientKey, TransientPublic},
    fernet::FernetKey,
    keys::{PrivateKey, PublicKey, UserKey},
    limits,
    name::UserName,
    refusal::Refusal,
};

/// A log-in as it came: of sound form, and nothing of it proved.
#[derive(Debug)]
pub struct LoginRequest {
    /// Who it says it is from.
    pub user: UserName,
    /// The client's transient key.
    pub key: TransientPublic,
    sign: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Message {
    user: String,
    key: String,
    sign: String,
}

impl LoginRequest {
    /// Reads the body of an `/auth`.
    ///
    /// # Errors
    /// [`Refusal::LoginMalformed`] (400) where it is no JSON object with its three texts,
    /// [`Refusal::LoginInvalid`] (403) where one of them cannot be what it should.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let message: Message = serde_json::from_slice(body).map_err(|_| Refusal::LoginMalformed)?;
        let user = UserName::parse(&message.user).map_err(|_| Refusal::LoginInvalid)?;
        let key = decode_key(message.key.as_bytes())?;
        if message.sign.len() > SIGN_TEXT {
            return Err(Refusal::LoginInvalid);
        }
        let sign = URL_SAFE
            .decode_to_vec(&message.sign)
            .map_err(|_| Refusal::LoginInvalid)?;
        Ok(Self { user, key, sign })
    }

    /// Proves that the user's key signed it.
    ///
    /// # Errors
    /// [`Refusal::SignatureFalse`].
    pub fn prove(self, user_key: &UserKey) -> Result<ProvedLogin, Refusal> {
        let proved = user_key.verify(&signed_by_client(&self.user, &self.key), &self.sign);
        if proved {
            Ok(ProvedLogin {
                user: self.user,
                key: self.key,
            })
        } else {
            Err(Refusal::SignatureFalse)
        }
    }
}

/// A log-in whose signature was right: what a server may answer.
#[derive(Debug)]
pub struct ProvedLogin {
    user: UserName,
    key: TransientPublic,
}

impl ProvedLogin {
    /// Draws the server's transient key, and gives what is answered and the key of the session.
    ///
    /// # Errors
    /// [`Refusal::SecretZero`], [`Refusal::RandomMissing`].
    pub fn answer(self, server: &PrivateKey) -> Result<LoginAnswer, Refusal> {
        self.answer_with(server, TransientKey::generate()?)
    }

    /// As [`answer`](Self::answer) with a given transient key: for test vectors.
    ///
    /// # Errors
    /// [`Refusal::SecretZero`].
    pub fn answer_with(
        self,
        server: &PrivateKey,
        transient: TransientKey,
    ) -> Result<LoginAnswer, Refusal> {
        let public = transient.public();
        let secret = transient.agree(&self.key)?;
        let sign = server.sign(&public);
        let text = format!(
            "{}\r\n{}",
            URL_SAFE.encode_to_string(public),
            URL_SAFE.encode_to_string(sign)
        );
        Ok(LoginAnswer {
            user: self.user,
            text,
            key: agreement::derive(&secret),
        })
    }
}

/// What a good log-in leads to.
#[derive(Debug)]
pub struct LoginAnswer {
    /// Who logged in.
    pub user: UserName,
    /// The body of the answer.
    pub text: String,
    /// The key of the session.
    pub key: FernetKey,
}

/// A client between its log-in and the server's answer.
#[derive(Debug)]
pub struct ClientLogin {
    transient: TransientKey,
}

/// A log-in of a client that its key has not signed yet: the key may be elsewhere.
#[derive(Debug)]
pub struct Unsigned {
    user: UserName,
    public: TransientPublic,
    transient: TransientKey,
}

impl Unsigned {
    /// What the user's key is to sign.
    pub fn message(&self) -> Vec<u8> {
        signed_by_client(&self.user, &self.public)
    }

    /// The log-in with its signature; gives the state, and the body of the `/auth` to send.
    pub fn signed(self, sign: &[u8; 114]) -> (ClientLogin, Vec<u8>) {
        let message = serde_json::json!({
            "user": self.user.as_str(),
            "key": URL_SAFE.encode_to_string(self.public),
            "sign": URL_SAFE.encode_to_string(sign),
        });
        let transient = self.transient;
        (ClientLogin { transient }, message.to_string().into_bytes())
    }
}

/// Whose log-in a message is the one to sign of, if it is one. None of remo/2 is: its prefix ends with a byte that
/// no name has, further than a key from the end.
pub fn user_of(message: &[u8]) -> Option<UserName> {
    let (user, _key) = message.split_last_chunk::<56>()?;
    UserName::parse(std::str::from_utf8(user).ok()?).ok()
}

impl ClientLogin {
    /// Draws a transient key for a log-in, up to the signature.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`].
    pub fn prepare(user: &UserName) -> Result<Unsigned, Refusal> {
        Ok(Self::prepare_with(user, TransientKey::generate()?))
    }

    fn prepare_with(user: &UserName, transient: TransientKey) -> Unsigned {
        Unsigned {
            user: user.clone(),
            public: transient.public(),
            transient,
        }
    }

    /// Draws a transient key; gives the state, and the body of the `/auth` to send.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`].
    pub fn start(user: &UserName, key: &PrivateKey) -> Result<(Self, Vec<u8>), Refusal> {
        Ok(Self::start_with(user, key, TransientKey::generate()?))
    }

    /// As [`start`](Self::start) with a given transient key: for test vectors.
    pub fn start_with(
        user: &UserName,
        key: &PrivateKey,
        transient: TransientKey,
    ) -> (Self, Vec<u8>) {
        let unsigned = Self::prepare_with(user, transient);
        let sign = key.sign(&unsigned.message());
        unsigned.signed(&sign)
    }

    /// Proves that the server signed its answer, and only then uses the key in it.
    ///
    /// # Errors
    /// [`Refusal::LoginInvalid`], [`Refusal::SignatureFalse`], [`Refusal::SecretZero`].
    pub fn finish(self, answer: &[u8], server: &PublicKey) -> Result<FernetKey, Refusal> {
        if answer.len() > limits::AUTH_ANSWER {
            return Err(Refusal::LoginInvalid);
        }
        let (key, sign) = answer
            .split_at_checked(KEY_TEXT)
            .ok_or(Refusal::LoginInvalid)?;
        let key = decode_key(key)?;
        let sign = sign.strip_prefix(b"\r\n").ok_or(Refusal::LoginInvalid)?;
        let sign = URL_SAFE
            .decode_to_vec(sign)
            .map_err(|_| Refusal::LoginInvalid)?;
        if !server.verify(&key, &sign) {
            return Err(Refusal::SignatureFalse);
        }
        let secret: Zeroizing<[u8; 56]> = self.transient.agree(&key)?;
        Ok(agreement::derive(&secret))
    }
}

fn signed_by_client(user: &UserName, key: &TransientPublic) -> Vec<u8> {
    [user.as_str().as_bytes(), key].concat()
}

fn decode_key(text: &[u8]) -> Result<TransientPublic, Refusal> {
    if text.len() != KEY_TEXT {
        return Err(Refusal::LoginInvalid);
    }
    let raw = URL_SAFE
        .decode_to_vec(text)
        .map_err(|_| Refusal::LoginInvalid)?;
    raw.try_into().map_err(|_| Refusal::LoginInvalid)
}

/// 56 bytes in base64.
const KEY_TEXT: usize = 76;

/// The signature of an RSA key of 8192 bits in base64.
const SIGN_TEXT: usize = 1368;
