//! One file from a server to this machine: small ones at once, large ones in ranges, gone on with where a copy broke off.
//! Uploads are not here.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use remo_files::LongFile;
use rustix::fs::{FlockOperation, XattrFlags, fgetxattr, flock, fsetxattr};

use super::batch::{self, Small, Way};
use super::engine::Engine;
use super::error::CopyError;
use super::folder::{Folder, dress};
use super::hashing;
use super::landing::Landing;
use super::range::{Queue, Range, write_at, write_queued};
use super::source::{Gathered, ask, blocking};
use super::spawned::spawned;
use super::target::Target;
use super::walk::Item;
use super::watch::Outcome;
use crate::hex;
use crate::remo2::{Failure, Get, Got, Kind, Remote, Whole};

/// Copies a file into a folder. Nothing, where it is on its last way, and its end is told there.
pub(super) async fn download(
    engine: &Arc<Engine>,
    remote: &Arc<Remote>,
    folder: &Folder,
    item: &Item,
    target: &Arc<Target>,
    together: bool,
) -> Result<Option<Outcome>, CopyError> {
    let path = target.place.path_of(&item.copy);
    let there = folder
        .find(&item.copy)
        .map_err(CopyError::local("read", &path))?;
    if there
        .as_ref()
        .is_some_and(|there| there.kind == Kind::Folder)
    {
        return Err(CopyError::Refused("a folder stands in its place".into()));
    }
    let one = Download {
        engine: engine.clone(),
        remote: remote.clone(),
        folder: folder.clone(),
        from: item.path(),
        name: item.copy.clone(),
        path,
        kept_owner: there.as_ref().and_then(|there| there.owner),
        owner: item.entry.owner,
    };
    if engine.options.skip_identical
        && there.is_some_and(|there| there.kind == Kind::File && there.size == item.entry.size)
        && one.is_identical(item).await?
    {
        return Ok(Some(Outcome::Identical));
    }
    let one = if together && item.entry.size <= batch::SMALL && !engine.options.verify {
        let small = Small {
            item: item.clone(),
            target: target.clone(),
            size: item.entry.size,
            way: Way::Down(Box::new(one)),
        };
        match engine.join(small).await {
            Err(Small {
                way: Way::Down(one),
                ..
            }) => *one,
            _ => return Ok(None),
        }
    } else {
        one
    };
    if item.entry.size <= SMALL
        && let Some((file, made, size)) = one.small().await?
    {
        let landing = Landing {
            file,
            made,
            folder: folder.clone(),
            size,
            item: item.clone(),
            target: target.clone(),
        };
        engine.hand_on(landing).await?;
        return Ok(None);
    }
    one.large().await?;
    Ok(Some(Outcome::Copied))
}

/// A file on its way here.
pub(super) struct Download {
    engine: Arc<Engine>,
    pub(super) remote: Arc<Remote>,
    folder: Folder,
    from: Vec<u8>,
    name: Vec<u8>,
    /// Where it will stand, to be shown.
    path: Vec<u8>,
    /// Whose the file is that it replaces.
    kept_owner: Option<(u32, u32)>,
    /// Whose the model is.
    owner: Option<(u32, u32)>,
}

impl Download {
    /// Whether what stands here has the bytes of the file there; its mode and time are set then.
    async fn is_identical(&self, item: &Item) -> Result<bool, CopyError> {
        let opened = self.folder.read(&self.name);
        let file = Arc::new(opened.map_err(self.reading())?);
        let (again, size) = (file.clone(), item.entry.size);
        let ours = blocking(move || hashing::of_part(&again, 0, size)).await;
        let ours = ours.map_err(self.reading())?;
        if ours != Some(self.remote.hash(&self.from, None).await?) {
            return Ok(false);
        }
        let dressed = dress(&*file, &self.engine.traits(&item.entry));
        dressed.map_err(self.writing())?;
        Ok(true)
    }

    fn reading(&self) -> impl FnOnce(io::Error) -> CopyError {
        CopyError::local("read", &self.path)
    }

    fn writing(&self) -> impl FnOnce(io::Error) -> CopyError {
        CopyError::local("write", &self.path)
    }

    fn dress(&self, file: &File, got: &Got) -> io::Result<()> {
        let mut traits = self.engine.dressed(got.mode, got.mtime, self.owner);
        if self.engine.is_root && traits.owner.is_none() {
            traits.owner = self.kept_owner;
        }
        dress(file, &traits)
    }

