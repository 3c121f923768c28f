//! Files that are replaced as a whole: whoever looks sees the old one or the new one. Server and client
//! receive files by it. Where the bytes come from is not known here.

mod long;
mod read;
mod replacement;

pub use long::LongFile;
pub use read::append_at;
pub use replacement::{ReplaceError, Replacement, write_private};
