//! What a server says of a file, a folder or a link.
//! Whether its name may be used here is asked where it is used.

use remo_protocol::remo2::json::Object;
use serde_json::Value;

use super::naming;

/// One entry of a folder, or what a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name in its folder, as the server says it; of what was asked by its path, nothing.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Bytes that it holds.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// When it was last changed.
    pub mtime: Time,
    /// User and group that own it, by their numbers there.
    pub owner: Option<(u32, u32)>,
    /// Where a link leads.
    pub to: Option<Vec<u8>>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A socket, a pipe, a device.
    Other,
}

impl Kind {
    /// As the wire has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "dir",
            Self::Link => "link",
            Self::Other => "other",
        }
    }

    fn read(name: &str) -> Self {
        [Self::File, Self::Folder, Self::Link]
            .into_iter()
            .find(|kind| kind.name() == name)
            .unwrap_or(Self::Other)
    }
}

/// Seconds since 1970 and nanoseconds on top of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Whole seconds, before 1970 negative.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Time {
    /// From seconds with a fraction; what no clock can show counts as 1970.
    #[must_use]
    pub fn from_seconds(all: f64) -> Self {
        if !all.is_finite() || all.abs() > FARTHEST {
            return Self::default();
        }
        let whole = all.floor();
        // Both fit: they were bounded above.
        let nanoseconds = ((all - whole) * 1e9).round().clamp(0.0, 999_999_999.0) as u32;
        Self {
            seconds: whole as i64,
            nanoseconds,
        }
    }

    /// Seconds with a fraction.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.seconds as f64 + f64::from(self.nanoseconds) / 1e9
    }

    /// As the wire has it: whole where it is whole.
    #[must_use]
    pub fn to_json(self) -> Value {
        match self.nanoseconds {
            0 => self.seconds.into(),
            _ => self.as_seconds().into(),
        }
    }
}

impl Entry {
    /// What `object` says; nothing where it lacks what every entry has.
    pub(super) fn read(object: &Object) -> Option<Self> {
        let number = |name: &str| object.get(name).and_then(Value::as_u64);
        let small = |name: &str| number(name).and_then(|number| u32::try_from(number).ok());
        let seconds = object.get("mtime").and_then(Value::as_f64);
        Some(Self {
            name: naming::read(object, "name").unwrap_or_default(),
            kind: Kind::read(object.get("type")?.as_str()?),
            size: number("size").unwrap_or_default(),
            mode: u32::try_from(number("mode").unwrap_or_default()).ok()? & 0o7777,
            mtime: Time::from_seconds(seconds.unwrap_or_default()),
            owner: small("uid").zip(small("gid")),
            to: naming::read(object, "to"),
        })
    }
}

/// Seconds from 1970 that are still taken for a time: some 30,000 years.
const FARTHEST: f64 = 1e12;

#[cfg(test)]
mod tests {
    use remo_protocol::remo2::json;

    use super::*;

    #[test]
    fn entries_are_read() {
        let object = json::parse(
            br#"{"name64":"_w==","type":"link","size":3,"mode":511,"mtime":-1.5,"to":"a/b","more":1}"#,
        );
        let entry = Entry::read(&object.unwrap()).unwrap();
        assert_eq!((&entry.name[..], entry.kind), (&b"\xff"[..], Kind::Link));
        assert_eq!((entry.size, entry.mode), (3, 0o777));
        assert_eq!(entry.to.as_deref(), Some(&b"a/b"[..]));
        let time = Time {
            seconds: -2,
            nanoseconds: 500_000_000,
        };
        assert_eq!(entry.mtime, time);
        assert!(Entry::read(&json::parse(br#"{"name":"a"}"#).unwrap()).is_none());
    }

    #[test]
    fn times_keep_their_fraction_and_absurd_ones_do_no_harm() {
        let time = Time {
            seconds: 1_790_000_000,
            nanoseconds: 123_000_000,
        };
        let back = Time::from_seconds(time.as_seconds());
        assert!(back.seconds == time.seconds && back.nanoseconds.abs_diff(123_000_000) < 1000);
        for absurd in [f64::NAN, f64::INFINITY, 1e300, -1e18] {
            assert_eq!(Time::from_seconds(absurd), Time::default());
        }
    }
}
