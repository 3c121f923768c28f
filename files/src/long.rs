//! A long file reaches the disk while it is written, so that little is left to wait for at its end. An error of the disk
//! is told by the system once, to whoever asks first: here it is kept until somebody wants to know.

use std::{
    fs::File,
    io,
    ops::Deref,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
};

/// A long file in the making. Share it between those who write.
#[derive(Debug)]
pub struct LongFile {
    file: File,
    written: AtomicU64,
    /// Whoever syncs holds it.
    failed: Mutex<Option<io::Error>>,
}

impl LongFile {
    /// A file that is open for writing.
    pub fn new(file: File) -> Self {
        Self {
            file,
            written: AtomicU64::new(0),
            failed: Mutex::new(None),
        }
    }

    /// Counts what was written; says whether so much waits that [`sync`](Self::sync) should be called, from a thread that
    /// may wait for the disk.
    pub fn wrote(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        before / EACH != before.saturating_add(bytes) / EACH
    }

    /// Puts on the disk what was written so far, unless somebody is at it.
    pub fn sync(&self) {
        let mut failed = match self.failed.try_lock() {
            Ok(failed) => failed,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if let Err(error) = self.file.sync_data() {
            failed.get_or_insert(error);
        }
    }

    /// Puts all of it on the disk.
    ///
    /// # Errors
    /// Where any of it did not get there, now or earlier: none of the file is to be relied upon then, until
    /// [`begin_again`](Self::begin_again).
    pub fn end(&self) -> io::Result<()> {
        let mut failed = self.failed();
        if failed.is_none() {
            *failed = self.file.sync_all().err();
        }
        match &*failed {
            None => Ok(()),
            Some(error) => Err(match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            }),
        }
    }

    /// Makes the file empty again, as after an end that failed.
    ///
    /// # Errors
    /// Where that is not possible either; the file is to be given up then.
    pub fn begin_again(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        *self.failed() = None;
        Ok(())
    }

    fn failed(&self) -> MutexGuard<'_, Option<io::Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is written to it is to be told by [`wrote`](LongFile::wrote).
impl Deref for LongFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl AsFd for LongFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Bytes that wait for the disk before it is asked.
const EACH: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> LongFile {
        LongFile::new(tempfile::tempfile().unwrap())
    }

    #[test]
    fn it_is_due_once_for_each_part() {
        let file = file();
        let part = EACH as usize / 4;
        let due: Vec<_> = (0..9).map(|_| file.wrote(part)).collect();
        let every_fourth: Vec<_> = (1..=9).map(|count| count % 4 == 0).collect();
        assert_eq!(due, every_fourth);
    }

    #[test]
    fn what_failed_is_known_until_the_file_begins_again() {
        let file = file();
        file.end().unwrap();
        let error = || io::Error::from_raw_os_error(5);
        *file.failed() = Some(error());
        assert_eq!(file.end().unwrap_err().raw_os_error(), Some(5));
        assert!(file.end().is_err(), "the second time too");
        file.begin_again().unwrap();
        file.end().unwrap();
    }

    #[test]
    fn a_failed_sync_on_the_way_is_told_at_the_end() {
        // A pipe cannot be synced.
        let (pipe, _writer) = io::pipe().unwrap();
        let file = LongFile::new(std::os::fd::OwnedFd::from(pipe).into());
        file.sync();
        assert_eq!(file.end().unwrap_err().raw_os_error(), Some(22));
        assert!(file.begin_again().is_err());
    }
}
