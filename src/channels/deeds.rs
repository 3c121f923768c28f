//! The acts that open no channel, user by user: their ids are of the same memory as those of channels.

use std::sync::Arc;

use remo_protocol::name::UserName;

use super::{
    ActId, Deed, Refused, Registry, State,
    registry::{Act, Acts, Outcome, lock},
};

impl Registry {
    /// The deed of an act on `object`, a digest of what it is about; and whether it is new, and then is
    /// in `state`.
    ///
    /// # Errors
    /// `id_used`, `gone`, `too_many`.
    pub(crate) fn deed(
        &self,
        user: &UserName,
        id: ActId,
        verb: &'static str,
        object: u128,
        state: State,
    ) -> Result<(Arc<Deed>, bool), Refused> {
        let acts = self.acts(user);
        let mut acts = lock(&acts);
        if let Some(act) = acts.known.get(&id) {
            act.has_verb(verb)?;
            let deed = acts.deed_again(id, act)?;
            return deed.is_about(object, verb).map(|()| (deed, false));
        }
        if acts.deeds.len() >= DEEDS {
            return Err(Refused::new(
                503,
                "too_many",
                format!("{DEEDS} uploads and changes are not done (end some by 'done')"),
            ));
        }
        let deed = Arc::new(Deed::new(object, state));
        acts.deeds.insert(id, deed.clone());
        let outcome = Outcome::Open;
        acts.know(id, Act { verb, outcome });
        Ok((deed, true))
    }

    /// A deed is over: how it ended is kept. One that `is_free` uses no id, and may be tried again.
    pub(crate) fn settle(
        &self,
        user: &UserName,
        id: ActId,
        result: &Result<u64, Refused>,
        is_free: bool,
    ) {
        let acts = self.acts(user);
        let mut acts = lock(&acts);
        let Some(deed) = acts.deeds.remove(&id) else {
            return;
        };
        if is_free {
            acts.known.remove(&id);
            acts.order.retain(|other| *other != id);
        } else if let Some(act) = acts.known.get_mut(&id) {
            let result = result.clone().map_err(Box::new);
            act.outcome = Outcome::Done(deed.object(), result);
        }
        drop(acts);
        deed.set(State::Over(result.clone()));
    }

    /// Whether an id may be that of an upload: one that is not known may be, from before the server was started.
    pub(crate) fn may_be_upload(&self, user: &UserName, id: ActId) -> bool {
        let acts = self.acts(user);
        let acts = lock(&acts);
        acts.known.get(&id).is_none_or(|act| act.verb == "put")
    }

    /// The deed of an act that is not over.
    pub(crate) fn find_deed(&self, user: &UserName, id: ActId) -> Option<Arc<Deed>> {
        let acts = self.acts(user);
        let acts = lock(&acts);
        acts.deeds.get(&id).cloned()
    }
}

impl Acts {
    fn deed_again(&self, id: ActId, act: &Act) -> Result<Arc<Deed>, Refused> {
        if let Outcome::Done(object, result) = &act.outcome {
            let result = result.clone().map_err(|refused| *refused);
            return Ok(Arc::new(Deed::new(*object, State::Over(result))));
        }
        self.deeds.get(&id).cloned().ok_or_else(Refused::gone)
    }
}

/// Uploads and changes of one user that are not over.
const DEEDS: usize = 1024;
