//! Where sealed tokens gather as text. Long texts are made again and again: memory that one has used is used for the next,
//! and is not cleared in between, since all of it is written anew. What was there is what has travelled already.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

/// Tokens as they travel.
#[derive(Default)]
pub struct Text {
    /// All of it may be overwritten; what counts ends at `length`.
    bytes: Vec<u8>,
    length: usize,
    shelf: Shelf,
}

/// Memory of long texts that nobody needs any more, for those to come. Clones share it.
#[derive(Clone, Default)]
pub struct Shelf(Arc<Mutex<Vec<Vec<u8>>>>);

impl Text {
    /// An empty text, whose memory comes from a shelf and goes there.
    pub(super) fn on(shelf: &Shelf) -> Self {
        Self {
            shelf: shelf.clone(),
            ..Self::default()
        }
    }

    /// Appends these bytes.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
    }

    /// Appends so many bytes, of any content, to be written by the caller.
    pub(super) fn room(&mut self, more: usize) -> &mut [u8] {
        let (begin, end) = (self.length, self.length + more);
        if end > self.bytes.len() {
            if more >= LONG
                && self.bytes.len() < LONG
                && let Some(mut kept) = self.shelf.lend()
            {
                // Long enough: only long ones are kept.
                for (to, from) in kept.iter_mut().zip(self.iter()) {
                    *to = *from;
                }
                self.bytes = kept;
            }
            // A little more than is asked for: the end of a line and a trailer follow a long token.
            let spare = if more >= LONG { SPARE } else { 0 };
            self.bytes.resize(self.bytes.len().max(end + spare), 0);
        }
        self.length = end;
        self.bytes.get_mut(begin..end).unwrap_or_default()
    }

    /// Nothing is in it any more; its memory stays.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Gives it all away, and begins anew.
    pub fn take(&mut self) -> Bytes {
        let mut bytes = std::mem::take(&mut self.bytes);
        let length = std::mem::take(&mut self.length);
        if bytes.len() < LONG {
            bytes.truncate(length);
            return bytes.into();
        }
        Bytes::from_owner(Lent {
            bytes,
            length,
            shelf: self.shelf.clone(),
        })
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.length)
    }
}

impl Shelf {
    fn lend(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, bytes: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(bytes);
        }
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

/// A text that was given away, whose memory comes back.
struct Lent {
    bytes: Vec<u8>,
    length: usize,
    shelf: Shelf,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.shelf.put_back(std::mem::take(&mut self.bytes));
    }
}

/// Bytes from which on it is worth while to keep the memory.
const LONG: usize = 64 * 1024;

/// Bytes that a long text gets beyond what is asked for.
const SPARE: usize = 1024;

/// Texts whose memory is kept: as many as requests are in flight in bulk.
const KEPT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_what_is_given_away_stays_as_it_was() {
        let shelf = Shelf::default();
        let mut text = Text::on(&shelf);
        text.room(2 * LONG).fill(1);
        text.extend_from_slice(b"end");
        let first = text.take();
        assert_eq!(
            (first.len(), &first[2 * LONG..]),
            (2 * LONG + 3, &b"end"[..])
        );
        let place = first.as_ptr();
        text.room(LONG).fill(2);
        assert_ne!(text.as_ptr(), place, "somebody has it");
        assert!(first[..2 * LONG].iter().all(|byte| *byte == 1));
        drop(first);
        let second = text.take();
        assert!(second.len() == LONG && second.iter().all(|byte| *byte == 2));
        text.extend_from_slice(b"head");
        text.room(LONG).fill(3);
        assert_eq!(text.as_ptr(), place);
        assert_eq!((&text[..4], text.len()), (&b"head"[..], LONG + 4));
        assert!(second.iter().all(|byte| *byte == 2));
    }

    #[test]
    fn short_texts_take_no_more_than_they_are() {
        let mut text = Text::default();
        text.extend_from_slice(b"abc");
        text.clear();
        text.extend_from_slice(b"d");
        assert_eq!(*text, *b"d");
        assert_eq!(text.take(), "d");
        assert!(text.is_empty() && text.take().is_empty());
    }

    #[test]
    fn no_more_is_kept_than_is_in_flight() {
        let shelf = Shelf::default();
        let lent: Vec<_> = (0..2 * KEPT)
            .map(|_| {
                let mut text = Text::on(&shelf);
                text.room(LONG);
                text.take()
            })
            .collect();
        drop(lent);
        assert_eq!(shelf.0.lock().unwrap().len(), KEPT);
    }
}
