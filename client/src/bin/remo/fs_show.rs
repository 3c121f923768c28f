//! Entries of folders as lines: for people, and in JSON for programs.
//! What comes from a server is escaped here, before it is shown.

use base64_simd::URL_SAFE;
use remo_client::escape::escape_bytes;
use remo_client::remo2::{Entry, Kind, Time};
use serde_json::{Map, Value};

/// Type and mode as `ls` shows them, such as `drwxr-xr-x`.
pub(crate) fn mode(entry: &Entry) -> String {
    let kind = match entry.kind {
        Kind::File => '-',
        Kind::Folder => 'd',
        Kind::Link => 'l',
        Kind::Other => '?',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = entry.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, entry.mode & special != 0) {
            (true, false) => 'x',
            (false, false) => '-',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// A time in UTC, to the second.
pub(crate) fn time(time: Time) -> String {
    let days = time.seconds.div_euclid(86_400);
    let second = time.seconds.rem_euclid(86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// The day so many days after 1970-01-01, in the Gregorian calendar. Years are counted from March, so that the day
/// that leap years add is a year's last.
fn date(days: i64) -> (i64, i64, i64) {
    let since = days + 719_468;
    let era = since.div_euclid(146_097);
    let day_of_era = since.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// One line of a long listing.
pub(crate) fn long(entry: &Entry) -> String {
    let to = entry
        .to
        .as_ref()
        .map_or_else(String::new, |to| format!(" -> {}", escape_bytes(to)));
    format!(
        "{} {:>12} {} {}{to}",
        mode(entry),
        entry.size,
        time(entry.mtime),
        escape_bytes(&entry.name)
    )
}

/// All that is known of an entry, in several lines.
pub(crate) fn whole(shown: &str, entry: &Entry) -> String {
    let kind = match entry.kind {
        Kind::File => "file",
        Kind::Folder => "folder",
        Kind::Link => "link",
        Kind::Other => "other",
    };
    let to = entry
        .to
        .as_ref()
        .map_or_else(String::new, |to| format!("\n  to     {}", escape_bytes(to)));
    format!(
        "{shown}\n  type   {kind}{to}\n  size   {}\n  mode   {:04o} {}\n  mtime  {}\n",
        entry.size,
        entry.mode,
        mode(entry),
        time(entry.mtime)
    )
}

/// An entry as an object.
pub(crate) fn in_json(entry: &Entry) -> Map<String, Value> {
    let mut object = Map::new();
    bytes(&mut object, "name", &entry.name);
    object.insert("type".into(), entry.kind.name().into());
    object.insert("size".into(), entry.size.into());
    object.insert("mode".into(), entry.mode.into());
    object.insert("mtime".into(), entry.mtime.to_json());
    if let Some((user, group)) = entry.owner {
        object.insert("uid".into(), user.into());
        object.insert("gid".into(), group.into());
    }
    if let Some(to) = &entry.to {
        bytes(&mut object, "to", to);
    }
    object
}

/// Adds text, or base64 of what is none, as the wire does.
pub(crate) fn bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.into(), text.into()),
        Err(_) => object.insert(format!("{name}64"), URL_SAFE.encode_to_string(bytes).into()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let shown = |seconds| {
            time(Time {
                seconds,
                nanoseconds: 0,
            })
        };
        assert_eq!(shown(0), "1970-01-01 00:00:00Z");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00:00Z");
        assert_eq!(shown(1_790_000_000), "2026-09-21 14:13:20Z");
        assert_eq!(shown(-1), "1969-12-31 23:59:59Z");
        assert_eq!(shown(4_107_542_399), "2100-02-28 23:59:59Z");
        assert_eq!(shown(4_107_542_400), "2100-03-01 00:00:00Z");
    }

    #[test]
    fn a_line_shows_what_ls_shows_and_no_escapes() {
        let entry = Entry {
            name: b"a\x1b[2J".to_vec(),
            kind: Kind::Link,
            size: 7,
            mode: 0o4751,
            mtime: Time::default(),
            owner: None,
            to: Some(b"b\n".to_vec()),
        };
        let line = "lrwsr-x--x            7 1970-01-01 00:00:00Z a\\u{1b}[2J -> b\\n";
        assert_eq!(long(&entry), line);
    }
}
