//! From a name or a URL to a server that can be asked: who we are there, whom we trust, which way we go.
//! Nothing is sent here, save where only a fingerprint is trusted: then the server is asked for its keys.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64_simd::URL_SAFE;
use remo_client::address::ServerAddress;
use remo_client::agent::{Agent, Bound};
use remo_client::escape::escape;
use remo_client::remo2::{Memory, Person, Remote, ask_for_keys};
use remo_client::session::Identity;
use remo_client::transport::{Transport, Way};
use remo_protocol::agent::KeyFile;
use remo_protocol::dialect::Dialect;
use remo_protocol::keys::PublicKey;
use remo_protocol::name::UserName;

use crate::args::{ServerArgs, WhoArgs};
use crate::config::{Config, Server};
use crate::{config, identity, known};

/// A server that can be asked.
pub(crate) async fn find(args: &ServerArgs) -> Result<Remote, Box<dyn Error>> {
    reach(&entry(&args.target)?, &args.target, &args.who).await
}

/// The same for what attaches to what runs: its session is not shared with other processes here.
pub(crate) async fn find_alone(args: &ServerArgs) -> Result<Remote, Box<dyn Error>> {
    reach_with(&entry(&args.target)?, &args.target, &args.who, true).await
}

/// The same, of which something is known already.
pub(crate) async fn reach(
    entry: &Server,
    target: &str,
    args: &WhoArgs,
) -> Result<Remote, Box<dyn Error>> {
    reach_with(entry, target, args, false).await
}

async fn reach_with(
    entry: &Server,
    target: &str,
    args: &WhoArgs,
    alone: bool,
) -> Result<Remote, Box<dyn Error>> {
    let transport = transport(entry)?;
    let servers = servers(args, entry, &transport, target).await?;
    let (person, agent) = person(args, entry).await?;
    let agent = agent.map(|(agent, file)| Bound { agent, file, alone });
    let patience = Duration::from_secs(args.give_up);
    let remote = Remote::new(transport, person, servers, patience)
        .telling(known::remember)
        .through(agent);
    Ok(match config::cache() {
        Some(folder) => remote.remembering(Memory::new(folder.join("paths.json"))),
        None => remote,
    })
}

/// A server of the older dialects: the way to it, who we are there, and the key that we trust, of several the first. None of
/// them may have spoken remo/2.
pub(crate) async fn reach_older(
    entry: &Server,
    target: &str,
    args: &WhoArgs,
    dialect: Dialect,
) -> Result<(Transport, Identity), Box<dyn Error>> {
    let transport = transport(entry)?;
    let servers = servers(args, entry, &transport, target).await?;
    for server in &servers {
        known::forbid_lower(server, dialect)?;
    }
    let server = servers.into_iter().next();
    let server = server.ok_or("no key of the server is trusted (remo trust)")?;
    let (Person { user, key }, _) = person(args, entry).await?;
    Ok((transport, Identity { user, key, server }))
}

/// What is known of a target: a name comes before a URL.
pub(crate) fn entry(target: &str) -> Result<Server, Box<dyn Error>> {
    if let Some(server) = Config::read()?.servers.remove(target) {
        return Ok(server);
    }
    if !target.contains("://") {
        let name = escape(target);
        return Err(format!("no server is named '{name}' (remo trust {name} URL gives one that name; a URL begins with http:// or https://)").into());
    }
    Ok(Server {
        url: target.to_owned(),
        ..Server::default()
    })
}

/// The way to a server.
pub(crate) fn transport(entry: &Server) -> Result<Transport, Box<dyn Error>> {
    let address = ServerAddress::parse(&entry.url, None)?;
    Ok(Transport::by(address, way(entry)?)?)
}

/// What the way to a server has of its own.
pub(crate) fn way(entry: &Server) -> Result<Way, Box<dyn Error>> {
    let authorities = match &entry.ca_file {
        None => None,
        Some(file) => Some(std::fs::read(file).map_err(|error| {
            let shown = escape(&file.to_string_lossy());
            format!(
                "cannot read CA file '{shown}': {}",
                remo_cli::reason(&error)
            )
        })?),
    };
    Ok(Way {
        proxy: entry.proxy.clone(),
        authorities,
    })
}

pub(crate) async fn person(
    args: &WhoArgs,
    entry: &Server,
) -> Result<(Person, Option<(Agent, KeyFile)>), Box<dyn Error>> {
    let named = match (&args.user, &entry.user) {
        (Some(user), _) => Some(user.clone()),
        (None, Some(user)) => Some(UserName::parse(user)?),
        (None, None) => None,
    };
    let user = identity::user_name(named.as_ref())?;
    let file = args.key.clone().or_else(|| entry.key.clone());
    let file = file.unwrap_or_else(|| identity::usual_key(&user));
    let (key, agent) = identity::signer(&file, args.password_file.as_deref()).await?;
    Ok((Person { user, key }, agent))
}

async fn servers(
    args: &WhoArgs,
    entry: &Server,
    transport: &Transport,
    target: &str,
) -> Result<Vec<PublicKey>, Box<dyn Error>> {
    if let Some(file) = &args.server {
        return Ok(vec![identity::read_server(file)?]);
    }
    if entry.server_keys.is_empty() {
        return Ok(vec![identity::read_server(Path::new("remo_serv.pem"))?]);
    }
    let mut keys = Vec::new();
    for text in &entry.server_keys {
        keys.extend(trusted(text, transport, target).await?);
    }
    Ok(keys)
}

/// The key that an entry of `server_keys` stands for.
async fn trusted(
    text: &str,
    transport: &Transport,
    target: &str,
) -> Result<Option<PublicKey>, Box<dyn Error>> {
    if let Some(key) = from_base64(text) {
        return Ok(Some(key));
    }
    if !text.starts_with("SHA256:") {
        return Ok(Some(identity::read_server(&PathBuf::from(text))?));
    }
    let offer = ask_for_keys(transport).await?;
    let fits = |key: &PublicKey| key.fingerprint().to_string() == text;
    match offer.keys.into_iter().find(fits) {
        Some(key) => Ok(Some(key)),
        None => Err(changed(target).into()),
    }
}

/// What is told where a server has another key than before.
pub(crate) fn changed(target: &str) -> String {
    let name = escape(target);
    format!(
        "the server '{name}' does not offer the key that you trust: its owner changed it, or somebody answers in its place \
         (ask the owner for the fingerprint, then: remo trust {name} URL --replace --fingerprint SHA256:…)"
    )
}

/// A key as `remo trust` writes it.
pub(crate) fn to_base64(key: &PublicKey) -> String {
    URL_SAFE.encode_to_string(key.to_raw())
}

pub(crate) fn from_base64(text: &str) -> Option<PublicKey> {
    let raw: [u8; 57] = URL_SAFE.decode_to_vec(text).ok()?.try_into().ok()?;
    PublicKey::from_raw(&raw).ok()
}
