//! Finding out what the path does, beside whatever else is under way: whether answers stream, whether two requests pass
//! side by side, and how large a body gets through. Not here: what follows from it, which is `path`'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::path::Flow;
use super::remote::Remote;
use super::who::Who;

/// Which probes are under way.
#[derive(Debug, Default)]
pub(crate) struct Probing {
    flow: AtomicBool,
    bodies: AtomicBool,
}

/// What one probe of the flow showed.
struct Seen {
    streams: bool,
    /// The second request was answered only when the first one was.
    queued: bool,
}

impl Remote {
    /// Finds out, beside everything else, what the path does, where that is not known: for whatever lives for longer than a few
    /// seconds. It costs two small requests. Once known, this does nothing.
    pub fn learn(self: &Arc<Self>) {
        let known = self.path.known().flow != Flow::Unknown;
        if known || self.probing.flow.swap(true, Ordering::SeqCst) {
            return;
        }
        let remote = self.clone();
        tokio::spawn(async move {
            let found = remote.probe_flow().await;
            // Where it cannot be found out, answers are parked: that is borne by every path.
            let (flow, alone) = found.unwrap_or((Flow::Parked, false));
            remote.path.found(flow, alone);
            remote.remember();
            remote.probing.flow.store(false, Ordering::SeqCst);
        });
    }

    /// Finds out, beside everything else, whether larger bodies pass: for whoever has many MiB to send. It costs up to 5 MiB.
    pub fn learn_bodies(self: &Arc<Self>) {
        let known = self.path.known().body >= SIZES[0];
        if known || self.probing.bodies.swap(true, Ordering::SeqCst) {
            return;
        }
        let remote = self.clone();
        tokio::spawn(async move {
            for size in SIZES {
                let begun = Instant::now();
                let passed = remote.ask_once(&mut Who::weighing(size)).await.is_ok();
                if passed {
                    remote.path.shown(size);
                }
                if !passed || begun.elapsed() > SLOW {
                    break;
                }
            }
            remote.remember();
        });
    }

    async fn probe_flow(&self) -> Result<(Flow, bool), Failure> {
        let first = self.probe_once(PAUSE).await?;
        // Anything may have held one of them up: what would make all that follows slow is looked at twice.
        let seen = if first.queued {
            self.probe_once(PAUSE * 2).await?
        } else {
            first
        };
        let flow = if seen.streams {
            Flow::Streams
        } else {
            Flow::Parked
        };
        Ok((flow, seen.queued))
    }

    async fn probe_once(&self, pause: Duration) -> Result<Seen, Failure> {
        let (mut parked, mut beside) = (Who::probing(pause), Who::probing(Duration::ZERO));
        let first = async {
            self.ask(&mut parked).await?;
            Ok::<_, Failure>(Instant::now())
        };
        let second = async {
            tokio::time::sleep(pause / 8).await;
            self.ask(&mut beside).await?;
            Ok::<_, Failure>(Instant::now())
        };
        let (ended, second_ended) = tokio::try_join!(first, second)?;
        let head = parked.head_came().unwrap_or(ended);
        let in_time = beside.sent() < Some(ended) && parked.sent() < beside.sent();
        Ok(Seen {
            streams: ended.duration_since(head) >= pause / 2,
            queued: in_time && second_ended >= ended,
        })
    }
}

/// How long the first probe parks its answer.
const PAUSE: Duration = Duration::from_millis(800);

/// Bodies that are tried: what nginx lets pass unless told otherwise, and what our server takes.
const SIZES: [usize; 2] = [1 << 20, 4 << 20];

/// Where a body takes so long, larger ones are of no use.
const SLOW: Duration = Duration::from_secs(4);
