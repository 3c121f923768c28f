//! What the tools that make keys and administer the user database do; the programs themselves are in
//! `bin/`. Nothing here talks to a server: one that runs sees the changes at its next lookup.

pub mod database;
pub mod key_files;

/// Writes `text` to standard output.
///
/// # Errors
/// A message that says why it could not be written.
pub fn print(text: &str) -> Result<(), String> {
    remo_cli::print(text).map_err(|error| {
        let why = remo_cli::reason(&error);
        format!("cannot write to standard output: {why}")
    })
}
