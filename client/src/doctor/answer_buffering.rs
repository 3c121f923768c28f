//! Whether the path passes an answer on while it comes, or only when it is there as a whole.

use std::time::Duration;

use super::finding::Finding;
use super::milliseconds;
use super::patient::{Patient, Question};

const NAME: &str = "answer_buffering";

pub(super) async fn look(patient: &Patient) -> Finding {
    if !patient.is_logged_in().await {
        return Finding::skipped(NAME, super::NO_KEY);
    }
    let answer = match patient.ask(&Question::pausing(PAUSE)).await {
        Ok(answer) => answer,
        Err(missed) => return Finding::skipped(NAME, format!("not found out: {missed}")),
    };
    let apart = answer.end_at.saturating_sub(answer.head_at);
    let finding = if apart > PAUSE / 2 {
        Finding::good(
            NAME,
            "answers stream: the beginning of one comes while its end is still being made",
        )
        .action("answers stay open, and output is shown as it comes")
        .fact("buffers", false)
    } else {
        Finding::notice(
            NAME,
            "answers are buffered: nothing of one comes before all of it is there",
        )
        .action("answers are parked until there is output, and end then")
        .fact("buffers", true)
    };
    finding.fact("head_before_end_ms", milliseconds(apart))
}

/// How long the answer pauses after its head.
const PAUSE: Duration = Duration::from_millis(1000);
