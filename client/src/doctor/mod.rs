//! `remo doctor`: what the path to a server does, found out by trying, and what `remo` does about it.
//! How a path is dealt with is not decided here.
//!
//! [`examine`] runs one test after the other; each gives a [`Finding`]. Without a key it tests what can be tested.
//! Nothing changes at the server: what is asked is `/info`, `/who`, and `head` by `/cmd`.

mod answer_buffering;
mod answer_size;
mod certificate;
mod changes;
mod clock;
mod finding;
mod idle;
mod info;
mod keep_alive;
mod learnt;
mod line;
mod log_in;
mod losses;
mod patient;
mod proxy;
mod repeats;
mod request_buffering;
mod request_size;
mod road;
mod round_trip;
mod search;
mod server;
mod session;
mod side_by_side;
mod summary;
mod tls;

use std::time::Duration;

use remo_protocol::keys::PublicKey;

pub use finding::{Finding, Report, Verdict};

use crate::address::ServerAddress;
use crate::error::Error;
use crate::remo2::Person;
use crate::transport::Way;
use keep_alive::Watched;
use patient::Patient;
use road::{Fault, Road};

/// What is examined, and what is known of it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Where the server is.
    pub address: ServerAddress,
    /// The way there.
    pub way: Way,
    /// Who named the proxy of the way.
    pub proxy_named_by: &'static str,
    /// Who we are there, or why nobody.
    pub person: Result<Person, String>,
    /// The keys of the server that are trusted.
    pub servers: Vec<PublicKey>,
    /// Fingerprints of such keys.
    pub fingerprints: Vec<String>,
}

/// How far an examination may go.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For everything.
    pub time: Duration,
    /// The longest silence that is tried.
    pub idle: Duration,
    /// Bytes of the largest body that is tried.
    pub largest: usize,
    /// Bytes that may be sent, and again received, to find sizes.
    pub traffic: usize,
}

impl Bounds {
    /// About half a minute.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            time: Duration::from_secs(45),
            idle: Duration::from_secs(20),
            largest: LARGEST,
            traffic: 24 << 20,
        }
    }

    /// A few seconds.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            time: Duration::from_secs(10),
            idle: Duration::from_secs(2),
            largest: LARGEST,
            traffic: 3 << 20,
        }
    }
}

/// Tells what is being tested.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Examines the path to a server.
///
/// # Errors
/// [`Error::Setup`], where nothing can be asked at all.
pub async fn examine(
    subject: &Subject,
    bounds: &Bounds,
    progress: Progress<'_>,
) -> Result<Report, Error> {
    let road = Road::plan(subject.address.clone(), &subject.way)?;
    let person = subject.person.as_ref().ok().cloned();
    let mut patient = Patient::new(road, person, subject.servers.clone(), bounds.time);
    let mut report = Report {
        url: subject.address.to_string(),
        findings: Vec::new(),
        proved: None,
    };
    progress("who answers");
    let told = info::ask(&patient).await;
    let findings = &mut report.findings;
    findings.push(proxy::look(subject, &patient.road, told.as_ref()));
    findings.push(certificate::look(&patient.road, told.as_ref().err()));
    findings.push(server::look(subject, told.as_ref()));
    let Ok((info::Told::Server(keys, _), got)) = told else {
        findings.push(Finding::skipped("rest", REST));
        return Ok(report);
    };
    // A fingerprint is the key's, once the key is there.
    patient.servers.extend(keys.into_iter().filter(|key| {
        let fingerprint = key.fingerprint().to_string();
        subject.fingerprints.contains(&fingerprint)
    }));
    progress("log-in");
    findings.push(log_in::look(subject, &patient).await);
    rest(&patient, bounds, &got, progress, findings).await;
    report.proved = patient.proved();
    Ok(report)
}

async fn rest(
    patient: &Patient,
    bounds: &Bounds,
    got: &line::Got,
    progress: Progress<'_>,
    findings: &mut Vec<Finding>,
) {
    progress("round trip");
    findings.push(round_trip::look(patient).await);
    progress("clocks");
    findings.push(clock::look(patient, got).await);
    progress("one request at a time, or more");
    findings.push(side_by_side::look(patient).await);
    progress("whether requests are buffered");
    findings.push(request_buffering::look(patient).await);
    progress("whether answers are buffered");
    findings.push(answer_buffering::look(patient).await);
    progress("the largest request");
    findings.push(request_size::look(patient, bounds).await);
    progress("the largest answer");
    findings.push(answer_size::look(patient, bounds).await);
    progress("how long the path bears silence");
    let mut watched = Watched::begin(patient).await;
    let (idle, ()) = tokio::join!(idle::look(patient, bounds), watched.wait(patient, bounds));
    findings.extend([idle, watched.look(patient).await]);
    progress("repeated requests");
    findings.push(repeats::look(patient).await);
    findings.push(changes::look(patient, got).await);
    findings.push(losses::look(patient));
}

/// What a test says that has no key.
const NO_KEY: &str = "left out: it needs a log-in";

/// What a test says that came too late.
const NO_TIME: &str = "left out: no time is left (--time SECONDS allows more)";

const REST: &str = "all else was left out, since the server was not reached";

/// Bytes of a request that a server of remo/2 takes, and something for its frame.
const LARGEST: usize = (4 << 20) - (16 << 10);

/// What it comes to where something was asked.
type Asked<'a, T> = Result<&'a T, &'a Fault>;

/// A length of time in words.
fn seconds(time: Duration) -> String {
    match time.as_millis() {
        0..10 => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        few @ 10..1000 => format!("{few} ms"),
        many => format!("{:.1} s", many as f64 / 1000.0),
    }
}

/// A number of bytes in words.
fn bytes(count: usize) -> String {
    match count {
        0..10_240 => format!("{count} bytes"),
        10_240..1_048_576 => format!("{} KiB", count / 1024),
        _ => format!("{:.1} MiB", count as f64 / f64::from(1 << 20)),
    }
}

/// Milliseconds, for programs.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
