//! How fast tokens are sealed and opened on one core, beside HMAC-SHA-256 alone and the `fernet` crate in the
//! same run. Whole transfers are measured by `benches/run`.
//!
//! cargo bench -p remo-protocol --bench codec [-- --json] [-- --check]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{hint::black_box, process::ExitCode, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use remo_protocol::fernet::{FernetKey, LANES, Piece, Sealed};
use rustix::time::{ClockId, clock_gettime};
use sha2::Sha256;

/// Bytes of data in a token.
const SIZES: [usize; 4] = [64, 8 << 10, 64 << 10, 1 << 20];
/// How often each way is measured; they take turns, so that what disturbs the machine disturbs all.
const ROUNDS: usize = 15;
const LENGTH_OF_A_ROUND: Duration = Duration::from_millis(40);

/// What is measured, in the order of its rows; the last is what all are compared with.
const ACTS: [&str; 6] = [
    "seal, 8 side by side",
    "seal, one by one",
    "open",
    "fernet crate, encrypt",
    "fernet crate, decrypt",
    "HMAC-SHA-256 alone",
];

/// At 64 KiB: the act, what share of HMAC-SHA-256 alone it is to reach, and the share below which `--check`
/// fails. Without the interleaving, sealing reaches 0.35.
const GOALS: [(usize, f64, f64); 2] = [(0, 0.6, 0.45), (2, 0.65, 0.4)];

fn main() -> ExitCode {
    let said = |option: &str| std::env::args().any(|argument| argument == option);
    let rows: Vec<Row> = SIZES.into_iter().flat_map(measure).collect();
    if said("--json") {
        print_json(&rows);
    } else {
        print_table(&rows);
    }
    if said("--check") && !goals_are_kept(&rows) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn goals_are_kept(rows: &[Row]) -> bool {
    let mut kept = true;
    for (act, goal, floor) in GOALS {
        let row = rows
            .iter()
            .find(|row| row.size == 64 << 10 && Some(&row.act) == ACTS.get(act));
        let share = row.map_or(0.0, |row| row.share.median);
        if share < floor {
            let act = ACTS.get(act).copied().unwrap_or_default();
            eprintln!(
                "{act} at 64 KiB: {share:.2} of HMAC-SHA-256 alone (goal {goal}, floor {floor})"
            );
            kept = false;
        }
    }
    kept
}

/// How many tokens it makes, and how.
type Act<'a> = (usize, Box<dyn FnMut() + 'a>);

/// One act at one size.
struct Row {
    size: usize,
    act: &'static str,
    speed: Spread,
    /// Of the speed of HMAC-SHA-256 alone: of the rounds' own shares.
    share: Spread,
}

/// The median of the rounds, the least and the most.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

fn measure(size: usize) -> Vec<Row> {
    let raw: [u8; 32] = std::array::from_fn(|i| i as u8);
    let key = FernetKey::from_bytes(&raw);
    let other = fernet::Fernet::new(&base64_simd::URL_SAFE.encode_to_string(raw)).unwrap();
    let data: Vec<u8> = (0..size * LANES)
        .map(|i| (i * 31 + i / 251) as u8)
        .collect();
    let one = data.get(..size).unwrap();
    let token = other.encrypt(one);
    let (mut many, mut out) = (Sealed::default(), Sealed::default());
    let mut acts: [Act<'_>; ACTS.len()] = [
        (
            LANES,
            Box::new(|| {
                many.text.clear();
                let pieces = black_box(&data)
                    .chunks(size)
                    .map(|data| Piece { head: &[], data });
                let pieces: Vec<_> = pieces.collect();
                key.seal_each(&pieces, 1_700_000_000, b"\r\n", &mut many)
                    .unwrap();
                black_box(&many.text);
            }),
        ),
        (
            1,
            Box::new(|| {
                out.text.clear();
                key.seal(&[], black_box(one), 1_700_000_000, &mut out)
                    .unwrap();
                black_box(&out.text);
            }),
        ),
        (
            1,
            Box::new(|| drop(black_box(key.open(black_box(token.as_bytes())).unwrap()))),
        ),
        (
            1,
            Box::new(|| drop(black_box(other.encrypt(black_box(one))))),
        ),
        (
            1,
            Box::new(|| drop(black_box(other.decrypt(black_box(&token)).unwrap()))),
        ),
        (
            1,
            Box::new(|| {
                let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&raw).unwrap();
                black_box(mac.chain_update(black_box(one)).finalize());
            }),
        ),
    ];
    let speeds = take_turns(&mut acts, size);
    let yardstick = speeds.last().cloned().unwrap_or_default();
    ACTS.into_iter()
        .zip(speeds)
        .map(|(act, speeds)| {
            let shares = speeds
                .iter()
                .zip(&yardstick)
                .map(|(speed, most)| speed / most);
            Row {
                size,
                act,
                share: Spread::of(shares.collect()),
                speed: Spread::of(speeds),
            }
        })
        .collect()
}

/// MB/s of each act in each round.
fn take_turns(acts: &mut [Act<'_>], size: usize) -> Vec<Vec<f64>> {
    let mut found = vec![Vec::new(); acts.len()];
    for round in 0..=ROUNDS {
        for ((tokens, act), found) in acts.iter_mut().zip(&mut found) {
            let speed = speed(act, size * *tokens);
            // The first round warms up.
            if round > 0 {
                found.push(speed);
            }
        }
    }
    found
}

fn speed(act: &mut dyn FnMut(), size: usize) -> f64 {
    let at_once = (64 << 10) / size.clamp(1, 64 << 10);
    let (start, mut done) = (processor_time(), 0);
    while processor_time() - start < LENGTH_OF_A_ROUND {
        for _ in 0..at_once {
            act();
        }
        done += at_once;
    }
    (done * size) as f64 / (processor_time() - start).as_secs_f64() / 1e6
}

/// What this thread used: time that others took of the core does not count.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

impl Spread {
    fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |place: usize| rounds.get(place).copied().unwrap_or_default();
        Self {
            median: at(rounds.len() / 2),
            least: at(0),
            most: at(rounds.len().saturating_sub(1)),
        }
    }

    fn json(&self) -> String {
        let Self {
            median,
            least,
            most,
        } = self;
        format!(r#"{{"median": {median:.3}, "least": {least:.3}, "most": {most:.3}}}"#)
    }
}

fn print_table(rows: &[Row]) {
    println!(
        "MB/s of data and share of HMAC-SHA-256 alone, median of {ROUNDS} rounds (least to most)"
    );
    for Row {
        size,
        act,
        speed,
        share,
    } in rows
    {
        let speed = format!(
            "{:.0} ({:.0} to {:.0})",
            speed.median, speed.least, speed.most
        );
        let share = format!(
            "{:.2} ({:.2} to {:.2})",
            share.median, share.least, share.most
        );
        println!("{size:>8}  {act:<24}{speed:<24}{share}");
    }
}

fn print_json(rows: &[Row]) {
    let rows: Vec<String> = rows
        .iter()
        .map(
            |Row {
                 size,
                 act,
                 speed,
                 share,
             }| {
                let (speed, share) = (speed.json(), share.json());
                format!(
                    r#"{{"bytes": {size}, "act": "{act}", "speed": {speed}, "share": {share}}}"#
                )
            },
        )
        .collect();
    println!(
        r#"{{"unit": "MB/s", "rounds": {ROUNDS}, "rows": [{}]}}"#,
        rows.join(", ")
    );
}
