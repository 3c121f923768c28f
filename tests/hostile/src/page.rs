//! The pages that a proxy makes itself.
//! Does not hold when.

use crate::head::Head;

/// A status line and a page, as many proxies send it.
pub fn page(status: u16) -> (Head, Vec<u8>) {
    let body = html(status);
    let mut head = Head::new(&format!("HTTP/1.1 {status} {}", reason(status)));
    head.set("Content-Type", "text/html");
    head.set("Content-Length", &body.len().to_string());
    (head, body)
}

/// Its body alone.
pub fn html(status: u16) -> Vec<u8> {
    let title = format!("{status} {}", reason(status));
    format!(
        "<html><head><title>{title}</title></head><body><h1>{title}</h1><hr>hostile</body></html>\n"
    )
    .into_bytes()
}

/// The words after a status.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Something Else",
    }
}
