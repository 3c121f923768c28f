//! A file that is being received: written beside its target, and put in its place when it is whole.
//! Not here: where the bytes come from.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file on its way. Dropped before [`PartialFile::finish`], it leaves nothing behind, and what stood in its place stays.
#[derive(Debug)]
pub(crate) struct PartialFile {
    target: PathBuf,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    /// The usual case: a file of mode 0600 beside the target, and the mode that it gets when whole.
    Beside(NamedTempFile, u32),
    /// The target is a device or a pipe: it cannot be replaced, only written to.
    Straight(File),
}

impl PartialFile {
    /// Begins a file that will stand at `target`. A link is followed, so that the file it names is replaced.
    ///
    /// # Errors
    /// When `target` is a folder, or nothing can be made beside it.
    pub(crate) fn create(target: &Path) -> io::Result<Self> {
        let target = target
            .canonicalize()
            .unwrap_or_else(|_| target.to_path_buf());
        let sink = match fs::metadata(&target) {
            Ok(old) if old.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(old) if !old.is_file() => {
                Sink::Straight(OpenOptions::new().write(true).open(&target)?)
            }
            old => Sink::Beside(create_beside(&target)?, final_mode(old.ok().as_ref())),
        };
        Ok(Self { target, sink })
    }

    /// Puts the whole file in its place: synced, with its final mode, by one rename.
    ///
    /// # Errors
    /// When the disk or the folder refuses; the old file is then still there.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self.sink {
            Sink::Straight(mut file) => file.flush(),
            Sink::Beside(file, mode) => {
                file.as_file()
                    .set_permissions(Permissions::from_mode(mode))?;
                file.as_file().sync_all()?;
                file.persist(&self.target).map_err(|failed| failed.error)?;
                Ok(())
            }
        }
    }
}

impl Write for PartialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Beside(file, _) => file.write(bytes),
            Sink::Straight(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Beside(file, _) => file.flush(),
            Sink::Straight(file) => file.flush(),
        }
    }
}

fn create_beside(target: &Path) -> io::Result<NamedTempFile> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // A long name leaves no room for a prefix made of it.
    let stem: String = name.to_string_lossy().chars().take(32).collect();
    tempfile::Builder::new()
        .prefix(&format!(".{stem}."))
        .suffix(".part")
        .tempfile_in(folder)
}

/// The mode of the file that is replaced, so that a private one stays private; else what the umask leaves.
fn final_mode(old: Option<&Metadata>) -> u32 {
    old.map_or_else(|| 0o666 & !umask(), |old| old.permissions().mode() & 0o777)
}

/// The umask, read rather than set and set back, which other threads would notice.
fn umask() -> u32 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("Umask:"))?;
            u32::from_str_radix(line.trim(), 8).ok()
        })
        .unwrap_or(0o077)
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
    fn an_unfinished_file_is_private_and_leaves_the_old_one_whole() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        fs::write(&target, "old").unwrap();
        let mut file = PartialFile::create(&target).unwrap();
        file.write_all(b"half").unwrap();
        let part = names(folder.path())
            .into_iter()
            .find(|name| name.ends_with(".part"))
            .unwrap();
        assert_eq!(
            fs::metadata(folder.path().join(part))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        drop(file);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_whole_file_replaces_the_old_one_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
        let mut file = PartialFile::create(&target).unwrap();
        file.write_all(b"new").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&target).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_new_file_gets_what_the_umask_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("b");
        PartialFile::create(&target).unwrap().finish().unwrap();
        assert_eq!(
            fs::metadata(&target).unwrap().permissions().mode() & 0o777,
            0o666 & !umask()
        );
    }

    #[test]
    fn a_link_stays_a_link_to_the_new_content() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("real"), "old").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("real", &link).unwrap();
        let mut file = PartialFile::create(&link).unwrap();
        file.write_all(b"new").unwrap();
        file.finish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(folder.path().join("real")).unwrap(), b"new");
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
