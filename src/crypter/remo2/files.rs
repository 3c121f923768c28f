//! `/get`, `/put` and `/fs`: their `H` read into types, and what they are answered. How files are read and
//! written is not known here.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use remo_protocol::remo2::json::Object;

use super::{
    head::no_data,
    members::{Members, bad},
    reply::Reply,
};
use crate::{
    channels::{ActId, Refused},
    files::{Attributes, Change, Files, MOST, One, Op, Put},
    session::remo2::Session,
};

/// What is asked of files.
#[derive(Debug)]
pub(crate) enum FileAct {
    Get {
        path: PathBuf,
        offset: u64,
        length: Option<u64>,
        hash: bool,
    },
    GetAll {
        paths: Vec<PathBuf>,
    },
    Put(Put),
    PutAll {
        id: ActId,
        files: Vec<One>,
    },
    List {
        path: PathBuf,
    },
    Ask {
        path: PathBuf,
        op: Op,
    },
    Change {
        id: ActId,
        path: PathBuf,
        change: Change,
    },
}

impl FileAct {
    /// Does it.
    pub(super) async fn carry_out(
        self,
        files: &Arc<Files>,
        session: &Session,
        data: Vec<Bytes>,
    ) -> Result<Reply, Refused> {
        let user = session.user.clone();
        let trailer = match self {
            Self::Get {
                path,
                offset,
                length,
                hash,
            } => {
                let path = files.path(&path);
                let (head, pieces) = files.get(path, offset, length, hash).await?;
                return Ok(Reply::Pieces { head, pieces });
            }
            Self::GetAll { mut paths } => {
                for path in &mut paths {
                    *path = files.path(path);
                }
                let pieces = files.get_all(paths).await?;
                let head = Object::new();
                return Ok(Reply::Pieces { head, pieces });
            }
            Self::List { path } => {
                let pieces = files.list(files.path(&path)).await?;
                let head = Object::new();
                return Ok(Reply::Pieces { head, pieces });
            }
            Self::PutAll { id, files: mut all } => {
                for file in &mut all {
                    file.path = files.path(&file.path);
                }
                files.put_all(user, id, all, data).await?
            }
            Self::Put(mut put) => {
                put.path = files.path(&put.path);
                files.put(user, put, data).await?
            }
            Self::Ask { path, op } => files.ask(files.path(&path), op).await?,
            Self::Change {
                id,
                path,
                mut change,
            } => {
                if let Change::Mv { to } = &mut change {
                    *to = files.path(to);
                }
                files.change(user, id, files.path(&path), change).await?
            }
        };
        Ok(Reply::Object {
            trailer,
            pause: Duration::ZERO,
        })
    }
}

pub(super) fn get(members: &mut Members, data: &[Bytes]) -> Result<FileAct, Refused> {
    no_data(data)?;
    if let Some(all) = members.objects("files", MOST)? {
        let path = |mut one: Members| {
            let path = one.path("path")?;
            one.finish().map(|()| path)
        };
        let paths = all.into_iter().map(path).collect::<Result<_, _>>()?;
        return Ok(FileAct::GetAll { paths });
    }
    Ok(FileAct::Get {
        path: members.path("path")?,
        offset: members.number("offset")?.unwrap_or_default(),
        length: members.number("length")?,
        hash: members.flag("hash")?,
    })
}

/// Its data are not looked at here, but for their length.
pub(super) fn put(members: &mut Members, length: u64) -> Result<FileAct, Refused> {
    if let Some(all) = members.objects("files", MOST)? {
        let files = all.into_iter().map(one).collect::<Result<Vec<_>, _>>()?;
        let sum = files
            .iter()
            .try_fold(0_u64, |sum, file| sum.checked_add(file.size));
        if sum != Some(length) {
            return Err(bad(
                "the data are not as long as the 'size' of all files together",
            ));
        }
        let id = members.id()?;
        return Ok(FileAct::PutAll { id, files });
    }
    let put = Put {
        id: members.id()?,
        path: members.path("path")?,
        offset: members.number("offset")?.unwrap_or_default(),
        size: members.number("size")?,
        last: members.flag("last")?,
        attributes: Attributes {
            mode: members.mode()?,
            mtime: members.mtime()?,
        },
        sha256: members.sha256()?,
    };
    if put.size.is_some_and(|size| put.offset + length > size) {
        return Err(bad("the data go beyond the 'size'"));
    }
    Ok(FileAct::Put(put))
}

/// One of many files.
fn one(mut members: Members) -> Result<One, Refused> {
    let one = One {
        path: members.path("path")?,
        size: members
            .number("size")?
            .ok_or_else(|| bad("the member 'size' of a file is missing"))?,
        attributes: Attributes {
            mode: members.mode()?,
            mtime: members.mtime()?,
        },
        sha256: members.sha256()?,
    };
    members.finish().map(|()| one)
}

pub(super) fn fs(members: &mut Members, data: &[Bytes]) -> Result<FileAct, Refused> {
    no_data(data)?;
    let op = members.text("op")?;
    let op = op.ok_or_else(|| bad("the member 'op' is missing"))?;
    let path = members.path("path")?;
    let change = match op.as_str() {
        "ls" => return Ok(FileAct::List { path }),
        "stat" => return Ok(FileAct::Ask { path, op: Op::Stat }),
        "readlink" => {
            let op = Op::Readlink;
            return Ok(FileAct::Ask { path, op });
        }
        "hash" => {
            let op = Op::Hash {
                offset: members.number("offset")?.unwrap_or_default(),
                length: members.number("length")?,
            };
            return Ok(FileAct::Ask { path, op });
        }
        "mkdir" => Change::Mkdir {
            mode: members.mode()?,
            parents: members.flag("parents")?,
        },
        "rm" => Change::Rm {
            recursive: members.flag("recursive")?,
        },
        "mv" => Change::Mv {
            to: members.path("to")?,
        },
        "chmod" => Change::Chmod {
            mode: members
                .mode()?
                .ok_or_else(|| bad("the member 'mode' is missing"))?,
        },
        "symlink" => Change::Symlink {
            to: members.path("to")?,
        },
        other => return Err(bad(format!("there is no op '{}'", other.escape_debug()))),
    };
    Ok(FileAct::Change {
        id: members.id()?,
        path,
        change,
    })
}
