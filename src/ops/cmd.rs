//! `/cmd`: runs a command, and streams what it writes.

use bytes::Bytes;

use super::not_run;
use crate::{
    call::{Input, Reply},
    desk::Desk,
    exec,
};

pub(crate) async fn cmd(line: &Bytes, input: Input, desk: &Desk) -> Reply {
    let words = match exec::words(line) {
        Ok(words) => words,
        Err(error) => return Reply::failed(400, error),
    };
    match exec::run(&words, input, &desk.limits, &desk.living).await {
        Ok(running) => Reply::stream(running),
        Err(error) => not_run(&words, error),
    }
}
