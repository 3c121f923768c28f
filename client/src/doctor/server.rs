//! Who answers: the server whose key is trusted, another one, or something in between.

use super::finding::Finding;
use super::info::Told;
use super::line::Got;
use super::{Asked, Subject};
use crate::remedy::{Asked as What, remedy};

const NAME: &str = "server";

pub(super) fn look(subject: &Subject, told: Asked<'_, (Told, Got)>) -> Finding {
    let (told, got) = match told {
        Ok((told, got)) => (told, got),
        Err(fault) => {
            return Finding::bad(NAME, format!("no server answers: {fault}"))
                .remedy("do address and port fit, does the server run, and does the proxy (see above) let us through?")
                .fact("answers", "nothing");
        }
    };
    match told {
        Told::Server(keys, dialects) => {
            let keys: Vec<_> = keys
                .iter()
                .map(|key| key.fingerprint().to_string())
                .collect();
            known(subject, &keys, dialects)
                .fact("answers", "server")
                .fact("fingerprints", keys)
                .fact("dialects", dialects.clone())
        }
        Told::Older(status) => Finding::bad(
            NAME,
            format!(
                "a server of an older dialect answers, it seems: {status} to a question of remo/2"
            ),
        )
        .remedy("remo prompt speaks the older dialects; the other commands need remo-serv")
        .fact("answers", "older")
        .fact("status", *status),
        Told::LogIn(_) => Finding::bad(NAME, "the proxy answers in place of the server: 407")
            .remedy("see above")
            .fact("answers", "path")
            .fact("status", 407),
        Told::Cut => Finding::bad(
            NAME,
            "the answer of the server, if it was its, was cut each time",
        )
        .remedy("something on the path breaks connections: try again, or another path")
        .fact("answers", "path")
        .fact("status", got.status),
        Told::Other(status, location) => in_between(*status, location.as_deref(), got),
    }
}

fn known(subject: &Subject, offered: &[String], dialects: &[String]) -> Finding {
    let mut trusted: Vec<_> = subject.fingerprints.clone();
    trusted.extend(
        subject
            .servers
            .iter()
            .map(|key| key.fingerprint().to_string()),
    );
    let spoken = dialects.join(", ");
    if !dialects.iter().any(|dialect| dialect == "2") {
        return Finding::bad(
            NAME,
            format!("a server answers that speaks {spoken}, and not remo/2"),
        )
        .remedy("remo prompt speaks the older dialects");
    }
    if trusted.is_empty() {
        let keys = offered.join(", ");
        return Finding::notice(
            NAME,
            format!("remo-serv answers (dialects {spoken}) and says its key is {keys}; none is trusted yet"),
        )
        .remedy("compare the fingerprint with what its owner says, then: remo trust NAME URL")
        .fact("trusted", false);
    }
    if offered.iter().any(|key| trusted.contains(key)) {
        let found =
            format!("remo-serv answers (dialects {spoken}), and names the key that you trust");
        return Finding::good(NAME, found).fact("trusted", true);
    }
    Finding::bad(
        NAME,
        format!("remo-serv answers, and names another key than you trust: {}", offered.join(", ")),
    )
    .remedy("its owner changed it, or somebody answers in its place: ask the owner for the fingerprint, then remo trust NAME URL --replace")
    .fact("trusted", false)
}

fn in_between(status: u16, location: Option<&str>, got: &Got) -> Finding {
    let page = String::from_utf8_lossy(&got.body).to_ascii_lowercase();
    let what = if page.contains("<html") || page.contains("<!doctype") {
        "a web page"
    } else {
        "something else"
    };
    Finding::bad(
        NAME,
        format!("not the server answers but something in between: {status} with {what}"),
    )
    .remedy(remedy(What::LogIn, status, location))
    .fact("answers", "path")
    .fact("status", status)
    .fact("location", location)
}
