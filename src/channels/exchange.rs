//! What a request wants of a channel, and who asks. What becomes of it is not known here.

use remo_protocol::remo2::session_id::SessionId;

/// Who asks, and with which request.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) session: SessionId,
    pub(crate) number: u64,
}

/// What an `/idt` or `/edt` wants of a channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) attach: bool,
    pub(crate) at: Option<u64>,
    pub(crate) data: Vec<u8>,
    pub(crate) ends: bool,
    pub(crate) out: Option<u64>,
    pub(crate) err: Option<u64>,
    pub(crate) size: Option<(u16, u16)>,
    /// A signal, and how many were taken before it.
    pub(crate) signal: Option<(i32, u64)>,
}

impl Exchange {
    /// Whether it counts only from the session that is attached.
    pub(super) fn is_owners(&self) -> bool {
        let reads =
            self.at.is_none() && self.out.is_none() && self.err.is_none() && self.data.is_empty();
        !reads || self.ends || self.size.is_some() || self.signal.is_some()
    }
}
