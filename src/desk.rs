//! The desk that every call comes to, whichever way it came: what is done for all of them, and then the
//! operation itself.

use std::sync::Arc;

use crate::{
    call::{Call, Op, Reply},
    exec::Living,
    limits::Limits,
    ops,
};

/// What operations work with.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) limits: Arc<Limits>,
    pub(crate) living: Arc<Living>,
}

impl Desk {
    /// Does what is asked for.
    pub(crate) async fn handle(&self, call: Call) -> Reply {
        let (user, verb) = (call.who.clone(), call.op.name());
        if !call.op.leaves_interactive() {
            call.interactive.terminate();
        }
        let reply = self.carry_out(call).await;
        tracing::info!(user = user.as_str(), verb, status = reply.status, "call");
        reply
    }

    async fn carry_out(&self, call: Call) -> Reply {
        let Call {
            op,
            input,
            interactive,
            who: _,
        } = call;
        match op {
            Op::Info => ops::info::info(),
            Op::Get(name) => ops::get::get(&name).await,
            Op::Put(name) => ops::put::put(&name, input).await,
            Op::Cmd(line) => ops::cmd::cmd(&line, input, self).await,
            Op::Icm(line) => ops::icm::icm(&line, input, &interactive, self).await,
            Op::Idt => ops::idt::idt(input, &interactive, self).await,
            Op::Edt => ops::edt::edt(input, &interactive, self).await,
            Op::Unknown => Reply::failed(
                404,
                "unknown verb (known: info, auth, cmd, icm, idt, edt, get, put)",
            ),
        }
    }
}
