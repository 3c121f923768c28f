//! Lines are the same however their bytes are cut, and the same as a split of the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remo_fuzz::Input;
use remo_protocol::lines::Lines;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let cuts: Vec<usize> = (0..4).map(|_| usize::from(input.byte()) + 1).collect();
    let body = input.rest();
    let whole = lines(std::iter::once(body));
    assert_eq!(whole, model(body));
    assert_eq!(
        lines(pieces(body, &cuts).into_iter()),
        whole,
        "cut by {cuts:?}"
    );
});

fn lines<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in pieces {
        lines.push(piece);
        while let Some(line) = lines.next().expect("far below the ceiling") {
            found.push(line.to_vec());
        }
    }
    found.extend(lines.rest().map(|rest| rest.to_vec()));
    found
}

fn pieces<'a>(mut body: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for cut in cuts.iter().cycle() {
        let (piece, rest) = body.split_at((*cut).min(body.len()));
        pieces.push(piece);
        body = rest;
        if body.is_empty() {
            break;
        }
    }
    pieces
}

fn model(body: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    let rest = lines.pop().filter(|rest| !rest.is_empty());
    let whole = lines
        .into_iter()
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    whole.chain(rest).map(<[u8]>::to_vec).collect()
}
