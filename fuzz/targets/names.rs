//! User names keep to their rules, and names of dialects are read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remo_protocol::{dialect::Dialect, name::UserName};

fuzz_target!(|text: &str| {
    let length = text.chars().count();
    let good = (1..=64).contains(&length) && !text.chars().any(|c| c.is_control() || c == '/');
    match UserName::parse(text) {
        Ok(name) => assert!(good && name.as_str() == text && name.to_string() == text),
        Err(error) => assert!(!good && !error.to_string().is_empty()),
    }
    match text.parse::<Dialect>() {
        Ok(dialect) => assert_eq!(dialect.to_string(), text),
        Err(error) => assert!(!error.to_string().chars().any(char::is_control)),
    }
});
