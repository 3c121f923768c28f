//! The log-in of remo/2: an exchange with X448 and ML-KEM-1024 together, signed over all that was said, of
//! which one Fernet key a direction is made. Who a user is, and when a refusal leaves, is the server's.

use base64_simd::URL_SAFE;
use hkdf::Hkdf;
use ml_kem::{Decapsulate, KeyExport, ml_kem_1024 as kem};
use serde_json::json;
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use super::{
    json::{self, Object},
    session_id::SessionId,
};
use crate::{
    agreement::{TransientKey, TransientPublic},
    fernet::FernetKey,
    keys::{PrivateKey, PublicKey, UserKey},
    limits,
    name::UserName,
    refusal::Refusal,
};

/// The keys of a session, and its name.
#[derive(Clone, Debug)]
pub struct SessionKeys {
    /// The name that the server signed.
    pub session: SessionId,
    /// Seals requests.
    pub up: FernetKey,
    /// Seals answers.
    pub down: FernetKey,
}

/// The transient keys of one log-in of a client.
#[derive(Debug)]
pub struct ClientSecrets {
    x448: TransientKey,
    kem: kem::DecapsulationKey,
}

impl ClientSecrets {
    /// Draws them.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`].
    pub fn draw() -> Result<Self, Refusal> {
        let mut seed = Zeroizing::new([0; 64]);
        getrandom::fill(&mut *seed).map_err(|_| Refusal::RandomMissing)?;
        Ok(Self::new(TransientKey::generate()?, &seed))
    }

    /// Those of a given key, and of the seed `d || z` (FIPS 203, section 7.1): for test vectors.
    pub fn new(x448: TransientKey, seed: &[u8; 64]) -> Self {
        Self {
            x448,
            kem: kem::DecapsulationKey::from_seed((*seed).into()),
        }
    }
}

/// A client between its log-in and the server's answer.
#[derive(Debug)]
pub struct ClientHandshake {
    secrets: ClientSecrets,
    transcript: Vec<u8>,
}

/// A log-in of a client that its key has not signed yet: the key may be elsewhere.
#[derive(Debug)]
pub struct Unsigned {
    secrets: ClientSecrets,
    message: Vec<u8>,
    members: serde_json::Value,
}

impl Unsigned {
    /// What the user's key is to sign: Mc of the specification.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The log-in with its signature; gives the state, and the body of the `/auth`.
    pub fn signed(mut self, sign: &[u8; 114]) -> (ClientHandshake, Vec<u8>) {
        if let Some(members) = self.members.as_object_mut() {
            members.insert("sign".into(), URL_SAFE.encode_to_string(sign).into());
        }
        let handshake = ClientHandshake {
            secrets: self.secrets,
            transcript: transcript(&self.message, sign),
        };
        (handshake, self.members.to_string().into_bytes())
    }
}

/// Whose log-in a message is the one to sign of, if it is one: what signs for others signs nothing else.
pub fn user_of(message: &[u8]) -> Option<UserName> {
    let rest = message.strip_prefix(CLIENT)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (user, keys) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let user = UserName::parse(std::str::from_utf8(user).ok()?).ok()?;
    (keys.len() == 57 + 56 + ENCAPSULATION).then_some(user)
}

impl ClientHandshake {
    /// A log-in to the server that has this key, up to the signature.
    pub fn prepare(user: &UserName, server: &PublicKey, secrets: ClientSecrets) -> Unsigned {
        let (x448, kem) = (
            secrets.x448.public(),
            secrets.kem.encapsulation_key().to_bytes(),
        );
        Unsigned {
            message: said_by_client(user, server, &x448, &kem),
            members: json!({
                "v": 2,
                "user": user.as_str(),
                "server": URL_SAFE.encode_to_string(Sha256::digest(server.to_raw())),
                "key": URL_SAFE.encode_to_string(x448),
                "kem": URL_SAFE.encode_to_string(kem),
            }),
            secrets,
        }
    }

    /// Signs a log-in to the server that has this key; gives the state, and the body of the `/auth`.
    pub fn start(
        user: &UserName,
        key: &PrivateKey,
        server: &PublicKey,
        secrets: ClientSecrets,
    ) -> (Self, Vec<u8>) {
        let unsigned = Self::prepare(user, server, secrets);
        let sign = key.sign(unsigned.message());
        unsigned.signed(&sign)
    }

