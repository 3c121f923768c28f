//! `remo agent`: starts the agent, and tells it what to hold and what to forget.
//! What an agent is, is the library's to know; what it is told on the command line, `agent_args`'s.

use std::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use remo_client::agent::{Agent, Limits, Listening, Service, Trouble, usual_socket};
use remo_client::escape::escape;
use remo_protocol::agent::{HeldKey, KeyFile, Status};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use serde_json::json;
use zeroize::Zeroizing;

use crate::agent_args::{Act, AddArgs, AgentArgs, ForgetArgs};
use crate::config::Config;
use crate::signals::Endings;
use crate::{identity, runtime};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Carries out what was asked.
pub(crate) fn run(args: &AgentArgs) -> Outcome<ExitCode> {
    let socket = socket(args)?;
    if let Some(act) = &args.act {
        let agent = Agent::at(&socket);
        return runtime()?.block_on(tell(&agent, act));
    }
    if args.foreground {
        serve(args, &socket)
    } else {
        start(args, &socket)
    }
}

fn socket(args: &AgentArgs) -> Outcome<PathBuf> {
    let socket = args.socket.clone().or_else(usual_socket);
    let socket = socket.ok_or(
        "there is no place for the agent's socket (set XDG_RUNTIME_DIR, or name one with --socket)",
    )?;
    Ok(std::path::absolute(socket)?)
}

async fn tell(agent: &Agent, act: &Act) -> Outcome<ExitCode> {
    match act {
        Act::Add(args) => add(agent, args).await?,
        Act::List { json } => list(&agent.status().await?, *json)?,
        Act::Lock => {
            let password = remo_cli::read_new_password("Password to lock the agent with: ")?;
            agent.lock(password.as_bytes()).await?;
        }
        Act::Unlock => {
            let password = remo_cli::read_password("Password of the agent's lock: ")?;
            agent.unlock(password.as_bytes()).await?;
        }
        Act::Forget(args) => forget(agent, args).await?,
        Act::Stop => agent.stop().await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(agent: &Agent, args: &AddArgs) -> Outcome<()> {
    // Whether there is one to take it should be known before somebody types a password.
    if agent.status().await?.locked {
        return Err("the agent is locked (remo agent unlock)".into());
    }
    let path = key_path(args.key.as_deref())?;
    let pem = identity::read_pem(&path)?;
    let key = identity::open(&pem, &path, args.password_file.as_deref())?;
    let name = path.to_string_lossy();
    let fingerprint = agent.add(&key, KeyFile::of(&pem), &name, args.time).await?;
    Ok(remo_cli::print(format!(
        "{fingerprint}  {}\n",
        escape(&name)
    ))?)
}

/// The key of a server that has a name, a file, or one's usual key; found from any folder.
fn key_path(named: Option<&str>) -> Outcome<PathBuf> {
    let path = match named {
        None => identity::usual_key(&identity::user_name(None)?),
        Some(name) => match Config::read()?.servers.remove(name) {
            Some(server) => server.key.ok_or_else(|| {
                let name = escape(name);
                format!("no key is kept with the name '{name}' (name its file)")
            })?,
            None => PathBuf::from(name),
        },
    };
    Ok(std::path::absolute(path)?)
}

fn list(status: &Status, as_json: bool) -> Outcome<()> {
    let text = if as_json {
        format!("{}\n", in_json(status))
    } else if status.locked {
        "locked\n".into()
    } else {
        status.keys.iter().map(line).collect()
    };
    Ok(remo_cli::print(text)?)
}

fn in_json(status: &Status) -> serde_json::Value {
    let keys: Vec<_> = status
        .keys
        .iter()
        .map(|key| {
            json!({
                "fingerprint": key.fingerprint,
                "name": key.name,
                "seconds": key.seconds,
                "sessions": key.sessions,
            })
        })
        .collect();
    json!({"pid": status.pid, "locked": status.locked, "keys": keys})
}

fn line(key: &HeldKey) -> String {
    let (hours, minutes) = (key.seconds / 3600, key.seconds / 60 % 60);
    let mut text = format!(
        "{}  {}  {hours} h {minutes} min left\n",
        escape(&key.fingerprint),
        escape(&key.name)
    );
    for url in &key.sessions {
        text += &format!("  session with {}\n", escape(url));
    }
    text
}

async fn forget(agent: &Agent, args: &ForgetArgs) -> Outcome<()> {
    let Some(key) = &args.key else {
        return Ok(agent.forget_all().await?);
    };
    if key.starts_with("SHA256:") {
        return Ok(agent.forget(key).await?);
    }
    let path = key_path(Some(key))?;
    Ok(agent.forget(&path.to_string_lossy()).await?)
}

/// Starts it in the background: another process of this program, which says where it listens.
fn start(args: &AgentArgs, socket: &Path) -> Outcome<ExitCode> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["agent", "--foreground", "--detached", "--socket"])
        .arg(socket)
        .args(["--time", &args.time.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut told = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut told)?;
    }
    if told.is_empty() {
        // It has told why.
        let code = child.wait()?.code().unwrap_or(1);
        return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
    }
    remo_cli::print(told)?;
    Ok(ExitCode::SUCCESS)
}

