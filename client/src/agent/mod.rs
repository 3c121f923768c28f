//! `remo agent`: one process of a user that holds unlocked keys and live sessions, for all the `remo` of that user.
//! What they say to each other is `remo_protocol::agent`'s.
//!
//! [`Agent`] is the callers' side: what asks. [`Service`] is the other: [`keyring`](Keyring) holds keys for a time,
//! `sessions` what is logged in to, `service` answers. Keys go in, and never out: what comes out is signatures of log-ins, and
//! the opened answers to requests that the agent sealed.

mod caller;
mod clock;
mod exchange;
mod faults;
mod keyring;
mod relay;
mod serving;
mod sessions;
mod socket;
mod wire;

pub use caller::{Agent, Bound, Trouble};
pub use clock::Moment;
pub(crate) use exchange::{Exchange, Lease};
pub use keyring::Keyring;
pub use serving::{Limits, Service};
pub use socket::{Listening, Unsafe, usual_socket};
