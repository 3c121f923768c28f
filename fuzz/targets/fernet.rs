//! One token: what was sealed opens to itself, what was changed does not open, and a token that opens has
//! one spelling only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remo_fuzz::{Input, NOW, key, proved, token};
use remo_protocol::fernet::Sealed;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => assert!(
            key().open(input.rest()).is_err() || is_a_vector(data),
            "an HMAC was guessed"
        ),
        1 => sealed_opens(input),
        2 => changed_does_not(input),
        _ => proved_has_one_spelling(input.rest()),
    }
});

/// The corpus begins with tokens of the vectors, which are sealed with this very key.
fn is_a_vector(data: &[u8]) -> bool {
    static VECTORS: &str = include_str!("../../tests/vectors/remo_serv.json");
    std::str::from_utf8(&data[1..]).is_ok_and(|token| VECTORS.contains(token))
}

fn sealed_opens(mut input: Input<'_>) {
    let at = u64::from_be_bytes(std::array::from_fn(|_| input.byte()));
    let (head, data) = (input.piece(), input.rest());
    let mut out = Sealed::default();
    key().seal(head, data, at, &mut out).expect("a vector");
    let opened = key().open(&out.text).expect("what was sealed");
    assert_eq!(opened.plain, [head, data].concat());
    assert_eq!(opened.at, at);
}

fn changed_does_not(mut input: Input<'_>) {
    let (place, change) = (usize::from(input.number()), input.byte().max(1));
    let mut token = token(input.rest(), NOW, 1);
    let place = place % token.len();
    token[place] ^= change;
    assert!(
        key().open(&token).is_err(),
        "byte {place} changed by {change:#x}"
    );
    token[place] ^= change;
    token.truncate(place);
    assert!(key().open(&token).is_err(), "cut at {place}");
}

fn proved_has_one_spelling(signed: &[u8]) {
    let token = proved(signed);
    let Ok(opened) = key().open(&token) else {
        return;
    };
    let mut again = Sealed::default();
    key().seal_with(&[], &opened.plain, opened.at, &opened.iv, &mut again);
    assert_eq!(*again.text, *token);
}
