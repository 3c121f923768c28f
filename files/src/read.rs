//! Reading at a place of a file into memory that need not be cleared for it.

use std::{fs::File, io};

use rustix::{
    buffer::spare_capacity,
    io::{Errno, pread},
};

/// Appends what is there of `want` bytes at `offset` of a file; gives how many they are, fewer only where the file ends.
///
/// # Errors
/// Where it cannot be read. What came before is appended.
pub fn append_at(file: &File, offset: u64, want: usize, to: &mut Vec<u8>) -> io::Result<usize> {
    let begin = to.len();
    to.reserve_exact(want);
    while to.len() < begin + want {
        let at = offset + (to.len() - begin) as u64;
        match pread(file, spare_capacity(to), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // There may have been more room than was asked for.
    to.truncate(begin + want);
    Ok(to.len() - begin)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn it_appends_as_much_as_is_wanted_or_there() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut to = Vec::with_capacity(4096);
        to.extend_from_slice(b">");
        assert_eq!(append_at(&file, 2, 3, &mut to).unwrap(), 3);
        assert_eq!(append_at(&file, 8, 9, &mut to).unwrap(), 2);
        assert_eq!(append_at(&file, 10, 1, &mut to).unwrap(), 0);
        assert_eq!(append_at(&file, 0, 0, &mut to).unwrap(), 0);
        assert_eq!(to, b">23489");
        let (pipe, _writer) = io::pipe().unwrap();
        let pipe = File::from(std::os::fd::OwnedFd::from(pipe));
        assert!(append_at(&pipe, 0, 1, &mut to).is_err());
    }
}
