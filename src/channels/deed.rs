//! An act that opens no channel: it is carried out once, whoever asks again waits with the first, and how
//! it ended is kept. What is done is not known here.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

use super::Refused;

/// What one act has come to.
pub(crate) struct Deed {
    object: u128,
    state: watch::Sender<State>,
}

/// How it stands.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// It was begun, and waits for more; why it did not end when it was to.
    Open(Option<Refused>),
    /// It is being carried out.
    Busy,
    /// It ended: with so many bytes, or with a refusal that stays.
    Over(Result<u64, Refused>),
}

impl Deed {
    /// An act on `object`, a digest of what it is about.
    pub(super) fn new(object: u128, state: State) -> Self {
        Self {
            object,
            state: watch::Sender::new(state),
        }
    }

    pub(super) fn object(&self) -> u128 {
        self.object
    }

    pub(super) fn is_about(&self, object: u128, verb: &str) -> Result<(), Refused> {
        if object == self.object {
            Ok(())
        } else {
            let message = format!("the id was used by /{verb} with another path");
            Err(Refused::new(409, "id_used", message))
        }
    }

    /// How it stands.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Begins to carry it out, unless that is being done, or was.
    pub(crate) fn start(&self) -> bool {
        self.state.send_if_modified(|state| {
            let open = matches!(state, State::Open(_));
            if open {
                *state = State::Busy;
            }
            open
        })
    }

    /// Tells how it stands from now on. What is over stays so.
    pub(crate) fn set(&self, new: State) {
        self.state.send_if_modified(|state| {
            let changes = !matches!(state, State::Over(_));
            if changes {
                *state = new;
            }
            changes
        });
    }

    /// How it stands when nobody is at it any more, or after this time.
    pub(crate) async fn settled(&self, patience: Duration) -> State {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Busy));
        match timeout(patience, settled).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) | Err(_) => State::Busy,
        }
    }
}
