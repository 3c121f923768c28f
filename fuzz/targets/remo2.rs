//! remo/2: bodies with tokens left out, doubled or swapped prove false; tokens of any content, sealed with
//! the right key, are taken only in their order; handshakes and JSON of any bytes are refused or sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remo_fuzz::{Input, NOW, key};
use remo_protocol::{
    fernet::Sealed,
    keys::PrivateKey,
    name::UserName,
    refusal::Refusal,
    remo2::{
        answer, handshake, json,
        numbers::Numbers,
        request::{Counter, Number, Opener, Sealer, Whole},
        token::{self, Kind},
    },
};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 5 {
        0 => disturbed_is_noticed(input),
        1 => any_tokens_in_a_request(input),
        2 => any_tokens_in_an_answer(input),
        3 => any_handshake(input),
        _ => any_json(input.rest()),
    }
});

fn lines(sealed: &Sealed) -> Vec<Vec<u8>> {
    let lines = sealed.text.split_inclusive(|&byte| byte == b'\n');
    lines.map(|line| line.trim_ascii_end().to_vec()).collect()
}

fn open(numbers: &Numbers, lines: &[&Vec<u8>]) -> Result<(Vec<u8>, Whole), Refusal> {
    let (first, rest) = lines.split_first().ok_or(Refusal::BodyMissing)?;
    let (mut opener, _) = Opener::begin(key(), numbers, first)?;
    let mut data = Vec::new();
    for line in rest {
        data.extend(opener.open(line)?.into_iter().flatten());
    }
    opener.finish().map(|whole| (data, whole))
}

/// A sound request, of which lines are taken in an order that the input chooses.
fn disturbed_is_noticed(mut input: Input<'_>) {
    let order: Vec<usize> = input
        .piece()
        .iter()
        .map(|&byte| usize::from(byte))
        .collect();
    let pieces = input.pieces(6);
    let mut out = Sealed::default();
    let head = json::parse(br#"{"verb":"cmd"}"#).expect("an object");
    let mut sealer =
        Sealer::begin(key(), Counter::default().draw(), &head, NOW, &mut out).expect("a head");
    for piece in &pieces {
        sealer.data(piece, NOW, &mut out).expect("a small piece");
    }
    sealer
        .finish(&json::Object::new(), NOW, &mut out)
        .expect("an end");
    let all = lines(&out);
    let chosen: Vec<&Vec<u8>> = order.iter().map(|&place| &all[place % all.len()]).collect();
    let sound: Vec<&Vec<u8>> = all.iter().collect();
    let numbers = Numbers::default();
    match open(&numbers, &chosen) {
        Ok((data, _)) => {
            assert_eq!(chosen, sound);
            assert_eq!(data, pieces.concat());
            assert_eq!(open(&numbers, &sound).err(), Some(Refusal::NumberUsed));
        }
        Err(_) => {
            assert_ne!(chosen, sound);
            assert_eq!(numbers.count(), 0);
            assert!(
                open(&numbers, &sound).is_ok(),
                "what failed has freed its number"
            );
        }
    }
}

/// Tokens as a peer with the key could make them.
fn tokens(input: &mut Input<'_>) -> Vec<(Kind, Vec<u8>)> {
    let kinds = [
        Kind::Head,
        Kind::Data,
        Kind::Error,
        Kind::Padding,
        Kind::Trailer,
    ];
    let mut made = Vec::new();
    for place in 0..input.byte() % 8 {
        let choice = input.byte();
        let kind = kinds[usize::from(choice) % kinds.len()];
        let wrong = choice & 0x80 != 0;
        let (number, index) = (
            1 + u64::from(wrong && choice & 0x40 != 0),
            u32::from(place) + u32::from(wrong),
        );
        let payload = if choice & 0x20 == 0 {
            b"{}".to_vec()
        } else {
            input.piece().to_vec()
        };
        let mut out = Sealed::default();
        token::seal(&key(), kind, number, index, &payload, NOW, &mut out).expect("a small token");
        made.push((kind, out.text.trim_ascii_end().to_vec()));
    }
    made
}

fn any_tokens_in_a_request(mut input: Input<'_>) {
    let made = tokens(&mut input);
    let lines: Vec<&Vec<u8>> = made.iter().map(|(_, line)| line).collect();
    if open(&Numbers::default(), &lines).is_ok() {
        let kinds: Vec<Kind> = made.iter().map(|(kind, _)| *kind).collect();
        let (first, rest) = kinds.split_first().expect("a head");
        let (last, between) = rest.split_last().expect("a trailer");
        assert_eq!((*first, *last), (Kind::Head, Kind::Trailer));
        assert!(
            between
                .iter()
                .all(|kind| matches!(kind, Kind::Data | Kind::Padding))
        );
    }
}

fn any_tokens_in_an_answer(mut input: Input<'_>) {
    let made = tokens(&mut input);
    let mut opener = answer::Opener::new(key(), &Number::for_vector(1));
    let opened = made
        .iter()
        .try_for_each(|(_, line)| opener.open(line).map(drop));
    if opened.is_ok() && opener.finish().is_ok() {
        assert_eq!(made.first().map(|(kind, _)| *kind), Some(Kind::Head));
        assert_eq!(made.last().map(|(kind, _)| *kind), Some(Kind::Trailer));
        assert_eq!(
            made.iter()
                .filter(|(kind, _)| *kind == Kind::Trailer)
                .count(),
            1
        );
    }
}

/// Nobody signs by chance.
fn any_handshake(mut input: Input<'_>) {
    let (user, server) = (
        PrivateKey::from_raw(&[1; 57]),
        PrivateKey::from_raw(&[2; 57]),
    );
    if input.byte() % 2 == 0 {
        if let Ok(request) = handshake::LoginRequest::parse(input.rest()) {
            assert!(
                request
                    .prove(&user.public().into(), &server.public())
                    .is_err()
            );
        }
        return;
    }
    let name = UserName::parse("zoe").expect("a name");
    let secrets = handshake::ClientSecrets::draw().expect("random bytes");
    let (client, _) = handshake::ClientHandshake::start(&name, &user, &server.public(), secrets);
    assert!(client.finish(input.rest(), &server.public()).is_err());
}

/// What is read strictly is JSON to everybody, and means the same.
fn any_json(text: &[u8]) {
    if let Ok(object) = json::parse(text) {
        let written = json::write(&object);
        assert_eq!(json::parse(&written).as_ref(), Ok(&object));
    }
}
