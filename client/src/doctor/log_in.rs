//! Whether the log-in works, which proves that the server answers and nobody else.

use remo_protocol::keys::PublicKey;

use super::Subject;
use super::finding::Finding;
use super::patient::{Patient, TRIES};
use super::road::Fault;
use super::session::Missed;

const NAME: &str = "log_in";

pub(super) async fn look(subject: &Subject, patient: &Patient) -> Finding {
    let person = match &subject.person {
        Ok(person) => person,
        Err(why) => return without(why),
    };
    if patient.servers.is_empty() {
        return without("no key of the server is trusted (remo trust NAME URL, or --server FILE)");
    }
    let user = person.user.as_str();
    let mut missed = Missed::Cut;
    for _ in 0..TRIES {
        match patient.log_in().await {
            Ok(()) => {
                let found =
                    format!("'{user}' is logged in: the server whose key you trust answers");
                return Finding::good(NAME, found).fact("user", user);
            }
            Err(why) => missed = why,
        }
    }
    refused(user, &missed, &patient.servers).fact("user", user)
}

fn without(why: &str) -> Finding {
    Finding::skipped(NAME, format!("without a log-in, since {why}"))
        .action("tests that need one were left out")
}

fn refused(user: &str, missed: &Missed, servers: &[PublicKey]) -> Finding {
    let (status, found, remedy) = match missed {
        Missed::Bare(403) | Missed::Page(403) => (
            403,
            format!("the log-in of '{user}' was refused: 403"),
            "is the user in the server's database, with the key that belongs to --key? add-user puts it there",
        ),
        Missed::Bare(421) | Missed::Page(421) => {
            let keys: Vec<_> = servers
                .iter()
                .map(|key| key.fingerprint().to_string())
                .collect();
            (
                421,
                format!(
                    "the server says that it has none of the keys {}",
                    keys.join(", ")
                ),
                "compare fingerprints with its owner, then: remo trust",
            )
        }
        Missed::Changed => (
            200,
            "the log-in was answered by something that has not the server's key".into(),
            "somebody answers in its place, or a box on the path changes answers",
        ),
        Missed::Fault(fault @ (Fault::Broken(_) | Fault::Silent(_))) => (
            0,
            format!("the log-in gets no answer: {fault}"),
            "its body has 4 KiB: something on the path may let only shorter ones pass",
        ),
        other => (
            0,
            format!("the log-in fails: {other}"),
            "something on the path answers in place of the server",
        ),
    };
    Finding::bad(NAME, found)
        .remedy(remedy)
        .fact("status", status)
}
