//! The prompt without its terminal: commands are read, carried out, and their output shown.
//! Not here: editing lines, signals, exit codes, which are the program's.

pub mod command;
mod run;

pub use run::{Console, Next, Prompt, PromptError};
