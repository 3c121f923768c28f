//! Whether the path sends a request twice. Each request of remo/2 has a number; the server says so of one that it
//! has seen.

use super::finding::Finding;
use super::patient::{Patient, Question};

const NAME: &str = "repeats";

pub(super) async fn look(patient: &Patient) -> Finding {
    if !patient.is_logged_in().await {
        return Finding::skipped(NAME, super::NO_KEY);
    }
    let mut asked = patient.count.now().asked;
    while asked < ENOUGH && !patient.left().is_zero() {
        let _ = patient.ask(&Question::who()).await;
        asked = patient.count.now().asked;
    }
    let counted = patient.count.now();
    let (asked, repeated) = (counted.asked, counted.repeated);
    let finding = if repeated == 0 {
        Finding::good(
            NAME,
            format!("of {asked} requests none arrived twice before it was answered"),
        )
    } else {
        Finding::notice(NAME, format!("of {asked} requests {repeated} had arrived before: the path sends them twice"))
            .action("nothing is carried out twice: the server knows each request and each act by its number; it is asked again")
            .remedy("it costs time (nginx: no non_idempotent in proxy_next_upstream)")
    };
    finding.fact("asked", asked).fact("repeated", repeated)
}

/// Requests after which it can be told.
const ENOUGH: u64 = 12;