    /// Proves that the server signed its answer to this log-in, and only then uses what is in it.
    ///
    /// # Errors
    /// [`Refusal::LoginMalformed`], [`Refusal::VersionUnknown`], [`Refusal::LoginInvalid`],
    /// [`Refusal::SignatureFalse`], [`Refusal::SecretZero`].
    pub fn finish(self, answer: &[u8], server: &PublicKey) -> Result<SessionKeys, Refusal> {
        let members = versioned(answer)?;
        let session = text(&members, "session")
            .and_then(|text| SessionId::parse(text).ok_or(Refusal::LoginInvalid))?;
        let x448 = fixed::<56>(&members, "key")?;
        let ciphertext = fixed::<CIPHERTEXT>(&members, "kem")?;
        let message = said_by_server(&self.transcript, &session, &x448, &ciphertext);
        if !server.verify(&message, &fixed::<114>(&members, "sign")?) {
            return Err(Refusal::SignatureFalse);
        }
        let agreed = self.secrets.x448.agree(&x448)?;
        let shared = self.secrets.kem.decapsulate(&ciphertext.into());
        Ok(derive(
            session,
            &message,
            &agreed,
            &Zeroizing::new(shared.into()),
        ))
    }
}

/// A log-in as it came: of sound form, and nothing of it proved.
#[derive(Debug)]
pub struct LoginRequest {
    /// Who it says it is from.
    pub user: UserName,
    /// SHA-256 of the key of the server that it is meant for.
    pub server: [u8; 32],
    /// The client's transient key.
    pub key: TransientPublic,
    kem: Box<[u8; ENCAPSULATION]>,
    sign: Vec<u8>,
}

impl LoginRequest {
    /// Whether a log-in says which version it is of: those of dialects 0.3 and 0.6 do not.
    pub fn is_versioned(body: &[u8]) -> bool {
        json::parse(body).is_ok_and(|members| members.contains_key("v"))
    }

    /// Reads the body of an `/auth`.
    ///
    /// # Errors
    /// [`Refusal::LoginMalformed`] and [`Refusal::VersionUnknown`] (400), [`Refusal::LoginInvalid`] (403).
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let members = versioned(body)?;
        let user = UserName::parse(text(&members, "user")?).map_err(|_| Refusal::LoginInvalid)?;
        let sign = text(&members, "sign")?;
        if sign.len() > SIGN_TEXT {
            return Err(Refusal::LoginInvalid);
        }
        Ok(Self {
            user,
            server: fixed(&members, "server")?,
            key: fixed(&members, "key")?,
            kem: Box::new(fixed(&members, "kem")?),
            sign: URL_SAFE
                .decode_to_vec(sign)
                .map_err(|_| Refusal::LoginInvalid)?,
        })
    }

    /// Whether it is meant for the server that has this key.
    pub fn is_for(&self, server: &PublicKey) -> bool {
        self.server == <[u8; 32]>::from(Sha256::digest(server.to_raw()))
    }

    /// Proves that the user's key signed it, for the server that has this key.
    ///
    /// # Errors
    /// [`Refusal::ServerUnknown`] (421), [`Refusal::SignatureFalse`].
    pub fn prove(self, user_key: &UserKey, server: &PublicKey) -> Result<ProvedLogin, Refusal> {
        if !self.is_for(server) {
            return Err(Refusal::ServerUnknown);
        }
        let message = said_by_client(&self.user, server, &self.key, self.kem.as_slice());
        if !user_key.verify(&message, &self.sign) {
            return Err(Refusal::SignatureFalse);
        }
        let transcript = transcript(&message, &self.sign);
        Ok(ProvedLogin {
            user: self.user,
            key: self.key,
            kem: self.kem,
            transcript,
        })
    }
}

/// A log-in whose signature was right: what a server may answer.
#[derive(Debug)]
pub struct ProvedLogin {
    /// Who logs in.
    pub user: UserName,
    key: TransientPublic,
    kem: Box<[u8; ENCAPSULATION]>,
    transcript: Vec<u8>,
}

/// What ML-KEM gave the server: the ciphertext that travels, and the secret in it.
pub struct Encapsulated {
    ciphertext: Box<[u8; CIPHERTEXT]>,
    secret: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Encapsulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encapsulated(hidden)")
    }
}

impl Encapsulated {
    /// Given ones: for test vectors.
    pub fn new(ciphertext: [u8; CIPHERTEXT], secret: [u8; 32]) -> Self {
        Self {
            ciphertext: Box::new(ciphertext),
            secret: Zeroizing::new(secret),
        }
    }
}

impl ProvedLogin {
    /// Draws the server's transient keys; gives the body of the answer, and the keys of the session.
    ///
    /// # Errors
    /// [`Refusal::LoginInvalid`] for a malformed encapsulation key, [`Refusal::SecretZero`],
    /// [`Refusal::RandomMissing`].
    pub fn answer(
        self,
        server: &PrivateKey,
        session: SessionId,
    ) -> Result<(Vec<u8>, SessionKeys), Refusal> {
        let transient = TransientKey::generate()?;
        let encapsulated = self.encapsulate()?;
        self.answer_with(server, session, transient, encapsulated)
    }

