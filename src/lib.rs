//! The server of `remo-serv`: commands, interactive processes and files over HTTP, sealed end to end.
//!
//! The application is a value: [`Application`] is a [`tower::Service`] that another program mounts in its
//! own axum or hyper server, below any prefix. `examples/` does it. The command `remo-serv` gives it a
//! socket of its own ([`listener`], [`server`]).
//!
//! A request goes one way down, and its answer climbs the same stairs:
//!
//! | | |
//! |---|---|
//! | [`app`] | one request of HTTP: its cookie, its path |
//! | `session` | whose it is |
//! | `crypter` | log-in; sealed bytes become data, data become sealed bytes |
//! | `router` | a path becomes an `Op`, a request a `Call` |
//! | `desk` | what is done for every call |
//! | `ops`, one a verb | what is done for this one |
//! | `exec`, `files`, [`users`] | processes, files, the user database |

pub mod app;
mod call;
mod channels;
pub mod cli;
pub mod clock;
pub mod config;
mod crypter;
mod desk;
mod exec;
mod files;
pub mod limits;
pub mod listener;
mod ops;
mod router;
pub mod server;
mod session;
pub mod users;

pub use app::{Application, Settings};
