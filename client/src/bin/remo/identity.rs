//! The keys of a conversation, read from their files; the password of a private one, asked for or read.
//! What PEM is, is the protocol's to know.

use std::error::Error;
use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use remo_client::agent::Agent;
use remo_client::escape::escape;
use remo_client::signer::Signer;
use remo_protocol::agent::KeyFile;
use remo_protocol::keys::{PrivateKey, PublicKey, is_encrypted};
use remo_protocol::limits;
use remo_protocol::name::UserName;
use zeroize::Zeroizing;

use crate::{PROGRAM, agent, aside};

/// The file of a user's key, where none is named.
pub(crate) fn usual_key(user: &UserName) -> PathBuf {
    PathBuf::from(format!("{user}_key.pem"))
}

/// The name that was given, or the log-in name here.
pub(crate) fn user_name(given: Option<&UserName>) -> Result<UserName, Box<dyn Error>> {
    if let Some(user) = given {
        return Ok(user.clone());
    }
    let name = ["LOGNAME", "USER"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    let name = name.ok_or("nobody is logged in here (name yourself with --user)")?;
    Ok(UserName::parse(&name)?)
}

/// Reads the public key of a server.
pub(crate) fn read_server(path: &Path) -> Result<PublicKey, Box<dyn Error>> {
    let pem = read_file(
        path,
        "server key",
        "copy the server's remo_serv.pem here, name it with --server, or give the server a name: remo trust NAME URL",
    )?;
    PublicKey::from_pem(&pem).map_err(|error| unusable("server key", path, &error))
}

/// What signs with a private key: the agent that holds it, or else the key itself, whose password is asked for.
pub(crate) async fn signer(
    path: &Path,
    password_file: Option<&Path>,
) -> Result<(Signer, Option<(Agent, KeyFile)>), Box<dyn Error>> {
    let pem = read_pem(path)?;
    let Some((agent, file)) = agent::holder(&pem).await else {
        return Ok((open(&pem, path, password_file)?.into(), None));
    };
    let (path, password_file) = (path.to_owned(), password_file.map(Path::to_owned));
    // Should the agent leave us: the terminal is in use by then.
    let signer = Signer::later(move || {
        aside::aside(|| open(&pem, &path, password_file.as_deref()))
            .map_err(|error| error.to_string())
    });
    Ok((signer.by(agent.clone(), file), Some((agent, file))))
}

/// The content of a private key's file.
pub(crate) fn read_pem(path: &Path) -> Result<Zeroizing<Vec<u8>>, Box<dyn Error>> {
    let pem = read_file(path, "key", "name it with --key; build-key-pair makes one")?;
    warn_of_readers(path);
    Ok(pem)
}

/// The private key in what a file holds; asks for its password where it has one.
pub(crate) fn open(
    pem: &[u8],
    path: &Path,
    password_file: Option<&Path>,
) -> Result<PrivateKey, Box<dyn Error>> {
    let password = if is_encrypted(pem) {
        Some(password(path, password_file)?)
    } else {
        None
    };
    let password = password.as_deref().map(String::as_bytes);
    PrivateKey::from_pem(pem, password).map_err(|error| unusable("key", path, &error))
}

/// A private key is nobody else's business.
fn warn_of_readers(path: &Path) {
    let open = std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0);
    if open {
        let shown = escape(&path.to_string_lossy());
        remo_cli::report(
            PROGRAM,
            &format!("warning: others may read key '{shown}' (chmod 600 it)"),
        );
    }
}

fn password(key: &Path, file: Option<&Path>) -> Result<Zeroizing<String>, Box<dyn Error>> {
    if let Some(file) = file {
        return first_line(
            &read_file(file, "password file", "--password-file names it")?,
            file,
        );
    }
    let key = escape(&key.to_string_lossy());
    if !stdin().is_terminal() {
        return Err(format!("key '{key}' has a password, and there is no terminal to ask for it (give --password-file FILE)").into());
    }
    Ok(remo_cli::read_password(&format!("Password of {key}: "))?)
}

fn first_line(content: &[u8], file: &Path) -> Result<Zeroizing<String>, Box<dyn Error>> {
    let text = std::str::from_utf8(content).map_err(|_| {
        format!(
            "password file '{}' is not UTF-8 text",
            escape(&file.to_string_lossy())
        )
    })?;
    Ok(Zeroizing::new(
        text.lines().next().unwrap_or_default().to_owned(),
    ))
}

/// The content of a small file, erased when dropped.
pub(crate) fn read_file(
    path: &Path,
    what: &str,
    remedy: &str,
) -> Result<Zeroizing<Vec<u8>>, Box<dyn Error>> {
    // Reserved at once: a buffer that grows leaves copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(limits::PEM + 1));
    let read = File::open(path)
        .and_then(|file| file.take(limits::PEM as u64 + 1).read_to_end(&mut content));
    let shown = escape(&path.to_string_lossy());
    read.map_err(|error| format!("cannot read {what} '{shown}': {} ({remedy})", plain(&error)))?;
    if content.len() > limits::PEM {
        return Err(format!(
            "{what} '{shown}' is over {} bytes long ({remedy})",
            limits::PEM
        )
        .into());
    }
    Ok(content)
}

fn unusable(what: &str, path: &Path, error: &dyn Error) -> Box<dyn Error> {
    format!(
        "cannot use {what} '{}': {error}",
        escape(&path.to_string_lossy())
    )
    .into()
}

fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}