    /// As [`answer`](Self::answer) with given secrets: for test vectors.
    ///
    /// # Errors
    /// [`Refusal::SecretZero`].
    pub fn answer_with(
        self,
        server: &PrivateKey,
        session: SessionId,
        transient: TransientKey,
        Encapsulated { ciphertext, secret }: Encapsulated,
    ) -> Result<(Vec<u8>, SessionKeys), Refusal> {
        let public = transient.public();
        let agreed = transient.agree(&self.key)?;
        let message = said_by_server(&self.transcript, &session, &public, &*ciphertext);
        let body = json!({
            "v": 2,
            "session": session.as_str(),
            "key": URL_SAFE.encode_to_string(public),
            "kem": URL_SAFE.encode_to_string(ciphertext.as_slice()),
            "sign": URL_SAFE.encode_to_string(server.sign(&message)),
        });
        Ok((
            body.to_string().into_bytes(),
            derive(session, &message, &agreed, &secret),
        ))
    }

    /// Makes a secret for whoever has the private half of the client's key.
    ///
    /// # Errors
    /// [`Refusal::LoginInvalid`] where that is no key (FIPS 203, section 7.2), [`Refusal::RandomMissing`].
    pub fn encapsulate(&self) -> Result<Encapsulated, Refusal> {
        let key =
            kem::EncapsulationKey::new(&(*self.kem).into()).map_err(|_| Refusal::LoginInvalid)?;
        let mut message = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *message).map_err(|_| Refusal::RandomMissing)?;
        let (ciphertext, secret) = key.encapsulate_deterministic(&(*message).into());
        Ok(Encapsulated::new(ciphertext.into(), secret.into()))
    }
}

/// Mc of the specification.
fn said_by_client(
    user: &UserName,
    server: &PublicKey,
    key: &TransientPublic,
    kem: &[u8],
) -> Vec<u8> {
    let user = user.as_str().as_bytes();
    [CLIENT, &length(user)[..], user, &server.to_raw(), key, kem].concat()
}

/// What the server's signature binds: all that the client said, and signed.
fn transcript(message: &[u8], sign: &[u8]) -> Vec<u8> {
    let mut hash = Sha512::new();
    hash.update(message);
    hash.update(length(sign));
    hash.update(sign);
    hash.finalize().to_vec()
}

/// Ms of the specification.
fn said_by_server(
    transcript: &[u8],
    session: &SessionId,
    key: &TransientPublic,
    ciphertext: &[u8],
) -> Vec<u8> {
    let session = session.as_str().as_bytes();
    [
        b"remo_serv/2 server\0",
        transcript,
        &length(session),
        session,
        key,
        ciphertext,
    ]
    .concat()
}

fn derive(session: SessionId, message: &[u8], agreed: &[u8; 56], shared: &[u8; 32]) -> SessionKeys {
    let secret = Zeroizing::new([&agreed[..], shared].concat());
    let schedule = Hkdf::<Sha512>::new(Some(&Sha512::digest(message)), &secret);
    let key = |label: &[u8]| {
        let mut key = Zeroizing::new([0; 32]);
        // 32 bytes are never more than HKDF gives.
        let done = schedule.expand(label, &mut *key);
        debug_assert!(done.is_ok());
        FernetKey::from_bytes(&key)
    };
    SessionKeys {
        session,
        up: key(b"remo_serv client to server"),
        down: key(b"remo_serv server to client"),
    }
}

fn versioned(body: &[u8]) -> Result<Object, Refusal> {
    let members = json::parse(body).map_err(|_| Refusal::LoginMalformed)?;
    if members.get("v").and_then(serde_json::Value::as_u64) == Some(2) {
        Ok(members)
    } else {
        Err(Refusal::VersionUnknown)
    }
}

fn text<'a>(members: &'a Object, name: &str) -> Result<&'a str, Refusal> {
    members
        .get(name)
        .and_then(serde_json::Value::as_str)
        .ok_or(Refusal::LoginInvalid)
}

/// So many bytes in base64. The length is looked at before anything is decoded.
fn fixed<const N: usize>(members: &Object, name: &str) -> Result<[u8; N], Refusal> {
    let text = text(members, name)?;
    if text.len() != N.div_ceil(3) * 4 {
        return Err(Refusal::LoginInvalid);
    }
    let raw = URL_SAFE
        .decode_to_vec(text)
        .map_err(|_| Refusal::LoginInvalid)?;
    raw.try_into().map_err(|_| Refusal::LoginInvalid)
}

/// u16 of the specification, without what it counts. Nothing that is counted reaches 64 KiB.
fn length(counted: &[u8]) -> [u8; 2] {
    debug_assert!(counted.len() <= limits::AUTH_BODY);
    (counted.len() as u16).to_be_bytes()
}

/// What Mc begins with.
const CLIENT: &[u8] = b"remo_serv/2 client\0";

/// Bytes of an ML-KEM-1024 encapsulation key.
const ENCAPSULATION: usize = 1568;

/// Bytes of an ML-KEM-1024 ciphertext.
const CIPHERTEXT: usize = 1568;

/// The signature of an RSA key of 8192 bits in base64.
const SIGN_TEXT: usize = 1368;