    /// A file that comes by one request; nothing, where it has grown beyond that.
    async fn small(&self) -> Result<Option<(File, Option<Vec<u8>>, u64)>, CopyError> {
        for _ in 0..TRIES {
            let mut gathered = Gathered::default();
            let get = Get {
                path: &self.from,
                offset: 0,
                length: SMALL,
                etag: None,
            };
            let permit = self.engine.lanes.acquire().await;
            let got = self.remote.get(get, &mut gathered).await;
            drop(permit);
            let got = match got {
                Err(Failure::Changed) => continue,
                got => got?,
            };
            let data = gathered.0.freeze();
            if got.size > SMALL {
                return Ok(None);
            }
            if self.engine.options.verify
                && self.remote.hash(&self.from, None).await? != hashing::of_bytes(&data)
            {
                continue;
            }
            let size = data.len() as u64;
            let (file, made) = self.write_small(&data, &got)?;
            self.engine.watcher.moved(&self.from, size as i64);
            return Ok(Some((file, made, size)));
        }
        Err(Failure::Changed.into())
    }

    /// A file that came with others.
    pub(super) fn land(
        &self,
        came: Whole,
        item: &Item,
        target: &Arc<Target>,
    ) -> Result<Landing, CopyError> {
        let got = Got {
            mode: came.mode,
            mtime: came.mtime,
            ..Got::default()
        };
        let (file, made) = self.write_small(&came.data, &got)?;
        let size = came.data.len() as u64;
        self.engine.watcher.moved(&self.from, size as i64);
        Ok(Landing {
            file,
            made,
            folder: self.folder.clone(),
            size,
            item: item.clone(),
            target: target.clone(),
        })
    }

    fn write_small(&self, data: &Bytes, got: &Got) -> Result<(File, Option<Vec<u8>>), CopyError> {
        let made = self.folder.nameless().and_then(|(file, made)| {
            write_at(&file, 0, data)?;
            file.set_len(data.len() as u64)?;
            self.dress(&file, got)?;
            Ok((file, made))
        });
        made.map_err(self.writing())
    }

    /// A file that comes in ranges, into one beside its place.
    async fn large(&self) -> Result<(), CopyError> {
        let partial = partial_name(&self.name);
        let file = Arc::new(LongFile::new(self.begin(&partial)?));
        for _ in 0..TRIES {
            match self.all(&file).await {
                Err(error) if error.is_changed() => {
                    self.engine.watcher.remarked(
                        &self.from,
                        "it changed while it was copied: what is still the same is kept, the rest comes again",
                    );
                }
                Err(error) => return Err(error),
                Ok(got) => return self.end(&file, &partial, got).await,
            }
        }
        Err(Failure::Changed.into())
    }

    /// The file beside its place, which nobody else writes to.
    fn begin(&self, partial: &[u8]) -> Result<File, CopyError> {
        let file = self.folder.go_on(partial).map_err(self.writing())?;
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if locked && self.folder.holds(partial, &file).unwrap_or(false) {
            return Ok(file);
        }
        Err(CopyError::Refused(
            "another copy writes the same file (wait for its end)".into(),
        ))
    }

    async fn all(&self, file: &Arc<LongFile>) -> Result<Got, CopyError> {
        let got = ask(&self.remote, &self.from).await?;
        let kept = self.verified(file, got.size).await?;
        file.set_len(kept).map_err(self.writing())?;
        // A file system that keeps no such attributes only tells less later.
        let _ = fsetxattr(file, SIZE, &got.size.to_be_bytes(), XattrFlags::empty());
        let came = self.ranges(file, kept, &got).await;
        if came.as_ref().is_err_and(CopyError::is_changed) {
            let moved = file.metadata().map(|about| about.len()).unwrap_or_default();
            self.engine.watcher.moved(&self.from, -(moved as i64));
        }
        came?;
        file.set_len(got.size).map_err(self.writing())?;
        Ok(got)
    }

