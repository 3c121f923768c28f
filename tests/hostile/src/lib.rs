//! A proxy that misbehaves on purpose, by a plan that follows from a seed and the order of the requests.
//! Holds no knowledge of the dialects: it treats HTTP, and what is in the bodies is bytes.
//!
//! [`proxy`] takes the connections, [`turn`] counts the requests, [`plan`] says what is done to each, [`request`]
//! and [`answer`] do it;
//! [`memory`] is what it keeps from one request for another, and [`shape`] makes the link slow.

pub mod answer;
pub mod body;
mod client;
pub mod head;
pub mod kind;
pub mod memory;
pub mod page;
pub mod plan;
pub mod proxy;
pub mod request;
pub mod shape;
pub mod turn;
pub mod wire;

pub use kind::Kind;
pub use proxy::{Proxy, Settings};
