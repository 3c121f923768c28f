//! Which proxy is used, who named it, and whether it lets us through.

use super::finding::Finding;
use super::info::Told;
use super::line::Got;
use super::road::{Fault, Hop, Road};
use super::{Asked, Subject};

const NAME: &str = "proxy";

pub(super) fn look(subject: &Subject, road: &Road, told: Asked<'_, (Told, Got)>) -> Finding {
    let finding = match (&road.hop, told) {
        (Some(hop), Err(Fault::Proxy(cause))) => Finding::bad(
            NAME,
            format!("the proxy {} cannot be reached: {cause}", hop.shown()),
        )
        .remedy("name another with http_proxy, https_proxy or --proxy, or none with no_proxy=HOST"),
        (_, Err(Fault::NoTunnel(407, schemes))) => asked_to_log_in(road, schemes),
        (_, Ok((Told::LogIn(schemes), _))) => asked_to_log_in(road, schemes),
        (Some(hop), Err(Fault::NoTunnel(status, _))) => Finding::bad(
            NAME,
            format!(
                "the proxy {} makes no tunnel to {}: it answers {status}",
                hop.shown(),
                road.authority()
            ),
        )
        .remedy("ask its owner to allow it, or use http://, where no tunnel is needed and all is sealed too")
        .fact("status", *status),
        (Some(hop), _) => through(hop),
        (None, _) => without(subject, road),
    };
    let hop = road.hop.as_ref();
    finding
        .fact("used", hop.is_some())
        .fact("url", hop.map(Hop::shown))
        .fact("named_by", named_by(subject, road))
        .fact("has_login", hop.is_some_and(Hop::has_login))
}

fn through(hop: &Hop) -> Finding {
    let login = if hop.has_login() {
        ", with a log-in"
    } else {
        ""
    };
    Finding::good(NAME, format!("the proxy {} is used{login}", hop.shown()))
}

fn without(subject: &Subject, road: &Road) -> Finding {
    let found = match environment(road) {
        Some(name) if subject.way.proxy.is_none() => {
            format!("no proxy is used, though {name} names one: no_proxy takes this server out")
        }
        _ => "no proxy is named for this server".into(),
    };
    Finding::good(NAME, found)
}

fn asked_to_log_in(road: &Road, schemes: &[String]) -> Finding {
    let offers = |name: &str| schemes.iter().any(|one| one.eq_ignore_ascii_case(name));
    let shown = if schemes.is_empty() {
        "no way that it names".to_owned()
    } else {
        schemes.join(", ")
    };
    let had_login = road.hop.as_ref().is_some_and(Hop::has_login);
    let found = if had_login && offers("Basic") {
        format!("the proxy refuses the log-in that it was given (407; it offers {shown})")
    } else {
        format!("the proxy wants a log-in (407; it offers {shown})")
    };
    let remedy = if offers("Basic") {
        BASIC
    } else if offers("NTLM") || offers("Negotiate") || offers("Kerberos") {
        BY_ANOTHER
    } else {
        OTHERS
    };
    Finding::bad(NAME, found)
        .remedy(remedy)
        .fact("status", 407)
        .fact("schemes", schemes.to_vec())
}

/// Who named the proxy.
fn named_by(subject: &Subject, road: &Road) -> Option<&'static str> {
    road.hop.as_ref()?;
    match subject.way.proxy {
        Some(_) => Some(subject.proxy_named_by),
        None => environment(road),
    }
}

/// The variable that names a proxy for this server; capitals come first, as the HTTP client reads them.
fn environment(road: &Road) -> Option<&'static str> {
    let own = if road.address.is_https() {
        ["HTTPS_PROXY", "https_proxy"]
    } else {
        ["HTTP_PROXY", "http_proxy"]
    };
    let first_set = |names: [&'static str; 2]| {
        let set = names.into_iter().find(|name| std::env::var(name).is_ok())?;
        std::env::var(set)
            .is_ok_and(|value| !value.is_empty())
            .then_some(set)
    };
    first_set(own).or_else(|| first_set(["ALL_PROXY", "all_proxy"]))
}

const BASIC: &str = "give name and password with it: http_proxy=http://USER:PASSWORD@HOST:PORT, https_proxy likewise, \
with special characters as %XX; or remo trust NAME URL --proxy http://USER:PASSWORD@HOST:PORT";

const BY_ANOTHER: &str = "remo logs in by Basic only: run px or cntlm on this machine, which log in for you, and name that as the proxy \
(http_proxy=http://127.0.0.1:3128)";

const OTHERS: &str =
    "remo logs in by Basic only: ask the owner of the proxy for that, or for a way without log-in";
