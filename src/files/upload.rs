//! An upload of several parts: its bytes gather in a file beside the target, which one server and one file at a
//! time writes to, until they are the target.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use bytes::Bytes;
use remo_files::LongFile;
use remo_protocol::name::UserName;
use rustix::{
    fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat, openat},
    process::geteuid,
};

use super::{
    facts,
    intervals::Intervals,
    records::{Record, Records},
    refusal::shown,
    sparse,
    target::{Attributes, Making, Target},
    whole::check,
};
use crate::channels::{ActId, Refused};

/// An upload whose files are open.
pub(crate) struct Upload {
    target: Target,
    part: Target,
    file: LongFile,
    /// Who writes to it: the system lets one at a time, and the others would wait without giving way.
    turns: Mutex<()>,
    /// Closed once no more may be written.
    gate: RwLock<Gate>,
    there: Mutex<There>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Shut,
}

struct There {
    intervals: Intervals,
    record: Option<Record>,
    used: Instant,
}

impl Upload {
    /// The upload of this id: the one that is unfinished, or a new one.
    pub(crate) fn open(
        records: Option<&Records>,
        user: &UserName,
        id: ActId,
        path: &Path,
    ) -> Result<Self, Refused> {
        let target = Target::of(path, "write")?;
        target.replaces()?;
        let part = target.beside(format!(".remo-unfinished-{id}").into());
        let failed = |error| kept(path, &error);
        let record = records.map_or(Ok(None), |records| records.find(user, id));
        if let Some(record) = record.map_err(failed)? {
            if record.path != path {
                return Err(Refused::new(
                    409,
                    "id_used",
                    format!("the id was used to put '{}'", shown(&record.path)),
                ));
            }
            match take_up(&part) {
                Ok(file) => return Self::resume(target, part, file, record),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    record.remove().map_err(failed)?;
                }
                Err(error) => return Err(part.refused("go on with", error)),
            }
        }
        // The record first, so that no part is without one.
        let record = records.and_then(|records| {
            let record = records.create(user, id, path);
            record.inspect_err(unkept).ok()
        });
        let made = make(&part);
        if made.is_err()
            && let Some(record) = &record
        {
            let _ = record.remove();
        }
        let file = made.map_err(|error| part.refused("make", error))?;
        Ok(Self::new(target, part, file, Intervals::default(), record))
    }

    fn resume(target: Target, part: Target, file: File, record: Record) -> Result<Self, Refused> {
        let size = fstat(&file).map_err(|error| part.refused("go on with", error))?;
        let received = record.received.min(facts::size(&size));
        // Behind it are parts of which nobody knows any more.
        file.set_len(received)
            .map_err(|error| part.refused("go on with", error))?;
        record
            .touch()
            .map_err(|error| kept(target.path(), &error))?;
        let there = Intervals::up_to(received);
        Ok(Self::new(target, part, file, there, Some(record)))
    }

    fn new(
        target: Target,
        part: Target,
        file: File,
        intervals: Intervals,
        record: Option<Record>,
    ) -> Self {
        Self {
            target,
            part,
            file: LongFile::new(file),
            turns: Mutex::default(),
            gate: RwLock::new(Gate::Open),
            there: Mutex::new(There {
                intervals,
                record,
                used: Instant::now(),
            }),
        }
    }

    /// How much is there from 0 without a gap.
    pub(crate) fn received(&self) -> u64 {
        self.there().intervals.prefix()
    }

    /// When somebody last sent something.
    pub(crate) fn used(&self) -> Instant {
        self.there().used
    }

    /// Whether it is written down, and can be let go and taken up again.
    pub(crate) fn is_recorded(&self) -> bool {
        self.there().record.is_some()
    }

    /// Writes a part; gives how much is there without a gap, and whether [`sync`](Self::sync) is due. Once the last was
    /// seen, it writes nothing.
    pub(crate) fn write(&self, offset: u64, data: &[Bytes]) -> Result<(u64, bool), Refused> {
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        if *gate == Gate::Shut {
            return Ok((self.received(), false));
        }
        if !self.there().intervals.has_room(offset) {
            return Err(Refused::new(
                503,
                "too_many",
                "too many parts lie behind gaps (send from 'received' on, and this one later)",
            ));
        }
        let mut at = offset;
        let turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in data {
            sparse::write(&self.file, piece, at)
                .map_err(|error| self.target.refused("write", error))?;
            at += piece.len() as u64;
        }
        drop(turn);
        let due = self.file.wrote(data.iter().map(Bytes::len).sum());
        let mut there = self.there();
        let before = there.intervals.prefix();
        there.intervals.add(offset, at);
        there.used = Instant::now();
        let received = there.intervals.prefix();
        if let Some(record) = there.record.as_mut().filter(|_| received != before) {
            // It then says less than is there: more is sent again, and nothing is lost.
            let _ = record.write(received).inspect_err(unkept);
        }
        Ok((received, due))
    }

    /// What has come so far goes to the disk while more comes.
    pub(crate) fn sync(&self) {
        self.file.sync();
    }

    /// Puts the whole of `size` bytes in its place. When that fails, all stays as it was, unless the bytes were
    /// wrong.
    pub(crate) fn finish(
        &self,
        size: u64,
        attributes: Attributes,
        sha256: Option<[u8; 32]>,
        umask: u32,
    ) -> Result<u64, Refused> {
        *self.gate() = Gate::Shut;
        let done = self.place(size, attributes, sha256, umask);
        match &done {
            Ok(_) => self.forget(),
            Err(refused) if refused.name == "sha256" => self.remove(),
            Err(_) => *self.gate() = Gate::Open,
        }
        done
    }

    fn place(
        &self,
        size: u64,
        mut attributes: Attributes,
        sha256: Option<[u8; 32]>,
        umask: u32,
    ) -> Result<u64, Refused> {
        if self.there().intervals.end() > size {
            return Err(Refused::new(
                400,
                "bad_request",
                "parts reach beyond the 'size' (an upload has one content)",
            ));
        }
        check(&self.file, self.target.path(), size, sha256)?;
        self.file.end().map_err(|error| {
            self.begin_again();
            self.target.refused("write", error)
        })?;
        let old = self.target.replaces()?;
        if old.is_none() && attributes.mode.is_none() {
            attributes.mode = Some(0o666 & !umask);
        }
        self.target
            .put(&self.file, Making::Called(&self.part.name), attributes, old)
            .map_err(|error| self.target.refused("write", error))?;
        Ok(size)
    }

    /// The disk did not take all of it, and does not say which part: everything has to come again.
    fn begin_again(&self) {
        if self.file.begin_again().is_err() {
            return;
        }
        let mut there = self.there();
        there.intervals = Intervals::default();
        if let Some(record) = &mut there.record {
            let _ = record.write(0).inspect_err(unkept);
        }
    }

    /// Ends it; nothing remains.
    pub(crate) fn abandon(&self) {
        let mut gate = self.gate();
        if *gate == Gate::Open {
            *gate = Gate::Shut;
            self.remove();
        }
    }

    fn remove(&self) {
        if let Err(error) = self.part.unlink() {
            tracing::warn!(%error, "an unfinished upload cannot be removed");
        }
        self.forget();
    }

    fn forget(&self) {
        if let Some(record) = self.there().record.take()
            && let Err(error) = record.remove()
        {
            tracing::warn!(%error, "the record of an upload cannot be removed");
        }
    }

    fn gate(&self) -> std::sync::RwLockWriteGuard<'_, Gate> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn there(&self) -> MutexGuard<'_, There> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // What is not written down ends with the server.
        if !self.is_recorded() {
            self.abandon();
        }
    }
}

