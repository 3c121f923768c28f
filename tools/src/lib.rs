//! What the tools that make keys and administer the user database do; the programs themselves are in
//! `bin/`. Nothing here talks to a server: one that runs sees the changes at its next lookup.

pub mod database;
pub mod key_files;
