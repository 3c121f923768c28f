//! Frames: how long each is, and of which kind, known before any memory is taken for it.
//! What is in them is `message`'s.

use thiserror::Error;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message in JSON.
    Message,
    /// Data of the main stream, or what is to be signed.
    Data,
    /// Data of the second stream.
    Second,
    /// A key or a password, towards the agent only.
    Secret,
    /// Nothing: the data are over.
    End,
}

/// What a frame begins with: its length in four bytes, big-endian, and its kind in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the frame holds.
    pub kind: Kind,
    /// Bytes that follow.
    pub length: usize,
}

/// What is wrong with a frame or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Wrong {
    /// No frame is of this kind.
    #[error("a frame of an unknown kind")]
    Kind,
    /// Longer than frames of its kind may be.
    #[error("a frame that is too long")]
    Length,
    /// Of another kind than is due.
    #[error("a frame out of its place")]
    Place,
    /// No message that is known.
    #[error("an unknown message")]
    Message,
}

impl Head {
    /// Bytes of a head.
    pub const BYTES: usize = 5;

    /// Reads a head.
    ///
    /// # Errors
    /// [`Wrong::Kind`], [`Wrong::Length`].
    pub fn read(bytes: [u8; Self::BYTES]) -> Result<Self, Wrong> {
        let [a, b, c, d, kind] = bytes;
        let kind = Kind::of(kind).ok_or(Wrong::Kind)?;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        Self::new(kind, length)
    }

    /// The head of a frame of so many bytes.
    ///
    /// # Errors
    /// [`Wrong::Length`].
    pub fn new(kind: Kind, length: usize) -> Result<Self, Wrong> {
        if length > kind.most() {
            return Err(Wrong::Length);
        }
        Ok(Self { kind, length })
    }

    /// The bytes of it.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        // No ceiling comes near 4 GiB.
        let [a, b, c, d] = u32::try_from(self.length).unwrap_or(u32::MAX).to_be_bytes();
        [a, b, c, d, self.kind.byte()]
    }
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Message,
        Self::Data,
        Self::Second,
        Self::Secret,
        Self::End,
    ];

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.byte() == byte)
    }

    fn byte(self) -> u8 {
        match self {
            Self::Message => b'M',
            Self::Data => b'D',
            Self::Second => b'E',
            Self::Secret => b'S',
            Self::End => b'.',
        }
    }

    /// Bytes that a frame of this kind may hold.
    pub fn most(self) -> usize {
        match self {
            // The head of a request, 128 KiB, or CA certificates, and what stands round them.
            Self::Message => 256 * 1024,
            Self::Data | Self::Second => 1024 * 1024,
            Self::Secret => 16 * 1024,
            Self::End => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written_up_to_the_ceiling_of_its_kind() {
        for kind in Kind::ALL {
            let most = Head::new(kind, kind.most()).unwrap();
            assert_eq!(Head::read(most.to_bytes()), Ok(most));
            assert_eq!(Head::new(kind, kind.most() + 1), Err(Wrong::Length));
        }
    }

    #[test]
    fn a_frame_that_is_too_long_or_unknown_is_refused_by_its_head() {
        assert_eq!(
            Head::read([0xff, 0xff, 0xff, 0xff, b'M']),
            Err(Wrong::Length)
        );
        assert_eq!(Head::read([0, 0, 0, 1, b'.']), Err(Wrong::Length));
        assert_eq!(Head::read([0, 0, 0, 0, b'm']), Err(Wrong::Kind));
    }
}
