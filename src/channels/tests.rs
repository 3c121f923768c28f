//! What the registry remembers at its ceiling.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use remo_protocol::{
    name::UserName,
    remo2::session_id::{Run, SessionId},
};

use super::{ActId, Connect, Refused, Registry, Start, Target, What};
use crate::{exec::Living, limits::Limits};

fn id(number: u64) -> ActId {
    ActId::parse(&format!("{number:032x}")).unwrap()
}

fn cat() -> Start {
    Start {
        what: What::Words(vec!["cat".into()]),
        cwd: Some("/".into()),
        env: BTreeMap::new(),
        split: false,
        terminal: None,
        timeout: None,
        keep: Duration::from_secs(60),
    }
}

fn name<T>(outcome: Result<T, Refused>) -> &'static str {
    outcome.err().map_or("", |refused| refused.name)
}

/// An act that is refused, and remembered as that.
async fn refused(registry: &Registry, user: &UserName, number: u64, session: &SessionId) {
    let connect = Connect {
        to: Target::parse("localhost:1").unwrap(),
        keep: Duration::ZERO,
    };
    let outcome = registry.connect(user, id(number), &connect, session).await;
    assert_eq!(name(outcome), "forbidden");
}

#[tokio::test]
async fn the_last_65_536_ids_of_a_user_are_known_and_what_is_open_for_as_long_as_it_is() {
    let limits = Limits {
        forward: false,
        ..Limits::default()
    };
    let living = Arc::new(Living::default());
    let registry = Registry::new(Arc::new(limits), living.clone());
    let session = Run::draw().unwrap().session().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| UserName::parse(name).unwrap());
    let open = |user, number| registry.open(user, id(number), "icm", &cat(), None, &session);
    open(&alice, 1).unwrap();
    for user in [&alice, &bob] {
        open(user, 2).unwrap();
        registry.done(user, &[id(2)], &session).unwrap();
    }

    for number in 3..=65_536 {
        refused(&registry, &alice, number, &session).await;
    }
    assert_eq!(name(registry.find(&alice, id(2))), "gone");
    assert_eq!(name(open(&alice, 2)), "gone", "nothing is run again");

    refused(&registry, &alice, 65_537, &session).await;
    assert_eq!(name(registry.find(&alice, id(2))), "not_found");
    assert_eq!(name(registry.find(&alice, id(1))), "", "it is open");
    assert_eq!(name(registry.find(&alice, id(3))), "forbidden");
    assert_eq!(
        name(open(&bob, 2)),
        "gone",
        "another's are no concern of his"
    );
    registry.end_all();
    living.gone().await;
}

#[test]
fn the_message_of_a_refusal_has_a_ceiling() {
    let refused = Refused::new(404, "not_found", "\u{e4}".repeat(100_000));
    assert_eq!(refused.message, "\u{e4}".repeat(250));
}
