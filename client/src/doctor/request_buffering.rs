//! Whether the path passes a request on while it comes, or only when it is there as a whole.

use std::time::Duration;

use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use tokio::time::timeout;

use super::finding::Finding;
use super::line::held;
use super::patient::{Patient, TRIES};
use super::{milliseconds, seconds};

const NAME: &str = "request_buffering";

/// What became of an answer that the server gave while half of the request was held back.
enum Early {
    /// It came at once, after so long.
    Came(Duration),
    /// The server had nothing to answer yet: it came after the rest was sent.
    Later,
    /// It never came: the path gives no answer while it reads, and the server has closed meanwhile.
    Lost,
    /// The path lost the question, or answered itself.
    Unknown,
}

pub(super) async fn look(patient: &Patient) -> Finding {
    let mut lost = false;
    for _ in 0..TRIES {
        if patient.left() < HELD {
            return Finding::skipped(NAME, super::NO_TIME);
        }
        match early(patient).await {
            Early::Came(after) => return streams(after),
            Early::Later => return buffers(),
            Early::Lost if lost => return loses(),
            Early::Lost => lost = true,
            Early::Unknown => {}
        }
    }
    Finding::skipped(NAME, "not found out: the path lost the questions")
}

fn streams(after: Duration) -> Finding {
    let found = format!(
        "requests stream: one was answered after {}, before all of it was sent",
        seconds(after)
    );
    Finding::good(NAME, found)
        .action("nothing: remo sends each request as a whole")
        .fact("buffers", false)
        .fact("early_answers_lost", false)
        .fact("answered_after_ms", milliseconds(after))
}

fn buffers() -> Finding {
    Finding::notice(NAME, "requests are buffered: one arrives only when all of it was sent")
        .action("nothing: remo sends each request as a whole, and never waits for an answer in the middle of one")
        .fact("buffers", true)
        .fact("early_answers_lost", false)
}

fn loses() -> Finding {
    Finding::notice(
        NAME,
        "requests stream, but an answer that comes before all of a request was sent is lost",
    )
    .action("a request that gets no answer is sent again")
    .fact("buffers", false)
    .fact("early_answers_lost", true)
}

/// The server refuses a cookie that it does not know before it has read the body.
async fn early(patient: &Patient) -> Early {
    try_early(patient).await.unwrap_or(Early::Unknown)
}

async fn try_early(patient: &Patient) -> Option<Early> {
    let mut line = patient.road.open().await.ok()?;
    let (body, release) = held(vec![b'x'; FIRST], vec![b'x'; LENGTH - FIRST]);
    let cookie = HeaderValue::from_static(STRANGER);
    let request = patient.road.request("/who", Some(&cookie));
    let request = request.header(CONTENT_LENGTH, LENGTH).body(body).ok()?;
    let exchange = line.exchange(request, HELD + AFTER);
    tokio::pin!(exchange);
    match timeout(HELD, &mut exchange).await {
        // Another status is not the server's word.
        Ok(got) => got
            .ok()
            .filter(|got| got.status == 403)
            .map(|got| Early::Came(got.head_after)),
        Err(_) => {
            let _ = release.send(());
            match timeout(AFTER, exchange).await {
                Ok(Ok(got)) if got.status == 403 => Some(Early::Later),
                Ok(Ok(got)) if got.status < 500 => None,
                _ => Some(Early::Lost),
            }
        }
    }
}

/// Of the form that sessions of remo/2 have.
const STRANGER: &str = "SESSION_ID=doctordoctordoctordoct.doctordoctordoctordoct";

/// Bytes of the request: more than what is passed on as a whole in any case.
const LENGTH: usize = 160 * 1024;

/// Bytes of it that are sent at once.
const FIRST: usize = 32 * 1024;

/// For how long the others are held back: the server reads on for 1 s before it refuses.
const HELD: Duration = Duration::from_millis(2500);

/// How long an answer may take after that.
const AFTER: Duration = Duration::from_secs(4);
