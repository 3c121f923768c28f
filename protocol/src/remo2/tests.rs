use super::{answer, json::Object, numbers::Numbers, request};
use crate::{
    fernet::{FernetKey, Sealed},
    limits,
    refusal::Refusal,
};

const NOW: u64 = 0;

fn key() -> FernetKey {
    FernetKey::from_bytes(&[9; 32])
}

fn object(text: &str) -> Object {
    super::json::parse(text.as_bytes()).unwrap()
}

fn lines(out: &Sealed) -> Vec<Vec<u8>> {
    out.text
        .to_vec()
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| line.trim_ascii_end().to_vec())
        .collect()
}

fn request_lines(counter: &mut request::Counter) -> Vec<Vec<u8>> {
    let mut out = Sealed::default();
    let head = object(r#"{"verb":"cmd"}"#);
    let mut sealer = request::Sealer::begin(key(), counter.draw(), &head, NOW, &mut out).unwrap();
    sealer.data(b"one", NOW, &mut out).unwrap();
    sealer.padding(10, NOW, &mut out).unwrap();
    sealer.data(b"two", NOW, &mut out).unwrap();
    sealer.finish(&object("{}"), NOW, &mut out).unwrap();
    lines(&out)
}

fn open(numbers: &Numbers, lines: &[&Vec<u8>]) -> Result<(Vec<u8>, request::Whole), Refusal> {
    let (first, rest) = lines.split_first().ok_or(Refusal::BodyMissing)?;
    let (mut opener, _) = request::Opener::begin(key(), numbers, first)?;
    let mut data = Vec::new();
    for line in rest {
        data.extend(opener.open(line)?.into_iter().flatten());
    }
    Ok((data, opener.finish()?))
}

#[test]
fn bulk_is_cut_into_tokens_and_comes_out_whole() {
    const LONG: usize = limits::TOKEN_DATA;
    for (length, tokens) in [
        (0, 0),
        (1, 1),
        (LONG, 4),
        (6 * LONG, 8),
        (8 * LONG, 8),
        (17 * LONG, 20),
    ] {
        let data: Vec<u8> = (0..length).map(|i| (i / 1000) as u8).collect();
        let mut out = Sealed::default();
        let number = request::Counter::default().draw();
        let mut sealer =
            request::Sealer::begin(key(), number, &object("{}"), NOW, &mut out).unwrap();
        sealer.bulk(&data, NOW, &mut out).unwrap();
        sealer.finish(&object("{}"), NOW, &mut out).unwrap();
        let lines = lines(&out);
        assert_eq!(lines.len(), 1 + tokens + 1, "{length} bytes");
        let lines: Vec<_> = lines.iter().collect();
        assert!(open(&Numbers::default(), &lines).unwrap().0 == data);
    }
}

#[test]
fn a_request_opens_to_its_data_and_takes_its_number() {
    let numbers = Numbers::default();
    let lines = request_lines(&mut request::Counter::default());
    let all: Vec<_> = lines.iter().collect();
    let (data, whole) = open(&numbers, &all).unwrap();
    assert_eq!(data, b"onetwo");
    assert_eq!(whole.taken.number(), 1);
    assert_eq!(
        open(&numbers, &all).unwrap_err(),
        Refusal::NumberUsed,
        "sent twice"
    );
}

#[test]
fn a_request_that_fails_frees_its_number() {
    let numbers = Numbers::default();
    let lines = request_lines(&mut request::Counter::default());
    let [h, one, pad, two, t] = [0, 1, 2, 3, 4].map(|i| &lines[i]);
    let spoilt: [(&[&Vec<u8>], Refusal); 6] = [
        (&[h, one, pad, two], Refusal::EndMissing),
        (&[h, pad, two, t], Refusal::TokenOutOfStep),
        (&[one, h], Refusal::OrderWrong),
        (&[h, two, one, t], Refusal::TokenOutOfStep),
        (&[h, one, pad, two, t, t], Refusal::AfterEnd),
        (&[h, h], Refusal::TokenOutOfStep),
    ];
    for (body, refusal) in spoilt {
        assert_eq!(open(&numbers, body).unwrap_err(), refusal);
    }
    assert_eq!(numbers.count(), 0);
    open(&numbers, &[h, one, pad, two, t]).unwrap();
}

#[test]
fn tokens_of_two_requests_cannot_be_spliced() {
    let mut counter = request::Counter::default();
    let (one, two) = (request_lines(&mut counter), request_lines(&mut counter));
    let numbers = Numbers::default();
    let spliced = [&one[0], &two[1], &one[2], &one[3], &one[4]];
    assert_eq!(
        open(&numbers, &spliced).unwrap_err(),
        Refusal::TokenOutOfStep
    );
}

#[test]
fn an_answer_is_proved_whole_by_its_trailer_alone() {
    let numbers = Numbers::default();
    let mut counter = request::Counter::default();
    let body = request_lines(&mut counter);
    let (_, whole) = open(&numbers, &body.iter().collect::<Vec<_>>()).unwrap();
    let mut out = Sealed::default();
    let mut sealer = answer::Sealer::begin(
        key(),
        whole.taken,
        &object(r#"{"status":200}"#),
        NOW,
        &mut out,
    )
    .unwrap();
    sealer
        .data(answer::Stream::Main, b"out", NOW, &mut out)
        .unwrap();
    sealer
        .data(answer::Stream::Second, b"err", NOW, &mut out)
        .unwrap();
    sealer
        .finish(&object(r#"{"exit":0}"#), NOW, &mut out)
        .unwrap();
    let lines = lines(&out);

    let number = request::Number::for_vector(1);
    for cut in 0..lines.len() {
        let mut opener = answer::Opener::new(key(), &number);
        for line in &lines[..cut] {
            opener.open(line).unwrap();
        }
        assert_eq!(opener.finish(), Err(Refusal::EndMissing), "cut after {cut}");
    }
    let mut opener = answer::Opener::new(key(), &number);
    let parts: Vec<_> = lines
        .iter()
        .map(|line| opener.open(line).unwrap())
        .collect();
    assert_eq!(parts[0], answer::Part::Head(object(r#"{"status":200}"#)));
    assert_eq!(
        parts[1],
        answer::Part::Data(answer::Stream::Main, "out".into())
    );
    assert_eq!(
        parts[2],
        answer::Part::Data(answer::Stream::Second, "err".into())
    );
    assert_eq!(opener.finish().unwrap(), object(r#"{"exit":0}"#));
    let mut other = answer::Opener::new(key(), &request::Number::for_vector(2));
    assert_eq!(
        other.open(&lines[0]),
        Err(Refusal::TokenOutOfStep),
        "the answer to another request"
    );
}

#[test]
fn payloads_over_their_ceiling_are_neither_sealed_nor_opened() {
    let mut out = Sealed::default();
    let mut counter = request::Counter::default();
    let head = object(r#"{"verb":"cmd"}"#);
    let mut sealer = request::Sealer::begin(key(), counter.draw(), &head, NOW, &mut out).unwrap();
    sealer
        .data(&vec![0; limits::REMO2_DATA], NOW, &mut out)
        .unwrap();
    assert_eq!(
        sealer.data(&vec![0; limits::REMO2_DATA + 1], NOW, &mut out),
        Err(Refusal::TokenTooLarge)
    );
    let mut forged = Sealed::default();
    let header = [&b"D"[..], &1_u64.to_be_bytes(), &1_u32.to_be_bytes()].concat();
    key()
        .seal(&header, &vec![0; limits::REMO2_DATA + 1], NOW, &mut forged)
        .unwrap();
    assert_eq!(
        super::token::open(&key(), &forged.text).unwrap_err(),
        Refusal::TokenTooLarge
    );
}

fn typed(keys: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Sealed::default();
    let number = request::Number::for_vector(7);
    let head =
        object(r#"{"verb":"idt","id":"0123456789abcdef0123456789abcdef","in":12,"wait":50}"#);
    let mut sealer = request::Sealer::begin(key(), number, &head, NOW, &mut out).unwrap();
    sealer.typed(keys, NOW, &mut out).unwrap();
    sealer.finish(&object("{}"), NOW, &mut out).unwrap();
    lines(&out)
}

#[test]
fn what_is_typed_arrives_and_no_length_tells_it() {
    let shape = |keys: &[u8]| typed(keys).iter().map(Vec::len).collect::<Vec<_>>();
    let sum = |keys: &[u8]| shape(keys).iter().map(|length| length + 2).sum::<usize>();
    for keys in [&b""[..], b"a", b"\x1b[A", b"0123456789abcdef"] {
        assert_eq!(shape(keys), shape(b"x"), "{keys:?}");
        assert_eq!(sum(keys), 2048);
        let lines = typed(keys);
        let (data, _) = open(&Numbers::default(), &lines.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(data, keys);
    }
    for (length, size) in [(17, 2048), (700, 2048), (1500, 4096), (5000, 16_384)] {
        assert_eq!(sum(&vec![b'x'; length]), size, "{length}");
    }
    assert!(sum(&[b'x'; 20_000]) > 20_000, "as it is");
}

#[test]
fn a_body_is_filled_to_a_length_and_never_over_it() {
    for length in [300, 1000, 512 * 1024, (1 << 20) - 1, 4 << 20] {
        let mut out = Sealed::default();
        let number = request::Number::for_vector(1);
        let mut sealer =
            request::Sealer::begin(key(), number, &object("{}"), NOW, &mut out).unwrap();
        sealer.fill(length, NOW, &mut out).unwrap();
        sealer.finish(&object("{}"), NOW, &mut out).unwrap();
        assert!(out.text.len() <= length && out.text.len() + 150 > length);
        let lines = lines(&out);
        let (data, _) = open(&Numbers::default(), &lines.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(data, b"");
    }
}

#[test]
fn a_log_in_that_is_signed_elsewhere_is_the_one_that_is_signed_here() {
    use super::handshake::{self, ClientHandshake, ClientSecrets};
    use crate::{agreement::TransientKey, keys::PrivateKey, name::UserName};

    let (key, server) = (
        PrivateKey::from_raw(&[1; 57]),
        PrivateKey::from_raw(&[2; 57]),
    );
    let user = UserName::parse("zoë").unwrap();
    let secrets = || ClientSecrets::new(TransientKey::from_raw(&[3; 56]), &[4; 64]);
    let unsigned = ClientHandshake::prepare(&user, &server.public(), secrets());
    let message = unsigned.message().to_vec();
    assert_eq!(handshake::user_of(&message), Some(user.clone()));
    assert_eq!(crate::login::user_of(&message), None);
    let (_, elsewhere) = unsigned.signed(&key.sign(&message));
    let (_, here) = ClientHandshake::start(&user, &key, &server.public(), secrets());
    assert_eq!(elsewhere, here);
    for wrong in [
        &message[1..],
        &message[..message.len() - 1],
        b"",
        &[message.clone(), vec![0]].concat(),
    ] {
        assert_eq!(handshake::user_of(wrong), None);
    }
    let by_server = [b"remo_serv/2 server".as_slice(), &message[18..]].concat();
    assert_eq!(handshake::user_of(&by_server), None);
}
