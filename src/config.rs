//! What a server is to do: the command line, over the configuration file, over the defaults.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use remo_protocol::{
    dialect::AnyDialect,
    keys::{KeyError, PrivateKey},
};
use serde::Deserialize;
use thiserror::Error;

use crate::{Settings, cli::Cli, limits::Limits, listener::Address, users};

/// A server's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens.
    pub address: Address,
    /// The time after which a silent session ends.
    pub session_time: Duration,
    /// The file to log to; standard error where there is none.
    pub log: Option<PathBuf>,
    /// Where users are looked up, as `SERVICE:ARGUMENT`.
    pub user_service: String,
    /// The file of the server's private key.
    pub key_file: PathBuf,
    /// The file of the key that is being rotated out.
    pub old_key_file: Option<PathBuf>,
    /// Whether more is logged.
    pub debug: bool,
    /// The lowest dialect.
    pub floor: AnyDialect,
    /// Bytes of input that wait for a process.
    pub spool_limit: u64,
    /// Where they wait.
    pub spool_folder: PathBuf,
    /// Where it is written down what outlives the server; made when there is something.
    pub state_folder: PathBuf,
    /// Bytes of each stream of remo/2 that wait for their client.
    pub window: usize,
    /// Channels of remo/2 of one user.
    pub user_channels: usize,
    /// Processes and connections of all users.
    pub channels: usize,
    /// Whether ports are forwarded.
    pub forward: bool,
}

/// What is wrong with a configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration '{}': {}", .0.display(), remo_cli::reason(.1))]
    Read(PathBuf, io::Error),
    /// The file is no TOML, or has a key or a value that is none of ours; the error names the line.
    #[error("configuration '{}': {}", .0.display(), .1.to_string().trim_end())]
    Parse(PathBuf, toml::de::Error),
    /// A value is out of its range.
    #[error("{0}")]
    Value(String),
    /// There is no former key.
    #[error(
        "cannot read the former server key '{}': {} (name another with --old-key-file, or none)",
        .0.display(), remo_cli::reason(.1)
    )]
    OldKeyRead(PathBuf, io::Error),
    /// There is no key.
    #[error(
        "cannot read server key '{}': {} (make one with 'build-key-pair --no-password remo_serv', or name another with --key-file)",
        .0.display(), remo_cli::reason(.1)
    )]
    KeyRead(PathBuf, io::Error),
    /// The key is no good.
    #[error("cannot use server key '{}': {}", .0.display(), .1)]
    Key(PathBuf, KeyError),
    /// The key is encrypted.
    #[error(
        "cannot use server key '{}': it is encrypted, and a server has nobody to ask (make one with 'build-key-pair --no-password remo_serv')",
        .0.display()
    )]
    KeyEncrypted(PathBuf),
    /// The users cannot be looked up.
    #[error(transparent)]
    Users(#[from] users::UsersError),
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    port: Option<u16>,
    host: Option<String>,
    timeout: Option<u64>,
    log: Option<PathBuf>,
    user_service: Option<String>,
    key_file: Option<PathBuf>,
    old_key_file: Option<PathBuf>,
    debug: Option<bool>,
    min_dialect: Option<String>,
    spool_limit: Option<u64>,
    spool_folder: Option<PathBuf>,
    state_folder: Option<PathBuf>,
    window: Option<usize>,
    user_channels: Option<usize>,
    channels: Option<usize>,
    forward: Option<bool>,
}

