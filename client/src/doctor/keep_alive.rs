//! How long a connection is kept on which nothing happens.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::finding::Finding;
use super::info::request;
use super::line::{Line, whole};
use super::patient::{PATIENCE, Patient, TRIES};
use super::{Bounds, milliseconds, seconds};

const NAME: &str = "keep_alive";

/// A connection on which nothing happens from now on, until it is closed.
pub(super) struct Watched {
    line: Option<Line>,
    begun: Instant,
    /// After which time it was closed.
    closed: Option<Duration>,
}

impl Watched {
    /// Opens one, and asks a question over it. It is done while nothing else is under way.
    pub(super) async fn begin(patient: &Patient) -> Self {
        Self {
            line: used(patient).await,
            begun: Instant::now(),
            closed: None,
        }
    }

    /// Waits until it is closed, or the time is over.
    pub(super) async fn wait(&mut self, patient: &Patient, bounds: &Bounds) {
        let longest = bounds.idle.min(patient.left());
        if let Some(line) = &mut self.line
            && timeout(longest, line.closed()).await.is_ok()
        {
            self.closed = Some(self.begun.elapsed());
        }
    }

    /// Asks once more over it, when nothing else is under way, and tells.
    pub(super) async fn look(self, patient: &Patient) -> Finding {
        let kept = self.begun.elapsed();
        match (self.line, self.closed) {
            (None, _) => one_request(),
            (_, Some(closed)) if closed < AT_ONCE => one_request(),
            (_, Some(closed)) => closed_after(closed),
            (Some(mut line), None) => match answers(patient, &mut line).await {
                true => keeps(patient, kept),
                false => dead(kept),
            },
        }
    }
}

fn keeps(patient: &Patient, kept: Duration) -> Finding {
    let found = format!(
        "a connection on which nothing happens is kept for {}; longer was not tried",
        seconds(kept)
    );
    Finding::good(NAME, found)
        .action(if patient.road.is_read_by_proxy() {
            "each request opens a connection, since some proxies close what they seem to keep"
        } else {
            "connections are kept for 20 s"
        })
        .fact("kept_ms", milliseconds(kept))
}

fn closed_after(closed: Duration) -> Finding {
    let found = format!(
        "a connection on which nothing happens is closed after {}",
        seconds(closed)
    );
    Finding::notice(NAME, found)
        .action("a request that finds its connection closed is sent over a new one")
        .fact("kept_ms", milliseconds(closed))
}

fn dead(after: Duration) -> Finding {
    let found = format!(
        "a connection on which nothing happened for {} looked open, and was dead",
        seconds(after)
    );
    Finding::notice(NAME, found)
        .action("a request that gets no answer is sent again, over a new connection")
        .fact("kept_ms", 0)
        .fact("dead", true)
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