/// Removes what is left of an upload that nobody goes on with.
pub(crate) fn sweep(id: ActId, record: &Record) -> Result<(), Refused> {
    let target = Target::of(&record.path, "sweep")?;
    let part = target.beside(format!(".remo-unfinished-{id}").into());
    match take_up(&part) {
        Ok(_) => part.unlink().map_err(|error| part.refused("sweep", error)),
        // Gone, or not ours.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(part.refused("sweep", error)),
    }
}

fn make(part: &Target) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(openat(
        &part.folder,
        &part.name,
        flags,
        Mode::from_raw_mode(0o600),
    )?);
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Opens a part that an earlier server, or this one, let go: only one that is ours alone.
fn take_up(part: &Target) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(&part.folder, &part.name, flags, Mode::empty())?);
    let stat = fstat(&file)?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !regular || stat.st_nlink != 1 || stat.st_uid != geteuid().as_raw() {
        return Err(rustix::io::Errno::EXIST.into());
    }
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// The upload goes on, but not after the server is started anew.
fn unkept(error: &io::Error) {
    tracing::warn!(%error, "an unfinished upload is not written down (see --state-folder)");
}

/// The state folder does not take what has to be written down.
fn kept(path: &Path, error: &io::Error) -> Refused {
    let mut refused = super::refusal::refused("keep the upload of", path, error);
    refused.message.push_str(" (see the server's state folder)");
    refused
}
