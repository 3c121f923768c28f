//! From what was typed to what is copied: sources found and expanded, and the folder that takes their copies.
//! Nothing is copied here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::Spot;
use super::error::CopyError;
use super::folder::Folder;
use super::glob::expand;
use super::source::{Source, ask, join};
use super::target::{Place, Target};
use super::walk::Item;
use crate::escape::escape_bytes;
use crate::remo2::{Entry, Kind, Remote};

/// Everything that the sources stand for.
pub(super) async fn sources(spots: Vec<Spot>, recursive: bool) -> Result<Vec<Item>, CopyError> {
    let mut items = Vec::new();
    for spot in spots {
        match spot {
            Spot::Here(path) => items.push(here(path.as_os_str().as_bytes(), recursive)?),
            Spot::There(remote, pattern) => {
                for path in expand(&remote, &pattern).await? {
                    items.push(there(&remote, &path, recursive).await?);
                }
            }
        }
    }
    Ok(items)
}

fn here(path: &[u8], recursive: bool) -> Result<Item, CopyError> {
    let (parent, name) = parted(path);
    let in_it = name.is_empty();
    let base = if in_it { trimmed(path) } else { parent };
    let folder = Folder::open(as_path(base)).map_err(CopyError::local("read", path))?;
    let looked_up: &[u8] = if in_it { b"." } else { name };
    let mut entry = folder
        .entry(looked_up)
        .map_err(CopyError::local("read", path))?;
    let follows = !recursive || path.ends_with(b"/");
    if entry.kind == Kind::Link && follows {
        // What it leads to is copied under the name of the link.
        let real = std::fs::canonicalize(as_path(path)).map_err(CopyError::local("read", path))?;
        let mut item = here(real.as_os_str().as_bytes(), recursive)?;
        item.copy = name.to_vec();
        return Ok(item);
    }
    entry.name = name.to_vec();
    Ok(Item {
        source: Source::Here(
            folder,
            if in_it {
                base.into()
            } else {
                parent_shown(parent)
            },
        ),
        name: looked_up.to_vec(),
        copy: name.to_vec(),
        entry,
    })
}

async fn there(remote: &Arc<Remote>, path: &[u8], recursive: bool) -> Result<Item, CopyError> {
    let shown = || escape_bytes(path);
    let mut entry = match remote.stat(path).await {
        Err(failure) if failure.is_of_the_act() => {
            return Err(CopyError::Refused(format!(
                "cannot read '{}' there: {failure}",
                shown()
            )));
        }
        entry => entry?,
    };
    if entry.kind == Kind::Link && !recursive {
        let got = ask(remote, path).await?;
        entry = Entry {
            kind: Kind::File,
            size: got.size,
            mode: got.mode,
            mtime: got.mtime,
            to: None,
            ..entry
        };
    }
    let (parent, name) = parted(path);
    if name.is_empty() {
        return Ok(Item {
            source: Source::There(remote.clone(), trimmed(path).into()),
            name: Vec::new(),
            copy: Vec::new(),
            entry,
        });
    }
    let parent: &[u8] = if parent == b"." { b"" } else { parent };
    Ok(Item {
        source: Source::There(remote.clone(), parent.into()),
        name: name.to_vec(),
        copy: name.to_vec(),
        entry,
    })
}

