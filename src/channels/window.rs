//! What the far end wrote and its reader has not received: a stream with absolute offsets, of which a
//! bounded part is kept.

use std::collections::VecDeque;

/// One stream. Offsets count its bytes from its beginning.
#[derive(Debug)]
pub(crate) struct Window {
    /// The kept bytes, the last of which is the one before `end`.
    data: VecDeque<u8>,
    received: u64,
    end: u64,
    closed: bool,
    /// How much is kept of what was received.
    tail: usize,
    room: usize,
}

impl Window {
    /// An empty stream, of which `room` bytes are kept until they are received, and `tail` after.
    pub(crate) fn new(room: usize, tail: usize) -> Self {
        Self {
            data: VecDeque::new(),
            received: 0,
            end: 0,
            closed: false,
            tail,
            room,
        }
    }

    /// How many bytes may be added.
    pub(crate) fn room(&self) -> usize {
        let waiting = usize::try_from(self.end - self.received).unwrap_or(usize::MAX);
        self.room.saturating_sub(waiting)
    }

    /// Adds to the end.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.data.extend(data);
        self.end += data.len() as u64;
    }

    /// Nothing more comes.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// All before `offset` is received. It never goes back, and beyond the end it counts as the end.
    pub(crate) fn receive(&mut self, offset: u64) {
        self.received = self.received.max(offset.min(self.end));
        let kept = self.end - self.received + self.tail as u64;
        let surplus = (self.data.len() as u64).saturating_sub(kept);
        self.data
            .drain(..usize::try_from(surplus).unwrap_or_default());
        if self.data.len() < self.data.capacity() / 8 {
            // An idle stream takes no memory, and the tail of a terminal no more than itself.
            self.data.shrink_to_fit();
        }
    }

    /// Drops what is before `offset`, as if it were received, if so much waits that nobody wants to see it. The
    /// little that a terminal mostly has to say is told.
    pub(crate) fn drop_flood(&mut self, offset: u64) {
        if self.end - self.received > FLOOD {
            self.receive(offset);
        }
    }

    /// From where on bytes are kept that were not received.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// From where on any bytes are kept.
    pub(crate) fn oldest(&self) -> u64 {
        self.end - self.data.len() as u64
    }

    /// Where the next byte will be.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// At most `most` bytes from `offset` on; none where they are not kept, or not there yet.
    pub(crate) fn copy(&self, offset: u64, most: usize) -> Vec<u8> {
        let Some(skip) = offset
            .checked_sub(self.oldest())
            .and_then(|skip| usize::try_from(skip).ok())
        else {
            return Vec::new();
        };
        let length = self.data.len().saturating_sub(skip).min(most);
        let range = skip.min(self.data.len())..skip.min(self.data.len()) + length;
        self.data.range(range).copied().collect()
    }
}

/// Bytes that wait from which on it is a flood: more than a screen of text.
const FLOOD: u64 = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_by_their_offset_until_they_are_received() {
        let mut window = Window::new(10, 0);
        window.push(b"0123456789");
        assert_eq!(window.room(), 0);
        assert_eq!(window.copy(3, 4), b"3456");
        window.receive(5);
        assert_eq!((window.room(), window.oldest(), window.end()), (5, 5, 10));
        assert_eq!(window.copy(3, 4), b"", "gone");
        window.push(b"abc");
        assert_eq!(window.copy(8, 100), b"89abc");
        assert_eq!(window.copy(13, 100), b"");
    }

    #[test]
    fn what_is_received_never_goes_back_and_ends_at_the_end() {
        let mut window = Window::new(10, 0);
        window.push(b"01234");
        window.receive(4);
        window.receive(2);
        assert_eq!(window.received(), 4);
        window.receive(u64::MAX);
        assert_eq!((window.received(), window.room()), (5, 10));
    }

    #[test]
    fn a_tail_is_kept_of_what_was_received() {
        let mut window = Window::new(10, 3);
        window.push(b"0123456789");
        window.receive(8);
        assert_eq!((window.oldest(), window.room()), (5, 8));
        assert_eq!(window.copy(5, 100), b"56789");
    }
}
