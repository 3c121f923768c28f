//! Patterns in paths of a server: `*`, `?` and `[…]`, expanded folder by folder.
//! Those of this machine the shell has expanded before.

use std::sync::Arc;

use super::error::CopyError;
use super::source::join;
use crate::escape::escape_bytes;
use crate::remo2::{Kind, Remote, is_plain};

/// The paths that a pattern stands for, in the order of their bytes; a path without a pattern is itself.
pub async fn expand(remote: &Arc<Remote>, pattern: &[u8]) -> Result<Vec<Vec<u8>>, CopyError> {
    if !is_pattern(pattern) || remote.find(pattern).await?.is_some() {
        return Ok(vec![pattern.to_vec()]);
    }
    let begin: &[u8] = if pattern.starts_with(b"/") { b"/" } else { b"" };
    let mut paths = vec![begin.to_vec()];
    let parts: Vec<_> = pattern
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
        .collect();
    for (number, part) in parts.iter().enumerate() {
        let mut longer = Vec::new();
        for path in paths {
            step(remote, &path, part, number + 1 < parts.len(), &mut longer).await?;
            if longer.len() > MOST {
                let shown = escape_bytes(pattern);
                let what =
                    format!("'{shown}' stands for more than {MOST} paths (copy a folder by -r)");
                return Err(CopyError::Refused(what));
            }
        }
        paths = longer;
    }
    if paths.is_empty() {
        let shown = escape_bytes(pattern);
        return Err(CopyError::Refused(format!(
            "nothing there matches '{shown}'"
        )));
    }
    paths.sort();
    Ok(paths)
}

/// What a part of a pattern stands for in a folder.
async fn step(
    remote: &Arc<Remote>,
    folder: &[u8],
    part: &[u8],
    is_folder: bool,
    found: &mut Vec<Vec<u8>>,
) -> Result<(), CopyError> {
    if !is_pattern(part) {
        let path = join(folder, part);
        if is_folder || remote.find(&path).await?.is_some() {
            found.push(path);
        }
        return Ok(());
    }
    let listed: &[u8] = if folder.is_empty() { b"." } else { folder };
    let mut listing = match remote.list(listed).await {
        Err(failure) if failure.is_of_the_act() => return Ok(()),
        listing => listing?,
    };
    while let Some(entry) = listing.next_entry()? {
        let fits = !is_folder || matches!(entry.kind, Kind::Folder | Kind::Link);
        if fits && is_plain(&entry.name) && matches(part, &entry.name) {
            found.push(join(folder, &entry.name));
            if found.len() > MOST {
                break;
            }
        }
    }
    Ok(())
}

fn is_pattern(path: &[u8]) -> bool {
    path.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Whether a name fits a pattern, as in a shell: a leading dot fits but itself.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let hidden = name.first() == Some(&b'.') && pattern.first() != Some(&b'.');
    !hidden && fits(pattern, name)
}

/// Goes back to the last star where something does not fit: no more steps than the lengths multiplied.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, name);
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (rest.split_first(), left.split_first()) {
            (Some((b'*', after)), _) => {
                star = Some((after, left));
                rest = after;
                continue;
            }
            (None, None) => return true,
            (Some(_), Some((byte, after))) => {
                if let Some(next) = one(rest, *byte) {
                    (rest, left) = (next, after);
                    continue;
                }
            }
            _ => {}
        }
        match star {
            Some((after, tried)) => match tried.split_first() {
                Some((_, shorter)) => {
                    star = Some((after, shorter));
                    (rest, left) = (after, shorter);
                }
                None => return false,
            },
            None => return false,
        }
    }
}

/// What of a pattern is left where its next part fits a byte.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern.split_first()? {
        (b'?', rest) => Some(rest),
        (b'[', rest) => match class(rest, byte) {
            Some((true, rest)) => Some(rest),
            Some((false, _)) => None,
            // A bracket that nothing closes means itself.
            None => (byte == b'[').then_some(rest),
        },
        (letter, rest) => (*letter == byte).then_some(rest),
    }
}

/// Whether a byte is in the class that begins here, and what follows it.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let mut rest = if negated { pattern.get(1..)? } else { pattern };
    let (mut within, mut first) = (false, true);
    loop {
        let (&from, after) = rest.split_first()?;
        if from == b']' && !first {
            return Some((within != negated, after));
        }
        first = false;
        let (to, after) = match after {
            [b'-', to, more @ ..] if *to != b']' => (*to, more),
            _ => (from, after),
        };
        within |= (from..=to).contains(&byte);
        rest = after;
    }
}

/// Paths that one pattern may stand for.
const MOST: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        let fit = [
            ("*", "a"),
            ("*.log", "x.log"),
            ("a*b*c", "a--b-b-c"),
            ("?", "x"),
            ("[a-c]1", "b1"),
            ("[!a]", "b"),
            ("[]]", "]"),
            (".*", ".x"),
            ("[", "["),
            ("a[", "a["),
            ("**", "xy"),
            ("[a-]", "-"),
        ];
        for (pattern, name) in fit {
            assert!(
                matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
        let unfit = [
            ("*", ".a"),
            ("?", ""),
            ("*.log", "x.log2"),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("a", "A"),
            ("?x", ".x"),
            ("", "a"),
        ];
        for (pattern, name) in unfit {
            assert!(
                !matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_pattern_made_to_take_long_does_not() {
        let pattern = "a*".repeat(100) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(255).as_bytes()));
    }
}
