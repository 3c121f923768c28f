//! How much of what was asked got lost on the way.

use super::finding::Finding;
use super::patient::Patient;

const NAME: &str = "losses";

pub(super) fn look(patient: &Patient) -> Finding {
    let counted = patient.count.now();
    if counted.asked == 0 {
        return Finding::skipped(NAME, super::NO_KEY);
    }
    // What arrived twice is told elsewhere.
    let lost = counted.asked - counted.answered - counted.repeated;
    let finding = match lost {
        0 => Finding::good(
            NAME,
            format!(
                "all of {} requests were answered by the server",
                counted.asked
            ),
        ),
        _ if counted.answered == 0 => Finding::bad(
            NAME,
            format!(
                "none of {} requests was answered by the server: {}",
                counted.asked,
                causes(patient)
            ),
        )
        .remedy("something on the path stops remo/2: try another path"),
        _ => Finding::notice(
            NAME,
            format!(
                "of {} requests {lost} were lost: {}",
                counted.asked,
                causes(patient)
            ),
        )
        .action("they are sent again; each act is carried out once all the same"),
    };
    finding
        .fact("asked", counted.asked)
        .fact("answered", counted.answered)
        .fact("broken", counted.broken)
        .fact("cut", counted.cut)
        .fact("pages", counted.pages)
}

fn causes(patient: &Patient) -> String {
    let counted = patient.count.now();
    let all = [
        (counted.broken, "without an answer"),
        (counted.cut, "cut"),
        (counted.pages, "answered by something else"),
        (counted.changed, "changed"),
        (counted.stale, "answered with an old answer"),
    ];
    let some = all.iter().filter(|(count, _)| *count > 0);
    let some: Vec<_> = some.map(|(count, how)| format!("{count} {how}")).collect();
    some.join(", ")
}
