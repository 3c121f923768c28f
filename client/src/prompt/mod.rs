//! The prompt without its terminal: commands are read, carried out, and their output shown.
//! Not here: editing lines, signals, exit codes, which are the program's.

pub mod command;
mod files;
mod remo2;
mod run;
mod sink;

pub use remo2::Conversation;
pub use run::{Console, Next, Prompt, PromptError, Talk};
