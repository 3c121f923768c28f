//! Which servers have proved that they speak remo/2, by their keys, in `~/.config/remo/dialects`: no log-in goes below that
//! again, whoever wants it to. Not here: 0.3 and 0.6, which begin with one and the same log-in, so that it proves neither.

use std::error::Error;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use remo_client::escape::escape;
use remo_protocol::dialect::{AnyDialect, Dialect};
use remo_protocol::keys::PublicKey;

use crate::config;

/// Takes note that a server has proved that it speaks remo/2. Where that cannot be kept, as in a home that is read-only, the
/// conversation goes on without.
pub(crate) fn remember(server: &PublicKey) {
    let Some(file) = file() else { return };
    let fingerprint = server.fingerprint().to_string();
    let kept = read(&file).and_then(|known| match highest(&known, &fingerprint) {
        Some(known) if known >= Some(AnyDialect::V2) || known.is_none() => Ok(()),
        _ => append(&file, &known, &fingerprint),
    });
    if let Err(error) = kept {
        tracing::debug!(%error, "cannot remember that the server speaks remo/2");
    }
}

/// Refuses to log in by a dialect that is older than what the server has proved.
pub(crate) fn forbid_lower(server: &PublicKey, dialect: Dialect) -> Result<(), Box<dyn Error>> {
    let Some(file) = file() else { return Ok(()) };
    let shown = escape(&file.to_string_lossy());
    let known = read(&file)
        .map_err(|error| format!("cannot read '{shown}': {}", remo_cli::reason(&error)))?;
    let fingerprint = server.fingerprint().to_string();
    match highest(&known, &fingerprint) {
        Some(spoken) if spoken.is_none_or(|spoken| spoken > dialect.into()) => Err(format!(
            "the server of key {fingerprint} has spoken remo/2 with you, which {dialect} is older than: somebody on the path may want you to \
             step down (leave --dialect out; if the server's owner says that it went back, take the line of this key out of '{shown}')"
        )
        .into()),
        _ => Ok(()),
    }
}

/// The highest dialect that is known of a key; `Some(None)` where a later version of remo knows of one that this one does not.
fn highest(known: &str, fingerprint: &str) -> Option<Option<AnyDialect>> {
    let lines = known.lines().filter_map(|line| line.split_once(' '));
    let spoken = lines.filter(|(key, _)| *key == fingerprint);
    spoken
        .map(|(_, dialect)| dialect.trim().parse().ok())
        .max_by_key(|dialect: &Option<AnyDialect>| (dialect.is_none(), *dialect))
}

fn read(file: &Path) -> io::Result<String> {
    let mut known = String::new();
    match File::open(file) {
        Ok(open) => open.take(MOST + 1).read_to_string(&mut known)?,
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    if known.len() as u64 > MOST {
        return Err(io::Error::other(
            "it is over 1 MiB long (take old lines out)",
        ));
    }
    Ok(known)
}

/// Adds a line in one piece, so that several at once lose none.
fn append(file: &Path, known: &str, fingerprint: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let head = match known {
        "" => HEAD,
        known if known.ends_with('\n') => "",
        _ => "\n",
    };
    let mut open = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)?;
    open.write_all(format!("{head}{fingerprint} {}\n", AnyDialect::V2).as_bytes())?;
    open.sync_all()
}

/// Beside the names of servers.
fn file() -> Option<PathBuf> {
    Some(config::folder()?.join("dialects"))
}

const HEAD: &str = "\
# Servers that have proved to speak remo/2, by their keys: remo logs in to them by no older dialect.
# Take a line out to allow that again.
";

/// Bytes of the file, at most: some 19,000 servers.
const MOST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_line_of_a_key_counts_and_one_of_a_later_version_is_higher_than_all() {
        let known =
            "# a remark\nSHA256:a 0.6\nSHA256:a 2\nSHA256:a 0.3\nSHA256:b 3\nSHA256:b 2\nSHA256:c";
        assert_eq!(highest(known, "SHA256:a"), Some(Some(AnyDialect::V2)));
        assert_eq!(highest(known, "SHA256:b"), Some(None));
        assert_eq!(highest(known, "SHA256:c"), None);
        assert_eq!(highest(known, "#"), Some(None), "no key has this form");
    }
}
