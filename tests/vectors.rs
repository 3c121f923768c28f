//! Byte-exact examples from an independent implementation, sound and spoilt, both ways.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "vectors/remo2.rs"]
mod remo2;
#[path = "vectors/remo_serv.rs"]
mod remo_serv;
