//! What a person or a program sees of a copy: a bar, lines, and what it came to.
//! What is copied is not decided here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use remo_client::copy::{Outcome, Summary, Watcher};
use remo_client::escape::{escape, escape_bytes};
use serde_json::{Map, Value, json};

use crate::PROGRAM;
use crate::fs_show::bytes;

/// Shows what happens.
pub(crate) struct Show {
    json: bool,
    quiet: bool,
    bars: Option<Bars>,
}

/// A bar for the whole, and one for each large file.
struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    files: Mutex<HashMap<Vec<u8>, ProgressBar>>,
}

impl Show {
    /// `by_hand`: a person looks at standard error.
    pub(crate) fn new(json: bool, quiet: bool, by_hand: bool) -> Self {
        Self {
            json,
            quiet,
            bars: by_hand.then(Bars::new),
        }
    }

    fn line(&self, path: &[u8], text: &str) {
        let line = format!("{}: {text}", escape_bytes(path));
        match &self.bars {
            Some(bars) => bars.all.suspend(|| remo_cli::report(PROGRAM, &line)),
            None => remo_cli::report(PROGRAM, &line),
        }
    }

    fn object(&self, path: &[u8], mut object: Map<String, Value>) {
        bytes(&mut object, "path", path);
        // That nobody reads it any more does not end the copy.
        let _ = remo_cli::print(format!("{}\n", Value::Object(object)));
    }
}

impl Watcher for Show {
    fn found(&self, _: u64, bytes: u64) {
        if let Some(bars) = &self.bars {
            bars.whole.inc_length(bytes);
        }
    }

    fn begun(&self, path: &[u8], size: u64) {
        if let Some(bars) = &self.bars {
            bars.begun(path, size);
        }
    }

    fn moved(&self, path: &[u8], bytes: i64) {
        if let Some(bars) = &self.bars {
            bars.moved(path, bytes);
        }
    }

    fn ended(&self, path: &[u8], kind: &'static str, bytes: u64, outcome: &Outcome) {
        if let Some(bars) = &self.bars {
            bars.ended(path);
        }
        if self.json {
            return self.object(path, in_json(kind, bytes, outcome));
        }
        match outcome {
            Outcome::Copied | Outcome::Identical => {}
            Outcome::LeftOut(why) => self.line(path, &format!("left out: {why}")),
            Outcome::Failed(why) => self.line(path, why),
        }
    }

    fn remarked(&self, path: &[u8], remark: &str) {
        if self.json {
            let mut object = Map::new();
            object.insert("remark".into(), remark.into());
            self.object(path, object);
        } else if !self.quiet {
            self.line(path, remark);
        }
    }
}

fn in_json(kind: &'static str, bytes: u64, outcome: &Outcome) -> Map<String, Value> {
    let (name, why) = match outcome {
        Outcome::Copied => ("copied", None),
        Outcome::Identical => ("identical", None),
        Outcome::LeftOut(why) => ("left_out", Some(why)),
        Outcome::Failed(why) => ("failed", Some(why)),
    };
    let mut object = Map::new();
    object.insert("type".into(), kind.into());
    object.insert("bytes".into(), bytes.into());
    object.insert("outcome".into(), name.into());
    if let Some(why) = why {
        object.insert("message".into(), escape(why).into());
    }
    object
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let whole = all.add(ProgressBar::new(0).with_style(style(WHOLE)));
        whole.enable_steady_tick(Duration::from_millis(200));
        Self {
            all,
            whole,
            files: Mutex::default(),
        }
    }

    fn begun(&self, path: &[u8], size: u64) {
        if size < LARGE {
            return;
        }
        let bar = ProgressBar::new(size).with_style(style(FILE));
        let bar = self.all.insert_before(&self.whole, bar);
        bar.set_message(escape_bytes(path));
        self.files().insert(path.to_vec(), bar);
    }

    fn moved(&self, path: &[u8], bytes: i64) {
        shift(&self.whole, bytes);
        if let Some(bar) = self.files().get(path) {
            shift(bar, bytes);
        }
    }

    fn ended(&self, path: &[u8]) {
        if let Some(bar) = self.files().remove(path) {
            bar.finish_and_clear();
        }
    }

    fn files(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, ProgressBar>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.whole.finish_and_clear();
    }
}

fn shift(bar: &ProgressBar, bytes: i64) {
    match u64::try_from(bytes) {
        Ok(more) => bar.inc(more),
        Err(_) => bar.dec(bytes.unsigned_abs().min(bar.position())),
    }
}

fn style(form: &str) -> ProgressStyle {
    // The forms are right, as a test shows.
    ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What it came to, for a person.
pub(crate) fn summary_line(summary: &Summary, took: Duration) -> String {
    let rate = summary.bytes as f64 / took.as_secs_f64().max(0.001);
    let mut line = format!(
        "{} copied ({} in {:.1} s, {}/s)",
        count(summary.files, "file"),
        HumanBytes(summary.bytes),
        took.as_secs_f64(),
        HumanBytes(rate as u64)
    );
    let others = [
        (summary.folders, "folder", ""),
        (summary.links, "link", ""),
        (summary.identical, "file", " identical"),
        (summary.left_out, "entry", " left out"),
        (summary.failed, "entry", " failed"),
    ];
    for (number, name, what) in others.into_iter().filter(|other| other.0 > 0) {
        line += &format!(", {}{what}", count(number, name));
    }
    line
}

fn count(number: u64, name: &str) -> String {
    match (number, name) {
        (1, name) => format!("1 {name}"),
        (_, "entry") => format!("{number} entries"),
        (_, name) => format!("{number} {name}s"),
    }
}

/// What it came to, for a program.
pub(crate) fn summary_in_json(summary: &Summary, took: Duration) -> Value {
    json!({"summary": {
        "files": summary.files,
        "folders": summary.folders,
        "links": summary.links,
        "bytes": summary.bytes,
        "identical": summary.identical,
        "left_out": summary.left_out,
        "failed": summary.failed,
        "seconds": took.as_secs_f64(),
    }})
}

/// Files of so many bytes have a bar of their own.
const LARGE: u64 = 4 << 20;

const WHOLE: &str =
    "{bytes:>11}/{total_bytes} {bar:30} {percent:>3}% {binary_bytes_per_sec:>13} {eta:>4}";
const FILE: &str =
    "{wide_msg} {bytes:>11}/{total_bytes} {percent:>3}% {binary_bytes_per_sec:>13} {eta:>4}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_right() {
        assert!(ProgressStyle::with_template(WHOLE).is_ok());
        assert!(ProgressStyle::with_template(FILE).is_ok());
    }

    #[test]
    fn a_summary_names_what_is_not_whole() {
        let summary = Summary {
            files: 1,
            bytes: 2048,
            failed: 2,
            left_out: 1,
            ..Summary::default()
        };
        let line = summary_line(&summary, Duration::from_secs(1));
        assert_eq!(
            line,
            "1 file copied (2.00 KiB in 1.0 s, 2.00 KiB/s), 1 entry left out, 2 entries failed"
        );
    }
}
