//! What `remo` and `remo agent` say to each other over a socket of one machine: frames, and the messages in them.
//! Not here: the socket, and who may use it.
//!
//! A connection carries one thing that is asked and its answer. No message has a place for a private key but
//! [`Ask::Add`], and that one goes to the agent only.

mod frame;
mod message;

pub use frame::{Head, Kind, Wrong};
pub use message::{
    Ask, Fault, Fill, HeldKey, KeyFile, Live, Place, Refused, Status, Told, Why, read, write,
};
