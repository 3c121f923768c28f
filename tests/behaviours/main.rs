//! What a server promises, against a live one on a port of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod ceilings;
mod commands;
mod files;
mod interactive;
mod log_in;
mod remo2;
mod remo2_files;
mod remo2_forward;
mod remo2_interrupts;
mod sessions;
mod shutdown;
