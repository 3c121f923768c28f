//! The members of a JSON object, taken out one by one with the type that they must have. What is left is
//! a member that nobody knows.

use std::{collections::BTreeMap, ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

use remo_protocol::remo2::{json::Object, session_id::SessionId};
use rustix::fs::Timespec;
use serde_json::Value;

use crate::channels::{ActId, Refused};

/// An object that is being read.
pub(super) struct Members(Object);

impl Members {
    pub(super) fn new(object: Object) -> Self {
        Self(object)
    }

    /// Takes a member out; `null` is a value, not an absence.
    fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, Refused> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| bad(format!("the member '{name}' has a value of another kind"))),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Refused> {
        self.take(name, text)
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, Refused> {
        self.take(name, |value| value.as_u64())
    }

    /// A number of at most `most`.
    pub(super) fn small<T: TryFrom<u64>>(&mut self, name: &str) -> Result<Option<T>, Refused> {
        self.take(name, |value| {
            value.as_u64().and_then(|number| T::try_from(number).ok())
        })
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Refused> {
        self.take(name, |value| value.as_bool())
            .map(Option::unwrap_or_default)
    }

    /// Seconds since 1970, with a sign and a fraction where they have them.
    pub(super) fn mtime(&mut self) -> Result<Option<Timespec>, Refused> {
        self.take("mtime", |value| match value.as_i64() {
            Some(tv_sec) => Some(Timespec { tv_sec, tv_nsec: 0 }),
            None => timespec(value.as_f64()?),
        })
    }

    /// Permissions.
    pub(super) fn mode(&mut self) -> Result<Option<u32>, Refused> {
        self.take("mode", |value| {
            let mode = value.as_u64().and_then(|mode| u32::try_from(mode).ok());
            mode.filter(|mode| *mode <= 0o7777)
        })
    }

    /// A SHA-256.
    pub(super) fn sha256(&mut self) -> Result<Option<[u8; 32]>, Refused> {
        self.take("sha256", |value| hash(value.as_str()?))
    }

    /// A name as text, or as base64 of its bytes under the member `…64`; neither empty nor with a NUL.
    pub(super) fn path(&mut self, name: &str) -> Result<PathBuf, Refused> {
        let text = self.take(name, text)?.map(String::into_bytes);
        let name64 = format!("{name}64");
        let coded = self.take(&name64, |value| {
            base64_simd::URL_SAFE.decode_to_vec(value.as_str()?).ok()
        })?;
        let bytes = match (text, coded) {
            (Some(_), Some(_)) => {
                return Err(bad(format!("'{name}' and '{name64}' exclude each other")));
            }
            (text, coded) => text.or(coded),
        };
        let bytes = bytes.ok_or_else(|| bad(format!("the member '{name}' is missing")))?;
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(bad(format!("'{name}' is empty, or has a NUL character")));
        }
        Ok(OsString::from_vec(bytes).into())
    }

    pub(super) fn id(&mut self) -> Result<ActId, Refused> {
        let id = self.take("id", |value| ActId::parse(value.as_str()?))?;
        id.ok_or_else(|| bad("the member 'id' is missing"))
    }

    pub(super) fn ids(&mut self, name: &str) -> Result<Vec<ActId>, Refused> {
        self.take(name, |value| {
            list(value, |item| ActId::parse(item.as_str()?))
        })
        .map(Option::unwrap_or_default)
    }

    pub(super) fn sessions(&mut self, name: &str) -> Result<Vec<SessionId>, Refused> {
        self.take(name, |value| {
            list(value, |item| SessionId::parse(item.as_str()?))
        })
        .map(Option::unwrap_or_default)
    }

    pub(super) fn words(&mut self, name: &str) -> Result<Option<Vec<String>>, Refused> {
        self.take(name, |value| list(value, word))
    }

    /// An object whose values are texts that an environment can hold.
    pub(super) fn environment(&mut self, name: &str) -> Result<BTreeMap<String, String>, Refused> {
        let read = |value| {
            let Value::Object(object) = value else {
                return None;
            };
            let sound = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
            object
                .into_iter()
                .map(|(name, value)| Some((Some(name).filter(|name| sound(name))?, word(value)?)))
                .collect()
        };
        self.take(name, read).map(Option::unwrap_or_default)
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, Refused> {
        let object = self.take(name, |value| match value {
            Value::Object(object) => Some(object),
            _ => None,
        })?;
        Ok(object.map(Self))
    }

    /// A list of objects, at most so many.
    pub(super) fn objects(
        &mut self,
        name: &str,
        most: usize,
    ) -> Result<Option<Vec<Self>>, Refused> {
        let all = self.take(name, |value| {
            list(value, |item| match item {
                Value::Object(object) => Some(Self(object)),
                _ => None,
            })
        })?;
        match &all {
            Some(all) if all.is_empty() || all.len() > most => {
                Err(bad(format!("'{name}' has none, or more than {most}")))
            }
            _ => Ok(all),
        }
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Refused> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let name = name.escape_debug().to_string();
                Err(Refused::new(
                    400,
                    "unknown_member",
                    format!("this server does not know the member '{name}' here"),
                ))
            }
        }
    }
}

/// What a request says that cannot be.
pub(super) fn bad(message: impl Into<String>) -> Refused {
    Refused::new(400, "bad_request", message)
}

fn timespec(seconds: f64) -> Option<Timespec> {
    let whole = seconds.floor();
    // Beyond this no file system has a date, and every number of seconds is whole.
    if whole.abs() > 1e15 {
        return None;
    }
    let part = ((seconds - whole) * 1e9).round();
    let (tv_sec, tv_nsec) = if part < 1e9 {
        (whole, part)
    } else {
        (whole + 1.0, 0.0)
    };
    Some(Timespec {
        tv_sec: tv_sec as i64,
        tv_nsec: tv_nsec as _,
    })
}

/// 64 hex digits, or the base64 of the bytes.
fn hash(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return base64_simd::URL_SAFE
            .decode_to_vec(text)
            .ok()?
            .try_into()
            .ok();
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let sound = |digit: &u8| digit.is_ascii_digit() || matches!(digit, b'a'..=b'f');
        let digits = Some(digits).filter(|digits| digits.iter().all(sound))?;
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// A text that a process can be given.
fn word(value: Value) -> Option<String> {
    text(value).filter(|text| !text.contains('\0'))
}

fn list<T>(value: Value, read: impl Fn(Value) -> Option<T>) -> Option<Vec<T>> {
    match value {
        Value::Array(items) => items.into_iter().map(read).collect(),
        _ => None,
    }
}
