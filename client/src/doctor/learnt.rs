//! What the other commands may take from an examination: kept where they keep what they learn of a path themselves.
//! Not here: what follows from it, which is `remo2::path`'s.

use std::io;

use serde_json::Value;

use super::Subject;
use super::finding::Report;
use crate::remo2::Memory;
use crate::remo2::path::{Flow, Known};
use crate::transport::mark;

impl Report {
    /// Keeps what was found of the path, where enough was; says whether it was.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn keep(&self, subject: &Subject, memory: &Memory) -> io::Result<bool> {
        let Some(known) = self.learnt().filter(|_| self.works()) else {
            return Ok(false);
        };
        memory.keep(&mark(&subject.address, &subject.way), known)?;
        Ok(true)
    }

    fn learnt(&self) -> Option<Known> {
        let says = |name, member| self.fact(name, member).and_then(Value::as_bool);
        let usual = Known::default();
        Some(Known {
            flow: if says("answer_buffering", "buffers")? {
                Flow::Parked
            } else {
                Flow::Streams
            },
            alone: !says("side_by_side", "at_once")?,
            wait: self.wait().unwrap_or(usual.wait),
            body: self.body(usual.body),
        })
    }

    /// Milliseconds for which an answer is parked: half of those after which one was lost.
    fn wait(&self) -> Option<u64> {
        let cut = self.fact("idle", "cut_after_ms")?.as_u64()?;
        Some((cut / 2).clamp(SHORTEST, LONGEST))
    }

    /// The largest body: what passed, or the usual one where nothing showed that this does not.
    fn body(&self, usual: usize) -> usize {
        let number = |member| {
            let fact = self.fact("request_size", member)?;
            usize::try_from(fact.as_u64()?).ok()
        };
        let passes = number("passes").unwrap_or_default();
        let passes = match number("fails") {
            Some(_) => passes,
            None => passes.max(usual),
        };
        passes.clamp(LEAST, MOST)
    }
}

/// Milliseconds; what is remembered lies within.
const SHORTEST: u64 = 250;
const LONGEST: u64 = 20_000;

/// Bytes; likewise.
const LEAST: usize = 8 * 1024;
const MOST: usize = 4 << 20;
