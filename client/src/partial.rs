//! A file that is being received: made without a name, and put in its place when it is whole.
//! Not here: where the bytes come from, and how a file is replaced, which is `remo_files`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use remo_files::{ReplaceError, Replacement};

/// A file on its way. Dropped before [`PartialFile::finish`], it leaves nothing behind, and what stood in its place stays.
#[derive(Debug)]
pub(crate) enum PartialFile {
    /// The usual case.
    Whole(Replacement),
    /// The target is a device or a pipe: it cannot be replaced, only written to.
    Straight(File),
}

impl PartialFile {
    /// Begins a file that will stand at `target`. A link is followed, so that the file it names is replaced.
    ///
    /// # Errors
    /// When `target` is a folder, or nothing can be made beside it.
    pub(crate) fn create(target: &Path) -> io::Result<Self> {
        match Replacement::create(target) {
            Ok(file) => Ok(Self::Whole(file)),
            Err(ReplaceError::Io(error)) => Err(error),
            Err(ReplaceError::NotRegular(_)) if !fs::metadata(target)?.is_dir() => {
                OpenOptions::new()
                    .write(true)
                    .open(target)
                    .map(Self::Straight)
            }
            Err(ReplaceError::NotRegular(_)) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// Puts the whole file in its place, on the disk.
    ///
    /// # Errors
    /// When the disk or the folder refuses; the old file is then still there.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Whole(file) => file.commit(),
            Self::Straight(mut file) => file.flush(),
        }
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Whole(file) => file.write(bytes),
            Self::Straight(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Whole(file) => file.flush(),
            Self::Straight(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn an_unfinished_file_leaves_the_old_one_whole_and_nothing_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        fs::write(&target, "old").unwrap();
        let mut file = PartialFile::create(&target).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        drop(file);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        let mut file = PartialFile::create(Path::new("/dev/null")).unwrap();
        file.write_all(b"gone").unwrap();
        file.finish().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_folder_is_no_target() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            PartialFile::create(folder.path()).unwrap_err().kind(),
            io::ErrorKind::IsADirectory
        );
    }
}
