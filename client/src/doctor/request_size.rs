//! The largest request that passes.

use std::time::Duration;

use super::finding::Finding;
use super::info::{Told, ask_once};
use super::patient::{Patient, Question};
use super::road::Fault;
use super::search::{Budget, Sizes, Tried, largest};
use super::session::Missed;
use super::{Bounds, bytes};

const NAME: &str = "request_size";

pub(super) async fn look(patient: &Patient, bounds: &Bounds) -> Finding {
    let keyed = patient.is_logged_in().await;
    let budget = Budget {
        // Of a request that nobody proved, a server reads about 1 MiB.
        largest: if keyed { bounds.largest } else { UNPROVED },
        traffic: bounds.traffic,
        time: (patient.left() / 3).min(LONGEST),
    };
    let sizes = largest(FIRST, budget, |size, patience| async move {
        if keyed {
            sealed(patient, size, patience).await
        } else {
            open(patient, size, patience).await
        }
    })
    .await;
    told(&sizes, budget.largest)
        .fact("passes", sizes.passes)
        .fact("fails", sizes.fails)
        .fact("status", sizes.status)
}

fn told(sizes: &Sizes, tried: usize) -> Finding {
    let passes = bytes(sizes.passes);
    let Some(fails) = sizes.fails else {
        if sizes.passes == 0 {
            return Finding::skipped(NAME, super::NO_TIME);
        }
        let more = if sizes.passes + sizes.passes / 8 >= tried {
            "more was not tried"
        } else {
            "there was no time or traffic left for more"
        };
        return Finding::good(NAME, format!("requests of {passes} pass; {more}"))
            .action(within(sizes.passes));
    };
    let by = match sizes.status {
        Some(status) => format!(" ({status})"),
        None => String::new(),
    };
    let found = format!("requests of {passes} pass, of {}{by} not", bytes(fails));
    if sizes.passes < LEAST && fails <= 2 * LEAST {
        return Finding::bad(NAME, found)
            .remedy("something on the path lets hardly any body pass: remo needs 8 KiB (nginx: client_max_body_size)");
    }
    if sizes.passes < USUAL {
        return Finding::notice(NAME, found)
            .action(within(sizes.passes))
            .remedy("larger ones are quicker in bulk (nginx: client_max_body_size, client_body_timeout)");
    }
    Finding::good(NAME, found).action(within(sizes.passes))
}

fn within(passes: usize) -> String {
    format!("requests of up to {}", bytes(passes))
}

async fn sealed(patient: &Patient, size: usize, patience: Duration) -> Tried {
    let question = Question {
        length: size,
        patience,
        ..Question::who()
    };
    match patient.ask_once(&question).await {
        Ok(_) => Ok(size),
        Err(Missed::Bare(status) | Missed::Page(status)) if status != 409 => Err(refusing(status)),
        Err(_) => Err(None),
    }
}

async fn open(patient: &Patient, size: usize, patience: Duration) -> Tried {
    let asked: Result<_, Fault> = ask_once(patient, size, patience).await;
    match asked {
        Ok((Told::Server(..), _)) => Ok(size),
        // A server that saw too much at once gives its name only.
        Ok((_, got)) if got.status == 200 && got.body.starts_with(b"remo_serv") => Ok(size),
        Ok((_, got)) => Err(refusing(got.status)),
        Err(_) => Err(None),
    }
}

/// The statuses that say that it is too much; others may be of the moment.
fn refusing(status: u16) -> Option<u16> {
    Some(status).filter(|status| matches!(status, 411 | 413))
}

/// Bytes below which requests stay where nothing is known.
const USUAL: usize = 512 * 1024;

/// Bytes without which nothing works: a log-in has about four thousand.
const LEAST: usize = 6 * 1024;

/// Bytes of a request without a seal.
const UNPROVED: usize = (1 << 20) + 2048;

/// Bytes with which it begins: how long they take shows how long more may take.
const FIRST: usize = 64 * 1024;

/// For all of them.
const LONGEST: Duration = Duration::from_secs(15);
