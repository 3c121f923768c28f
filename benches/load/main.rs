//! Many clients of one server, or one client with many requests: what `benches/run` cannot do in Python without
//! measuring Python. Prints one line of JSON. Starts no server.
//!
//! load ADDRESS SERVER_PEM USER KEY_PEM SERVER_PID (cmd|logins|terminals|clients) COUNT
#![allow(missing_docs)]

mod peer;

use std::{
    fs,
    hint::black_box,
    process::{Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use remo_protocol::{
    agreement::TransientKey,
    keys::{PrivateKey, PublicKey, UserKey},
    name::UserName,
    remo2::handshake::LoginRequest,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use self::peer::{Outcome, Peer, Target, id, object};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    // `cargo bench` and `cargo test --benches` start every bench: this one has nothing to say by itself.
    let [address, server, user, key, pid, act, count] = arguments.as_slice() else {
        return ExitCode::SUCCESS;
    };
    let outcome = target(address, server, user, key)
        .and_then(|target| carry_out(&target, pid, act, count.parse()?));
    match outcome {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn target(address: &str, server: &str, user: &str, key: &str) -> Outcome<Target> {
    Ok(Target {
        address: address.to_owned(),
        server: PublicKey::from_pem(&fs::read(server)?)?,
        user: UserName::parse(user)?,
        key: PrivateKey::from_pem(&fs::read(key)?, None)?,
    })
}

fn carry_out(target: &Target, pid: &str, act: &str, count: usize) -> Outcome<Value> {
    match act {
        "cmd" => commands(target, count),
        "logins" => logins(target, pid, count),
        "terminals" => terminals(target, pid, count),
        "clients" => clients(target, count),
        other => Err(format!("there is no '{other}'").into()),
    }
}

/// `true`, in one session one after the other, and in turn with it the system's own way to run it.
fn commands(target: &Target, count: usize) -> Outcome<Value> {
    let mut peer = target.log_in()?;
    let (mut ours, mut spawned, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    const AT_ONCE: usize = 20;
    for _ in 0..count.div_ceil(AT_ONCE) {
        let asked = times(AT_ONCE, || peer.run_true())?;
        let started = times(AT_ONCE, spawn_true)?;
        ratios.push(sum(&asked) / sum(&started));
        ours.extend(asked);
        spawned.extend(started);
    }
    Ok(json!({"cmd": spread(ours), "spawn": spread(spawned), "ratio": spread(ratios)}))
}

/// Spawns `true` with three pipes and reaps it.
fn spawn_true() -> Outcome<()> {
    let mut command = Command::new("true");
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command.spawn()?.wait_with_output()?;
    output
        .status
        .success()
        .then_some(())
        .ok_or_else(|| "true is false".into())
}

/// Log-ins by as many connections as there are cores, the processor time of the server for each, that of the
/// primitives, and how long another user waits meanwhile.
fn logins(target: &Target, pid: &str, count: usize) -> Outcome<Value> {
    let cores = thread::available_parallelism()?.get();
    let mut other = target.log_in()?;
    let alone = times(200, || who(&mut other))?;
    let mut prepared = (0..count)
        .map(|_| target.prepare())
        .collect::<Outcome<Vec<_>>>()?;
    let over = AtomicBool::new(false);
    let primitives = primitives(target)?;
    let (before, begin) = (processor_time(pid)?, Instant::now());
    let meanwhile = thread::scope(|scope| {
        let waiting = scope.spawn(|| until(&over, || who(&mut other)));
        let share = count.div_ceil(cores);
        let knocking: Vec<_> = prepared
            .chunks_mut(share)
            .map(|share| {
                scope.spawn(move || {
                    let mut connection = target.connect()?;
                    share
                        .iter()
                        .try_for_each(|one| Target::knock(&mut connection, one))
                })
            })
            .collect();
        let knocked = knocking
            .into_iter()
            .try_for_each(|thread| joined(thread.join()));
        over.store(true, Ordering::Relaxed);
        knocked.and_then(|()| joined(waiting.join()))
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let each = (processor_time(pid)? - before) * 1e3 / count as f64;
    Ok(json!({
        "a_second": count as f64 / seconds,
        "server_ms": each,
        "primitives_ms": primitives,
        "ratio": each / primitives,
        "who_alone": spread(alone),
        "who_meanwhile": spread(meanwhile),
    }))
}

/// Milliseconds of processor time that a server cannot do without: it verifies, makes a transient key, tells its public half
/// and agrees with it, encapsulates, signs. All cores are at it, as with the log-ins, since they share what a core is made of.
fn primitives(target: &Target) -> Outcome<f64> {
    let cores = thread::available_parallelism()?.get();
    let mut found = thread::scope(|scope| {
        let measuring: Vec<_> = (0..cores)
            .map(|_| scope.spawn(|| primitives_of_a_core(target)))
            .collect();
        let found = measuring.into_iter().map(|thread| joined(thread.join()));
        found.collect::<Outcome<Vec<_>>>()
    })?
    .concat();
    found.sort_by(f64::total_cmp);
    Ok(found.get(found.len() / 2).copied().unwrap_or_default())
}

fn primitives_of_a_core(target: &Target) -> Outcome<Vec<f64>> {
    let (message, public) = ([7; 1700], target.key.public());
    let sign = target.key.sign(&message);
    let theirs = TransientKey::generate()?.public();
    let login = LoginRequest::parse(target.prepare()?.body())?;
    let login = login.prove(&UserKey::from(target.key.public()), &target.server)?;
    let mut found = Vec::new();
    for _ in 0..100 {
        let begin = own_time();
        if !public.verify(&message, &sign) {
            return Err("a good signature is refused".into());
        }
        let transient = TransientKey::generate()?;
        black_box(transient.public());
        transient.agree(&theirs)?;
        black_box(login.encapsulate()?);
        black_box(target.key.sign(&message));
        found.push((own_time() - begin).as_secs_f64() * 1e3);
    }
    Ok(found)
}

fn who(peer: &mut Peer) -> Outcome<()> {
    peer.ask("who", object(json!({}))).map(drop)
}

/// Terminals at which nothing happens: what each takes of the server's memory, and of a core.
fn terminals(target: &Target, pid: &str, count: usize) -> Outcome<Value> {
    let mut peer = target.log_in()?;
    who(&mut peer)?;
    let before = resident(pid)?;
    let mut ids = Vec::new();
    for _ in 0..count {
        let id = id()?;
        let pty = json!({"rows": 24, "cols": 80, "term": "xterm"});
        let head = json!({"id": id, "argv": ["sleep", "600"], "pty": pty, "keep": 600});
        peer.ask("icm", object(head))?;
        ids.push(id);
    }
    let after = resident(pid)?;
    let (used, begin) = (processor_time(pid)?, Instant::now());
    thread::sleep(Duration::from_secs(10));
    let share = (processor_time(pid)? - used) / begin.elapsed().as_secs_f64();
    for ids in ids.chunks(100) {
        peer.ask("who", object(json!({"done": ids})))?;
    }
    let each = after.saturating_sub(before) as f64 / count as f64;
    Ok(json!({"kib_each": each, "processor": share, "kib_before": before, "kib_after": after}))
}

/// So many clients, each with a session of its own, that run `true` ten times each at the same time.
fn clients(target: &Target, count: usize) -> Outcome<Value> {
    let peers = (0..count)
        .map(|_| target.log_in())
        .collect::<Outcome<Vec<_>>>()?;
    let begin = Instant::now();
    let found = thread::scope(|scope| {
        let run = |mut peer: Peer| move || times(10, || peer.run_true());
        let running: Vec<_> = peers
            .into_iter()
            .map(|peer| scope.spawn(run(peer)))
            .collect();
        let found = running.into_iter().map(|thread| joined(thread.join()));
        found.collect::<Outcome<Vec<_>>>()
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let slowest = found.iter().map(|times| sum(times)).fold(0.0, f64::max);
    let times = spread(found.concat());
    let a_second = 10.0 * count as f64 / seconds;
    Ok(json!({"cmd": times, "slowest_client_s": slowest / 1e3, "a_second": a_second}))
}

/// Milliseconds that each of so many runs took.
fn times(count: usize, mut act: impl FnMut() -> Outcome<()>) -> Outcome<Vec<f64>> {
    (0..count).map(|_| time(&mut act)).collect()
}

fn until(over: &AtomicBool, mut act: impl FnMut() -> Outcome<()>) -> Outcome<Vec<f64>> {
    let mut found = Vec::new();
    while !over.load(Ordering::Relaxed) {
        found.push(time(&mut act)?);
        thread::sleep(Duration::from_millis(2));
    }
    Ok(found)
}

fn time(act: &mut impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    let begin = Instant::now();
    act()?;
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

fn sum(times: &[f64]) -> f64 {
    times.iter().sum()
}

fn spread(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (values.len().saturating_sub(1) as f64 * share).round() as usize;
        values.get(place).copied().unwrap_or_default()
    };
    json!({"p50": at(0.5), "p99": at(0.99), "least": at(0.0), "most": at(1.0), "count": values.len()})
}

fn joined<T>(outcome: thread::Result<Outcome<T>>) -> Outcome<T> {
    outcome.map_err(|_| "a thread failed")?
}

/// Seconds of processor time that a process has used.
fn processor_time(pid: &str) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    let ticks = ticks.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

/// KiB of memory that a process has.
fn resident(pid: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next());
    Ok(number.ok_or("no VmRSS")?.parse()?)
}

fn own_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}
