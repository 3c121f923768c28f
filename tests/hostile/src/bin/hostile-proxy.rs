//! The command line of the proxy that misbehaves.
//! Does not hold what it does.

use std::{io::Write, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use remo_hostile::{Kind, Proxy, Settings, plan::Plan, shape::Shape};

/// A proxy that misbehaves on purpose, by a plan that follows from a seed.
///
/// Stands before a server (`--to`), and takes full addresses as a forward proxy does. Prints its address in one
/// line, and tells each misdeed, with the number of the request, on standard error.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen: String,
    /// The server
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// The seed of the plan
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Misdeeds of which one is done at a time (all)
    #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
    only: Vec<Kind>,
    /// How often one is done, from 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.2)]
    rate: f64,
    /// Misdeeds that are done to every request besides
    #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
    always: Vec<Kind>,
    /// Silence of an answer that `idle-out` bears
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    idle: u64,
    /// The longest of `delay` and `reorder`
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    delay: u64,
    /// Bytes of a body that `ceiling` bears
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    ceiling: u64,
    /// Bytes of an answer that are borne; a longer one is 502 (no limit)
    #[arg(long, value_name = "BYTES")]
    answer_ceiling: Option<u64>,
    /// Ask for a log-in, by these ways, of whom gives none by Basic
    #[arg(long, value_name = "WAY,…", value_delimiter = ',')]
    log_in: Vec<String>,
    /// Let nothing through: a page of this status for everything
    #[arg(long, value_name = "STATUS")]
    portal: Option<u16>,
    /// What each byte takes in each direction
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency: u64,
    /// Bytes a second in each direction (no limit)
    #[arg(long, value_name = "BYTES")]
    bandwidth: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match Proxy::start(&arguments.listen, arguments.settings()).await {
        Err(error) => {
            eprintln!("cannot listen on '{}': {error}", arguments.listen);
            ExitCode::FAILURE
        }
        Ok(proxy) => {
            println!("{}", proxy.address());
            let _ = tokio::signal::ctrl_c().await;
            ExitCode::SUCCESS
        }
    }
}

impl Arguments {
    fn settings(&self) -> Settings {
        let only = match self.only.is_empty() {
            true => Kind::ALL.to_vec(),
            false => self.only.clone(),
        };
        let plan = Plan {
            seed: self.seed,
            only,
            rate: self.rate,
            always: self.always.clone(),
        };
        Settings {
            idle: Duration::from_millis(self.idle),
            delay: Duration::from_millis(self.delay),
            ceiling: self.ceiling,
            answer_ceiling: self.answer_ceiling,
            log_in: self.log_in.clone(),
            portal: self.portal,
            shape: Shape {
                latency: Duration::from_millis(self.latency),
                bandwidth: self.bandwidth,
            },
            log: Arc::new(|line| drop(writeln!(std::io::stderr(), "{line}"))),
            ..Settings::new(&self.to, plan)
        }
    }
}
