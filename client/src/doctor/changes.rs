//! What the path changes: bodies, header lines, the pages of errors, the version of HTTP; and old answers.

use http::header::{AGE, CACHE_CONTROL, CONTENT_ENCODING, SET_COOKIE, VIA};
use http::{HeaderValue, Version};

use super::finding::Finding;
use super::line::Got;
use super::patient::{PATIENCE, Patient};

const NAME: &str = "changes";

pub(super) async fn look(patient: &Patient, got: &Got) -> Finding {
    let counted = patient.count.now();
    let refusal = refusal(patient).await;
    let has = |name| got.headers.contains_key(name);
    let old = got.version < Version::HTTP_11;
    let named = got.headers.get(VIA).map(|via| {
        String::from_utf8_lossy(via.as_bytes())
            .chars()
            .take(100)
            .collect::<String>()
    });
    let asks_not_to = has(CACHE_CONTROL) && has(SET_COOKIE);
    let pages = refusal.as_ref().map(|got| !got.body.is_empty());
    let mut seen = Vec::new();
    if counted.changed > 0 {
        seen.push(format!("{} answers came changed", counted.changed));
    }
    if counted.stale > 0 || has(AGE) {
        seen.push("answers to earlier requests are given again".into());
    }
    if has(CONTENT_ENCODING) {
        seen.push("bodies are compressed".into());
    }
    if !asks_not_to {
        seen.push("header lines are left out".into());
    }
    if pages == Some(true) {
        seen.push("errors of the server are replaced by pages of something else".into());
    }
    if old {
        seen.push("answers are HTTP/1.0".into());
    }
    if let Some(via) = &named {
        seen.push(format!("'{via}' names itself"));
    }
    let harmless = counted.changed == 0 && counted.stale == 0;
    let finding = match (seen.is_empty(), harmless) {
        (true, _) => Finding::good(NAME, "answers come as the server sent them"),
        (false, true) => {
            Finding::good(NAME, seen.join("; ")).action("nothing: remo needs none of that")
        }
        (false, false) => Finding::notice(NAME, seen.join("; "))
            .action("what is not as the server sealed it is not believed, and asked for again")
            .remedy("a path that changes or caches answers to POST is broken: tell its owner"),
    };
    finding
        .fact("changed", counted.changed)
        .fact("stale", counted.stale)
        .fact("compressed", has(CONTENT_ENCODING))
        .fact("drops_headers", !asks_not_to)
        .fact("own_error_pages", pages)
        .fact("http_1_0", old)
        .fact("via", named)
}

/// The server refuses a cookie that it does not know with an empty 403.
async fn refusal(patient: &Patient) -> Option<Got> {
    let cookie =
        HeaderValue::from_static("SESSION_ID=doctordoctordoctordoct.doctordoctordoctordoct");
    let got = patient
        .post("/who", Some(&cookie), b"x".to_vec(), PATIENCE)
        .await;
    got.ok()
        .filter(|got| got.status == 403 && got.broken.is_none())
}
