//! Where copies come from: folders here and there, their entries, and files opened for reading.
//! In which order they are gone through is `walk`'s.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use remo_files::append_at;
use rustix::fs::Dir;

use super::error::CopyError;
use super::folder::Folder;
use super::hashing;
use crate::remo2::{Entry, Failure, Get, Got, Listing, Remote, Sink, Time};

/// A folder that is copied from, and its path as it was typed.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Here(Folder, Arc<[u8]>),
    There(Arc<Remote>, Arc<[u8]>),
}

impl Source {
    /// The path of what has this name in it.
    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let (Self::Here(_, base) | Self::There(_, base)) = self;
        join(base, name)
    }

    /// The folder of this name in it; never by a link.
    pub(super) fn enter(&self, name: &[u8]) -> Result<Self, CopyError> {
        let path = self.path_of(name);
        match self {
            Self::Here(folder, _) => {
                let inner = folder
                    .enter(name)
                    .map_err(CopyError::local("read", &path))?;
                Ok(Self::Here(inner, path.into()))
            }
            Self::There(remote, _) => Ok(Self::There(remote.clone(), path.into())),
        }
    }

    /// What is in it.
    pub(super) async fn entries(&self) -> Result<Entries, CopyError> {
        match self {
            Self::Here(folder, path) => {
                let entries = folder.entries().map_err(CopyError::local("read", path))?;
                Ok(Entries::Here(entries, folder.clone(), path.clone()))
            }
            Self::There(remote, path) => Ok(Entries::There(remote.list(path).await?)),
        }
    }
}

/// `base/name`, or one of them where the other is empty.
pub(super) fn join(base: &[u8], name: &[u8]) -> Vec<u8> {
    match (base, name) {
        (_, b"") => base.to_vec(),
        (b"", _) => name.to_vec(),
        _ if base.ends_with(b"/") => [base, name].concat(),
        _ => [base, b"/", name].concat(),
    }
}

/// The entries of a folder, one after the other.
pub(super) enum Entries {
    Here(Dir, Folder, Arc<[u8]>),
    There(Listing),
}

impl Entries {
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, CopyError> {
        let (dir, folder, path) = match self {
            Self::There(listing) => return Ok(listing.next_entry()?),
            Self::Here(dir, folder, path) => (dir, folder, path),
        };
        while let Some(entry) = dir.read() {
            let entry = entry.map_err(|error| CopyError::local("read", path)(error.into()))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            // What has gone meanwhile is no longer in it.
            let found = folder.find(name);
            if let Some(entry) = found.map_err(CopyError::local("read", &join(path, name)))? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// One version of a file, opened for reading. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    bytes: Content,
    path: Vec<u8>,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) mtime: Time,
}

#[derive(Clone, Debug)]
enum Content {
    Here(Arc<File>),
    There(Arc<Remote>, String),
}

impl Reader {
    /// The file of this name in a folder.
    pub(super) async fn open(source: &Source, name: &[u8]) -> Result<Self, CopyError> {
        let path = source.path_of(name);
        match source {
            Source::Here(folder, _) => {
                let file = folder.read(name).map_err(CopyError::local("read", &path))?;
                Self::here(file, path)
            }
            Source::There(remote, _) => {
                let got = ask(remote, &path).await?;
                Ok(Self {
                    bytes: Content::There(remote.clone(), got.etag),
                    path,
                    size: got.size,
                    mode: got.mode,
                    mtime: got.mtime,
                })
            }
        }
    }

    fn here(file: File, path: Vec<u8>) -> Result<Self, CopyError> {
        let about = file.metadata().map_err(CopyError::local("read", &path))?;
        Ok(Self {
            bytes: Content::Here(Arc::new(file)),
            path,
            size: about.size(),
            mode: about.mode() & 0o7777,
            mtime: Time {
                seconds: about.mtime(),
                nanoseconds: u32::try_from(about.mtime_nsec()).unwrap_or_default(),
            },
        })
    }

    /// `length` bytes from `offset` on.
    pub(super) async fn read(&self, offset: u64, length: usize) -> Result<Bytes, CopyError> {
        match &self.bytes {
            Content::Here(file) => {
                let mut data = Vec::new();
                match append_at(file, offset, length, &mut data) {
                    Ok(read) if read == length => Ok(data.into()),
                    Ok(_) => Err(Failure::Changed.into()),
                    Err(error) => Err(CopyError::local("read", &self.path)(error)),
                }
            }
            Content::There(remote, etag) => {
                let mut gathered = Gathered::default();
                let get = Get {
                    path: &self.path,
                    offset,
                    length: length as u64,
                    etag: Some(etag.clone()),
                };
                remote.get(get, &mut gathered).await?;
                if gathered.0.len() != length {
                    return Err(Failure::Changed.into());
                }
                Ok(gathered.0.freeze())
            }
        }
    }

    /// The hash of its beginning; nothing where it is not that long any more.
    pub(super) async fn hash(&self, length: u64) -> Result<Option<[u8; 32]>, CopyError> {
        match &self.bytes {
            Content::Here(file) => {
                let file = file.clone();
                let hash = blocking(move || hashing::of_part(&file, 0, length)).await;
                hash.map_err(CopyError::local("read", &self.path))
            }
            Content::There(remote, _) => {
                Ok(Some(remote.hash(&self.path, Some((0, length))).await?))
            }
        }
    }

    /// That it is still what it was when it was opened.
    pub(super) async fn check(&self) -> Result<(), CopyError> {
        let same = match &self.bytes {
            Content::Here(file) => {
                let about = file
                    .metadata()
                    .map_err(CopyError::local("read", &self.path))?;
                let nanoseconds = u32::try_from(about.mtime_nsec()).unwrap_or_default();
                about.size() == self.size
                    && (about.mtime(), nanoseconds) == (self.mtime.seconds, self.mtime.nanoseconds)
            }
            // Every range of it names its version.
            Content::There(..) => true,
        };
        if same {
            Ok(())
        } else {
            Err(Failure::Changed.into())
        }
    }
}

/// What a server says of a file, of which nothing is asked for.
pub(super) async fn ask(remote: &Remote, path: &[u8]) -> Result<Got, Failure> {
    let get = Get {
        path,
        offset: 0,
        length: 0,
        etag: None,
    };
    remote.get(get, &mut Gathered::default()).await
}

/// Bytes as they came, in memory: no more than was asked for.
#[derive(Debug, Default)]
pub(super) struct Gathered(pub(super) BytesMut);

impl Sink for Gathered {
    async fn take(&mut self, _: u64, data: Bytes) -> Result<(), Failure> {
        self.0.extend_from_slice(&data);
        Ok(())
    }
}

/// Does what takes the disk or the processor for a while, where it holds up nothing else.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(std::io::Error::other("a thread broke off")))
}
