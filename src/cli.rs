//! The command line of `remo-serv`. What its values mean together with a configuration file is in
//! [`crate::config`].

use std::path::PathBuf;

use clap::Parser;
use remo_protocol::dialect::AnyDialect;

/// Runs commands, interactive processes and file transfers for users who reach this machine by HTTP.
///
/// Everything is sealed end to end, so the way here may be plain HTTP through proxies. The commands run
/// with the rights of the user who started the server.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "remo-serv", version, after_help = AFTER, max_term_width = 100)]
pub struct Cli {
    /// Read this configuration file (TOML); options on the command line win over it
    #[arg(short, long, value_name = "FILE")]
    pub conf: Option<PathBuf>,

    /// Listen on this port; 0 takes a free one, which is printed [default: 8080]
    #[arg(short, long)]
    pub port: Option<u16>,

    /// Listen on this address or host name, or on a socket as unix:PATH [default: 0.0.0.0]
    #[arg(short, long, value_name = "ADDRESS")]
    pub interface: Option<String>,

    /// Where users are looked up [default: SqliteUserService:users_db.sqlite]
    #[arg(short, long, value_name = "SERVICE")]
    pub user_service: Option<String>,

    /// The server's private key, a PEM file that is not encrypted [default: remo_serv_key.pem]
    #[arg(short, long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,

    /// A former private key, still good for clients of remo/2 that trust it, until they trust the new one
    #[arg(long, value_name = "FILE")]
    pub old_key_file: Option<PathBuf>,

    /// Append the log to this file [default: standard error]
    #[arg(short, long, value_name = "FILE")]
    pub log: Option<PathBuf>,

    /// End a session after this many seconds without a request [default: 600]
    #[arg(short, long, value_name = "SECONDS")]
    pub session: Option<u64>,

    /// Log more
    #[arg(short, long)]
    pub debug: bool,

    /// Speak no dialect below this one: 0.3, 0.6 or 2 [default: 0.3]
    #[arg(long, value_name = "DIALECT")]
    pub min_dialect: Option<AnyDialect>,

    /// Keep at most this many bytes of input that a process does not take [default: 1073741824]
    #[arg(long, value_name = "BYTES")]
    pub spool_limit: Option<u64>,

    /// Keep them in this folder, in files without a name [default: /var/tmp]
    #[arg(long, value_name = "FOLDER")]
    pub spool_folder: Option<PathBuf>,

    /// Write down in this folder what outlives the server: which uploads of remo/2 are unfinished [default:
    /// remo_serv_state]
    #[arg(long, value_name = "FOLDER")]
    pub state_folder: Option<PathBuf>,

    /// Keep at most this many bytes of each stream of remo/2 that a client has not fetched [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    pub window: Option<usize>,

    /// Let a user of remo/2 have at most this many processes and connections, ended ones that are kept
    /// included [default: 1024]
    #[arg(long, value_name = "NUMBER")]
    pub user_channels: Option<usize>,

    /// Let all users together have at most this many processes and connections [default: 8192]
    #[arg(long, value_name = "NUMBER")]
    pub channels: Option<usize>,

    /// Connect to nothing for users: forward no ports
    #[arg(long)]
    pub no_forward: bool,

    /// Look at configuration, key and user database, say what is wrong with them, and exit
    #[arg(long)]
    pub config_check: bool,
}

const AFTER: &str = "\
Configuration file keys: port, host, timeout, log, user-service, key-file, old-key-file, debug, min-dialect, spool-limit, spool-folder,
state-folder, window, user-channels, channels, forward

A server needs a key and a user:
  build-key-pair --no-password remo_serv
  build-key-pair alice
  add-user alice
  remo-serv --interface 127.0.0.1 --port 8080

Exit status: 0 after SIGTERM or SIGINT, 1 when something is wrong, 2 for a wrong command line.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Cli::command().debug_assert();
    }
}
