use bytes::Bytes;

use super::*;
use crate::{
    fernet::{FernetKey, Sealed},
    limits,
    lines::Lines,
    refusal::Refusal,
};

const NOW: u64 = 1_700_000_000;

fn key() -> FernetKey {
    FernetKey::from_bytes(&[7; 32])
}

fn lines(body: &[u8]) -> Vec<Bytes> {
    let mut lines = Lines::default();
    lines.push(body);
    let mut found = Vec::new();
    while let Some(line) = lines.next().unwrap() {
        found.push(line);
    }
    found.extend(lines.rest());
    found
}

fn answer(pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Sealed::default();
    let mut sealer = Sealer::v0_6(key(), Lineation::After, RequestNumber::FIRST, b"200");
    for piece in pieces {
        sealer.seal(piece, NOW, &mut out).unwrap();
    }
    sealer.finish(NOW, &mut out).unwrap();
    out.text.to_vec()
}

fn open(body: &[Bytes], number: RequestNumber, status: u16) -> Result<Vec<u8>, Refusal> {
    let mut opener = Opener::answer_v0_6(key(), number, status);
    let mut data = Vec::new();
    for line in body {
        data.extend_from_slice(&opener.open(line)?);
    }
    opener.finish()?;
    Ok(data)
}

#[test]
fn an_answer_of_any_number_of_tokens_opens_to_its_data() {
    let bodies: [&[&[u8]]; 3] = [&[], &[b"one"], &[b"one", b"two", b""]];
    for pieces in bodies {
        let body = lines(&answer(pieces));
        assert_eq!(body.len(), pieces.len() + 1);
        assert_eq!(
            open(&body, RequestNumber::FIRST, 200).unwrap(),
            pieces.concat()
        );
    }
}

#[test]
fn pieces_sealed_side_by_side_make_the_body_that_they_make_one_by_one() {
    let data: Vec<u8> = (0..20 * 700 + 5).map(|i| i as u8).collect();
    for lineation in [Lineation::Between, Lineation::After] {
        let mut out = Sealed::default();
        let mut sealer = Sealer::v0_6(key(), lineation, RequestNumber::FIRST, b"200");
        sealer.seal(b"first", NOW, &mut out).unwrap();
        sealer.seal_pieces(&data, 700, NOW, &mut out).unwrap();
        sealer.finish(NOW, &mut out).unwrap();
        let body = lines(&out.text);
        assert_eq!(body.len(), 1 + 21 + 1);
        let opened = open(&body, RequestNumber::FIRST, 200).unwrap();
        assert_eq!(opened, [b"first", &*data].concat());
    }
}

#[test]
fn pieces_leave_the_last_number_to_the_end() {
    let mut sealer = Sealer::v0_6(key(), Lineation::After, RequestNumber::FIRST, b"200");
    let mut out = Sealed::default();
    let most = usize::from(limits::LAST_NUMBER);
    sealer
        .seal_pieces(&vec![0; most - 3], 1, NOW, &mut out)
        .unwrap();
    let more = sealer.seal_pieces(&[0; 4], 1, NOW, &mut out);
    assert_eq!(more, Err(Refusal::NumbersExhausted));
    sealer.seal_pieces(&[0; 3], 1, NOW, &mut out).unwrap();
    sealer.finish(NOW, &mut out).unwrap();
}

#[test]
fn an_answer_that_was_cut_reordered_doubled_or_moved_is_refused() {
    let body = lines(&answer(&[b"one", b"two"]));
    let [first, second, end] = [0, 1, 2].map(|i| body[i].clone());
    let refused = |body: &[&Bytes]| {
        let body: Vec<_> = body.iter().map(|&line| line.clone()).collect();
        open(&body, RequestNumber::FIRST, 200).unwrap_err()
    };
    assert_eq!(refused(&[]), Refusal::EndMissing);
    assert_eq!(refused(&[&first, &second]), Refusal::EndMissing);
    assert_eq!(refused(&[&first, &end]), Refusal::TokenOutOfStep);
    assert_eq!(refused(&[&second, &first, &end]), Refusal::BeginMisplaced);
    assert_eq!(refused(&[&first, &first]), Refusal::BeginMisplaced);
    assert_eq!(refused(&[&first, &second, &end, &end]), Refusal::AfterEnd);
    assert_eq!(
        open(&body, RequestNumber::FIRST.next().unwrap(), 200),
        Err(Refusal::TokenOutOfStep)
    );
    assert_eq!(
        open(&body, RequestNumber::FIRST, 500),
        Err(Refusal::StatusMismatch)
    );
}

#[test]
fn a_stream_stops_at_the_last_number_and_never_wraps() {
    let mut out = Sealed::default();
    let mut sealer = Sealer::v0_6(key(), Lineation::After, RequestNumber::FIRST, b"200");
    for _ in 0..limits::LAST_NUMBER {
        out.text.clear();
        sealer.seal(b"x", NOW, &mut out).unwrap();
    }
    assert_eq!(
        sealer.seal(b"x", NOW, &mut out),
        Err(Refusal::NumbersExhausted)
    );
    out.text.clear();
    sealer.finish(NOW, &mut out).unwrap();
    let end = Frame::parse(&key().open(out.text.trim_ascii_end()).unwrap().plain).unwrap();
    assert_eq!(
        (end.end, end.token),
        (true, i16::MAX),
        "the end has a number of its own"
    );
}

#[test]
fn the_last_request_number_has_no_next() {
    let last = RequestNumber::parse(i16::MAX).unwrap();
    assert_eq!(last.next(), None);
    assert_eq!(RequestNumber::parse(0), None);
    assert_eq!(RequestNumber::parse(-1), None);
}

#[test]
fn a_request_has_no_line_end_after_its_last_token() {
    let mut out = Sealed::default();
    let mut sealer = Sealer::v0_3(key(), Lineation::Between);
    sealer.seal(b"one", NOW, &mut out).unwrap();
    sealer.seal(b"two", NOW, &mut out).unwrap();
    sealer.finish(NOW, &mut out).unwrap();
    assert!(!out.text.ends_with(b"\n"));
    assert_eq!(lines(&out.text).len(), 2);
}

#[test]
fn an_empty_answer_of_0_3_is_one_empty_token() {
    let mut out = Sealed::default();
    Sealer::v0_3(key(), Lineation::After)
        .finish(NOW, &mut out)
        .unwrap();
    let mut opener = Opener::v0_3(key());
    assert_eq!(opener.open(&lines(&out.text)[0]).unwrap(), "");
    assert_eq!(opener.finish(), Ok(NOW));
}

#[test]
fn a_token_of_the_largest_data_opens_and_one_byte_more_is_not_sealed() {
    let mut out = Sealed::default();
    let mut sealer = Sealer::v0_6(key(), Lineation::After, RequestNumber::FIRST, b"200");
    let data = vec![1; limits::TOKEN_PLAIN - 64];
    sealer.seal(&data, NOW, &mut out).unwrap();
    let mut opener = Opener::answer_v0_6(key(), RequestNumber::FIRST, 200);
    assert_eq!(opener.open(&lines(&out.text)[0]).unwrap(), data);
    assert_eq!(
        sealer.seal(&[&data[..], b"x"].concat(), NOW, &mut out),
        Err(Refusal::TokenTooLarge)
    );
}
