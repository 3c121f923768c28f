//! The largest answer that passes: the output of `head`, of as many zeros as are asked for.

use std::time::Duration;

use remo_protocol::remo2::json::Object;
use serde_json::json;

use super::finding::Finding;
use super::patient::{PATIENCE, Patient, Question};
use super::search::{Budget, Sizes, Tried, largest};
use super::session::Missed;
use super::{Bounds, bytes};

const NAME: &str = "answer_size";

pub(super) async fn look(patient: &Patient, bounds: &Bounds) -> Finding {
    if !patient.is_logged_in().await {
        return Finding::skipped(NAME, super::NO_KEY);
    }
    if let Some(refused) = refused(patient).await {
        return Finding::skipped(
            NAME,
            format!("left out: the server runs no command for us ({refused})"),
        );
    }
    let budget = Budget {
        largest: WINDOW,
        traffic: bounds.traffic,
        time: (patient.left() / 3).min(LONGEST),
    };
    let sizes = largest(FIRST, budget, |size, patience| async move {
        zeros(patient, size, patience).await
    })
    .await;
    told(&sizes)
        .fact("passes", on_the_way(sizes.passes))
        .fact("fails", sizes.fails.map(on_the_way))
        .fact("status", sizes.status)
}

fn told(sizes: &Sizes) -> Finding {
    let passes = bytes(on_the_way(sizes.passes));
    match sizes.fails {
        None if sizes.passes == 0 => Finding::skipped(NAME, super::NO_TIME),
        None if sizes.passes < WINDOW => Finding::good(
            NAME,
            format!("answers of {passes} pass; there was no time or traffic left for more"),
        )
        .action("answers as large as the server's window"),
        None => Finding::good(
            NAME,
            format!("answers of {passes} pass; the answers of commands have no more"),
        )
        .action("answers as large as the server's window"),
        Some(fails) if sizes.passes == 0 && fails <= LEAST => Finding::bad(
            NAME,
            format!("answers of {} do not pass", bytes(on_the_way(fails))),
        )
        .remedy("something on the path lets no answer pass that is worth it: try another path"),
        Some(fails) => Finding::notice(
            NAME,
            format!(
                "answers of {passes} pass, of {} not",
                bytes(on_the_way(fails))
            ),
        )
        .action("what was cut is asked for again from where it was cut")
        .remedy("if output hangs, ask the owner of the path to let larger answers pass"),
    }
}

/// What bytes of output have become when they are sealed.
fn on_the_way(bytes: usize) -> usize {
    bytes / 3 * 4
}

/// Why the server runs nothing for us, if it says so.
async fn refused(patient: &Patient) -> Option<String> {
    let answer = patient.ask(&question(1, PATIENCE)?).await.ok()?;
    let error = answer.head.get("error").and_then(serde_json::Value::as_str);
    (answer.status() != 200).then(|| error.unwrap_or("unnamed").to_owned())
}

async fn zeros(patient: &Patient, size: usize, patience: Duration) -> Tried {
    let Some(question) = question(size, patience) else {
        return Err(None);
    };
    match patient.ask_once(&question).await {
        Ok(answer) if answer.length >= on_the_way(size) => Ok(size),
        Err(Missed::Bare(status) | Missed::Page(status)) if matches!(status, 413 | 502) => {
            Err(Some(status))
        }
        _ => Err(None),
    }
}

fn question(size: usize, patience: Duration) -> Option<Question<'static>> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).ok()?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let head = json!({
        "id": id,
        "argv": ["head", "-c", size.to_string(), "/dev/zero"],
        "wait": WAIT,
        "timeout": 10,
    });
    let head: Object = head.as_object()?.clone();
    Some(Question {
        verb: "cmd",
        head,
        length: 0,
        patience: patience + Duration::from_millis(WAIT),
    })
}

/// Bytes of output without which nothing works.
const LEAST: usize = 4 * 1024;

/// Bytes of output with which it begins.
const FIRST: usize = 64 * 1024;

/// Bytes of output that a server keeps, and tells in one answer.
const WINDOW: usize = 1 << 20;

/// Milliseconds for which the answer waits for the end.
const WAIT: u64 = 4000;

/// For all of them.
const LONGEST: Duration = Duration::from_secs(12);
