//! `/edt`: ends the input of the interactive command, and streams what it still writes.

use super::{idt::none_runs, not_run};
use crate::{
    call::{Input, Reply},
    desk::Desk,
    exec::Slot,
};

pub(crate) async fn edt(input: Input, slot: &Slot, desk: &Desk) -> Reply {
    let Some(mut borrowed) = slot.borrow() else {
        return none_runs();
    };
    if let Some(command) = borrowed.command()
        && let Err(error) = command.feed(input, &desk.limits).await
    {
        return not_run(&[], error);
    }
    match borrowed.keep() {
        Some(command) => Reply::stream(command.finish().await),
        None => none_runs(),
    }
}
