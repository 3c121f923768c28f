//! The encodings of what is typed and shown, under the names that Python's client takes.
//! Not here: arguments of verbs (file names, command lines), which are always UTF-8.

use std::fmt;
use std::str::FromStr;

use encoding_rs::{Encoding as Table, UTF_8};

use crate::escape::escape;

/// An encoding of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// ISO 8859-1 proper: byte = code point. The Web's table of that name is cp1252.
    Latin1,
    Table(&'static Table),
}

/// The name is that of no encoding that is known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown encoding '{0}' (name it as Python does: utf_8, latin_1, iso8859_2 to iso8859_16, cp1250 to cp1258, cp866, \
     koi8_r, koi8_u, mac_roman, gbk, gb18030, big5, euc_jp, shift_jis, iso2022_jp, euc_kr)"
)]
pub struct UnknownEncoding(String);

/// A character of the text cannot be written in the encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the text holds a character that {0} cannot write (choose another with set_encoding)")]
pub struct Unmappable(Encoding);

impl Encoding {
    /// UTF-8, the default.
    pub const UTF_8: Self = Self(Kind::Table(UTF_8));

    /// Whether bytes of this encoding may be passed on as they are.
    #[must_use]
    pub fn is_utf_8(self) -> bool {
        self == Self::UTF_8
    }

    /// The bytes of `text`.
    ///
    /// # Errors
    /// [`Unmappable`] when a character has no place in the encoding.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, Unmappable> {
        match self.0 {
            Kind::Latin1 => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).map_err(|_| Unmappable(self)))
                .collect(),
            Kind::Table(table) => match table.encode(text) {
                (_, _, true) => Err(Unmappable(self)),
                (bytes, _, false) => Ok(bytes.into_owned()),
            },
        }
    }

    /// A decoder for one stream of bytes.
    #[must_use]
    pub fn decoder(self) -> Decoder {
        Decoder(match self.0 {
            Kind::Latin1 => DecoderKind::Latin1,
            Kind::Table(table) => DecoderKind::Table(table.new_decoder_without_bom_handling()),
        })
    }
}

/// Decodes a stream piece by piece; a character cut between two pieces comes out whole.
pub struct Decoder(DecoderKind);

enum DecoderKind {
    Latin1,
    Table(encoding_rs::Decoder),
}

impl Decoder {
    /// Decodes the next piece. What is malformed becomes U+FFFD; `last` says that nothing follows.
    pub fn decode(&mut self, bytes: &[u8], last: bool) -> String {
        match &mut self.0 {
            DecoderKind::Latin1 => bytes.iter().copied().map(char::from).collect(),
            DecoderKind::Table(decoder) => {
                let room = decoder
                    .max_utf8_buffer_length(bytes.len())
                    .unwrap_or(bytes.len().saturating_mul(3));
                let mut text = String::with_capacity(room.saturating_add(16));
                let _ = decoder.decode_to_string(bytes, &mut text, last);
                text
            }
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(name: &str) -> Result<Self, UnknownEncoding> {
        let plain = name.trim().to_ascii_lowercase().replace(['_', ' '], "-");
        let label = match plain.as_str() {
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "8859" | "cp819" | "l1" => {
                return Ok(Self(Kind::Latin1));
            }
            // Every ASCII text is UTF-8.
            "ascii" | "us-ascii" | "646" | "u8" | "utf" | "utf-8-sig" | "cp65001" => "utf-8",
            "mac-roman" | "macroman" => "macintosh",
            "mac-cyrillic" => "x-mac-cyrillic",
            "eucjp" | "ujis" => "euc-jp",
            "euckr" | "cp949" | "949" | "uhc" => "euc-kr",
            "iso2022-jp" | "iso2022jp" => "iso-2022-jp",
            "cp932" | "932" | "ms-kanji" => "shift_jis",
            "cp936" | "936" | "gb2312" | "euc-cn" => "gbk",
            "cp950" | "950" => "big5",
            "cp874" => "windows-874",
            other => other,
        };
        Table::for_label(label.as_bytes())
            .or_else(|| Table::for_label(label.replace("iso8859-", "iso-8859-").as_bytes()))
            .filter(|table| is_usable(table))
            .map(|table| Self(Kind::Table(table)))
            .ok_or_else(|| UnknownEncoding(escape(name)))
    }
}

/// Those that cannot be written, or stand for something else, are left out.
fn is_usable(table: &'static Table) -> bool {
    table.output_encoding() == table
        && table != encoding_rs::REPLACEMENT
        && table != encoding_rs::X_USER_DEFINED
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Latin1 => "iso-8859-1",
            Kind::Table(table) => table.name(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Encoding {
        name.parse().unwrap()
    }

    #[test]
    fn python_s_names_are_understood() {
        for (python, ours) in [
            ("utf_8", "UTF-8"),
            ("utf-8", "UTF-8"),
            ("UTF8", "UTF-8"),
            ("latin_1", "iso-8859-1"),
            ("iso8859_1", "iso-8859-1"),
            ("cp1252", "windows-1252"),
            ("iso8859_15", "ISO-8859-15"),
            ("iso8859_2", "ISO-8859-2"),
            ("cp866", "IBM866"),
            ("koi8_r", "KOI8-R"),
            ("koi8_u", "KOI8-U"),
            ("mac_roman", "macintosh"),
            ("gbk", "GBK"),
            ("gb18030", "gb18030"),
            ("big5", "Big5"),
            ("euc_jp", "EUC-JP"),
            ("shift_jis", "Shift_JIS"),
            ("iso2022_jp", "ISO-2022-JP"),
            ("euc_kr", "EUC-KR"),
            ("cp1258", "windows-1258"),
            ("iso8859_16", "ISO-8859-16"),
        ] {
            assert_eq!(named(python).to_string(), ours, "{python}");
        }
    }

    #[test]
    fn unknown_names_are_told_how_to_name() {
        for name in ["", "utf_9", "utf_16", "hz", "x\x1b"] {
            let message = name.parse::<Encoding>().unwrap_err().to_string();
            assert!(
                message.contains("cp1250 to cp1258") && !message.contains('\x1b'),
                "{message}"
            );
        }
    }

    #[test]
    fn a_character_cut_between_two_pieces_comes_out_whole() {
        let mut decoder = Encoding::UTF_8.decoder();
        assert_eq!(decoder.decode(b"caf\xc3", false), "caf");
        assert_eq!(decoder.decode(b"\xa9!", false), "é!");
        assert_eq!(decoder.decode(b"\xc3", true), "\u{fffd}");
    }

    #[test]
    fn latin_1_is_not_cp1252() {
        assert_eq!(
            named("latin_1").decoder().decode(b"\x80\xe9", true),
            "\u{80}é"
        );
        assert_eq!(named("cp1252").decoder().decode(b"\x80\xe9", true), "€é");
    }

    #[test]
    fn text_goes_out_in_the_encoding_or_not_at_all() {
        assert_eq!(named("latin_1").encode("é").unwrap(), b"\xe9");
        assert_eq!(named("cp1252").encode("€").unwrap(), b"\x80");
        assert!(named("latin_1").encode("€").is_err());
        assert!(named("cp1252").encode("→").is_err());
        assert_eq!(Encoding::UTF_8.encode("→").unwrap(), "→".as_bytes());
    }
}
