//! The command `build-key-pair`: makes the key pair of a server or a user.
//! How files are written is in `key_files`, how keys are made in `remo_protocol::keys`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use remo_protocol::keys::PrivateKey;
use remo_tools::key_files::PairPaths;
use serde_json::json;
use zeroize::Zeroizing;

/// Makes an Ed448 key pair: PREFIX_key.pem, to be kept private, and PREFIX.pem, to be given away.
///
/// Asks for a password to encrypt the private key with: twice on a terminal, and otherwise one line of
/// standard input. An empty password leaves the key unencrypted. Prints the key's fingerprint, by which
/// people can compare keys.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = EXAMPLES)]
struct Options {
    /// What the names of both files begin with
    prefix: String,
    /// Where to put the files
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
    /// Do not ask for a password and do not encrypt the private key
    #[arg(long)]
    no_password: bool,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match remo_cli::parse::<Options>() {
        Ok(options) => match run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => remo_cli::fail(PROGRAM, &message),
        },
        Err(code) => code,
    }
}

fn run(options: &Options) -> Result<(), String> {
    let paths = PairPaths::new(&options.folder, &options.prefix)?;
    if !options.force {
        paths.check_free()?; // before anybody thinks up a password
    }
    let password = password(options)?;
    let key = PrivateKey::generate().map_err(|error| error.to_string())?;
    let private = seal(&key, &password)?;
    paths.write(&private, &key.public().to_pem(), options.force)?;
    say(options, &paths, &key, !password.is_empty())
}

fn password(options: &Options) -> Result<Zeroizing<String>, String> {
    if options.no_password {
        return Ok(Zeroizing::default());
    }
    remo_cli::read_new_password("Password (empty: the key is not encrypted): ")
        .map_err(|error| format!("{error}; --no-password asks for none"))
}

fn seal(key: &PrivateKey, password: &str) -> Result<Zeroizing<String>, String> {
    match password.is_empty() {
        true => key.to_pem(),
        false => key.to_encrypted_pem(password.as_bytes()),
    }
    .map_err(|error| error.to_string())
}

fn say(
    options: &Options,
    paths: &PairPaths,
    key: &PrivateKey,
    encrypted: bool,
) -> Result<(), String> {
    let (private, public) = (paths.private.display(), paths.public.display());
    let fingerprint = key.public().fingerprint();
    let text = match options.json {
        true => json!({
            "private": private.to_string(),
            "public": public.to_string(),
            "encrypted": encrypted,
            "fingerprint": fingerprint.to_string(),
        })
        .to_string(),
        false => {
            let how = if encrypted {
                "encrypted"
            } else {
                "not encrypted"
            };
            format!(
                "private key  {private} ({how})\npublic key   {public}\nfingerprint  {fingerprint}"
            )
        }
    };
    remo_tools::print(&(text + "\n"))
}

const PROGRAM: &str = "build-key-pair";
const EXAMPLES: &str = "Examples:
  build-key-pair remo_serv          the pair of a server
  build-key-pair zoe ~/keys         the pair of a user
  build-key-pair --no-password ci   without questions";
