//! The long-term keys of servers and users, and their PEM forms.
//! Transient keys and how two peers agree on a secret are in `agreement` and `login`.

mod algorithm;
mod error;
mod fingerprint;
mod pem;
mod private;
mod public;
mod rsa;
mod seal;
mod user;

#[cfg(test)]
mod tests;

pub use error::KeyError;
pub use fingerprint::Fingerprint;
pub use pem::{MAX_PEM_BYTES, is_encrypted};
pub use private::PrivateKey;
pub use public::PublicKey;
pub use rsa::RsaKey;
pub use user::UserKey;
