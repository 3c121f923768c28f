//! What stands behind a channel: a process, on a terminal or not, or a connection. The channel asks it for what
//! differs; bytes do not pass through here.

use std::{future::Future, io, pin::Pin};

use super::Refused;

/// The far end of a channel.
pub(super) trait Far: Send {
    /// The number of its process, if it is one.
    fn pid(&self) -> Option<i32> {
        None
    }

    /// Whether it is a terminal.
    fn is_terminal(&self) -> bool {
        false
    }

    /// The character that ends its input, where that is not done by closing it.
    fn end_of_file(&self) -> Option<u8> {
        None
    }

    /// The characters of the input that interrupt it, and make what it has said worthless: 0 stands for none.
    fn interrupts(&self) -> [u8; 3] {
        [0; 3]
    }

    /// Sets the size, in lines and characters; `anew`: so that what it shows is drawn anew.
    fn resize(&self, _size: Option<(u16, u16)>, _anew: bool) {}

    /// Sends it a signal.
    ///
    /// # Errors
    /// `bad_request` from what takes none.
    fn signal(&self, signal: i32) -> Result<(), Refused>;

    /// Nobody wants it any more. What is then to be waited for comes back; its streams are closed after that.
    fn hang_up(self: Box<Self>, left: Left) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// How things were left when nobody wanted it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// Its input was ended, though perhaps not all of it has been given yet.
    pub(super) ended: bool,
    /// The server stops.
    pub(super) stopping: bool,
}

/// How the far end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// A process, with this status.
    Code(i32),
    /// A process, by this signal.
    Signal(i32),
    /// A connection: the other side sends no more.
    Closed,
    /// A connection: it broke.
    Broken(io::ErrorKind),
}
