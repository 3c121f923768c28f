//! What `/fs` cannot set on a server, set by commands there once all is copied: times of folders and links, and owners.
//! Paths go to the commands by their standard input, so that no shell and no length is in their way.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::Bytes;
use tempfile::SpooledTempFile;
use tokio::sync::mpsc;

use crate::remo2::{Channel, Ended, Entry, Failure, Kind, Opening, Output, Remote, Time};

/// Gathered while a copy goes on: in memory, and beyond that on the disk.
#[derive(Debug, Default)]
pub(super) struct Afterwards {
    times: Option<SpooledTempFile>,
    owners: BTreeMap<(u32, u32), SpooledTempFile>,
    modes: Option<SpooledTempFile>,
}

impl Afterwards {
    /// Notes what the copy of `entry` at `path` still lacks.
    pub(super) fn add(&mut self, path: &[u8], entry: &Entry, owners: bool) -> io::Result<()> {
        if matches!(entry.kind, Kind::Folder | Kind::Link) {
            write(
                self.times.get_or_insert_with(spool),
                &[&stamp(entry.mtime), b"--", path],
            )?;
        }
        let Some(owner) = entry.owner.filter(|_| owners) else {
            return Ok(());
        };
        if self.owners.len() >= OWNERS && !self.owners.contains_key(&owner) {
            return Err(io::Error::other("more owners than are kept apart"));
        }
        write(self.owners.entry(owner).or_insert_with(spool), &[path])?;
        // A new owner takes these bits away.
        if entry.mode & 0o6000 != 0 && entry.kind != Kind::Link {
            let mode = format!("{:o}", entry.mode);
            write(
                self.modes.get_or_insert_with(spool),
                &[mode.as_bytes(), path],
            )?;
        }
        Ok(())
    }

    /// Sets it all. Gives what could not be set, in words.
    pub(super) async fn carry_out(
        self,
        remote: &Arc<Remote>,
    ) -> Result<Vec<&'static str>, Failure> {
        let mut missed = Vec::new();
        for ((user, group), paths) in self.owners {
            let owner = format!("{user}:{group}");
            let words = ["xargs", "-0", "-r", "chown", "-h", &owner, "--"];
            if !run(remote, &words, paths).await? {
                missed.push(OWNERS_MISSED);
            }
        }
        if let Some(modes) = self.modes {
            let words = ["xargs", "-0", "-r", "-n", "2", "chmod", "--"];
            if !run(remote, &words, modes).await? {
                missed.push(MODES_MISSED);
            }
        }
        if let Some(times) = self.times {
            let words = [
                "xargs", "-0", "-r", "-n", "3", "touch", "-h", "-c", "-m", "-d",
            ];
            if !run(remote, &words, times).await? {
                missed.push(TIMES_MISSED);
            }
        }
        missed.dedup();
        Ok(missed)
    }
}

/// Runs a command to its end with this input. Whether it succeeded.
async fn run(
    remote: &Arc<Remote>,
    words: &[&str],
    mut input: SpooledTempFile,
) -> Result<bool, Failure> {
    input.seek(SeekFrom::Start(0)).map_err(Failure::Input)?;
    let opening = Opening {
        argv: Some(words.iter().map(|word| (*word).to_owned()).collect()),
        ..Opening::default()
    };
    let sink = || Box::new(tokio::io::sink());
    let output = Output::new(sink(), sink(), Box::new(|_| {}));
    let channel = match Channel::open(remote.clone(), &opening, output).await {
        Err(failure) if failure.is_of_the_act() => return Ok(false),
        channel => channel?,
    };
    let mut pieces = pieces(input);
    let feeding = async {
        channel
            .feed(Bytes::new(), &mut pieces, std::time::Duration::ZERO)
            .await?;
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = channel.follow() => ended,
        failed = feeding => failed,
    };
    channel.done().await;
    Ok(ended? == Ended::Exit(0))
}

fn pieces(mut input: SpooledTempFile) -> mpsc::Receiver<io::Result<Bytes>> {
    let (to, pieces) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        loop {
            let read = match input.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => Ok(Bytes::copy_from_slice(
                    piece.get(..length).unwrap_or_default(),
                )),
                Err(error) => Err(error),
            };
            let broken = read.is_err();
            if to.blocking_send(read).is_err() || broken {
                return;
            }
        }
    });
    pieces
}

fn write(spool: &mut SpooledTempFile, words: &[&[u8]]) -> io::Result<()> {
    for word in words {
        spool.write_all(word)?;
        spool.write_all(b"\0")?;
    }
    Ok(())
}

fn spool() -> SpooledTempFile {
    SpooledTempFile::new(IN_MEMORY)
}

/// A time as `touch -d` takes it.
fn stamp(time: Time) -> Vec<u8> {
    let (mut seconds, mut nanoseconds) = (time.seconds, time.nanoseconds);
    let before = seconds < 0 && nanoseconds > 0;
    if before {
        // Such a number counts down to its whole part.
        (seconds, nanoseconds) = (seconds + 1, 1_000_000_000 - nanoseconds);
    }
    let sign = if before && seconds == 0 { "-" } else { "" };
    format!("@{sign}{seconds}.{nanoseconds:09}").into_bytes()
}

/// Owners that are kept apart.
const OWNERS: usize = 256;

/// Bytes of paths that are held in memory.
const IN_MEMORY: usize = 256 * 1024;

const PIECE: usize = 64 * 1024;

const OWNERS_MISSED: &str = "owners were not kept there, all or some (only root may set them: does the server run as root?)";
const MODES_MISSED: &str = "set-user and set-group bits were not kept there, all or some";
const TIMES_MISSED: &str = "times of folders and links were not kept there, all or some (xargs and touch of the server set them)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_touch_reads_them() {
        let shown = |seconds: f64| String::from_utf8(stamp(Time::from_seconds(seconds))).unwrap();
        assert_eq!(shown(1.5), "@1.500000000");
        assert_eq!(shown(-1.0), "@-1.000000000");
        assert_eq!(shown(-0.25), "@-0.250000000");
        assert_eq!(shown(-1.75), "@-1.750000000");
    }
}