impl Config {
    /// The configuration that a command line and the file that it names make.
    ///
    /// # Errors
    /// What is wrong with the file or a value.
    pub fn load(cli: &Cli) -> Result<Self, ConfigError> {
        let file = cli.conf.as_deref().map_or(Ok(File::default()), read)?;
        let floor = file.min_dialect.as_deref().map(str::parse).transpose();
        let floor = floor
            .map_err(|error: remo_protocol::dialect::UnknownDialect| value("min-dialect", error))?;
        let host = cli
            .interface
            .clone()
            .or(file.host)
            .unwrap_or_else(|| "0.0.0.0".into());
        let timeout = cli.session.or(file.timeout).unwrap_or(600);
        if !(1..=86_400).contains(&timeout) {
            return Err(value(
                "timeout",
                "a session lasts 1 to 86400 seconds of silence",
            ));
        }
        let defaults = Limits::default();
        let config = Self {
            address: Address::new(&host, cli.port.or(file.port).unwrap_or(8080)),
            session_time: Duration::from_secs(timeout),
            log: cli.log.clone().or(file.log),
            user_service: cli
                .user_service
                .clone()
                .or(file.user_service)
                .unwrap_or_else(|| "SqliteUserService:users_db.sqlite".into()),
            key_file: cli
                .key_file
                .clone()
                .or(file.key_file)
                .unwrap_or_else(|| "remo_serv_key.pem".into()),
            old_key_file: cli.old_key_file.clone().or(file.old_key_file),
            debug: cli.debug || file.debug.unwrap_or(false),
            floor: cli.min_dialect.or(floor).unwrap_or(AnyDialect::V0_3),
            spool_limit: cli
                .spool_limit
                .or(file.spool_limit)
                .unwrap_or(defaults.spool),
            spool_folder: cli
                .spool_folder
                .clone()
                .or(file.spool_folder)
                .unwrap_or(defaults.spool_folder),
            state_folder: cli
                .state_folder
                .clone()
                .or(file.state_folder)
                .unwrap_or_else(|| "remo_serv_state".into()),
            window: cli.window.or(file.window).unwrap_or(defaults.window),
            user_channels: cli
                .user_channels
                .or(file.user_channels)
                .unwrap_or(defaults.channels_a_user),
            channels: cli.channels.or(file.channels).unwrap_or(defaults.channels),
            forward: !cli.no_forward && file.forward.unwrap_or(defaults.forward),
        };
        config.check_log()?;
        config.check_channels()?;
        Ok(config)
    }

    /// Reads the key and opens the user database.
    ///
    /// # Errors
    /// What is wrong with them, and which command makes them.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let key = read_private(&self.key_file, ConfigError::KeyRead)?;
        let old_key = self.old_key_file.as_deref();
        let old_key = old_key.map(|file| read_private(file, ConfigError::OldKeyRead));
        let old_key = old_key.transpose()?;
        if !self.spool_folder.is_dir() {
            let folder = self.spool_folder.display();
            return Err(value(
                "spool-folder",
                format_args!("there is no folder '{folder}' (make it, or name another)"),
            ));
        }
        self.check_state_folder()?;
        let mut settings = Settings::new(key, users::open(&self.user_service)?);
        settings.old_key = old_key.map(Arc::new);
        settings.floor = self.floor;
        settings.limits = Arc::new(Limits {
            session_time: self.session_time,
            spool: self.spool_limit,
            spool_folder: self.spool_folder.clone(),
            state_folder: Some(self.state_folder.clone()),
            window: self.window,
            channels_a_user: self.user_channels,
            channels: self.channels,
            forward: self.forward,
            ..Limits::default()
        });
        Ok(settings)
    }

    /// The files of private keys that others than their owner may read.
    pub fn open_keys(&self) -> impl Iterator<Item = &PathBuf> {
        let files = [&self.key_file].into_iter().chain(&self.old_key_file);
        files.filter(|file| {
            fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
        })
    }

    /// It is made when there is something to write down; that must be possible.
    fn check_state_folder(&self) -> Result<(), ConfigError> {
        let folder = &self.state_folder;
        let above = folder
            .parent()
            .filter(|above| !above.as_os_str().is_empty());
        let why = match fs::metadata(folder) {
            Ok(there) if there.is_dir() => return Ok(()),
            Ok(_) => "is no folder (name another)",
            Err(_) if above.is_none_or(Path::is_dir) => return Ok(()),
            Err(_) => "cannot be made: the folder above is missing (make that, or name another)",
        };
        let folder = folder.display();
        Err(value("state-folder", format_args!("'{folder}' {why}")))
    }

    fn check_channels(&self) -> Result<(), ConfigError> {
        let within = |key, number: usize, range: std::ops::RangeInclusive<usize>| {
            if range.contains(&number) {
                Ok(())
            } else {
                let (least, most) = range.into_inner();
                Err(value(
                    key,
                    format_args!("{number} is not within {least} and {most}"),
                ))
            }
        };
        within("window", self.window, 64 << 10..=256 << 20)?;
        within("user-channels", self.user_channels, 1..=16_384)?;
        within("channels", self.channels, 1..=1_000_000)
    }

    /// Python's `log` names a file that says how to log: nothing may be appended to that.
    fn check_log(&self) -> Result<(), ConfigError> {
        let Some(log) = &self.log else { return Ok(()) };
        let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let place = if log.exists() { log } else { folder };
        rustix::fs::access(place, rustix::fs::Access::WRITE_OK).map_err(|error| {
            let error = remo_cli::reason(&error.into());
            value(
                "log",
                format_args!("'{}' cannot be written: {error}", log.display()),
            )
        })?;
        let Ok(text) = fs::read(log) else {
            return Ok(());
        };
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'[') {
            let log = log.display();
            return Err(value(
                "log",
                format_args!(
                    "'{log}' looks like a logging configuration of Python (name the file to write the log to)"
                ),
            ));
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let text = fs::read_to_string(path).map_err(|error| ConfigError::Read(path.into(), error))?;
    toml::from_str(&text).map_err(|error| ConfigError::Parse(path.into(), error))
}

