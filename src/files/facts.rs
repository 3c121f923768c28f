//! What is known of a file without reading it: its entry in a list, and the text that changes when its
//! content may have.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{fd::AsFd, unix::ffi::OsStrExt},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use remo_protocol::remo2::json::Object;
use rustix::fs::{AtFlags, FileType, Mode, Stat, fstat, readlinkat, statat};
use serde_json::{Number, Value};

/// Dev, inode, size, and the times of the last changes of content and of anything: two that are equal are of
/// one content, but for changes within one tick of the system's clock, which [`settled`] waits for.
pub(crate) fn etag(stat: &Stat) -> String {
    format!(
        "{:x}.{:x}.{:x}.{:x}.{:x}.{:x}.{:x}",
        stat.st_dev,
        stat.st_ino,
        stat.st_size,
        stat.st_mtime,
        stat.st_mtime_nsec,
        stat.st_ctime,
        stat.st_ctime_nsec
    )
}

/// Whether its last change is so old that the next one will have another time.
pub(crate) fn is_settled(stat: &Stat) -> bool {
    since(stat).is_none_or(|age| age >= TICK)
}

/// The facts of an open file, once its last change is so old that the next one will have another time.
pub(crate) fn settled(file: &File) -> io::Result<Stat> {
    let mut stat = fstat(file)?;
    for _ in 0..3 {
        let Some(rest) = since(&stat).and_then(|age| TICK.checked_sub(age)) else {
            break;
        };
        thread::sleep(rest);
        stat = fstat(file)?;
    }
    Ok(stat)
}

/// How long ago it was changed; none where that lies in the future.
fn since(stat: &Stat) -> Option<Duration> {
    let (seconds, part) = (u64::try_from(stat.st_ctime).ok()?, stat.st_ctime_nsec);
    let changed = Duration::new(seconds, u32::try_from(part).ok()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    now.checked_sub(changed)
}

/// Permissions, without the type.
pub(crate) fn mode(stat: &Stat) -> u32 {
    Mode::from_raw_mode(stat.st_mode).bits() & 0o7777
}

/// Seconds since 1970, whole where they are.
pub(crate) fn mtime(stat: &Stat) -> Value {
    if stat.st_mtime_nsec == 0 {
        return stat.st_mtime.into();
    }
    let seconds = stat.st_mtime as f64 + stat.st_mtime_nsec as f64 / 1e9;
    Number::from_f64(seconds).map_or(Value::Null, Value::Number)
}

pub(crate) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

/// The entry of what is called `name` in `folder`; a link is not followed.
pub(crate) fn entry(folder: impl AsFd, name: &OsStr) -> io::Result<(Object, Stat)> {
    let stat = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mut entry = Object::new();
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "file",
        FileType::Directory => "dir",
        FileType::Symlink => "link",
        _ => "other",
    };
    entry.insert("type".into(), kind.into());
    entry.insert("size".into(), size(&stat).into());
    entry.insert("mode".into(), mode(&stat).into());
    entry.insert("mtime".into(), mtime(&stat));
    entry.insert("uid".into(), stat.st_uid.into());
    entry.insert("gid".into(), stat.st_gid.into());
    if kind == "link" {
        let to = readlinkat(&folder, name, Vec::new())?;
        insert_bytes(&mut entry, "to", to.as_bytes());
    }
    Ok((entry, stat))
}

/// A name as text, or, where it is none, as the base64 of its bytes under the member `…64`.
pub(crate) fn insert_bytes(object: &mut Object, member: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(member.into(), text.into()),
        Err(_) => {
            let coded = base64_simd::URL_SAFE.encode_to_string(bytes);
            object.insert(format!("{member}64"), coded.into())
        }
    };
}

/// The entry with its name, as a line.
pub(crate) fn line(mut entry: Object, name: &OsStr, lines: &mut Vec<u8>) {
    insert_bytes(&mut entry, "name", name.as_bytes());
    // Writing into memory does not fail.
    let _ = serde_json::to_writer(&mut *lines, &entry);
    lines.push(b'\n');
}

/// More than a tick of the clock that files are dated by, on the slowest of common systems (100 Hz).
const TICK: Duration = Duration::from_millis(20);
