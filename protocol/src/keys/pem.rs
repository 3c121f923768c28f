//! PEM (RFC 7468), read as people's files are: text around it, any line ends and widths.
//! What is in a block is for others to judge.

use zeroize::Zeroizing;

use super::KeyError;

/// What is longer is not read as a key, in bytes. An RSA key of 8192 bits takes 6.5 KiB.
pub const MAX_PEM_BYTES: usize = 64 * 1024;

/// The first block of a PEM text.
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    body: &'a str,
}

impl<'a> Block<'a> {
    pub(super) fn find(pem: &'a [u8]) -> Result<Self, KeyError> {
        if pem.len() > MAX_PEM_BYTES {
            return Err(KeyError::TooLarge);
        }
        let text = std::str::from_utf8(pem).map_err(|_| KeyError::NotPem)?;
        let (label, rest) = opening(text).ok_or(KeyError::NotPem)?;
        let closing = format!("-----END {label}-----");
        let body = rest.find(&closing).and_then(|end| rest.get(..end));
        let body = body.ok_or(KeyError::malformed(
            "its last line, '-----END ...', is missing",
        ))?;
        Ok(Self { label, body })
    }

    /// The bytes of the block.
    pub(super) fn decode(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let mut packed = Zeroizing::new(Vec::with_capacity(self.body.len()));
        packed.extend(self.body.bytes().filter(|b| !b.is_ascii_whitespace()));
        base64_simd::STANDARD
            .decode_to_vec(packed.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| KeyError::malformed("its lines are not base64"))
    }
}

/// The label of the first `-----BEGIN` line, and what follows that line.
fn opening(text: &str) -> Option<(&str, &str)> {
    let start = text
        .match_indices("-----BEGIN ")
        .find(|(at, _)| at_line_start(text, *at))?;
    let after = text.get(start.0 + start.1.len()..)?;
    let (line, rest) = after.split_once(['\r', '\n'])?;
    Some((line.trim_end().strip_suffix("-----")?, rest))
}

fn at_line_start(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.is_empty() || before.ends_with(['\n', '\r', ' ', '\t', '\u{feff}'])
}

/// Whether a private key in PEM form needs a password.
#[must_use]
pub fn is_encrypted(pem: &[u8]) -> bool {
    Block::find(pem).is_ok_and(|block| block.label == super::seal::LABEL)
}
