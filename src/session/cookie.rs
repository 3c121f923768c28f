//! The cookie `SESSION_ID`, read and written (RFC 6265, without attributes: it must work below any prefix).

use http::{HeaderMap, HeaderValue, header};
use remo_protocol::remo2::session_id;

use super::SessionId;

/// The ids of dialects 0.3 and 0.6 that a request brings, in its order. A jar may hold several and send
/// the older first.
pub(crate) fn read(headers: &HeaderMap) -> Vec<SessionId> {
    values(headers)
        .filter_map(SessionId::parse)
        .take(MOST)
        .collect()
}

/// The names of sessions of remo/2 that a request brings, in its order.
pub(crate) fn read_remo2(headers: &HeaderMap) -> Vec<session_id::SessionId> {
    let parse = session_id::SessionId::parse;
    values(headers).filter_map(parse).take(MOST).collect()
}

fn values(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))
}

/// The header that sets the cookie.
pub(crate) fn write(id: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{NAME}={id}")).ok()
}

const NAME: &str = "SESSION_ID";

/// Cookies that are looked at.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_id_is_found_in_order_and_nothing_else() {
        let (one, two) = ("a".repeat(22), "b".repeat(22));
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            format!("x=1; SESSION_ID={one};SESSION_ID=short")
                .parse()
                .unwrap(),
        );
        headers.append(
            header::COOKIE,
            format!("MY_SESSION_ID={one}; SESSION_ID={two}")
                .parse()
                .unwrap(),
        );
        let ids: Vec<_> = read(&headers)
            .iter()
            .map(|id| id.as_str().to_owned())
            .collect();
        assert_eq!(ids, [one, two]);
    }

    #[test]
    fn no_more_than_sixteen_are_looked_at() {
        let many = format!("SESSION_ID={}; ", "a".repeat(22)).repeat(100);
        let headers = HeaderMap::from_iter([(header::COOKIE, many.parse().unwrap())]);
        assert_eq!(read(&headers).len(), MOST);
    }
}
