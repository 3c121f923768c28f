//! How long an answer may be silent before the path gives it up.

use std::time::{Duration, Instant};

use super::finding::Finding;
use super::patient::{Patient, Question};
use super::session::Missed;
use super::{Bounds, milliseconds, seconds};

const NAME: &str = "idle";

pub(super) async fn look(patient: &Patient, bounds: &Bounds) -> Finding {
    if !patient.is_logged_in().await {
        return Finding::skipped(NAME, super::NO_KEY);
    }
    let longest = bounds.idle.min(patient.left()).min(SERVER);
    if longest < SHORTEST {
        return Finding::skipped(NAME, super::NO_TIME);
    }
    let Some((cut, missed)) = silence(patient, longest).await else {
        return Finding::good(
            NAME,
            format!(
                "an answer may be silent for {}; longer was not tried",
                seconds(longest)
            ),
        )
        .action("answers are parked for up to 20 s")
        .fact("bears_ms", milliseconds(longest));
    };
    let mut bears = Duration::ZERO;
    let mut next = cut / 2;
    while next >= SHORTEST && patient.left() > next {
        if silence(patient, next).await.is_none() {
            bears = next;
            break;
        }
        next /= 2;
    }
    let finding = if bears.is_zero() {
        Finding::notice(
            NAME,
            format!(
                "an answer that was silent for {} was lost ({missed}), and shorter silences too",
                seconds(cut)
            ),
        )
    } else {
        Finding::notice(
            NAME,
            format!(
                "an answer that is silent for {} is lost ({missed}), one of {} is not",
                seconds(cut),
                seconds(bears)
            ),
        )
    };
    finding
        .action("answers are parked for half the time after which one was lost")
        .remedy("longer is better for the waiting (nginx: proxy_read_timeout; others: the time-out of answers)")
        .fact("cut_after_ms", milliseconds(cut))
        .fact("bears_ms", milliseconds(bears))
}

/// Asks for an answer that is silent for so long; tells when it was lost, and how, if it was.
async fn silence(patient: &Patient, pause: Duration) -> Option<(Duration, Missed)> {
    let begun = Instant::now();
    let asked = patient.ask_once(&Question::pausing(pause)).await;
    let mut missed = asked.err()?;
    let mut after = begun.elapsed();
    // What was lost at once was not lost for its silence.
    for _ in 0..2 {
        if after > pause / 2 || patient.left() < pause {
            break;
        }
        let begun = Instant::now();
        match patient.ask_once(&Question::pausing(pause)).await {
            Ok(_) => return None,
            Err(again) => {
                after = begun.elapsed();
                missed = again;
            }
        }
    }
    Some((after, missed))
}

/// The longest pause that a server makes.
const SERVER: Duration = Duration::from_secs(25);

/// No shorter silence is tried.
const SHORTEST: Duration = Duration::from_millis(200);
