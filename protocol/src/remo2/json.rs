//! The JSON objects in `H`, `T` and the handshake: UTF-8, no member twice at any depth, whole numbers
//! from 0 to 2^53-1 (save `mtime`). What their members mean is not known here.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{limits, refusal::Refusal};

/// A JSON object.
pub type Object = Map<String, Value>;

/// Reads a JSON object.
///
/// # Errors
/// [`Refusal::JsonMalformed`].
pub fn parse(text: &[u8]) -> Result<Object, Refusal> {
    if text.len() > limits::REMO2_JSON {
        return Err(Refusal::JsonMalformed);
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { fraction: false }.deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(Refusal::JsonMalformed),
    }
}

/// Writes a JSON object.
pub fn write(object: &Object) -> Vec<u8> {
    Value::Object(object.clone()).to_string().into_bytes()
}

/// The largest whole number that every JSON reader keeps.
pub const LARGEST: u64 = (1 << 53) - 1;

/// Reads one value, within the member `mtime` also a number with a sign and a fraction.
#[derive(Clone, Copy)]
struct Strict {
    fraction: bool,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value in its strict form")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        if value > LARGEST && !self.fraction {
            return Err(E::custom("a number over 2^53-1"));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        if !self.fraction {
            return Err(E::custom("a number below 0"));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).filter(|_| self.fraction);
        number
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not whole"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self { fraction: false })? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Self {
                fraction: name == "mtime",
            })?;
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("a member twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read() {
        let object = parse(br#"{"a":[1,{"b":null}],"mtime":-1.5,"c":true}"#).unwrap();
        assert_eq!(object["a"][0], 1);
        assert_eq!(object["mtime"], -1.5);
        assert!(parse(b"{\"n\":9007199254740991}").is_ok());
    }

    #[test]
    fn what_is_loose_is_refused() {
        let loose: [&[u8]; 12] = [
            b"",
            b"[]",
            b"{} x",
            br#"{"a":1,"a":1}"#,
            br#"{"x":{"a":1,"a":2}}"#,
            br#"{"x":[{"a":1,"\u0061":2}]}"#,
            br#"{"a":1.0}"#,
            br#"{"a":-1}"#,
            br#"{"a":9007199254740992}"#,
            br#"{"a":1e3}"#,
            b"{\"a\":\"\xff\"}",
            br#"{"mtime":[1.5]}"#,
        ];
        for text in loose {
            assert_eq!(
                parse(text),
                Err(Refusal::JsonMalformed),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
        let deep = [b"{\"a\":".repeat(300), b"1".to_vec(), b"}".repeat(300)].concat();
        assert!(parse(&deep).is_err());
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(limits::REMO2_JSON));
        assert!(parse(long.as_bytes()).is_err());
    }
}
