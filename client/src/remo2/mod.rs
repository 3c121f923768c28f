//! remo/2: commands and terminals over a path that may cut, repeat and swallow whatever it likes.
//! How bytes are sealed is not here: that is `remo_protocol::remo2`.
//!
//! [`Remote`] is one server, whatever sessions it takes: it logs in, asks again what was not answered, and believes only what
//! the server sealed. [`Channel`] is one process there, with offsets for all that goes in and comes out, so that nothing is
//! lost, doubled or run twice. A connection that [`Forwarding`] carries is a
//! channel too. Files are [`Remote`]'s: [`Entry`], [`Listing`], [`Change`].

mod answer;
pub(crate) mod asking;
mod channel;
mod exchange;
pub(crate) mod failure;
mod files;
mod forward;
pub(crate) mod live;
pub(crate) mod login;
mod memory;
mod opening;
mod output;
pub(crate) mod path;
mod pending;
mod probe;
mod remote;
mod trust;
mod who;

pub use channel::{Channel, Ended};
pub use failure::Failure;
pub(crate) use files::{BATCH, Get, Got, Last, Put, Sink, Small, Store, Stored, Whole, is_plain};
pub use files::{Change, Entry, Kind, Listing, Time};
pub use forward::Forwarding;
pub use memory::Memory;
pub use opening::{Opening, Size};
pub use output::{Jumped, Output};
pub use remote::{Person, Remote};
pub use trust::{Offer, ask_for_keys};
