//! How long a connection is kept on which nothing happens.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::finding::Finding;
use super::info::request;
use super::line::{Line, whole};
use super::patient::{PATIENCE, Patient, TRIES};
use super::{Bounds, milliseconds, seconds};

const NAME: &str = "keep_alive";

pub(super) async fn look(patient: &Patient, bounds: &Bounds) -> Finding {
    let Some(mut line) = used(patient).await else {
        return one_request();
    };
    let longest = bounds.idle.min(patient.left());
    let begun = Instant::now();
    if timeout(longest, line.closed()).await.is_ok() {
        let kept = begun.elapsed();
        if kept < AT_ONCE {
            return one_request();
        }
        return Finding::notice(
            NAME,
            format!(
                "a connection on which nothing happens is closed after {}",
                seconds(kept)
            ),
        )
        .action("a request that finds its connection closed is sent over a new one")
        .fact("kept_ms", milliseconds(kept));
    }
    if answers(patient, &mut line).await {
        Finding::good(
            NAME,
            format!(
                "a connection on which nothing happens is kept for {}; longer was not tried",
                seconds(longest)
            ),
        )
        .action(if patient.road.is_read_by_proxy() {
            "each request opens a connection, since some proxies close what they seem to keep"
        } else {
            "connections are kept for 20 s"
        })
        .fact("kept_ms", milliseconds(longest))
    } else {
        Finding::notice(
            NAME,
            format!(
                "a connection on which nothing happened for {} looked open, and was dead",
                seconds(longest)
            ),
        )
        .action("a request that gets no answer is sent again, over a new connection")
        .fact("kept_ms", 0)
        .fact("dead", true)
    }
}

fn one_request() -> Finding {
    Finding::notice(NAME, "a connection serves one request")
        .action("each request opens a connection")
        .fact("kept_ms", 0)
}

/// A connection that has served a request, and may serve another.
async fn used(patient: &Patient) -> Option<Line> {
    for _ in 0..TRIES {
        let Ok(mut line) = patient.road.open().await else {
            continue;
        };
        if answers(patient, &mut line).await && line.is_reusable().await {
            return Some(line);
        }
    }
    None
}

async fn answers(patient: &Patient, line: &mut Line) -> bool {
    let request = patient.road.request("/info", None).body(whole(request(0)));
    let Ok(request) = request else {
        return false;
    };
    let got = line.exchange(request, PATIENCE).await;
    got.is_ok_and(|got| got.broken.is_none())
}

/// What is closed sooner was not kept.
const AT_ONCE: Duration = Duration::from_millis(100);
