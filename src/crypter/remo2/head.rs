//! What a request asks for: its `H`, read into types. Nothing is carried out here.

use std::time::Duration;

use bytes::Bytes;
use remo_protocol::remo2::{json::Object, session_id::SessionId};

use super::{
    files::{self, FileAct},
    members::{Members, bad},
};
use crate::channels::{ActId, Connect, Exchange, Patience, Refused, Start, Target, Terminal, What};

/// The verbs of remo/2 that this server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Cmd,
    Icm,
    Idt,
    Edt,
    Fwd,
    Get,
    Put,
    Fs,
    Who,
}

impl Verb {
    const ALL: [Self; 9] = [
        Self::Cmd,
        Self::Icm,
        Self::Idt,
        Self::Edt,
        Self::Fwd,
        Self::Get,
        Self::Put,
        Self::Fs,
        Self::Who,
    ];

    /// The verb of a route, if it has one.
    pub(crate) fn of(path: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verb| path.strip_prefix('/') == Some(verb.name()))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cmd => "cmd",
            Self::Icm => "icm",
            Self::Idt => "idt",
            Self::Edt => "edt",
            Self::Fwd => "fwd",
            Self::Get => "get",
            Self::Put => "put",
            Self::Fs => "fs",
            Self::Who => "who",
        }
    }
}

/// A request, read.
#[derive(Debug)]
pub(super) struct Request {
    /// What these opened is no longer wanted.
    pub(super) done: Vec<ActId>,
    /// These sessions of the same user end before the act.
    pub(super) end: Vec<SessionId>,
    /// By when it had to be here, counted from the log-in.
    pub(super) by: Option<Duration>,
    pub(super) act: Act,
}

#[derive(Debug)]
pub(super) enum Act {
    /// Runs a command, and tells of it until its end.
    Cmd {
        id: ActId,
        start: Start,
        patience: Patience,
    },
    /// Starts something interactive.
    Icm { id: ActId, start: Start },
    /// Sends to a channel, and tells of it.
    Exchange {
        id: ActId,
        exchange: Exchange,
        patience: Patience,
    },
    /// Connects to somewhere.
    Forward { id: ActId, connect: Connect },
    /// Does something with files.
    Files(FileAct),
    /// Tells who is who.
    Who { probe: Duration },
}

impl Request {
    /// Reads `head`, whose `verb` is this one, with the data that came with it.
    pub(super) fn read(verb: Verb, head: Object, data: &[Bytes]) -> Result<Self, Refused> {
        let mut members = Members::new(head);
        members.text("verb")?;
        let done = members.ids("done")?;
        let end = members.sessions("end")?;
        let by = members.number("by")?.map(Duration::from_millis);
        let act = match verb {
            Verb::Cmd => cmd(&mut members)?,
            Verb::Icm => icm(&mut members, data)?,
            Verb::Idt => exchange(&mut members, data, false)?,
            Verb::Edt => exchange(&mut members, data, true)?,
            Verb::Fwd => forward(&mut members, data)?,
            Verb::Get => Act::Files(files::get(&mut members, data)?),
            Verb::Put => Act::Files(files::put(&mut members, length(data))?),
            Verb::Fs => Act::Files(files::fs(&mut members, data)?),
            Verb::Who => who(&mut members, data)?,
        };
        members.finish()?;
        Ok(Self { done, end, by, act })
    }
}

fn cmd(members: &mut Members) -> Result<Act, Refused> {
    let id = members.id()?;
    let mut start = start(members)?;
    if start.what == What::Shell {
        return Err(bad("one of the members 'argv' and 'line' is missing"));
    }
    start.split = members.flag("split")?;
    let wait = Duration::from_millis(members.number("wait")?.unwrap_or(20_000));
    let patience = if members.flag("stream")? {
        Patience::Stream
    } else {
        Patience::End(wait)
    };
    Ok(Act::Cmd {
        id,
        start,
        patience,
    })
}

fn icm(members: &mut Members, data: &[Bytes]) -> Result<Act, Refused> {
    let id = members.id()?;
    let mut start = start(members)?;
    start.split = members.flag("split")?;
    start.terminal = members.object("pty")?.map(terminal).transpose()?;
    start.keep = keep(members)?;
    if start.split && start.terminal.is_some() {
        return Err(bad(
            "a terminal has one stream: 'split' does not go with 'pty'",
        ));
    }
    no_data(data)?;
    Ok(Act::Icm { id, start })
}

