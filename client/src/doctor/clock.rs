//! How far the clocks here and there are apart. remo/2 never looks at one; the older dialects do.

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::DATE;
use remo_protocol::limits::{CLOCK_SKEW, TOKEN_AGE};

use super::finding::Finding;
use super::line::Got;
use super::patient::{Patient, Question};

const NAME: &str = "clock";

pub(super) async fn look(patient: &Patient, got: &Got) -> Finding {
    let sealed = sealed(patient).await;
    let (theirs, source) = match sealed {
        Some(theirs) => (Some(theirs), "the server, under its seal"),
        None => (date(got), "the line Date, which the path may have changed"),
    };
    let Some(ahead) = theirs.zip(ours()).map(|(theirs, ours)| theirs - ours) else {
        return Finding::skipped(NAME, "left out: nothing tells the time there");
    };
    // What is sealed here is taken to be older there by as much as their clock is ahead.
    let (oldest, youngest) = (signed(TOKEN_AGE), -signed(CLOCK_SKEW));
    let shown = match ahead {
        0 => "agree".to_owned(),
        1.. => format!("differ: the server's is {ahead} s ahead"),
        _ => format!("differ: the server's is {} s behind", -ahead),
    };
    let found = format!("the clocks {shown} (so says {source})");
    let finding = if (youngest..=oldest).contains(&ahead) {
        Finding::good(NAME, found)
    } else {
        Finding::notice(NAME, found)
            .action("nothing: remo/2 looks at no clock")
            .remedy("dialect 0.6 does not work so: it wants the server's at most 10 s ahead and 60 s behind (set the clocks)")
    };
    finding
        .fact("ahead_s", ahead)
        .fact("sealed", sealed.is_some())
}

async fn sealed(patient: &Patient) -> Option<i64> {
    if !patient.is_logged_in().await {
        return None;
    }
    let answer = patient.ask(&Question::who()).await.ok()?;
    answer.trailer.get("clock")?.as_i64()
}

fn ours() -> Option<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(now.as_secs()).ok()
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn date(got: &Got) -> Option<i64> {
    let text = got.headers.get(DATE)?.to_str().ok()?;
    seconds_of(text)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in seconds since 1970.
fn seconds_of(date: &str) -> Option<i64> {
    let words: Vec<_> = date.split_ascii_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = words.as_slice() else {
        return None;
    };
    let month = MONTHS.iter().position(|name| name == month)? as i64 + 1;
    let (day, year): (i64, i64) = (day.parse().ok()?, year.parse().ok()?);
    let parts: Option<Vec<i64>> = time.split(':').map(|part| part.parse().ok()).collect();
    let [hour, minute, second] = parts?[..] else {
        return None;
    };
    let sound = (1..=31).contains(&day) && (1970..=9999).contains(&year);
    let of_day = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    (sound && of_day).then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days since 1970-01-01 of the Gregorian calendar, by years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_http_is_understood_and_nonsense_is_not() {
        assert_eq!(
            seconds_of("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(
            seconds_of("Thu, 29 Feb 2024 00:00:00 GMT"),
            Some(1_709_164_800)
        );
        assert_eq!(seconds_of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for nonsense in [
            "",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "a b c d e GMT",
        ] {
            assert_eq!(seconds_of(nonsense), None, "{nonsense}");
        }
    }
}
