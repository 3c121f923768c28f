//! Dialect remo/2: its handshake, its bodies and its numbers (`docs/protocol.md`, "remo/2"), without I/O.
//!
//! - [`handshake`]: X448 and ML-KEM-1024 under signatures of the whole transcript; one key a direction.
//! - [`token`]: the header of a token. [`request`] and [`answer`]: bodies, as machines that cannot be
//!   held wrong: a body that has not proved its end gives no trailer, and only a trailer takes a number.
//! - [`numbers`]: which request numbers are held and taken; only a taken one lets an answer be sealed.
//! - [`json`]: the objects in `H` and `T`, read strictly.

pub mod answer;
pub mod handshake;
pub mod json;
pub mod numbers;
pub mod padding;
pub mod request;
pub mod session_id;
pub mod token;

#[cfg(test)]
mod tests;
