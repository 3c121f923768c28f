//! `/info`: which server this is.

use crate::call::Reply;

/// The text that the clients of remo_serv know.
pub(crate) fn text() -> &'static str {
    concat!("remo_serv ", env!("CARGO_PKG_VERSION"), " here")
}

pub(crate) fn info() -> Reply {
    Reply::bytes(text())
}
