//! Writes bytes so that long runs of zeros become holes of a file in the making: what was sparse where it came
//! from is sparse here, without a word on the wire.

use std::{fs::File, io, os::unix::fs::FileExt};

/// Writes `data` at `at`, where nothing else than these bytes was ever written. The file reaches to their end.
pub(crate) fn write(file: &File, data: &[u8], at: u64) -> io::Result<()> {
    let mut begin = 0;
    for (place, end) in blocks(data.len(), at) {
        let is_last = end == data.len();
        let is_hole = end - place == BLOCK && data.get(place..end) == Some(&ZEROS) && !is_last;
        if is_hole {
            run(file, data, begin, place, at)?;
            begin = end;
        }
    }
    run(file, data, begin, data.len(), at)
}

fn run(file: &File, data: &[u8], begin: usize, end: usize, at: u64) -> io::Result<()> {
    match data.get(begin..end) {
        Some(run) if !run.is_empty() => file.write_all_at(run, at + begin as u64),
        _ => Ok(()),
    }
}

/// The blocks of the file that `length` bytes at `at` are in, as ranges of these bytes.
fn blocks(length: usize, at: u64) -> impl Iterator<Item = (usize, usize)> {
    let first = BLOCK - usize::try_from(at % BLOCK as u64).unwrap_or_default();
    let ends = std::iter::successors(Some(first), |end| end.checked_add(BLOCK));
    let mut begin = 0;
    ends.map(move |end| (std::mem::replace(&mut begin, end), end.min(length)))
        .take_while(move |(begin, _)| *begin < length)
}

/// Bytes of a block, of which the blocks of file systems are parts.
const BLOCK: usize = 64 * 1024;

static ZEROS: [u8; BLOCK] = [0; BLOCK];

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn zeros_are_holes_and_all_bytes_are_as_they_were() {
        let mut data = vec![0; 40 * BLOCK];
        for place in [0, 5 * BLOCK + 7, 20 * BLOCK - 1, 30 * BLOCK] {
            data[place] = 1;
        }
        for at in [0, 1, BLOCK as u64 - 1, 3 * BLOCK as u64] {
            for length in [0, 1, BLOCK, BLOCK + 1, data.len()] {
                let file = tempfile::tempfile().unwrap();
                write(&file, &data[..length], at).unwrap();
                let expected = if length == 0 { 0 } else { at + length as u64 };
                assert_eq!(file.metadata().unwrap().len(), expected);
                let mut read = vec![9; length];
                file.read_exact_at(&mut read, at).unwrap();
                assert!(read == data[..length], "{at} {length}");
            }
        }
        let file = tempfile::tempfile().unwrap();
        write(&file, &data, 0).unwrap();
        // Where the file system has holes at all.
        let hole = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0));
        if hole.is_ok_and(|hole| hole < data.len() as u64) {
            assert!(file.metadata().unwrap().blocks() * 512 < 8 * BLOCK as u64);
        }
    }
}
