//! How long a question and its answer take, over a new connection and over one that is kept.

use std::time::{Duration, Instant};

use super::finding::Finding;
use super::info::request;
use super::line::whole;
use super::patient::{PATIENCE, Patient};
use super::{milliseconds, seconds};

const NAME: &str = "round_trip";

/// Of how many the median is taken.
const SAMPLES: usize = 5;

pub(super) async fn look(patient: &Patient) -> Finding {
    let (mut fresh, mut kept) = (Vec::new(), Vec::new());
    let until = Instant::now() + LONGEST;
    for _ in 0..2 * SAMPLES {
        if fresh.len() == SAMPLES || Instant::now() >= until {
            break;
        }
        let Some((first, second)) = pair(patient).await else {
            continue;
        };
        fresh.push(first);
        kept.extend(second);
    }
    let samples = fresh.len();
    let Some(first) = median(fresh) else {
        return Finding::bad(NAME, "no question was answered")
            .remedy("the path loses nearly everything: try another");
    };
    let finding = match median(kept) {
        Some(again) => Finding::good(
            NAME,
            format!("a round trip takes {}, with a new connection {}", seconds(again), seconds(first)),
        )
        .fact("kept_ms", milliseconds(again)),
        None => Finding::notice(
            NAME,
            format!("a round trip takes {}, each with a new connection: none is kept for a second request", seconds(first)),
        )
        .action("each request opens a connection")
        .fact("kept_ms", serde_json::Value::Null),
    };
    finding
        .fact("new_ms", milliseconds(first))
        .fact("samples", samples)
}

/// One question over a new connection, and a second one if the connection is kept.
async fn pair(patient: &Patient) -> Option<(Duration, Option<Duration>)> {
    let mut line = patient.road.open().await.ok()?;
    let ask = || {
        patient
            .road
            .request("/info", None)
            .body(whole(request(0)))
            .ok()
    };
    let got = line.exchange(ask()?, PATIENCE).await.ok()?;
    let first = line.opened_in + got.head_after;
    if got.broken.is_some() || !line.is_reusable().await {
        return Some((first, None));
    }
    let again = line.exchange(ask()?, PATIENCE).await.ok();
    Some((first, again.map(|got| got.head_after)))
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

/// For how long it is asked.
const LONGEST: Duration = Duration::from_secs(6);
