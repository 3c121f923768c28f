//! `remo trust`: a name for a server, and its key, once somebody has said that it is the right one.
//! Where names are kept is `config`'s to know.

use std::error::Error;
use std::io::{IsTerminal, Write, stderr, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use remo_client::escape::escape;
use remo_client::remo2::ask_for_keys;
use remo_protocol::keys::PublicKey;

use crate::args::TrustArgs;
use crate::config::{Config, Server};
use crate::{PROGRAM, identity, place, runtime};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Names a server and pins its key.
pub(crate) fn run(args: &TrustArgs) -> Outcome<ExitCode> {
    check_name(&args.name)?;
    let mut config = Config::read()?;
    let old = config.servers.get(&args.name).cloned().unwrap_or_default();
    let mut entry = merged(args, old)?;
    let transport = place::transport(&entry)?;
    let key = match &args.server {
        Some(file) => identity::read_server(file)?,
        None => offered(args, &runtime()?.block_on(ask_for_keys(&transport))?.keys)?,
    };
    let text = place::to_base64(&key);
    let fingerprint = key.fingerprint().to_string();
    let known = entry.server_keys.contains(&text) || entry.server_keys.contains(&fingerprint);
    if !known {
        if !entry.server_keys.is_empty() && !args.replace {
            return Err(place::changed(&args.name).into());
        }
        if args.server.is_none() && args.fingerprint.is_none() && !agrees(args, &fingerprint)? {
            return Err("nothing was trusted".into());
        }
        entry.server_keys = vec![text];
    }
    config.servers.insert(args.name.clone(), entry);
    let file = config.write()?;
    let (name, file) = (escape(&args.name), escape(&file.to_string_lossy()));
    remo_cli::report(
        PROGRAM,
        &format!("'{name}' is trusted by {fingerprint}, which {file} says"),
    );
    Ok(ExitCode::SUCCESS)
}

fn check_name(name: &str) -> Outcome<()> {
    let sound = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('-') || !name.chars().all(sound) {
        let name = escape(name);
        return Err(
            format!("'{name}' cannot be a name (letters, digits, '-', '_' and '.')").into(),
        );
    }
    Ok(())
}

/// The entry with what was given now.
fn merged(args: &TrustArgs, old: Server) -> Outcome<Server> {
    let user = args.user.as_ref().map(ToString::to_string);
    Ok(Server {
        url: args.url.clone(),
        user: user.or(old.user),
        key: absolute(args.key.as_deref())?.or(old.key),
        server_keys: old.server_keys,
        proxy: args.proxy.clone().or(old.proxy),
        ca_file: absolute(args.ca_file.as_deref())?.or(old.ca_file),
    })
}

/// Files are found from any folder.
fn absolute(file: Option<&Path>) -> Outcome<Option<PathBuf>> {
    Ok(file.map(std::path::absolute).transpose()?)
}

/// The key to trust among those offered: the one of the fingerprint, or else the first.
fn offered(args: &TrustArgs, keys: &[PublicKey]) -> Outcome<PublicKey> {
    let Some(wanted) = &args.fingerprint else {
        let first = keys.first().cloned();
        return first.ok_or_else(|| "the server offers no key (does it run remo-serv?)".into());
    };
    let fits = |key: &&PublicKey| key.fingerprint().to_string() == *wanted;
    keys.iter().find(fits).cloned().ok_or_else(|| {
        let offered: Vec<_> = keys.iter().map(|key| key.fingerprint().to_string()).collect();
        format!(
            "the server offers {}, and not '{}' (is the fingerprint right? else somebody answers in its place)",
            if offered.is_empty() { "no key".into() } else { offered.join(", ") },
            escape(wanted)
        )
        .into()
    })
}

fn agrees(args: &TrustArgs, fingerprint: &str) -> Outcome<bool> {
    if !stdin().is_terminal() {
        return Err(format!("the server offers {fingerprint}, and there is no terminal to ask whether that is right (compare, then give --fingerprint)").into());
    }
    let (name, url) = (escape(&args.name), escape(&args.url));
    let question = format!(
        "The server at {url} offers the key\n  {fingerprint}\nNothing proves it yet: compare it with what its owner says.\nTrust it as '{name}'? (yes/no) "
    );
    stderr().write_all(question.as_bytes())?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
