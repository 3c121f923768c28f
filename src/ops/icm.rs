//! `/icm`: starts an interactive command.

use bytes::Bytes;

use super::{idt, not_run};
use crate::{
    call::{Input, Reply},
    desk::Desk,
    exec::{self, Interactive, Slot, Spool},
};

pub(crate) async fn icm(line: &Bytes, mut input: Input, slot: &Slot, desk: &Desk) -> Reply {
    let words = match exec::words(line) {
        Ok(words) => words,
        Err(error) => return Reply::failed(400, error),
    };
    // What fits memory is proved before anything runs, as for `/cmd`.
    let first = Spool::new(desk.limits.clone());
    let whole = match exec::gather(&mut input, &first, true).await {
        Ok(whole) => whole,
        Err(error) => return not_run(&words, error),
    };
    let started = match Interactive::start(&words, &desk.limits, &desk.living) {
        Ok(started) => started,
        Err(error) => return not_run(&words, exec::RunError::Start(error)),
    };
    first.close().await;
    match started.take(first, (!whole).then_some(input)).await {
        Ok(()) => idt::hear(slot.lend(started)).await,
        Err(error) => not_run(&words, error),
    }
}
