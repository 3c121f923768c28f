//! What files refuse, by the names of the closed list in `docs/protocol.md`: from the system's error to
//! the name, in one place.

use std::{io, path::Path};

use rustix::io::Errno;

use crate::channels::Refused;

/// Why the system does not `verb` what is at `path`.
pub(crate) fn refused(verb: &str, path: &Path, error: &io::Error) -> Refused {
    let (status, name, remedy) = named(error);
    let (path, reason) = (shown(path), remo_cli::reason(error));
    Refused::new(
        status,
        name,
        format!("cannot {verb} '{path}': {reason}{remedy}"),
    )
}

/// What stands at `path` is not what it has to be.
pub(crate) fn not(name: &'static str, path: &Path, what: &str) -> Refused {
    Refused::new(409, name, format!("'{}' is {what}", shown(path)))
}

/// Whether the same act may be tried again under its id.
pub(crate) fn is_free(refused: &Refused) -> bool {
    matches!(
        refused.name,
        "no_space" | "busy" | "too_many" | "bad_request" | "id_used"
    )
}

fn named(error: &io::Error) -> (u16, &'static str, &'static str) {
    let Some(errno) = Errno::from_io_error(error) else {
        return (500, "failed", "");
    };
    match errno {
        Errno::NOENT => (404, "not_found", ""),
        Errno::ACCESS | Errno::PERM => (
            403,
            "forbidden",
            " (the server's account has to be allowed to)",
        ),
        Errno::ROFS => (403, "forbidden", ""),
        Errno::EXIST => (409, "exists", ""),
        Errno::NOTEMPTY => (409, "not_empty", ""),
        Errno::ISDIR => (409, "is_dir", ""),
        Errno::NOTDIR => (409, "not_dir", ""),
        Errno::NXIO => (409, "not_file", ""),
        Errno::XDEV => (409, "cross_device", " (copy it, then remove it)"),
        Errno::BUSY | Errno::TXTBSY | Errno::WOULDBLOCK => (409, "busy", ""),
        Errno::NOSPC | Errno::DQUOT => (507, "no_space", " (make room, and try again)"),
        Errno::FBIG => (413, "too_large", ""),
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => (503, "too_many", " (try again later)"),
        _ => (500, "failed", ""),
    }
}

/// A path as people may see it, without control characters, and cut where it is long: refusals are kept.
pub(crate) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut shown = text.escape_debug().take(SHOWN + 1).collect::<String>();
    if shown.chars().count() > SHOWN {
        shown.truncate(shown.char_indices().nth(SHOWN).map_or(0, |(at, _)| at));
        shown.push('…');
    }
    shown
}

/// Characters of a path that are shown.
const SHOWN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_have_names_and_messages_say_what_to_do() {
        let full = refused("write", Path::new("a\nb"), &Errno::NOSPC.into());
        assert_eq!((full.status, full.name), (507, "no_space"));
        assert!(
            full.message.starts_with("cannot write 'a\\nb': "),
            "{full:?}"
        );
        assert!(full.message.ends_with("(make room, and try again)"));
        assert!(is_free(&full));
        let none = refused("read", Path::new("x"), &Errno::NOENT.into());
        assert_eq!((none.status, none.name), (404, "not_found"));
        assert!(!is_free(&none));
        assert_eq!(
            refused("read", Path::new("x"), &Errno::IO.into()).name,
            "failed"
        );
    }

    #[test]
    fn long_paths_are_cut() {
        let long = "é".repeat(5000);
        let cut = shown(Path::new(&long));
        assert_eq!(cut.chars().count(), SHOWN + 1);
        assert!(cut.ends_with('…'));
        assert_eq!(shown(Path::new("short")), "short");
    }
}
