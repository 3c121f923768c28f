//! The two files of a key pair: written whole or not at all, and read with a ceiling.
//! What is in them is for `remo_protocol::keys` to judge.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use remo_cli::reason;
use remo_protocol::keys::{KeyError, MAX_PEM_BYTES, UserKey};
use tempfile::NamedTempFile;

/// Where the halves of a pair are: `PREFIX_key.pem` and `PREFIX.pem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairPaths {
    /// Of the private key.
    pub private: PathBuf,
    /// Of the public key.
    pub public: PathBuf,
}

impl PairPaths {
    /// The names that `prefix` gives the files in `folder`.
    ///
    /// # Errors
    /// A message where the prefix leaves no name, or the folder is none.
    pub fn new(folder: &Path, prefix: &str) -> Result<Self, String> {
        if prefix.is_empty() || prefix.ends_with('/') {
            return Err("the prefix is empty (give the name that the files begin with)".to_owned());
        }
        let paths = Self {
            private: within(folder, format!("{prefix}_key.pem")),
            public: within(folder, format!("{prefix}.pem")),
        };
        let folder = folder_of(&paths.public);
        match folder.is_dir() {
            true => Ok(paths),
            false => Err(format!(
                "there is no folder '{0}' (mkdir -p '{0}' makes it)",
                folder.display()
            )),
        }
    }

    /// That neither file is there, not even as a link that leads nowhere.
    ///
    /// # Errors
    /// A message that names the file that is.
    pub fn check_free(&self) -> Result<(), String> {
        let taken = [&self.private, &self.public]
            .into_iter()
            .find(|path| fs::symlink_metadata(path).is_ok());
        match taken {
            Some(path) => Err(exists(path)),
            None => Ok(()),
        }
    }

    /// Writes both halves, the private one readable to its owner only. Each file is the old one or the
    /// new one at any time; without `force` no file is replaced, and after an error none is left.
    ///
    /// # Errors
    /// A message that names the file and the reason.
    pub fn write(&self, private: &str, public: &str, force: bool) -> Result<(), String> {
        let private = prepare(&self.private, private, 0o600)?;
        let public = prepare(&self.public, public, 0o644)?;
        place(private, &self.private, force)?;
        place(public, &self.public, force).inspect_err(|_| {
            if !force {
                let _ = fs::remove_file(&self.private);
            }
        })?;
        sync_folder(&self.private)
    }
}

/// Reads the public key of a user.
///
/// # Errors
/// A message that names the file, what is wrong, and what to do.
pub fn read_public(path: &Path) -> Result<UserKey, String> {
    let pem = read_limited(path).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => " (build-key-pair makes it, or name another: USER PEM)",
            _ => "",
        };
        format!(
            "cannot read public key '{}': {}{hint}",
            path.display(),
            reason(&error)
        )
    })?;
    UserKey::from_pem(&pem).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &KeyError) -> String {
    format!("cannot use public key '{}': {error}", path.display())
}

/// One byte more than a key may have is enough to tell that it is none.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(MAX_PEM_BYTES as u64 + 1)
        .read_to_end(&mut content)?;
    Ok(content)
}

/// A complete file beside `target`, which goes away by itself unless it is placed.
fn prepare(target: &Path, content: &str, mode: u32) -> Result<NamedTempFile, String> {
    let make = || -> io::Result<NamedTempFile> {
        let mut file = NamedTempFile::new_in(folder_of(target))?; // 0600 from the start
        file.write_all(content.as_bytes())?;
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    make().map_err(|error| unwritable(target, &error))
}

fn place(file: NamedTempFile, target: &Path, force: bool) -> Result<(), String> {
    let placed = match force {
        true => file.persist(target),
        false => file.persist_noclobber(target),
    };
    placed
        .map(drop)
        .map_err(|failed| match failed.error.kind() {
            io::ErrorKind::AlreadyExists => exists(target),
            _ => unwritable(target, &failed.error),
        })
}

/// Makes the names last as the contents do.
fn sync_folder(file: &Path) -> Result<(), String> {
    File::open(folder_of(file))
        .and_then(|folder| folder.sync_all())
        .map_err(|error| unwritable(file, &error))
}

/// A name in the current folder is shown as people would write it.
fn within(folder: &Path, name: String) -> PathBuf {
    match folder == Path::new(".") {
        true => PathBuf::from(name),
        false => folder.join(name),
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn exists(path: &Path) -> String {
    format!(
        "'{}' exists (give another prefix, or --force to replace the pair)",
        path.display()
    )
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("cannot write '{}': {}", path.display(), reason(error))
}
