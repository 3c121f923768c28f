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
    files::{Attributes, Change, Files, Op, Put},
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
    Put(Put),
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
            Self::List { path } => {
                let pieces = files.list(files.path(&path)).await?;
                let head = Object::new();
                return Ok(Reply::Pieces { head, pieces });
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
    Ok(FileAct::Get {
        path: members.path("path")?,
        offset: members.number("offset")?.unwrap_or_default(),
        length: members.number("length")?,
        hash: members.flag("hash")?,
    })
}

/// Its data are not looked at here, but for their length.
pub(super) fn put(members: &mut Members, length: u64) -> Result<FileAct, Refused> {
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