/// The folder that takes the copies. A single one that is not there yet, or is a file, gives the copy its name.
pub(super) async fn target(spot: Spot, items: &mut [Item]) -> Result<Arc<Target>, CopyError> {
    let (path, found) = match &spot {
        Spot::Here(path) => {
            let path = path.as_os_str().as_bytes().to_vec();
            let found = is_folder_here(&path)?;
            (path, found)
        }
        Spot::There(remote, path) => (path.clone(), is_folder_there(remote, path).await?),
    };
    if found == Some(true) {
        return Ok(Target::root(place(&spot, &path)?));
    }
    let shown = escape_bytes(&path);
    let [item] = items else {
        let what = format!(
            "'{shown}' is no folder, and there are several things to copy into it (mkdir makes one)"
        );
        return Err(CopyError::Refused(what));
    };
    let is_file = item.entry.kind != Kind::Folder;
    if is_file && path.ends_with(b"/") {
        return Err(CopyError::Refused(format!(
            "'{shown}' is no folder (mkdir makes one)"
        )));
    }
    let path = match &spot {
        // A link that was named leads to the file that is meant.
        Spot::Here(typed) if found == Some(false) => {
            let real = std::fs::canonicalize(typed).map_err(CopyError::local("write", &path))?;
            real.as_os_str().as_bytes().to_vec()
        }
        _ => path,
    };
    let (parent, name) = parted(&path);
    if name.is_empty() {
        return Err(CopyError::Refused(format!(
            "'{shown}' is no folder (mkdir makes one)"
        )));
    }
    item.copy = name.to_vec();
    Ok(Target::root(place(&spot, parent)?))
}

fn place(spot: &Spot, path: &[u8]) -> Result<Place, CopyError> {
    match spot {
        Spot::Here(_) => {
            let folder = Folder::open(as_path(path)).map_err(CopyError::local("write", path))?;
            Ok(Place::Here(folder, parent_shown(path)))
        }
        Spot::There(remote, _) => {
            let path: &[u8] = if path == b"." { b"" } else { path };
            Ok(Place::There(remote.clone(), path.into()))
        }
    }
}

/// Whether a folder is there, or something else; nothing where nothing is.
fn is_folder_here(path: &[u8]) -> Result<Option<bool>, CopyError> {
    match std::fs::metadata(as_path(path)) {
        Ok(about) if about.is_dir() => Ok(Some(true)),
        Ok(about) if about.is_file() => Ok(Some(false)),
        Ok(_) => {
            let what = format!(
                "'{}' is no file (remo cat writes to it)",
                escape_bytes(path)
            );
            Err(CopyError::Refused(what))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CopyError::local("write", path)(error)),
    }
}

async fn is_folder_there(remote: &Remote, path: &[u8]) -> Result<Option<bool>, CopyError> {
    let Some(entry) = remote.find(path).await? else {
        return Ok(None);
    };
    if entry.kind != Kind::Link {
        return Ok(Some(entry.kind == Kind::Folder));
    }
    // What a link leads to is seen through it.
    let through = remote.stat(&join(path, b".")).await;
    Ok(Some(through.is_ok_and(|entry| entry.kind == Kind::Folder)))
}

/// A path in its folder and its name; without a name where it ends in dots or is the root.
fn parted(path: &[u8]) -> (&[u8], &[u8]) {
    let path = trimmed(path);
    let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => {
            let parent = trimmed(path.get(..at.max(1)).unwrap_or_default());
            (parent, path.get(at + 1..).unwrap_or_default())
        }
        None => (&b"."[..], path),
    };
    match name {
        b"." | b".." => (path, b""),
        _ => (parent, name),
    }
}

/// Without the strokes at its end, save for that of the root.
fn trimmed(path: &[u8]) -> &[u8] {
    let mut path = path;
    while let [rest @ .., b'/'] = path
        && !rest.is_empty()
    {
        path = rest;
    }
    path
}

/// How a folder stands before the names in it.
fn parent_shown(path: &[u8]) -> Arc<[u8]> {
    if path == b"." {
        (&b""[..]).into()
    } else {
        path.into()
    }
}

fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(if path.is_empty() { b"." } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_parted_where_their_names_begin() {
        let cases = [
            ("a", ".", "a"),
            ("a/", ".", "a"),
            ("/a", "/", "a"),
            ("/a/b//", "/a", "b"),
            ("/", "/", ""),
            (".", ".", ""),
            ("a/..", "a/..", ""),
            ("//a", "/", "a"),
        ];
        for (path, parent, name) in cases {
            assert_eq!(
                parted(path.as_bytes()),
                (parent.as_bytes(), name.as_bytes()),
                "{path}"
            );
        }
    }
}
