//! The entries of a folder there, one after the other: gathered whole, in memory or on the disk, before the first is given.
//! A listing that breaks off is asked for anew, so that none is given twice.

use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};

use bytes::Bytes;
use remo_protocol::limits;
use remo_protocol::remo2::answer::Stream;
use remo_protocol::remo2::json::{self, Object};
use remo_protocol::remo2::session_id::Run;
use tempfile::SpooledTempFile;

use super::change::sound;
use super::entry::Entry;
use super::naming;
use crate::remo2::Remote;
use crate::remo2::asking::{Act, Room};
use crate::remo2::failure::Failure;
use crate::remo2::live::Live;

/// Entries of one folder.
#[derive(Debug)]
pub struct Listing {
    lines: BufReader<SpooledTempFile>,
}

impl Listing {
    /// The next entry, if there is one.
    ///
    /// # Errors
    /// [`Failure::Misbehaved`] for what is no entry; those of the disk.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Failure> {
        let mut line = Vec::new();
        let most = limits::REMO2_JSON as u64 + 1;
        io::Read::take(&mut self.lines, most)
            .read_until(b'\n', &mut line)
            .map_err(Failure::Output)?;
        if line.is_empty() {
            return Ok(None);
        }
        let object = json::parse(line.trim_ascii_end());
        let entry = object.ok().and_then(|object| Entry::read(&object));
        entry
            .map(Some)
            .ok_or(Failure::Misbehaved("a line of its listing is no entry"))
    }
}

impl Remote {
    /// The entries of the folder at `path`, as the server orders them.
    ///
    /// # Errors
    /// See [`Failure`]; [`Failure::Misbehaved`] for a listing beyond all measure.
    pub async fn list(&self, path: &[u8]) -> Result<Listing, Failure> {
        let mut act = Ls {
            path,
            text: SpooledTempFile::new(IN_MEMORY),
            length: 0,
        };
        let trailer = self.ask(&mut act).await?;
        sound(&trailer)?;
        let mut text = act.text;
        text.seek(SeekFrom::Start(0)).map_err(Failure::Output)?;
        Ok(Listing {
            lines: BufReader::new(text),
        })
    }
}

struct Ls<'a> {
    path: &'a [u8],
    text: SpooledTempFile,
    length: u64,
}

impl Act for Ls<'_> {
    fn verb(&self) -> &'static str {
        "fs"
    }

    fn compose(&mut self, _: &Live, _: Room) -> (Object, Bytes) {
        if self.length > 0 {
            self.text = SpooledTempFile::new(IN_MEMORY);
            self.length = 0;
        }
        let mut head = Object::new();
        head.insert("op".into(), "ls".into());
        naming::put(&mut head, "path", self.path);
        (head, Bytes::new())
    }

    fn belongs(&self, _: &Run) -> Result<(), Failure> {
        Ok(())
    }

    async fn data(&mut self, _: Stream, data: Bytes) -> Result<(), Failure> {
        self.length += data.len() as u64;
        if self.length > LONGEST {
            return Err(Failure::Misbehaved("its listing does not end"));
        }
        self.text.write_all(&data).map_err(Failure::Output)
    }
}

/// Bytes of a listing that are held in memory; longer ones are held on the disk.
const IN_MEMORY: usize = 256 * 1024;

/// Bytes of a listing, some ten million entries.
const LONGEST: u64 = 2 << 30;
