//! What is done to a request before it goes on.
//! Does not hold its sending.

use crate::{Kind, head::Head, plan::Dice, turn::Turn};

/// Header lines of every day, which every proxy knows.
const KNOWN: &[&str] = &[
    "accept",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "host",
    "location",
    "server",
    "set-cookie",
    "transfer-encoding",
    "user-agent",
];

/// Routes that a request is sent to instead.
const ROUTES: &[&str] = &[
    "auth", "cmd", "icm", "idt", "edt", "get", "put", "fs", "fwd", "who", "info", "adm", "nothing",
];

/// Where a request goes: the server that a full address names, which is taken out of the head; else `to`.
pub fn destination(head: &mut Head, to: &str) -> String {
    let target = head.word(1).to_owned();
    let Some(rest) = target.strip_prefix("http://") else {
        return to.to_owned();
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    head.set_word(1, &format!("/{path}"));
    match host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => host.to_owned(),
        _ => format!("{host}:80"),
    }
}

/// Whether it is one of the log-ins of any dialect.
pub fn is_log_in(head: &Head) -> bool {
    head.word(1).ends_with("/auth")
}

/// The lines that every proxy takes away or sets, and then what the plan says.
pub fn change_head(turn: &Turn, head: &mut Head) {
    for name in [
        "Connection",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Keep-Alive",
        "Expect",
    ] {
        head.remove(name);
    }
    match turn.misdeeds.has(Kind::Http10) {
        true => head.set_word(2, "HTTP/1.0"),
        false => head.set("Connection", "close"),
    }
    if turn.misdeeds.has(Kind::StripHeaders) {
        strip(head);
    }
    if let Some(dice) = turn.misdeeds.dice(Kind::ChangeRoute) {
        change_route(head, dice);
        turn.note(Kind::ChangeRoute, head.word(1));
    }
    if let Some(dice) = turn.misdeeds.dice(Kind::ChangeHeaders) {
        change_lines(head, dice);
    }
}

/// Leaves out what is not of every day.
pub fn strip(head: &mut Head) {
    head.lines
        .retain(|(name, _)| KNOWN.contains(&name.to_ascii_lowercase().as_str()));
}

fn change_route(head: &mut Head, mut dice: Dice) {
    let target = head.word(1).to_owned();
    let (base, old) = target.rsplit_once('/').unwrap_or(("", &target));
    let others: Vec<_> = ROUTES.iter().filter(|&&route| route != old).collect();
    if let Some(route) = dice.pick(&others) {
        head.set_word(1, &format!("{base}/{route}"));
    }
}

fn change_lines(head: &mut Head, mut dice: Dice) {
    match dice.below(5) {
        0 => head.remove("Cookie"),
        1 => head.set(
            "Cookie",
            "SESSION_ID=AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA",
        ),
        2 => head.set("Content-Type", "text/html"),
        3 => head.set("Content-Encoding", "gzip"),
        _ => {
            let cookie = head.value("Cookie").unwrap_or_default();
            head.set("Cookie", &format!("tracker=1; {cookie}; tracker=2"));
        }
    }
}
