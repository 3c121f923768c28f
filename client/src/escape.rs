//! What comes from elsewhere, made fit for a terminal: control characters become visible.
//! Not here: the output of commands, which is passed through as it is.

/// `text` with every control character, and every character that turns the direction of writing, written as `\u{…}`.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// [`escape`] for bytes; what is not UTF-8 is shown as U+FFFD.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    escape(&String::from_utf8_lossy(bytes))
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_their_power_and_letters_stay() {
        assert_eq!(escape("zoë\x1b[2J\r\n\u{9b}"), "zoë\\u{1b}[2J\\r\\n\\u{9b}");
        assert_eq!(escape("a\u{202e}b"), "a\\u{202e}b");
    }
}
