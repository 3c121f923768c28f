//! What can be asked of a server's files without changing them: what stands at a path, and hashes.
//! Listings and contents are not here.

use bytes::Bytes;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::Run;
use serde_json::Value;

use super::change::sound;
use super::entry::Entry;
use super::naming;
use crate::remo2::Remote;
use crate::remo2::asking::{Act, Room};
use crate::remo2::failure::Failure;
use crate::remo2::live::Live;

impl Remote {
    /// What stands at a path; of a link, the link itself.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn stat(&self, path: &[u8]) -> Result<Entry, Failure> {
        let trailer = self.read("stat", path, Object::new()).await?;
        Entry::read(&trailer).ok_or(Failure::Misbehaved("it tells of no entry"))
    }

    /// The same, and nothing where nothing stands there.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn find(&self, path: &[u8]) -> Result<Option<Entry>, Failure> {
        match self.stat(path).await {
            Err(failure) if failure.is_not_found() => Ok(None),
            found => found.map(Some),
        }
    }

    /// SHA-256 of a file, or of a part of it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn hash(&self, path: &[u8], part: Option<(u64, u64)>) -> Result<[u8; 32], Failure> {
        let mut members = Object::new();
        if let Some((offset, length)) = part {
            members.insert("offset".into(), offset.into());
            members.insert("length".into(), length.into());
        }
        loop {
            let trailer = self.read("hash", path, members.clone()).await?;
            // The server reads for a while, and goes on from there when asked again.
            if trailer.get("partial").and_then(Value::as_bool) == Some(true) {
                continue;
            }
            let text = trailer.get("sha256").and_then(Value::as_str);
            let hash = text.and_then(crate::hex::read);
            return hash.ok_or(Failure::Misbehaved("it gives no hash"));
        }
    }

    async fn read(&self, op: &str, path: &[u8], mut head: Object) -> Result<Object, Failure> {
        head.insert("op".into(), op.into());
        naming::put(&mut head, "path", path);
        let trailer = self.ask(&mut Question { head }).await?;
        sound(&trailer)?;
        Ok(trailer)
    }
}

/// `/fs` that changes nothing, answered in the trailer.
struct Question {
    head: Object,
}

impl Act for Question {
    fn verb(&self) -> &'static str {
        "fs"
    }

    fn compose(&mut self, _: &Live, _: Room) -> (Object, Bytes) {
        (self.head.clone(), Bytes::new())
    }

    fn belongs(&self, _: &Run) -> Result<(), Failure> {
        Ok(())
    }
}
