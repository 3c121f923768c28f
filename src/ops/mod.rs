//! One file a verb: from what is asked for to the reply. The statuses are those of `docs/protocol.md`.

pub(crate) mod cmd;
pub(crate) mod edt;
pub(crate) mod get;
pub(crate) mod icm;
pub(crate) mod idt;
pub(crate) mod info;
pub(crate) mod put;

use crate::{call::Reply, exec::RunError};

/// What is answered where a command did not run to the end of its input.
fn not_run(words: &[String], error: RunError) -> Reply {
    match error {
        RunError::Start(error) => {
            let program = words
                .first()
                .map(|word| word.escape_debug().to_string())
                .unwrap_or_default();
            let reason = remo_cli::reason(&error);
            Reply::failed(400, format_args!("cannot run '{program}': {reason}"))
        }
        RunError::Input(fault) => fault.into(),
        RunError::Spool(error) => spooled(&error),
    }
}

fn spooled(error: &crate::exec::SpoolError) -> Reply {
    match error {
        crate::exec::SpoolError::Full(_) => Reply::failed(413, error),
        crate::exec::SpoolError::Io(..) => {
            tracing::error!(%error, "spool");
            Reply::failed(500, error)
        }
    }
}
