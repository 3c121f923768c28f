//! `remo list`: what runs on a server for us.
//! What is done with it is not here.

use std::error::Error;
use std::process::ExitCode;

use remo_client::escape::escape;
use serde_json::{Map, Value};

use crate::args::ListArgs;
use crate::{log_to_stderr, place, runtime};

/// One thing that runs, or has run and was not asked for its end.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) pid: Option<u64>,
    /// Whether it has a terminal, where the server says that.
    pub(crate) terminal: Option<bool>,
    /// Where it goes, if it is a forwarded connection.
    pub(crate) connect: Option<String>,
}

/// What `/who` says runs.
pub(crate) fn running(who: &Map<String, Value>) -> Vec<Running> {
    let all = who.get("channels").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(read).collect()
}

fn read(one: &Value) -> Option<Running> {
    let text = |name: &str| one.get(name).and_then(Value::as_str);
    if (text("verb"), text("state")) == (Some("cmd"), Some("exited")) {
        // Whoever asked for a command in one request has been told its end.
        return None;
    }
    Some(Running {
        id: text("id")?.to_owned(),
        state: text("state").unwrap_or("unknown").to_owned(),
        pid: one.get("pid").and_then(Value::as_u64),
        terminal: one.get("pty").and_then(Value::as_bool),
        connect: text("connect").map(str::to_owned),
    })
}

/// Prints what runs.
pub(crate) fn run(args: &ListArgs) -> Result<ExitCode, Box<dyn Error>> {
    log_to_stderr(args.server.who.verbose);
    let who = runtime()?.block_on(async {
        let remote = place::find(&args.server).await?;
        Ok::<_, Box<dyn Error>>(remote.who().await?)
    })?;
    let all = running(&who);
    let lines: Vec<String> = if args.json {
        let all: Vec<_> = all.iter().map(in_json).collect();
        vec![format!("{}\n", Value::from(all))]
    } else {
        all.iter().map(line).collect()
    };
    remo_cli::print(lines.concat())?;
    Ok(ExitCode::SUCCESS)
}

fn line(one: &Running) -> String {
    let pid = one
        .pid
        .map_or_else(String::new, |pid| format!("  pid {pid}"));
    let to = one
        .connect
        .as_ref()
        .map_or_else(String::new, |to| format!("  to {}", escape(to)));
    let (id, state) = (escape(&one.id), escape(&one.state));
    format!("{id}  {state}{pid}{to}\n")
}

fn in_json(one: &Running) -> Value {
    let mut members = Map::new();
    members.insert("id".into(), one.id.clone().into());
    members.insert("state".into(), one.state.clone().into());
    if let Some(pid) = one.pid {
        members.insert("pid".into(), pid.into());
    }
    if let Some(to) = &one.connect {
        members.insert("connect".into(), to.clone().into());
    }
    members.into()
}
