//! Names and paths as they travel: as they are where they are UTF-8, else in base64 under another member.
//! What a path leads to is not known here.

use base64_simd::URL_SAFE;
use remo_protocol::remo2::json::Object;
use serde_json::Value;

/// Adds `bytes` as the member `name`, or as `name64` where they are not UTF-8.
pub(super) fn put(object: &mut Object, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), text.into()),
        Err(_) => object.insert(format!("{name}64"), URL_SAFE.encode_to_string(bytes).into()),
    };
}

/// The bytes of the member `name` or `name64`.
pub(super) fn read(object: &Object, name: &str) -> Option<Vec<u8>> {
    if let Some(text) = object.get(name).and_then(Value::as_str) {
        return Some(text.as_bytes().to_vec());
    }
    let text = object.get(&format!("{name}64")).and_then(Value::as_str)?;
    URL_SAFE.decode_to_vec(text).ok()
}

/// Whether it names an entry of a folder, and nothing but one.
#[must_use]
pub(crate) fn is_plain(name: &[u8]) -> bool {
    let dots = name == b"." || name == b"..";
    !name.is_empty()
        && !dots
        && name.len() <= LONGEST_NAME
        && !name.contains(&b'/')
        && !name.contains(&0)
}

/// Bytes of a name, on all file systems of Linux.
const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_travel_whatever_their_bytes() {
        for name in [&b"a b"[..], "zoë".as_bytes(), b"\xff\xfe", b""] {
            let mut object = Object::new();
            put(&mut object, "name", name);
            assert_eq!(read(&object, "name").as_deref(), Some(name));
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_none() {
        let long = [b'a'; 256];
        for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", &long] {
            assert!(!is_plain(name), "{name:?}");
        }
        for name in [&b"..."[..], b".a", b"a\n", b"\xff"] {
            assert!(is_plain(name), "{name:?}");
        }
    }
}