    /// How much of what an earlier copy left is the beginning of the file there.
    async fn verified(&self, file: &Arc<LongFile>, size: u64) -> Result<u64, CopyError> {
        let length = file.metadata().map_err(self.reading())?.len();
        // Ranges come side by side: what lies before the last ones is without a gap.
        let window = RANGE * (self.engine.options.requests as u64 + 1);
        let kept = length
            .min(size)
            .saturating_sub(if length > size { 0 } else { window });
        if kept == 0 {
            return Ok(0);
        }
        let again = file.clone();
        let ours = blocking(move || hashing::of_part(&again, 0, kept)).await;
        let ours = ours.map_err(self.reading())?;
        if ours != Some(self.remote.hash(&self.from, Some((0, kept))).await?) {
            return Ok(0);
        }
        let mut before = [0; 8];
        let before = match fgetxattr(file, SIZE, &mut before) {
            Ok(8) => Some(u64::from_be_bytes(before)),
            _ => None,
        };
        let grown = match before {
            Some(before) if before < size => {
                format!("; it has grown from {before} to {size} bytes")
            }
            Some(before) if before > size => {
                format!("; it has shrunk from {before} to {size} bytes")
            }
            _ => String::new(),
        };
        let remark = format!("goes on after {kept} bytes that were there and are verified{grown}");
        self.engine.watcher.remarked(&self.from, &remark);
        self.engine.watcher.moved(&self.from, kept as i64);
        Ok(kept)
    }

    /// The rest of the file, written as it comes.
    async fn ranges(&self, file: &Arc<LongFile>, from: u64, got: &Got) -> Result<(), CopyError> {
        let (watcher, path) = (self.engine.watcher.clone(), self.from.clone());
        let moved = move |bytes| watcher.moved(&path, bytes as i64);
        let (to, writing) = write_queued(file.clone(), moved);
        let came = self.queued(to, from, got).await;
        let written = writing.await.map_err(io::Error::other);
        written.flatten().map_err(self.writing())?;
        came
    }

    /// Several ranges at once, told in their order, so that a break leaves a beginning without a gap.
    async fn queued(&self, to: Queue, from: u64, got: &Got) -> Result<(), CopyError> {
        let (size, count) = (got.size, got.size.saturating_sub(from).div_ceil(RANGE));
        let ranges = stream::iter(0..count).map(|number| {
            let offset = from + number * RANGE;
            let range = Range {
                remote: self.remote.clone(),
                lanes: self.engine.lanes.clone(),
                path: self.from.clone(),
                offset,
                length: RANGE.min(size - offset),
                etag: got.etag.clone(),
                to: to.clone(),
            };
            spawned(range.come())
        });
        let ranges = ranges.buffered(self.engine.options.requests.max(1));
        ranges.try_collect::<()>().await
    }

    /// Checked, dressed, on the disk, and in its place.
    async fn end(&self, file: &Arc<LongFile>, partial: &[u8], got: Got) -> Result<(), CopyError> {
        if self.engine.options.verify {
            self.verify(file, got.size).await?;
        }
        // The file keeps it otherwise, and says something of itself that is over.
        let _ = rustix::fs::fremovexattr(file, SIZE);
        self.dress(file, &got).map_err(self.writing())?;
        let (folder, name, partial) = (self.folder.clone(), self.name.clone(), partial.to_vec());
        let file = file.clone();
        let placed = blocking(move || {
            // What did not reach the disk may not be gone on with.
            file.end().inspect_err(|_| drop(file.begin_again()))?;
            folder.name(&file, Some(&partial), &name)
        });
        placed.await.map_err(self.writing())
    }

    async fn verify(&self, file: &Arc<LongFile>, size: u64) -> Result<(), CopyError> {
        let again = file.clone();
        let ours = blocking(move || hashing::of_part(&again, 0, size)).await;
        let ours = ours.map_err(self.reading())?;
        if ours == Some(self.remote.hash(&self.from, None).await?) {
            return Ok(());
        }
        file.set_len(0).map_err(self.writing())?;
        Err(CopyError::Refused(
            "what came has another hash than the file there: it was thrown away (copy it again)"
                .into(),
        ))
    }
}

/// The name of a file that is on its way to `name`.
fn partial_name(name: &[u8]) -> Vec<u8> {
    let whole = [b".", name, PARTIAL].concat();
    if whole.len() <= 255 {
        return whole;
    }
    let hash = hex::write(&hashing::of_bytes(name));
    [b".", hash.as_bytes(), PARTIAL].concat()
}

/// Bytes of a file that comes by one request.
const SMALL: u64 = 256 * 1024;

/// Bytes of a range of a larger one.
const RANGE: u64 = 4 << 20;

/// Versions of a file that are tried, before it counts as one that never rests.
const TRIES: u32 = 5;

const PARTIAL: &[u8] = b".remo-partial";

/// Where a file that is on its way keeps how many bytes its model had.
const SIZE: &str = "user.remo.size";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_file_says_whose_it_is_and_fits() {
        assert_eq!(partial_name(b"a.iso"), b".a.iso.remo-partial");
        assert!(partial_name(&[b'a'; 255]).len() <= 255);
    }
}
