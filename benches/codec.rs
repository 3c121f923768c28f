//! How fast tokens are sealed and opened, beside the `fernet` crate and bare HMAC-SHA-256 in the same run.
//! Whole transfers are measured by `benches/transfer`.
//!
//! cargo bench -p remo-protocol --bench codec [-- --json] [-- --check]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use remo_protocol::fernet::{FernetKey, Sealed};
use sha2::Sha256;

/// Bytes of data in a token.
const SIZES: [usize; 4] = [64, 8 << 10, 64 << 10, 1 << 20];
/// How often each way is measured; they take turns, so that what disturbs the machine disturbs all.
const ROUNDS: usize = 15;
const LENGTH_OF_A_ROUND: Duration = Duration::from_millis(40);
/// What is promised at 64 KiB.
const GOAL: f64 = 1.7;
/// What `--check` insists on: less than this is no noise.
const FLOOR: f64 = GOAL / 1.25;

fn main() -> ExitCode {
    let said = |option: &str| std::env::args().any(|argument| argument == option);
    let rows: Vec<Row> = SIZES.into_iter().map(measure).collect();
    if said("--json") {
        print_json(&rows);
    } else {
        print_table(&rows);
    }
    let at_64_kib = rows.iter().find(|row| row.size == 64 << 10);
    let reached = at_64_kib.map_or(0.0, |row| row.seal.ratio);
    if said("--check") && reached < FLOOR {
        eprintln!(
            "seal at 64 KiB is {reached:.2} times the fernet crate's (goal {GOAL}, floor {FLOOR:.2})"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

struct Row {
    size: usize,
    seal: Duel,
    open: Duel,
    hmac: Speed,
}

/// Ours and the crate's, and how many times faster ours is: the median of the rounds' own ratios.
struct Duel {
    ours: Speed,
    other: Speed,
    ratio: f64,
}

/// MB/s of data (10^6 bytes): the median of the rounds, the slowest and the fastest.
struct Speed {
    median: f64,
    least: f64,
    most: f64,
}

fn measure(size: usize) -> Row {
    let raw: [u8; 32] = std::array::from_fn(|i| i as u8);
    let key = FernetKey::from_bytes(&raw);
    let other = fernet::Fernet::new(&base64_simd::URL_SAFE.encode_to_string(raw)).unwrap();
    let data: Vec<u8> = (0..size).map(|i| (i * 31 + i / 251) as u8).collect();
    let token = other.encrypt(&data);
    let mut out = Sealed::default();
    let mut acts: [Box<dyn FnMut()>; 5] = [
        Box::new(|| {
            out.text.clear();
            key.seal(&[], black_box(&data), 1_700_000_000, &mut out)
                .unwrap();
            black_box(&out.text);
        }),
        Box::new(|| drop(black_box(other.encrypt(black_box(&data))))),
        Box::new(|| drop(black_box(key.open(black_box(token.as_bytes())).unwrap()))),
        Box::new(|| drop(black_box(other.decrypt(black_box(&token)).unwrap()))),
        Box::new(|| {
            let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&raw).unwrap();
            black_box(mac.chain_update(black_box(&data)).finalize());
        }),
    ];
    let [seal, crate_seal, open, crate_open, hmac] = take_turns(&mut acts, size);
    Row {
        size,
        seal: Duel::of(seal, crate_seal),
        open: Duel::of(open, crate_open),
        hmac: Speed::of(hmac),
    }
}

/// MB/s of each act in each round.
fn take_turns<const N: usize>(acts: &mut [Box<dyn FnMut() + '_>; N], size: usize) -> [Vec<f64>; N] {
    let mut found = [const { Vec::new() }; N];
    for round in 0..=ROUNDS {
        for (act, found) in acts.iter_mut().zip(&mut found) {
            let speed = speed(act, size);
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
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < LENGTH_OF_A_ROUND {
        for _ in 0..at_once {
            act();
        }
        done += at_once;
    }
    (done * size) as f64 / start.elapsed().as_secs_f64() / 1e6
}

impl Duel {
    fn of(ours: Vec<f64>, other: Vec<f64>) -> Self {
        let ratios = ours.iter().zip(&other).map(|(ours, other)| ours / other);
        let ratio = Speed::of(ratios.collect()).median;
        Self {
            ours: Speed::of(ours),
            other: Speed::of(other),
            ratio,
        }
    }
}

impl Speed {
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
        format!(r#"{{"median": {median:.1}, "least": {least:.1}, "most": {most:.1}}}"#)
    }
}

fn print_table(rows: &[Row]) {
    println!("MB/s of data, median of {ROUNDS} rounds (slowest to fastest)");
    println!(
        "{:>8}  {:<26}{:<26}{:>6}",
        "bytes", "remo seal", "fernet encrypt", "ratio"
    );
    for Row { size, seal, .. } in rows {
        print_duel(*size, seal);
    }
    println!(
        "{:>8}  {:<26}{:<26}{:>6}",
        "bytes", "remo open", "fernet decrypt", "ratio"
    );
    for Row { size, open, .. } in rows {
        print_duel(*size, open);
    }
    println!("{:>8}  {:<26}", "bytes", "HMAC-SHA-256 alone");
    for Row { size, hmac, .. } in rows {
        println!("{size:>8}  {}", shown(hmac));
    }
}

fn print_duel(size: usize, Duel { ours, other, ratio }: &Duel) {
    println!(
        "{size:>8}  {:<26}{:<26}{ratio:>6.2}",
        shown(ours),
        shown(other)
    );
}

fn shown(
    Speed {
        median,
        least,
        most,
    }: &Speed,
) -> String {
    format!("{median:.0} ({least:.0} to {most:.0})")
}

fn print_json(rows: &[Row]) {
    let duel = |Duel { ours, other, ratio }: &Duel| {
        format!(
            r#"{{"remo": {}, "fernet": {}, "ratio": {ratio:.3}}}"#,
            ours.json(),
            other.json()
        )
    };
    let row = |Row {
                   size,
                   seal,
                   open,
                   hmac,
               }: &Row| {
        let (seal, open, hmac) = (duel(seal), duel(open), hmac.json());
        format!(r#"{{"bytes": {size}, "seal": {seal}, "open": {open}, "hmac": {hmac}}}"#)
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    println!(
        r#"{{"unit": "MB/s", "rounds": {ROUNDS}, "sizes": [{}]}}"#,
        rows.join(", ")
    );
}