fn start(members: &mut Members) -> Result<Start, Refused> {
    let (argv, line) = (members.words("argv")?, members.text("line")?);
    let what = match (argv, line) {
        (Some(_), Some(_)) => return Err(bad("'argv' and 'line' exclude each other")),
        (Some(words), None) if words.first().is_some_and(|program| !program.is_empty()) => {
            What::Words(words)
        }
        (Some(_), None) => return Err(bad("'argv' names no program")),
        (None, Some(line)) if line.contains('\0') => {
            return Err(bad("'line' contains a NUL character"));
        }
        (None, Some(line)) => What::Line(line),
        (None, None) => What::Shell,
    };
    let cwd = members.text("cwd")?;
    if cwd
        .as_ref()
        .is_some_and(|cwd| cwd.is_empty() || cwd.contains('\0'))
    {
        return Err(bad("'cwd' is no name of a folder"));
    }
    Ok(Start {
        what,
        cwd: cwd.map(Into::into),
        env: members.environment("env")?,
        split: false,
        terminal: None,
        timeout: members.number("timeout")?.map(Duration::from_secs),
        keep: KEEP,
    })
}

fn terminal(mut members: Members) -> Result<Terminal, Refused> {
    let size = |size: Option<u16>, preset| size.unwrap_or(preset).max(1);
    let terminal = Terminal {
        rows: size(members.small("rows")?, 24),
        cols: size(members.small("cols")?, 80),
        term: members
            .text("term")?
            .unwrap_or_else(|| "xterm-256color".into()),
    };
    members.finish()?;
    if terminal.term.contains('\0') {
        Err(bad("'term' contains a NUL character"))
    } else {
        Ok(terminal)
    }
}

fn exchange(members: &mut Members, data: &[Bytes], ends: bool) -> Result<Act, Refused> {
    let id = members.id()?;
    let (rows, cols) = (members.small::<u16>("rows")?, members.small::<u16>("cols")?);
    let (signal, signals) = (members.small::<i32>("signal")?, members.number("signals")?);
    let exchange = Exchange {
        attach: members.flag("attach")?,
        at: members.number("in")?,
        data: data.concat(),
        ends,
        out: members.number("out")?,
        err: members.number("err")?,
        size: both("rows", rows, "cols", cols)?.filter(|(rows, cols)| *rows > 0 && *cols > 0),
        signal: match (signal, signals) {
            (Some(_), None) => return Err(bad("'signal' needs 'signals'")),
            (Some(signal), _) if !(1..=64).contains(&signal) => {
                return Err(bad("'signal' is no number of a signal"));
            }
            (signal, signals) => signal.zip(signals),
        },
    };
    if length(data) > 0 && exchange.at.is_none() {
        return Err(bad("data need 'in', the offset at which they begin"));
    }
    let wait = Duration::from_millis(members.number("wait")?.unwrap_or_default());
    let patience = if members.flag("stream")? {
        Patience::Stream
    } else {
        Patience::Pause(wait)
    };
    Ok(Act::Exchange {
        id,
        exchange,
        patience,
    })
}

fn forward(members: &mut Members, data: &[Bytes]) -> Result<Act, Refused> {
    let id = members.id()?;
    let to = members.text("connect")?;
    let to = to.ok_or_else(|| bad("the member 'connect' is missing"))?;
    let to = Target::parse(&to).ok_or_else(|| {
        bad("'connect' is not host:port (a name, an address, or one of IPv6 in brackets)")
    })?;
    let keep = keep(members)?;
    no_data(data)?;
    let connect = Connect { to, keep };
    Ok(Act::Forward { id, connect })
}

fn keep(members: &mut Members) -> Result<Duration, Refused> {
    let keep = members.number("keep")?;
    Ok(keep.map_or(KEEP, |keep| Duration::from_secs(keep.min(KEEP_LONGEST))))
}

fn who(members: &mut Members, data: &[Bytes]) -> Result<Act, Refused> {
    let probe = Duration::from_millis(members.number("probe")?.unwrap_or_default());
    no_data(data)?;
    Ok(Act::Who {
        probe: probe.min(PROBE_LONGEST),
    })
}

fn both<T>(
    one: &str,
    first: Option<T>,
    two: &str,
    second: Option<T>,
) -> Result<Option<(T, T)>, Refused> {
    match (first, second) {
        (Some(first), Some(second)) => Ok(Some((first, second))),
        (None, None) => Ok(None),
        _ => Err(bad(format!("'{one}' and '{two}' go together"))),
    }
}

fn length(data: &[Bytes]) -> u64 {
    data.iter().map(|piece| piece.len() as u64).sum()
}

pub(super) fn no_data(data: &[Bytes]) -> Result<(), Refused> {
    if length(data) == 0 {
        Ok(())
    } else {
        Err(bad("this verb takes no data"))
    }
}

/// How long a channel is kept without a request where none says.
const KEEP: Duration = Duration::from_secs(60);

/// The longest that one may be kept, in seconds.
const KEEP_LONGEST: u64 = 7 * 24 * 3600;

/// The longest pause of a probe.
const PROBE_LONGEST: Duration = Duration::from_secs(25);