fn read_private(
    path: &Path,
    unread: fn(PathBuf, io::Error) -> ConfigError,
) -> Result<PrivateKey, ConfigError> {
    let pem = read_key(path).map_err(|error| unread(path.into(), error))?;
    PrivateKey::from_pem(&pem, None).map_err(|error| match error {
        KeyError::NeedsPassword => ConfigError::KeyEncrypted(path.into()),
        error => ConfigError::Key(path.into(), error),
    })
}

fn read_key(path: &Path) -> io::Result<zeroize::Zeroizing<Vec<u8>>> {
    use std::io::Read;
    let mut pem = zeroize::Zeroizing::new(Vec::with_capacity(4096));
    fs::File::open(path)?
        .take(remo_protocol::limits::PEM as u64 + 1)
        .read_to_end(&mut pem)?;
    Ok(pem)
}

fn value(key: &str, error: impl std::fmt::Display) -> ConfigError {
    ConfigError::Value(format!("{key}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, cli: Cli) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("remo.toml");
        fs::write(&conf, text).unwrap();
        Config::load(&Cli {
            conf: Some(conf),
            ..cli
        })
    }

    #[test]
    fn without_anything_the_defaults_of_python_hold() {
        let config = Config::load(&Cli::default()).unwrap();
        assert_eq!(config.address, Address::Tcp("0.0.0.0".into(), 8080));
        assert_eq!(config.session_time, Duration::from_secs(600));
        assert_eq!(config.user_service, "SqliteUserService:users_db.sqlite");
        assert_eq!(config.key_file, Path::new("remo_serv_key.pem"));
        assert_eq!(config.floor, AnyDialect::V0_3);
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let text = "port = 1\nhost = 'a'\ntimeout = 5\nmin-dialect = '0.6'\ndebug = true";
        let config = load(
            text,
            Cli {
                port: Some(2),
                session: Some(7),
                ..Cli::default()
            },
        )
        .unwrap();
        assert_eq!(config.address, Address::Tcp("a".into(), 2));
        assert_eq!(config.session_time, Duration::from_secs(7));
        assert_eq!(config.floor, AnyDialect::V0_6);
        assert!(config.debug);
    }

    #[test]
    fn the_floor_may_be_any_dialect() {
        for floor in AnyDialect::ALL {
            let config = load(&format!("min-dialect = '{floor}'"), Cli::default()).unwrap();
            assert_eq!(config.floor, floor);
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_its_line() {
        let error = load("port = 1\nprot = 2\n", Cli::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 2") && error.contains("prot"),
            "{error}"
        );
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for text in [
            "port = 70000",
            "timeout = 0",
            "min-dialect = '0.5'",
            "min-dialect = 2",
            "port = 'x'",
        ] {
            assert!(load(text, Cli::default()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_user_may_take_is_set_in_the_file_and_on_the_command_line() {
        let text = "window = 70000\nuser-channels = 5\nchannels = 6\nforward = true";
        let config = load(
            text,
            Cli {
                channels: Some(7),
                no_forward: true,
                ..Cli::default()
            },
        )
        .unwrap();
        let set = (config.window, config.user_channels, config.channels);
        assert_eq!((set, config.forward), ((70_000, 5, 7), false));
        assert!(!load("forward = false", Cli::default()).unwrap().forward);
        let preset = Config::load(&Cli::default()).unwrap();
        let set = (preset.window, preset.user_channels, preset.channels);
        assert_eq!((set, preset.forward), ((1 << 20, 1024, 8192), true));
    }

    #[test]
    fn a_logging_configuration_of_python_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("logging.ini");
        fs::write(&log, "\n[loggers]\nkeys=root\n").unwrap();
        let error = Config::load(&Cli {
            log: Some(log),
            ..Cli::default()
        })
        .unwrap_err()
        .to_string();
        assert!(error.contains("Python"), "{error}");
    }
}
