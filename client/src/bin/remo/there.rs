//! Completion of paths on a server of remo/2, while a line is typed.
//! Paths here are the line editor's own business.

use std::sync::Arc;
use std::time::Duration;

use remo_client::escape::escape as shown;
use remo_client::remo2::{Entry, Kind, Remote};
use rustyline::completion::{Pair, Quote, escape, extract_word, unescape};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Completes by asking the server.
pub(crate) struct There {
    runtime: Handle,
    remote: Arc<Remote>,
}

impl There {
    pub(crate) fn new(runtime: Handle, remote: Arc<Remote>) -> Self {
        Self { runtime, remote }
    }

    /// What the last word of `typed` may become, and where that word begins. A server that is slow completes nothing.
    pub(crate) fn complete(&self, typed: &str) -> (usize, Vec<Pair>) {
        let (start, word) = extract_word(typed, typed.len(), ESCAPE, is_special);
        let word = unescape(word, ESCAPE);
        let (folder, begun) = word.split_at(word.rfind('/').map_or(0, |stroke| stroke + 1));
        let asked = if folder.is_empty() { "." } else { folder };
        let listed = async { timeout(PATIENCE, self.list(asked)).await };
        let entries = self.runtime.block_on(listed);
        let fitting = entries.unwrap_or_default();
        let mut pairs: Vec<_> = fitting
            .iter()
            .filter_map(|entry| pair(folder, begun, entry))
            .collect();
        pairs.sort_by(|one, other| one.display.cmp(&other.display));
        (start, pairs)
    }

    async fn list(&self, folder: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        if let Ok(mut listing) = self.remote.list(folder.as_bytes()).await {
            while entries.len() < MOST
                && let Ok(Some(entry)) = listing.next_entry()
            {
                entries.push(entry);
            }
        }
        entries
    }
}

/// What an entry makes of a word; nothing of one whose name cannot be shown as it is. Hidden ones want their dot.
fn pair(folder: &str, begun: &str, entry: &Entry) -> Option<Pair> {
    let name = std::str::from_utf8(&entry.name).ok()?;
    let hidden = name.starts_with('.') && begun.is_empty();
    if hidden || !name.starts_with(begun) || name.contains('/') || shown(name) != name {
        return None;
    }
    let stroke = if entry.kind == Kind::Folder { "/" } else { "" };
    let whole = format!("{folder}{name}{stroke}");
    Some(Pair {
        display: format!("{name}{stroke}"),
        replacement: escape(whole, ESCAPE, is_special, Quote::None),
    })
}

const ESCAPE: Option<char> = Some('\\');

/// What means something in the words of a command.
fn is_special(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\\' | '\'' | '"' | '#')
}

/// How long somebody who pressed Tab waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// Entries of a folder that are looked at.
const MOST: usize = 10_000;
