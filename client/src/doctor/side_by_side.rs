//! Whether the path carries several requests at once, or makes each wait for the one before.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::finding::Finding;
use super::info::request;
use super::line::{held, whole};
use super::patient::{PATIENCE, Patient, Question, TRIES};
use super::road::Fault;
use super::session::Missed;

const NAME: &str = "side_by_side";

pub(super) async fn look(patient: &Patient) -> Finding {
    for _ in 0..TRIES {
        let keyed = patient.is_logged_in().await;
        let mut found = if keyed {
            by_pauses(patient).await
        } else {
            None
        };
        if found.is_none() {
            found = by_holding(patient).await;
        }
        match found {
            Some(true) => {
                return Finding::good(NAME, "several requests are under way at once")
                    .action("up to four requests side by side in bulk")
                    .fact("at_once", true);
            }
            Some(false) => {
                return Finding::notice(NAME, "one request at a time: each waits for the one before")
                    .action("one request at a time, and answers are parked for 0.25 s only, so that what is typed need not wait")
                    .fact("at_once", false);
            }
            None => {}
        }
    }
    Finding::skipped(NAME, "not found out: the path lost the questions")
}

/// Three answers that each pause: side by side they take one pause, one after the other three.
async fn by_pauses(patient: &Patient) -> Option<bool> {
    let question = Question::pausing(PAUSE);
    let begun = Instant::now();
    let asked = (0..ABREAST).map(|_| patient.ask_once(&question));
    let answers: Vec<Result<_, Missed>> = join_all(asked).await;
    let took = begun.elapsed();
    let alone = answers.iter().flatten().map(|answer| answer.end_at).min()?;
    if answers.iter().any(Result::is_err) {
        return None;
    }
    // One that waits for two others ends two pauses after the first.
    Some(took < alone + PAUSE + PAUSE / 2)
}

/// While a request is held back half-way, another is answered, or not.
async fn by_holding(patient: &Patient) -> Option<bool> {
    let mut first = patient.road.open().await.ok()?;
    let mut second = patient.road.open().await.ok()?;
    let all = request(2 * HALF);
    let (body, release) = held(all.get(..HALF)?.to_vec(), all.get(HALF..)?.to_vec());
    let slow = patient.road.request("/info", None);
    let slow = slow.header(http::header::CONTENT_LENGTH, 2 * HALF);
    let slow = first.exchange(slow.body(body).ok()?, PATIENCE);
    let quick = patient.road.request("/info", None);
    let quick = quick.body(whole(request(0))).ok()?;
    let quick = async {
        // The other one is to be there first.
        tokio::time::sleep(HEAD_START).await;
        let answered = timeout(HELD, second.exchange(quick, PATIENCE)).await;
        let _ = release.send(());
        match answered {
            Ok(Ok(got)) => (got.status == 200).then_some(true),
            Ok(Err(Fault::Silent(_))) | Err(_) => Some(false),
            Ok(Err(_)) => None,
        }
    };
    tokio::pin!(slow);
    tokio::pin!(quick);
    tokio::select! {
        found = &mut quick => found,
        // Whoever answers before all was sent holds nobody up.
        _ = &mut slow => quick.await,
    }
}

/// Requests at once.
const ABREAST: usize = 3;

/// How long each of their answers pauses.
const PAUSE: Duration = Duration::from_millis(700);

/// Bytes before and after the pause of a request that is held back.
const HALF: usize = 1024;

/// By how much it goes before the other.
const HEAD_START: Duration = Duration::from_millis(150);

/// For how long: less than a server waits before it answers all the same.
const HELD: Duration = Duration::from_millis(700);
