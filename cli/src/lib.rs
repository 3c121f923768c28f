//! What the command lines of remo-serv share: reading arguments, asking for passwords, reporting.
//! No command is here: those are in the packages of the programs.

mod generate;
mod password;
mod report;

pub use generate::{Kind, parse};
pub use password::{PasswordError, read_new_password, read_password};
pub use report::{fail, print, printable, reason, report};
