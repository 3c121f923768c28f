//! A file that comes in one request: written without a name, checked, and put in its place. Nothing is left of
//! it unless it is done.

use std::{fs::File, path::Path};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    range::fill,
    refusal::{refused, shown},
    sparse,
    target::{Attributes, Making, Target},
};
use crate::channels::Refused;

/// Puts these bytes at `path`; gives how many they are.
pub(crate) fn put(
    path: &Path,
    data: &[Bytes],
    attributes: Attributes,
    sha256: Option<[u8; 32]>,
) -> Result<u64, Refused> {
    proved(path, data, sha256)?;
    let target = Target::of(path, "write")?;
    let old = target.replaces()?;
    let made = target.make(attributes.first_mode(old));
    let (file, name) = made.map_err(|error| target.refused("write", error))?;
    let written = write(&file, data).and_then(|size| {
        let making = name.as_deref().map_or(Making::Nameless, Making::Called);
        target.put(&file, making, attributes, old).map(|()| size)
    });
    if written.is_err()
        && let Some(name) = name
    {
        let _ = target.beside(name).unlink();
    }
    written.map_err(|error| target.refused("write", error))
}

/// Whether these bytes have this hash, where one is given.
pub(crate) fn proved(path: &Path, data: &[Bytes], sha256: Option<[u8; 32]>) -> Result<(), Refused> {
    let Some(sha256) = sha256 else { return Ok(()) };
    let mut hash = Sha256::new();
    data.iter().for_each(|piece| hash.update(piece));
    same(path, hash, sha256)
}

/// Writes these bytes into an empty file; gives how many they are.
pub(crate) fn write(file: &File, data: &[Bytes]) -> std::io::Result<u64> {
    let mut at = 0;
    for piece in data {
        sparse::write(file, piece, at)?;
        at += piece.len() as u64;
    }
    Ok(at)
}

/// Whether a file is of this size and has this hash.
pub(crate) fn check(
    file: &File,
    path: &Path,
    size: u64,
    sha256: Option<[u8; 32]>,
) -> Result<(), Refused> {
    let failed = |error| refused("read", path, &error);
    file.set_len(size).map_err(failed)?;
    let Some(sha256) = sha256 else { return Ok(()) };
    let (mut hash, mut buffer, mut at) = (Sha256::new(), vec![0; PIECE], 0);
    loop {
        let read = fill(file, &mut buffer, at).map_err(failed)?;
        if read == 0 {
            return same(path, hash, sha256);
        }
        hash.update(buffer.get(..read).unwrap_or_default());
        at += read as u64;
    }
}

fn same(path: &Path, hash: Sha256, sha256: [u8; 32]) -> Result<(), Refused> {
    if <[u8; 32]>::from(hash.finalize()) == sha256 {
        return Ok(());
    }
    Err(Refused::new(
        422,
        "sha256",
        format!(
            "what came for '{}' is not what it was to be (send it again under a new id)",
            shown(path)
        ),
    ))
}

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;
