//! Many small files by one request, up and down. Why one of them did not go is told only to whoever asks for it alone.
//! Which files make a batch is not decided here.

use bytes::{Bytes, BytesMut};
use remo_protocol::remo2::answer::Stream;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::Run;
use serde_json::Value;

use super::change::sound;
use super::entry::Time;
use super::naming;
use super::put::Last;
use crate::remo2::asking::{Act, Room};
use crate::remo2::failure::Failure;
use crate::remo2::live::Live;
use crate::remo2::{Channel, Remote};

/// A file on its way there, whole.
#[derive(Clone, Debug)]
pub(crate) struct Small {
    /// Where it will stand.
    pub(crate) path: Vec<u8>,
    /// Its bytes.
    pub(crate) data: Bytes,
    /// What it is to be.
    pub(crate) last: Last,
}

/// A file that came whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Whole {
    /// Its bytes.
    pub(crate) data: Bytes,
    /// Permission bits.
    pub(crate) mode: u32,
    /// When it was changed.
    pub(crate) mtime: Time,
}

impl Remote {
    /// Puts files, at most [`BATCH`] of them, once. Says of each whether it stands in its place; where it does not, it may be
    /// put alone.
    ///
    /// # Errors
    /// [`Failure::Unfit`] where they do not fit into one request; [`Failure::Restarted`] where the server was started anew
    /// before it answered.
    pub(crate) async fn put_all(&self, files: &[Small]) -> Result<Vec<bool>, Failure> {
        let mut act = PutAll {
            remote: self,
            id: Channel::draw_id()?,
            data: files.iter().fold(BytesMut::new(), joined).freeze(),
            files: files.iter().map(member).collect(),
            run: None,
        };
        loop {
            let trailer = self.ask(&mut act).await?;
            sound(&trailer)?;
            // Without it the server is still at it.
            if trailer.get("done").and_then(Value::as_bool) == Some(true) {
                let failed = trailer.get("failed").and_then(Value::as_array);
                let has_failed = |place: usize| {
                    let is_it = |value: &Value| value.as_u64() == Some(place as u64);
                    failed.is_some_and(|failed| failed.iter().any(is_it))
                };
                return Ok((0..files.len()).map(|place| !has_failed(place)).collect());
            }
        }
    }

    /// Gets files, at most [`BATCH`] of them: nothing for one that has to be asked for alone.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn get_all(&self, paths: &[Vec<u8>]) -> Result<Vec<Option<Whole>>, Failure> {
        let mut act = GetAll {
            paths,
            data: BytesMut::new(),
        };
        let trailer = self.ask(&mut act).await?;
        sound(&trailer)?;
        let said = trailer.get("files").and_then(Value::as_array);
        let mut data = act.data.freeze();
        let took = said.and_then(|said| {
            let all: Option<Vec<_>> = said.iter().map(|said| whole(said, &mut data)).collect();
            all.filter(|all| all.len() == paths.len() && data.is_empty())
        });
        took.ok_or(Failure::Misbehaved(
            "what it says of files is not what it gives",
        ))
    }
}

fn joined(mut all: BytesMut, file: &Small) -> BytesMut {
    all.extend_from_slice(&file.data);
    all
}

fn member(file: &Small) -> Value {
    let mut member = Object::new();
    naming::put(&mut member, "path", &file.path);
    member.insert("size".into(), file.data.len().into());
    file.last.facts(&mut member);
    member.into()
}

/// The next file of `data`, if it was given; nothing where that cannot be.
fn whole(said: &Value, data: &mut Bytes) -> Option<Option<Whole>> {
    let said = match said {
        Value::Null => return Some(None),
        Value::Object(said) => said,
        _ => return None,
    };
    let number = |name: &str| said.get(name).and_then(Value::as_u64);
    let size = usize::try_from(number("size")?).ok()?;
    let mode = u32::try_from(number("mode")?).ok()? & 0o7777;
    let seconds = said.get("mtime").and_then(Value::as_f64);
    (size <= data.len()).then(|| {
        Some(Whole {
            data: data.split_to(size),
            mode,
            mtime: Time::from_seconds(seconds.unwrap_or_default()),
        })
    })
}

struct PutAll<'a> {
    remote: &'a Remote,
    id: String,
    files: Vec<Value>,
    data: Bytes,
    /// The run of the server that it was first sent to.
    run: Option<Run>,
}

impl Act for PutAll<'_> {
    fn verb(&self) -> &'static str {
        "put"
    }

    fn compose(&mut self, live: &Live, _: Room) -> (Object, Bytes) {
        self.run.get_or_insert_with(|| live.run.clone());
        let mut head = Object::new();
        head.insert("id".into(), self.id.as_str().into());
        head.insert("files".into(), self.files.clone().into());
        head.insert("by".into(), live.by(self.remote.patience() * 2).into());
        (head, self.data.clone())
    }

    fn belongs(&self, run: &Run) -> Result<(), Failure> {
        match &self.run {
            Some(first) if first != run => Err(Failure::Restarted),
            _ if self.data.len() > self.remote.data_room() => Err(Failure::Unfit),
            _ => Ok(()),
        }
    }
}

struct GetAll<'a> {
    paths: &'a [Vec<u8>],
    data: BytesMut,
}

impl Act for GetAll<'_> {
    fn verb(&self) -> &'static str {
        "get"
    }

    fn compose(&mut self, _: &Live, _: Room) -> (Object, Bytes) {
        self.data.clear();
        let file = |path: &Vec<u8>| {
            let mut file = Object::new();
            naming::put(&mut file, "path", path);
            Value::from(file)
        };
        let mut head = Object::new();
        let files: Vec<_> = self.paths.iter().map(file).collect();
        head.insert("files".into(), files.into());
        (head, Bytes::new())
    }

    fn belongs(&self, _: &Run) -> Result<(), Failure> {
        Ok(())
    }

    async fn data(&mut self, _: Stream, data: Bytes) -> Result<(), Failure> {
        if self.data.len() + data.len() > LONGEST {
            return Err(Failure::Misbehaved("it gives more than it was asked for"));
        }
        self.data.extend_from_slice(&data);
        Ok(())
    }
}

/// Files of one request, at most.
pub(crate) const BATCH: usize = 64;

/// Bytes of all of them, as a server bounds them.
const LONGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_cut_as_it_is_said_and_never_beyond() {
        let mut data = Bytes::from_static(b"aabbb");
        let said = serde_json::json!([{"size":2,"mode":0o100_644,"mtime":1.5}, null, {"size":4,"mode":0}, "x"]);
        let first = whole(&said[0], &mut data).unwrap().unwrap();
        assert_eq!((&first.data[..], first.mode), (&b"aa"[..], 0o644));
        assert_eq!(
            (first.mtime.seconds, first.mtime.nanoseconds),
            (1, 500_000_000)
        );
        assert_eq!(whole(&said[1], &mut data), Some(None));
        assert_eq!(whole(&said[2], &mut data), None, "it is not there");
        assert_eq!(whole(&said[3], &mut data), None);
        assert_eq!(data, "bbb");
    }
}
