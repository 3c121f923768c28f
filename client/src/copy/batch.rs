//! Small files go many at a time, by one request. One that does not go so goes alone, which also tells why it does not.
//! How one file goes is `download`'s and `upload`'s.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use remo_protocol::limits;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::download::Download;
use super::engine::{Engine, ended};
use super::error::CopyError;
use super::target::Target;
use super::upload::Upload;
use super::walk::Item;
use super::watch::Outcome;
use crate::remo2::{self, BATCH, Failure, Last, Remote};

/// A file that may go with others.
pub(super) struct Small {
    pub(super) item: Item,
    pub(super) target: Arc<Target>,
    pub(super) size: u64,
    pub(super) way: Way,
}

/// Where to.
pub(super) enum Way {
    Up(Box<Upload>, Bytes, Last),
    Down(Box<Download>),
}

/// Has all that come go together, as many as there are, until no more come.
pub(super) async fn go_all(
    engine: Arc<Engine>,
    mut waiting: Receiver<Small>,
) -> Result<(), CopyError> {
    let mut under_way = JoinSet::new();
    let mut first = waiting.recv().await;
    while let Some(small) = first.take() {
        let batch;
        (batch, first) = gather(small, &mut waiting).await;
        while under_way.len() >= engine.options.requests.max(1) {
            ended(under_way.join_next().await)?;
        }
        under_way.spawn(go(engine.clone(), batch));
        if first.is_none() {
            first = waiting.recv().await;
        }
    }
    while let Some(done) = under_way.join_next().await {
        ended(Some(done))?;
    }
    Ok(())
}

/// As many as one request carries and come in a moment; and the first that it does not.
async fn gather(first: Small, waiting: &mut Receiver<Small>) -> (Vec<Small>, Option<Small>) {
    let room = first.remote().data_room() as u64;
    let (mut length, mut names) = (first.size, first.weight());
    let mut batch = vec![first];
    let until = Instant::now() + MOMENT;
    while batch.len() < BATCH {
        let Ok(Some(small)) = timeout_at(until, waiting.recv()).await else {
            break;
        };
        length += small.size;
        names += small.weight();
        if length > room || names > NAMES {
            return (batch, Some(small));
        }
        batch.push(small);
    }
    (batch, None)
}

async fn go(engine: Arc<Engine>, batch: Vec<Small>) -> Result<(), CopyError> {
    let (done, alone) = match together(&engine, batch).await {
        Ok(split) => split,
        Err((error, batch)) => match error {
            error if error.is_of_the_act() || matches!(error, Failure::Restarted) => {
                if is_unknown(&error) {
                    engine.go_alone();
                }
                (Vec::new(), batch)
            }
            error => return Err(error.into()),
        },
    };
    for Gone { small, came } in done {
        engine.landed_small(small, came).await?;
    }
    for small in alone {
        engine.alone(small.item, small.target).await?;
    }
    Ok(())
}

/// A file that went, and, where it came here, its bytes.
struct Gone {
    small: Small,
    came: Option<remo2::Whole>,
}

type Split = (Vec<Gone>, Vec<Small>);

/// One request for all of them; which of them went, and which did not.
async fn together(engine: &Engine, batch: Vec<Small>) -> Result<Split, (Failure, Vec<Small>)> {
    let _permit = engine.lanes.acquire().await;
    let Some(remote) = batch.first().map(|small| small.remote().clone()) else {
        return Ok(Split::default());
    };
    let files: Vec<_> = batch.iter().filter_map(Small::to_put).collect();
    let came = if files.len() == batch.len() {
        let stored = remote.put_all(&files).await;
        stored.map(|stored| stored.into_iter().map(|stored| (stored, None)).collect())
    } else {
        let paths: Vec<_> = batch.iter().map(|small| small.item.path()).collect();
        let got = remote.get_all(&paths).await;
        got.map(|got| got.into_iter().map(|came| (came.is_some(), came)).collect())
    };
    let came: Vec<_> = match came {
        Ok(came) => came,
        Err(failure) => return Err((failure, batch)),
    };
    let mut split = Split::default();
    for (small, (went, came)) in batch.into_iter().zip(came) {
        match went {
            true => split.0.push(Gone { small, came }),
            false => split.1.push(small),
        }
    }
    Ok(split)
}

impl Small {
    fn remote(&self) -> &Arc<Remote> {
        match &self.way {
            Way::Up(upload, ..) => &upload.remote,
            Way::Down(download) => &download.remote,
        }
    }

    /// Bytes that it takes of a head at most: any of its path may have to be escaped.
    fn weight(&self) -> usize {
        let path = match &self.way {
            Way::Up(upload, ..) => upload.path.len(),
            Way::Down(_) => self.item.path().len(),
        };
        6 * path + 256
    }

    fn to_put(&self) -> Option<remo2::Small> {
        match &self.way {
            Way::Up(upload, data, last) => Some(remo2::Small {
                path: upload.path.clone(),
                data: data.clone(),
                last: last.clone(),
            }),
            Way::Down(_) => None,
        }
    }
}

impl Engine {
    async fn landed_small(
        self: &Arc<Self>,
        small: Small,
        came: Option<remo2::Whole>,
    ) -> Result<(), CopyError> {
        let Small {
            item, target, way, ..
        } = small;
        let landed = match (way, came) {
            (Way::Down(download), Some(came)) => {
                let landing = download.land(came, &item, &target);
                match landing {
                    Ok(landing) => self.hand_on(landing).await.map(|()| None),
                    Err(error) => Err(error),
                }
            }
            (Way::Up(upload, ..), _) => {
                upload.went();
                Ok(Some(Outcome::Copied))
            }
            (Way::Down(_), None) => return self.alone(item, target).await,
        };
        self.landed(&item, &target, landed).await
    }
}

/// An older server knows of no batches, and says so.
fn is_unknown(failure: &Failure) -> bool {
    let names = ["unknown_member", "bad_request"];
    matches!(failure, Failure::Refused { name, .. } if names.contains(&name.as_str()))
}

/// Bytes of a file that goes with others.
pub(super) const SMALL: u64 = 64 * 1024;

/// Bytes of a head that they may take together.
const NAMES: usize = limits::REMO2_JSON - 4096;

/// Files that wait for others.
pub(super) const WAITING: usize = BATCH;

/// How long the others are waited for.
const MOMENT: Duration = Duration::from_millis(10);
