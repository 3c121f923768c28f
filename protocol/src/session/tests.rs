use super::*;
use crate::fernet::Sealed;

const NOW: u64 = 1_700_000_000;

fn key() -> FernetKey {
    FernetKey::from_bytes(&[7; 32])
}

/// A session, and the floor that it is held to.
struct Floored(Session, Dialect);

fn session(floor: Dialect) -> Floored {
    Floored(Session::new(key()).unwrap(), floor)
}

impl Floored {
    fn begin(&mut self, head: Head<'_>, now: u64) -> Result<Begun, Rejected> {
        self.0.begin(head, self.1, now)
    }
}

fn token(data: &[u8], at: u64) -> String {
    let mut out = Sealed::default();
    key().seal(&[], data, at, &mut out).unwrap();
    String::from_utf8(out.text.to_vec()).unwrap()
}

/// The body of a request of dialect 0.6.
fn body(path: &str, number: i16, at: u64) -> Vec<u8> {
    let mut plain = b"BE".to_vec();
    plain.extend(number.to_be_bytes());
    plain.extend([0, 0]);
    plain.extend(hash_path(path));
    plain.extend(b"data");
    token(&plain, at).into_bytes()
}

fn idt(session: &mut Floored, number: i16, at: u64, now: u64) -> Result<Begun, Rejected> {
    let body = body("/idt", number, at);
    session.begin(
        Head {
            path: "/idt",
            argument: None,
            first: Some(&body),
        },
        now,
    )
}

fn cmd(session: &mut Floored, argument: &str) -> Result<Begun, Rejected> {
    let path = format!("/cmd/{argument}");
    session.begin(
        Head {
            path: &path,
            argument: Some(argument),
            first: None,
        },
        NOW,
    )
}

#[test]
fn the_first_proved_token_settles_the_dialect_for_good() {
    let mut new = session(Dialect::V0_3);
    assert_eq!(
        idt(&mut new, 1, NOW, NOW).unwrap().dialect,
        Some(Dialect::V0_6)
    );
    assert_eq!(
        cmd(&mut new, &token(b"ls", NOW)).unwrap_err(),
        Rejected::fatal(Refusal::BodyMissing)
    );

    let mut old = session(Dialect::V0_3);
    assert_eq!(
        cmd(&mut old, &token(b"ls", NOW)).unwrap().dialect,
        Some(Dialect::V0_3)
    );
    let frame = idt(&mut old, 1, NOW, NOW).unwrap();
    assert_eq!(frame.dialect, Some(Dialect::V0_3), "its frame is data now");
}

#[test]
fn requests_without_a_token_settle_nothing() {
    let mut session = session(Dialect::V0_6);
    for path in ["/info", "/idt", "/edt"] {
        let begun = session
            .begin(
                Head {
                    path,
                    argument: None,
                    first: None,
                },
                NOW,
            )
            .unwrap();
        assert_eq!(begun.dialect, None);
    }
    assert_eq!(session.0.dialect(), None);
}

#[test]
fn what_nobody_sealed_settles_nothing() {
    let mut session = session(Dialect::V0_3);
    assert_eq!(
        cmd(&mut session, "gAAAAA").unwrap_err(),
        Rejected::argument(Refusal::TokenMalformed)
    );
    let forged = session.begin(
        Head {
            path: "/idt",
            argument: None,
            first: Some(b"!!!!"),
        },
        NOW,
    );
    assert_eq!(forged.unwrap_err(), Rejected::body(Refusal::TokenMalformed));
    assert_eq!(session.0.dialect(), None);
}

#[test]
fn a_floor_of_0_6_refuses_the_stripped_first_request_of_a_0_6_client() {
    let mut session = session(Dialect::V0_6);
    let refused = cmd(&mut session, &token(b"ls", NOW)).unwrap_err();
    assert_eq!(refused, Rejected::fatal(Refusal::BelowFloor));
}

#[test]
fn an_argument_of_0_3_serves_once_however_it_is_spelt() {
    let mut session = session(Dialect::V0_3);
    let argument = token(b"ls", NOW);
    assert!(cmd(&mut session, &argument).is_ok());
    assert_eq!(
        cmd(&mut session, &argument).unwrap_err(),
        Rejected::argument(Refusal::ArgumentReplayed)
    );
    assert!(cmd(&mut session, argument.trim_end_matches('=')).is_err());
}

#[test]
fn an_argument_of_0_3_goes_stale_by_the_sessions_own_tokens() {
    let mut session = session(Dialect::V0_3);
    cmd(&mut session, &token(b"new", NOW)).unwrap();
    cmd(&mut session, &token(b"60 s old", NOW - 60)).unwrap();
    let refused = cmd(&mut session, &token(b"61 s old", NOW - 61)).unwrap_err();
    assert_eq!(refused, Rejected::argument(Refusal::ArgumentStale));
    session.0.observe(NOW + 10);
    assert!(cmd(&mut session, &token(b"60 s old, later", NOW - 60)).is_err());
}

