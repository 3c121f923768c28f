//! `/idt`: sends data to the interactive command, and gives what it has written.

use std::time::Duration;

use bytes::Bytes;

use super::not_run;
use crate::{
    call::{Input, Reply},
    desk::Desk,
    exec::{Borrowed, Slot},
};

pub(crate) async fn idt(input: Input, slot: &Slot, desk: &Desk) -> Reply {
    let Some(mut borrowed) = slot.borrow() else {
        return none_runs();
    };
    if let Some(command) = borrowed.command()
        && let Err(error) = command.feed(input, &desk.limits).await
    {
        return not_run(&[], error);
    }
    hear(borrowed).await
}

/// What an interactive command has written by now, or soon writes. With the end of its output it ends.
pub(super) async fn hear(mut borrowed: Borrowed<'_>) -> Reply {
    let heard = match borrowed.command() {
        Some(command) => command.hear(MOST, WAIT).await,
        None => None,
    };
    if heard.is_none()
        && let Some(command) = borrowed.keep()
    {
        command.release();
    }
    Reply::bytes(heard.unwrap_or_else(Bytes::new))
}

pub(super) fn none_runs() -> Reply {
    Reply::failed(
        400,
        "no interactive command runs in this session (one begins by /icm; in remo: iexec)",
    )
}

/// Bytes that one answer brings.
const MOST: usize = 8192;

/// How long an answer waits for the first of them.
const WAIT: Duration = Duration::from_millis(100);
