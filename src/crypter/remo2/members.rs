//! The members of a JSON object, taken out one by one with the type that they must have. What is left is
//! a member that nobody knows.

use std::collections::BTreeMap;

use remo_protocol::remo2::{json::Object, session_id::SessionId};
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
