//! How many things ended in which way, counted by many tasks at once.
//! What is told of each is not known here.

use std::sync::atomic::{AtomicU64, Ordering};

use super::watch::{Outcome, Summary};
use crate::remo2::Kind;

#[derive(Debug, Default)]
pub(super) struct Counts {
    files: AtomicU64,
    folders: AtomicU64,
    links: AtomicU64,
    bytes: AtomicU64,
    identical: AtomicU64,
    left_out: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// A folder was made, or entered.
    pub(super) fn folder(&self) {
        self.folders.fetch_add(1, Ordering::Relaxed);
    }

    /// Something else has ended.
    pub(super) fn ended(&self, kind: Kind, bytes: u64, outcome: &Outcome) {
        let count = match (outcome, kind) {
            (Outcome::Copied, Kind::Link) => &self.links,
            (Outcome::Copied, _) => {
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                &self.files
            }
            (Outcome::Identical, _) => &self.identical,
            (Outcome::LeftOut(_), _) => &self.left_out,
            (Outcome::Failed(_), _) => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// What it came to.
    pub(super) fn summary(&self) -> Summary {
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Summary {
            files: number(&self.files),
            folders: number(&self.folders),
            links: number(&self.links),
            bytes: number(&self.bytes),
            identical: number(&self.identical),
            left_out: number(&self.left_out),
            failed: number(&self.failed),
        }
    }
}
