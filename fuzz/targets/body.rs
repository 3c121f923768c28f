//! Bodies of both dialects: what was sealed opens to itself; in 0.6 nothing can be left out, doubled, moved or
//! cut; tokens of any content, sealed with the right key, are opened as a plain reading of the rules says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remo_fuzz::{Input, NOW, key, token};
use remo_protocol::{
    body::{Lineation, Opener, RequestNumber, Sealer},
    fernet::Sealed,
    lines::Lines,
};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => sealed_opens(
            Opener::v0_3(key()),
            Sealer::v0_3(key(), Lineation::After),
            input,
        ),
        1 => sealed_opens(opener(), sealer(), input),
        2 => disturbed_is_noticed(input),
        _ => any_tokens(input),
    }
});

fn opener() -> Opener {
    Opener::answer_v0_6(key(), RequestNumber::FIRST, 200)
}

fn sealer() -> Sealer {
    Sealer::v0_6(key(), Lineation::After, RequestNumber::FIRST, b"200")
}

fn seal(mut sealer: Sealer, pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Sealed::default();
    for piece in pieces {
        sealer.seal(piece, NOW, &mut out).expect("small pieces");
    }
    sealer.finish(NOW, &mut out).expect("numbers are left");
    out.text.to_vec()
}

fn sealed_opens(mut opener: Opener, sealer: Sealer, mut input: Input<'_>) {
    let cut = usize::from(input.byte()) + 1;
    let pieces = input.pieces(32);
    let (mut lines, mut opened) = (Lines::default(), Vec::new());
    for piece in seal(sealer, &pieces).chunks(cut) {
        lines.push(piece);
        while let Some(line) = lines.next().expect("short lines") {
            opened.extend_from_slice(&opener.open(&line).expect("what was sealed"));
        }
    }
    opener.finish().expect("a whole body");
    assert_eq!(opened, pieces.concat());
}

/// Lines are left out, doubled or swapped: the body must prove false, or be the same as before; and what
/// was given out until then is a beginning of the truth.
fn disturbed_is_noticed(mut input: Input<'_>) {
    let (deed, one, other) = (input.byte() % 4, input.byte(), input.byte());
    let pieces = input.pieces(16);
    let body = seal(sealer(), &pieces);
    let mut lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    lines.pop();
    let whole = lines.clone();
    let (one, other) = (
        usize::from(one) % lines.len(),
        usize::from(other) % lines.len(),
    );
    match deed {
        0 => drop(lines.remove(one)),
        1 => lines.insert(other, lines[one]),
        2 => lines.swap(one, other),
        _ => lines.truncate(one),
    }
    let (mut opener, mut given, mut good) = (opener(), Vec::new(), true);
    for line in &lines {
        match opener.open(line.strip_suffix(b"\r").unwrap_or(line)) {
            Ok(data) => given.extend_from_slice(&data),
            Err(_) => {
                good = false;
                break;
            }
        }
    }
    assert!(pieces.concat().starts_with(&given));
    assert_eq!(good && opener.finish().is_ok(), lines == whole);
}

/// Tokens whose content the fuzzer chose, read here a second time from the specification.
fn any_tokens(mut input: Input<'_>) {
    let mut opener = opener();
    let (mut next, mut ended) = (0_i16, false);
    for (salt, plain) in input.pieces(16).into_iter().enumerate() {
        let opened = opener.open(&token(plain, NOW, salt as u64)).ok();
        let wanted = read(plain, next).filter(|_| !ended);
        assert_eq!(opened.as_deref(), wanted.map(|(data, _)| data));
        let Some((_, end)) = wanted else {
            return;
        };
        (next, ended) = (next + 1, end);
    }
    assert_eq!(opener.finish().is_ok(), ended);
}

/// `begin end request token data`, of an answer of status 200 to request 1.
fn read(plain: &[u8], next: i16) -> Option<(&[u8], bool)> {
    let (frame, data) = plain.split_at_checked(6)?;
    let begin = if next == 0 { b'B' } else { b'.' };
    let [t0, t1] = next.to_be_bytes();
    let good = frame[0] == begin && frame[2..] == [0, 1, t0, t1] && b".E".contains(&frame[1]);
    let data = if next == 0 {
        data.strip_prefix(b"200")?
    } else {
        data
    };
    good.then_some((data, frame[1] == b'E'))
}
