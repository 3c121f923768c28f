//! Opens a file to be read from its beginning to its end.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use super::{FileError, kind, shown};

/// Opens a regular file; gives it with its size. A pipe is not waited for, a device is not touched.
pub(crate) fn open(path: &Path) -> Result<(File, u64), FileError> {
    let failed = |error| FileError::Io {
        verb: "read",
        name: shown(path),
        error,
    };
    // Looked at before it is opened, since opening alone can start something in a device.
    check(path, &std::fs::metadata(path).map_err(failed)?)?;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(failed)?;
    // And again, since another may stand there now.
    let metadata = file.metadata().map_err(failed)?;
    check(path, &metadata)?;
    // Some files (of /proc) can be opened and not read, which is to be told before an answer begins.
    file.read_at(&mut [0], 0).map_err(failed)?;
    Ok((file, metadata.len()))
}

fn check(path: &Path, metadata: &std::fs::Metadata) -> Result<(), FileError> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(FileError::NotRegular(
            shown(path),
            kind(metadata.file_type()),
        ))
    }
}
