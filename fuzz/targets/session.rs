//! A session under requests of any kind, sealed with its own key or by nobody: its dialect is settled once and
//! not below the floor, no request is taken twice, nothing it sealed itself is taken back.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use remo_fuzz::{Input, NOW, key, token};
use remo_protocol::{
    body::hash_path,
    dialect::Dialect,
    fernet::Sealed,
    session::{Begun, Head, Session},
};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let floor = Dialect::ALL[usize::from(input.byte() % 2)];
    let mut world = World {
        session: Session::new(key()).expect("random bytes"),
        floor,
        now: NOW,
        made: Vec::new(),
        answers: HashSet::new(),
        taken: HashSet::new(),
        salt: 0,
    };
    for _ in 0..16 {
        if input.is_empty() || !world.request(&mut input) {
            break;
        }
    }
});

struct World {
    session: Session,
    floor: Dialect,
    now: u64,
    /// Every token so far, to be sent again; those that the session made are `answers` too.
    made: Vec<Vec<u8>>,
    answers: HashSet<Vec<u8>>,
    taken: HashSet<Vec<u8>>,
    salt: u64,
}

impl World {
    /// Plays one request; false where it ended the session.
    fn request(&mut self, input: &mut Input<'_>) -> bool {
        self.now += u64::from(input.byte());
        let argument = self.token(input, "");
        let argument = argument.filter(|token| token.is_ascii());
        let argument = argument.map(|token| String::from_utf8(token).expect("ASCII"));
        let path = format!("/cmd/{}", argument.as_deref().unwrap_or_default());
        let first = self.token(input, &path);
        let before = self.session.dialect();
        let head = Head {
            path: &path,
            argument: argument.as_deref(),
            first: first.as_deref(),
        };
        let begun = self.session.begin(head, self.floor, self.now);
        let after = self.session.dialect();
        assert!(before.is_none() || after == before, "the dialect changed");
        assert!(
            after.is_none_or(|dialect| dialect >= self.floor),
            "below the floor"
        );
        match begun {
            Ok(begun) => self.check(begun, argument, first),
            Err(rejected) => return !rejected.ends_session,
        }
        true
    }

    fn check(&mut self, begun: Begun, argument: Option<String>, first: Option<Vec<u8>>) {
        assert_eq!(begun.dialect, self.session.dialect());
        let argument = argument.map(String::into_bytes);
        if begun.dialect.is_none() {
            assert!(
                argument.is_none() && first.is_none(),
                "a token was taken and proved nothing"
            );
        }
        // What makes a request that one and no other: the argument in 0.3, the first line in 0.6.
        let own = match begun.dialect {
            Some(Dialect::V0_6) => first.clone(),
            _ => argument.clone(),
        };
        if let Some(own) = own {
            assert!(self.taken.insert(own), "a request was taken twice");
        }
        let reflected =
            |token: &Option<Vec<u8>>| token.as_ref().is_some_and(|t| self.answers.contains(t));
        assert!(!reflected(&first), "its own token was taken for input");
        assert!(
            begun.dialect == Some(Dialect::V0_6) || !reflected(&argument),
            "or for an argument"
        );
        let mut out = Sealed::default();
        let sealed = begun
            .answer
            .sealer(200)
            .whole(&begun.data, self.now, &mut out);
        if sealed.is_ok() && begun.dialect.is_some() {
            let answer = out.text.strip_suffix(b"\r\n").expect("a line").to_vec();
            self.answers.insert(answer.clone());
            self.made.push(answer);
        }
    }

    /// No token, a sealed one of any content, one of any bytes, an old one, or a good first token of 0.6.
    fn token(&mut self, input: &mut Input<'_>, path: &str) -> Option<Vec<u8>> {
        let kind = input.byte();
        let at = self
            .now
            .saturating_add_signed(i64::from(input.byte() as i8));
        self.salt += 1;
        let made = match kind % 6 {
            0 => return None,
            1 => token(input.piece(), at, self.salt),
            2 => return Some(input.piece().to_vec()),
            3 if !self.made.is_empty() => {
                return Some(self.made[usize::from(input.byte()) % self.made.len()].clone());
            }
            _ => {
                let frame = [
                    b'B',
                    if kind > 128 { b'E' } else { b'.' },
                    input.byte(),
                    input.byte(),
                    0,
                    0,
                ];
                token(
                    &[&frame, hash_path(path).as_slice(), input.piece()].concat(),
                    at,
                    self.salt,
                )
            }
        };
        self.made.push(made.clone());
        Some(made)
    }
}