/// Is the agent, until it is told to stop.
fn serve(args: &AgentArgs, socket: &Path) -> Outcome<ExitCode> {
    keep_to_ourselves()?;
    if args.detached {
        // A terminal that is closed ends what belongs to its session. Who leads one already has none to leave.
        let _ = rustix::process::setsid();
        std::env::set_current_dir("/")?;
    }
    let limits = Limits {
        time: Duration::from_secs(args.time),
        ..Limits::default()
    };
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let mut endings = Endings::listen()?;
        let listening = Listening::at(socket)?;
        announce(socket, args.detached)?;
        let ending = async move {
            let _ = endings.wait().await;
        };
        Service::new(limits).serve(listening, ending).await;
        Ok::<_, Box<dyn Error>>(())
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome.map(|()| ExitCode::SUCCESS)
}

/// No core dump, and no debugger of our own user.
fn keep_to_ourselves() -> Outcome<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    let mut files = rustix::process::getrlimit(Resource::Nofile);
    let wanted = files.maximum.map_or(FILES, |most| most.min(FILES));
    files.current = files.current.map(|now| now.max(wanted));
    Ok(rustix::process::setrlimit(Resource::Nofile, files)?)
}

/// Says where it listens, in words that a shell takes, and lets go of the terminal.
fn announce(socket: &Path, detached: bool) -> Outcome<()> {
    let quoted = shell_words::quote(&socket.to_string_lossy()).into_owned();
    let pid = std::process::id();
    remo_cli::print(format!(
        "REMO_AGENT={quoted}; export REMO_AGENT;\necho agent {pid};\n"
    ))?;
    if detached {
        let null = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        rustix::stdio::dup2_stderr(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
    }
    Ok(())
}

/// The agent of this user, and the key of this file in it, where it is there and holds that key.
pub(crate) async fn holder(pem: &Zeroizing<Vec<u8>>) -> Option<(Agent, KeyFile)> {
    let agent = match Agent::find().await {
        Ok(agent) => agent?,
        Err(error) => {
            remo_cli::report(
                crate::PROGRAM,
                &format!("warning: going on without the agent: {error}"),
            );
            return None;
        }
    };
    let file = KeyFile::of(pem);
    match agent.holds(file).await {
        Ok(()) => Some((agent, file)),
        Err(trouble @ Trouble::Broken(_)) => {
            remo_cli::report(
                crate::PROGRAM,
                &format!("warning: going on without the agent: {trouble}"),
            );
            None
        }
        Err(trouble) => {
            tracing::debug!(%trouble, "without the agent");
            None
        }
    }
}

/// Descriptors that an agent wants: a caller and its request take one each.
const FILES: u64 = 4096;
