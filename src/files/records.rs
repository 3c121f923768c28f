//! Which uploads are unfinished: one small file each in the server's state folder, so that they are found
//! again when the server was started anew, and swept when nobody goes on with them.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use remo_protocol::name::UserName;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use sha2::{Digest, Sha256};

use crate::channels::ActId;

/// The folder of all records.
#[derive(Debug)]
pub(crate) struct Records(PathBuf);

/// What is known of one unfinished upload.
#[derive(Debug)]
pub(crate) struct Record {
    file: File,
    name: PathBuf,
    pub(crate) path: PathBuf,
    pub(crate) received: u64,
}

impl Records {
    /// Those below the state folder, which is made when there is something to write down.
    pub(crate) fn new(state: &Path) -> Self {
        Self(state.join("uploads"))
    }

    /// Writes down an upload that begins.
    pub(crate) fn create(&self, user: &UserName, id: ActId, path: &Path) -> io::Result<Record> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        let name = self.name(user, id);
        let mut file = options().create_new(true).open(&name)?;
        let received = counted(0);
        let text = [
            received.as_bytes(),
            user.as_str().as_bytes(),
            b"\n",
            path.as_os_str().as_bytes(),
            b"\0",
        ];
        let written = file.write_all(&text.concat());
        if let Err(error) = written {
            let _ = fs::remove_file(&name);
            return Err(error);
        }
        Ok(Record {
            file,
            name,
            path: path.to_owned(),
            received: 0,
        })
    }

    /// The record of an upload that was not finished.
    pub(crate) fn find(&self, user: &UserName, id: ActId) -> io::Result<Option<Record>> {
        let name = self.name(user, id);
        match read(&name) {
            Ok(Some((owner, record))) if owner == user.as_str() => Ok(Some(record)),
            // It was cut while it was made.
            Ok(_) => fs::remove_file(&name).map(|()| None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Those that nobody has gone on with for so long, with the id and the user of each.
    pub(crate) fn stale(&self, age: Duration) -> io::Result<Vec<(ActId, UserName, Record)>> {
        let now = SystemTime::now();
        let mut stale = Vec::new();
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(stale),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let changed = entry.metadata()?.modified()?;
            if now.duration_since(changed).is_ok_and(|since| since >= age) {
                match identify(&entry.file_name(), read(&entry.path())?) {
                    Some(found) => stale.push(found),
                    None => fs::remove_file(entry.path())?,
                }
            }
        }
        Ok(stale)
    }

    fn name(&self, user: &UserName, id: ActId) -> PathBuf {
        let digest: [u8; 32] = Sha256::digest(user.as_str()).into();
        let user = super::range::hex(&digest);
        self.0
            .join(format!("{id}-{}", user.get(..16).unwrap_or_default()))
    }
}

impl Record {
    /// Writes down how far the upload is.
    pub(crate) fn write(&mut self, received: u64) -> io::Result<()> {
        self.received = received;
        self.file.write_all_at(counted(received).as_bytes(), 0)
    }

    /// Somebody goes on with it.
    pub(crate) fn touch(&self) -> io::Result<()> {
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        Ok(futimens(&self.file, &times)?)
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.name)
    }
}

/// A number as it begins a record: always of one length, so that one write replaces it.
fn counted(received: u64) -> String {
    format!("{received:020}\n")
}

fn read(name: &Path) -> io::Result<Option<(String, Record)>> {
    let mut file = options().open(name)?;
    let mut text = Vec::new();
    Read::by_ref(&mut file)
        .take(LONGEST)
        .read_to_end(&mut text)?;
    let parsed = parse(&text);
    Ok(parsed.map(|(received, user, path)| {
        let name = name.to_owned();
        let record = Record {
            file,
            name,
            path,
            received,
        };
        (user, record)
    }))
}

fn parse(text: &[u8]) -> Option<(u64, String, PathBuf)> {
    let (received, rest) = text.split_at_checked(20)?;
    let received = std::str::from_utf8(received).ok()?.parse().ok()?;
    let rest = rest.strip_prefix(b"\n")?.strip_suffix(b"\0")?;
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let (user, path) = rest.split_at_checked(end)?;
    let user = String::from_utf8(user.to_vec()).ok()?;
    let path = OsStr::from_bytes(path.strip_prefix(b"\n")?);
    path.as_bytes()
        .starts_with(b"/")
        .then(|| (received, user, path.into()))
}

fn identify(name: &OsStr, read: Option<(String, Record)>) -> Option<(ActId, UserName, Record)> {
    let (user, record) = read?;
    let id = ActId::parse(name.to_str()?.split_once('-')?.0)?;
    Some((id, UserName::parse(&user).ok()?, record))
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Bytes of a record: of the longest path that a system takes, and of the longest name.
const LONGEST: u64 = 16 * 1024;
