//! SHA-256 of files of this machine and of their parts.
//! Hashes that a server reckons come from [`Remote::hash`](crate::remo2::Remote::hash).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

/// The hash of `length` bytes from `offset` on; nothing where the file is shorter.
pub(super) fn of_part(file: &File, offset: u64, length: u64) -> io::Result<Option<[u8; 32]>> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    let (mut at, end) = (offset, offset.saturating_add(length));
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
        let room = piece.get_mut(..most).unwrap_or_default();
        match file.read_at(room, at) {
            Ok(0) => return Ok(None),
            Ok(read) => {
                hash.update(room.get(..read).unwrap_or_default());
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(hash.finalize().into()))
}

/// The hash of some bytes.
pub(super) fn of_bytes(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;
