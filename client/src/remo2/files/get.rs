//! `/get`: a range of a file, handed on as it comes, and gone on with where an answer broke off.
//! Where the bytes go is not known here.

use std::future::Future;

use bytes::Bytes;
use remo_protocol::remo2::answer::Stream;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::Run;
use serde_json::Value;

use super::change::sound;
use super::entry::Time;
use super::naming;
use crate::remo2::Remote;
use crate::remo2::asking::{Act, Room};
use crate::remo2::failure::Failure;
use crate::remo2::live::Live;

/// What takes the bytes of a file, each once and in order within a range.
pub(crate) trait Sink: Send {
    /// Takes `data`, which stand at `offset`.
    fn take(
        &mut self,
        offset: u64,
        data: Bytes,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A range of one version of a file.
pub(crate) struct Get<'a> {
    /// Which file.
    pub(crate) path: &'a [u8],
    /// From where on.
    pub(crate) offset: u64,
    /// How many bytes; fewer come where the file ends.
    pub(crate) length: u64,
    /// Which version; the first that is met, where not given.
    pub(crate) etag: Option<String>,
}

/// What a server says of a file that it gave from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Got {
    /// Bytes of the whole file, as the server says.
    pub(crate) size: u64,
    /// Permission bits.
    pub(crate) mode: u32,
    /// When it was changed.
    pub(crate) mtime: Time,
    /// Its version.
    pub(crate) etag: String,
    /// Where the bytes that came end.
    pub(crate) end: u64,
}

impl Remote {
    /// Gives `sink` the bytes of a range, up to its end or that of the file.
    ///
    /// # Errors
    /// [`Failure::Changed`] where the file is no longer the version that was asked for.
    pub(crate) async fn get(&self, get: Get<'_>, sink: &mut impl Sink) -> Result<Got, Failure> {
        let mut range = Range {
            end: get.offset.saturating_add(get.length),
            got: Got {
                end: get.offset,
                etag: get.etag.clone().unwrap_or_default(),
                ..Got::default()
            },
            named: get.etag.is_some(),
            path: get.path,
            most: get.length,
            asked: None,
            sink,
        };
        loop {
            let before = range.got.end;
            let trailer = self.ask(&mut range).await?;
            sound(&trailer)?;
            range.same(etag(&trailer)?)?;
            let all = range.got.end >= range.end.min(range.got.size);
            if all {
                return Ok(range.got);
            }
            if range.got.end == before {
                return Err(Failure::Misbehaved("it gives less than it says it has"));
            }
        }
    }
}

fn etag(object: &Object) -> Result<&str, Failure> {
    let etag = object.get("etag").and_then(Value::as_str);
    etag.ok_or(Failure::Misbehaved("it names no version of a file"))
}

struct Range<'a, S> {
    path: &'a [u8],
    end: u64,
    got: Got,
    /// Whether the version is known.
    named: bool,
    /// Bytes that an answer is asked for at most; fewer where the path let nothing of one through.
    most: u64,
    /// From where the last attempt asked.
    asked: Option<u64>,
    sink: &'a mut S,
}

impl<S> Range<'_, S> {
    fn same(&self, etag: &str) -> Result<(), Failure> {
        if self.got.etag == etag {
            Ok(())
        } else {
            Err(Failure::Changed)
        }
    }
}

impl<S: Sink> Act for Range<'_, S> {
    fn verb(&self) -> &'static str {
        "get"
    }

    fn compose(&mut self, _: &Live, _: Room) -> (Object, Bytes) {
        if self.asked.replace(self.got.end) == Some(self.got.end) {
            self.most = (self.most / 2).max(LEAST);
        }
        let length = self.end.saturating_sub(self.got.end).min(self.most);
        let mut head = Object::new();
        naming::put(&mut head, "path", self.path);
        head.insert("offset".into(), self.got.end.into());
        head.insert("length".into(), length.into());
        (head, Bytes::new())
    }

    fn belongs(&self, _: &Run) -> Result<(), Failure> {
        Ok(())
    }

    fn head(&mut self, head: &Object) -> Result<(), Failure> {
        let number = |name: &str| head.get(name).and_then(Value::as_u64).unwrap_or_default();
        if self.named {
            self.same(etag(head)?)?;
        }
        self.got.etag = etag(head)?.to_owned();
        self.named = true;
        self.got.size = number("size");
        self.got.mode = u32::try_from(number("mode")).unwrap_or_default() & 0o7777;
        let seconds = head.get("mtime").and_then(Value::as_f64);
        self.got.mtime = Time::from_seconds(seconds.unwrap_or_default());
        Ok(())
    }

    async fn data(&mut self, _: Stream, data: Bytes) -> Result<(), Failure> {
        let offset = self.got.end;
        let length = data.len() as u64;
        if length > self.end.saturating_sub(offset) {
            return Err(Failure::Misbehaved("it gives more than it was asked for"));
        }
        self.sink.take(offset, data).await?;
        self.got.end += length;
        Ok(())
    }
}

/// Bytes that are asked for at once, however little the path lets through.
const LEAST: u64 = 64 * 1024;