#[test]
fn the_memory_of_arguments_has_a_ceiling_and_forgets_what_is_stale() {
    let mut arguments = Arguments::default();
    for i in 0..limits::ARGUMENTS {
        arguments
            .used
            .insert(std::array::from_fn(|j| (i >> (8 * (j % 4))) as u8), NOW);
    }
    arguments.observe(NOW);
    assert_eq!(
        arguments
            .admit(&key(), &Mark::draw().unwrap(), &token(b"x", NOW))
            .unwrap_err(),
        Refusal::ArgumentsExhausted
    );
    assert!(
        arguments
            .admit(&key(), &Mark::draw().unwrap(), &token(b"x", NOW + 61))
            .is_ok()
    );
    assert_eq!(arguments.used.len(), 1);
}

#[test]
fn numbers_of_0_6_count_from_1_by_1() {
    let mut new = session(Dialect::V0_3);
    let refused = idt(&mut new, 2, NOW, NOW).unwrap_err();
    assert_eq!(
        refused,
        Rejected::fatal(Refusal::RequestOutOfStep),
        "a first number other than 1"
    );

    let mut new = session(Dialect::V0_3);
    for number in 1..=3 {
        idt(&mut new, number, NOW, NOW).unwrap();
    }
    for number in [3, 5, 0, -1] {
        assert_eq!(
            idt(&mut new, number, NOW, NOW).unwrap_err().refusal,
            Refusal::RequestOutOfStep
        );
    }
}

#[test]
fn numbers_of_0_6_may_be_left_out_after_20_seconds_of_silence() {
    let mut session = session(Dialect::V0_6);
    idt(&mut session, 1, NOW, NOW).unwrap();
    assert!(idt(&mut session, 9, NOW + 20, NOW + 20).is_err());
    idt(&mut session, 9, NOW + 21, NOW + 21).unwrap();
}

#[test]
fn silence_lets_no_request_of_a_fast_clock_be_played_again() {
    let mut session = session(Dialect::V0_6);
    let ahead = NOW + 50;
    idt(&mut session, 1, ahead, NOW).unwrap();
    assert_eq!(
        idt(&mut session, 1, ahead, NOW + 30).unwrap_err().refusal,
        Refusal::RequestOutOfStep
    );
}

#[test]
fn a_number_that_goes_back_after_silence_brings_no_earlier_request_with_it() {
    let mut session = session(Dialect::V0_6);
    let ahead = NOW + 60;
    for number in 1..=3 {
        idt(&mut session, number, ahead, NOW).unwrap();
    }
    let later = NOW + 21;
    idt(&mut session, 1, ahead + 21, later).unwrap();
    // The second one of the beginning, which is still young by our clock.
    assert_eq!(
        idt(&mut session, 2, ahead, later).unwrap_err(),
        Rejected::fatal(Refusal::RequestOutOfStep)
    );
    idt(&mut session, 2, ahead + 21, later).unwrap();
}

#[test]
fn the_age_of_a_first_token_of_0_6_is_bounded_both_ways() {
    let verdict = |at| {
        idt(&mut session(Dialect::V0_6), 1, at, NOW)
            .map(|_| ())
            .map_err(|r| r.refusal)
    };
    assert_eq!(verdict(NOW - 10), Ok(()));
    assert_eq!(verdict(NOW - 11), Err(Refusal::TokenStale));
    assert_eq!(verdict(NOW + 60), Ok(()));
    assert_eq!(verdict(NOW + 61), Err(Refusal::TokenFromFuture));
    assert_eq!(verdict(u64::MAX), Err(Refusal::TokenFromFuture));
    assert_eq!(verdict(0), Err(Refusal::TokenStale));
}

#[test]
fn a_false_argument_of_0_6_leaves_the_request_answerable() {
    let mut session = session(Dialect::V0_6);
    let path = "/cmd/false";
    let body = body(path, 1, NOW);
    let head = Head {
        path,
        argument: Some("false"),
        first: Some(&body),
    };
    assert_eq!(
        session.begin(head, NOW).unwrap().argument,
        Some(Err(Refusal::TokenMalformed))
    );
}

#[test]
fn what_the_server_sealed_in_0_3_is_no_argument_and_no_input() {
    let mut session = session(Dialect::V0_3);
    let begun = cmd(&mut session, &token(b"ls", NOW)).unwrap();
    let mut out = Sealed::default();
    let mut answer = begun.answer.sealer(200);
    answer.seal(b"id", NOW, &mut out).unwrap();
    let line = out.text.trim_ascii_end().to_vec();
    let reflected = String::from_utf8(line.clone()).unwrap();
    assert_eq!(
        cmd(&mut session, &reflected).unwrap_err(),
        Rejected::argument(Refusal::TokenReflected)
    );
    let idt = Head {
        path: "/idt",
        argument: None,
        first: Some(&line),
    };
    assert_eq!(
        session.begin(idt, NOW).unwrap_err(),
        Rejected::body(Refusal::TokenReflected)
    );
    let mut rest = cmd(&mut session, &token(b"cat", NOW)).unwrap().body;
    assert_eq!(
        rest.open(&line),
        Err(Refusal::TokenReflected),
        "in the midst of a body too"
    );
}
