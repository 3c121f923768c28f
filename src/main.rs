//! The command `remo-serv`: arguments, logs, signals and the exit code. The rest is the library.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, process::ExitCode, sync::Mutex};

use remo_serv::{
    Application,
    cli::Cli,
    config::Config,
    listener::Listener,
    server::{ConnectionLimits, serve_until},
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::Level;

fn main() -> ExitCode {
    remo_heap::keep();
    let cli = match remo_cli::parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => remo_cli::fail(PROGRAM, &error),
    }
}

type Error = Box<dyn std::error::Error>;

fn run(cli: &Cli) -> Result<(), Error> {
    let config = Config::load(cli)?;
    let settings = config.settings()?;
    if cli.config_check {
        return Ok(remo_cli::print(
            "configuration, server key and user database are sound\n",
        )?);
    }
    log_to(&config)?;
    for key_file in config.open_keys() {
        tracing::warn!(key_file = %key_file.display(), "others may read the server's key (chmod 600)");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = Listener::bind(&config.address).await.map_err(|error| {
            format!(
                "cannot listen on {}: {} (see --interface and --port)",
                config.address,
                remo_cli::reason(&error)
            )
        })?;
        let _caught = catch_ignored()?;
        let (stop, hurry, leave) = (signals(1)?, signals(2)?, signals(3)?);
        tokio::spawn(async move {
            leave.await;
            std::process::exit(1);
        });
        // What users compare with what `remo trust` shows them.
        let key = settings.key.public().fingerprint();
        tracing::info!(address = %listener.address(), %key, "listening");
        remo_cli::print(format!(
            "{PROGRAM} {} listening on {}\n",
            env!("CARGO_PKG_VERSION"),
            listener.address()
        ))?;
        serve_until(
            listener,
            Application::new(settings),
            connection_limits(),
            stop,
            hurry,
        )
        .await;
        Ok(())
    })
}

/// Catches the signals that this process was started with ignored, as nohup or a shell without job control do
/// it. What is ignored stays so in every program that is started, and then Ctrl-C or a hang-up would not end
/// it; what is caught is not (execve(2)). For this process nothing changes.
fn catch_ignored() -> io::Result<Vec<Signal>> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default();
    WORTH_CATCHING
        .into_iter()
        .filter(|number| ignored & (1 << (number - 1)) != 0)
        .map(|number| signal(SignalKind::from_raw(number)))
        .collect()
}

/// Ready when so many SIGTERM and SIGINT have come: the first stops the server, the second does not wait for requests in
/// flight, and the third waits for nothing.
fn signals(count: usize) -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        for _ in 0..count {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    })
}

/// SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU and
/// SIGWINCH.
const WORTH_CATCHING: [i32; 13] = [1, 2, 3, 10, 12, 14, 15, 17, 18, 20, 21, 22, 28];

fn log_to(config: &Config) -> Result<(), Error> {
    let level = if config.debug {
        Level::DEBUG
    } else {
        Level::INFO
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false);
    let Some(path) = &config.log else {
        let colours = io::IsTerminal::is_terminal(&io::stderr());
        log.with_writer(io::stderr).with_ansi(colours).init();
        return Ok(());
    };
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| {
            format!(
                "cannot write log '{}': {}",
                path.display(),
                remo_cli::reason(&error)
            )
        })?;
    log.with_writer(Mutex::new(file)).with_ansi(false).init();
    Ok(())
}

/// As many connections as half of the descriptors allow: a request may take several. The limit itself is
/// not raised, since every command would inherit it.
fn connection_limits() -> ConnectionLimits {
    use rustix::process::{Resource, getrlimit};
    let preset = ConnectionLimits::default();
    let descriptors = getrlimit(Resource::Nofile)
        .current
        .and_then(|most| usize::try_from(most).ok());
    let connections = descriptors.map_or(preset.connections, |most| {
        (most / 2).clamp(16, preset.connections)
    });
    ConnectionLimits {
        connections,
        ..preset
    }
}

const PROGRAM: &str = "remo-serv";
