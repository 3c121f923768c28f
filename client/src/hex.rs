//! Hashes as text: 64 hex digits.
//! What was hashed is not known here.

use std::fmt::Write;

/// A hash in lower case digits.
#[must_use]
pub fn write(hash: &[u8; 32]) -> String {
    hash.iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The hash that `text` shows, in digits of either case.
#[must_use]
pub fn read(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in hash.iter_mut().enumerate() {
        let digits = text.get(place * 2..place * 2 + 2)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let hash = std::array::from_fn(|i| i as u8 * 7);
        assert_eq!(read(&write(&hash)), Some(hash));
        let odd = "+f".repeat(32);
        for text in [
            "",
            "ab",
            &odd,
            &"g0".repeat(32),
            &"0".repeat(65),
            &"é".repeat(32),
        ] {
            assert_eq!(read(text), None);
        }
    }
}
