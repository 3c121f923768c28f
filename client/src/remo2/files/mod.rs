//! Files on a server of remo/2: `/fs`, `/get` and `/put`, each asked until it is answered.
//! Not here: how many of them make a copy, which is [`crate::copy`]'s.

mod batch;
mod change;
mod entry;
mod get;
mod listing;
mod naming;
mod put;
mod read;
mod store;
mod whole;

pub(crate) use batch::{BATCH, Small, Whole};
pub use change::Change;
pub use entry::{Entry, Kind, Time};
pub(crate) use get::{Get, Got, Sink};
pub use listing::Listing;
pub(crate) use naming::is_plain;
pub(crate) use put::{Last, Put, Stored};
pub(crate) use store::Store;
