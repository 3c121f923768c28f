//! Frames and messages of `remo agent`: whatever comes over its socket, none is longer than its kind allows, and what is read
//! is written as it was. What is to be signed is a log-in of one dialect, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remo_protocol::agent::{Ask, Head, Told, read, write};
use remo_protocol::{login, remo2::handshake};

fuzz_target!(|data: &[u8]| {
    let Some((head, rest)) = data.split_first_chunk::<{ Head::BYTES }>() else {
        return;
    };
    if let Ok(head) = Head::read(*head) {
        assert!(head.length <= head.kind.most());
        assert_eq!(Head::read(head.to_bytes()), Ok(head));
    }
    if let Ok(ask) = read::<Ask>(rest) {
        assert_eq!(read(&write(&ask).unwrap()), Ok(ask));
    }
    if let Ok(told) = read::<Told>(rest) {
        assert_eq!(read(&write(&told).unwrap()), Ok(told));
    }
    assert!(handshake::user_of(data).is_none() || login::user_of(data).is_none());
});
