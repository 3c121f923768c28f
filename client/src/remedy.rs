//! What an answer that nothing seals may mean, and what can be done about it.
//! Not here: how it is noticed that nothing seals it.

use crate::escape::escape;

/// What was asked when such an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    LogIn,
    /// To run something.
    Command,
    /// To read or write a file.
    File,
    Other,
}

/// What an unsealed answer of `status` means; `location` is where it points to.
pub(crate) fn remedy(asked: Asked, status: u16, location: Option<&str>) -> String {
    match (status, asked) {
        (200, _) => "with a page that is not sealed (a portal or proxy in between? is the address a remo_serv's, with its prefix?)".into(),
        (300..=399, _) => {
            let to = location.map(|to| escape(&to.chars().take(200).collect::<String>()));
            format!("it points to '{}' (if you trust that, give it as the address)", to.unwrap_or_default())
        }
        (404, _) => "no remo_serv is there (is the prefix of the address right?)".into(),
        (407, _) => "the proxy wants a log-in (http_proxy=http://USER:PASSWORD@HOST:PORT, https_proxy likewise, with special characters as %XX; where it takes NTLM or Negotiate only, a local helper has to stand between: px or cntlm)".into(),
        (408 | 504, _) => "the way to the server is too slow for it (raise the time-out of the proxy)".into(),
        (413, _) => "the body is too large for it (nginx: raise client_max_body_size; remo-serv: a ceiling of its own)".into(),
        (414 | 431, _) => "the command line or file name is too long for it".into(),
        (429, _) => "too many requests (wait, then try again)".into(),
        (500, Asked::LogIn) => format!("{NOT_SEALED} (the Python remo_serv answers so where the key is not the user's: is --key the right file?)"),
        (500, Asked::Command) => format!("{NOT_SEALED} (the Python remo_serv answers so where the command does not exist or a quote is left open)"),
        (500, Asked::File) => format!("{NOT_SEALED} (the Python remo_serv answers so where it cannot open the file)"),
        (502 | 503, _) => "it cannot reach the server, or the server is full (does remo-serv run behind it?)".into(),
        _ => NOT_SEALED.into(),
    }
}

/// What a proxy wants that offers these ways to log in.
pub(crate) fn proxy_log_in(schemes: &[String]) -> String {
    let basic = schemes
        .iter()
        .any(|scheme| scheme.eq_ignore_ascii_case("basic"));
    if schemes.is_empty() || basic {
        return remedy(Asked::LogIn, 407, None);
    }
    let offered = escape(&schemes.join(", "));
    format!(
        "the proxy wants a log-in by {offered}, which remo does not speak (a local helper does: run px or cntlm, and name it by --proxy or \
         http_proxy=http://127.0.0.1:PORT)"
    )
}

const NOT_SEALED: &str = "the answer is not sealed, so it need not be the server's";
