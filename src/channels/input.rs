//! What goes in: bytes with offsets, of which a bounded part waits for the far end to take them.

use std::collections::VecDeque;

use super::Exchange;

/// The input of a channel.
#[derive(Debug, Default)]
pub(super) struct Input {
    waiting: VecDeque<u8>,
    taken: u64,
    ends: bool,
    /// Where it was ended: on a terminal it may go on, and end again further on.
    ended_at: Option<u64>,
}

/// What the far end gets next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Data(Vec<u8>),
    End,
    /// Nothing yet.
    Nothing,
}

impl Input {
    /// An input that is whole already, where it `ends`.
    pub(super) fn new(given: Vec<u8>, ends: bool) -> Self {
        Self {
            taken: given.len() as u64,
            waiting: given.into(),
            ends,
            ended_at: None,
        }
    }

    /// How far it was taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes what is new and has room, and the end where all before it was taken.
    pub(super) fn take(&mut self, exchange: &Exchange) {
        let at = exchange.at.unwrap_or(self.taken);
        let end = at.saturating_add(exchange.data.len() as u64);
        if at <= self.taken && !self.ends {
            let known = usize::try_from(self.taken - at).unwrap_or(usize::MAX);
            let fresh = exchange.data.get(known..).unwrap_or_default();
            let room = INPUT.saturating_sub(self.waiting.len());
            let taken = fresh.get(..fresh.len().min(room)).unwrap_or_default();
            self.waiting.extend(taken);
            self.taken += taken.len() as u64;
        }
        if exchange.ends && self.taken >= end && self.ended_at != Some(self.taken) {
            self.ends = true;
            self.ended_at = Some(self.taken);
        }
    }

    /// What is next for the far end.
    pub(super) fn next(&mut self) -> Next {
        let length = self.waiting.len().min(PIECE);
        if length > 0 {
            let data = self.waiting.drain(..length).collect();
            if self.waiting.is_empty() {
                // An idle input takes no memory.
                self.waiting = VecDeque::new();
            }
            Next::Data(data)
        } else if self.ends {
            Next::End
        } else {
            Next::Nothing
        }
    }

    /// Whether it has been ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ends
    }

    /// What ended may go on.
    pub(super) fn go_on(&mut self) {
        self.ends = false;
    }

    /// Nobody takes what waits.
    pub(super) fn drop_waiting(&mut self) {
        self.waiting = VecDeque::new();
    }
}

/// Bytes of input that wait for the far end.
const INPUT: usize = 1 << 20;

/// Bytes that are given at once.
const PIECE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn data(at: u64, data: &[u8], ends: bool) -> Exchange {
        Exchange {
            at: Some(at),
            data: data.to_vec(),
            ends,
            ..Exchange::default()
        }
    }

    #[test]
    fn each_byte_is_taken_once_and_none_behind_a_gap() {
        let mut input = Input::default();
        for (at, bytes) in [(0, "abc"), (0, "abc"), (2, "cde"), (9, "xyz")] {
            input.take(&data(at, bytes.as_bytes(), false));
        }
        assert_eq!(
            (input.taken(), input.next()),
            (5, Next::Data(b"abcde".into()))
        );
        assert_eq!(input.next(), Next::Nothing);
    }

    #[test]
    fn it_ends_only_where_all_before_the_end_was_taken() {
        let mut input = Input::default();
        input.take(&data(1, b"", true));
        input.take(&data(u64::MAX, b"x", true));
        assert_eq!(input.next(), Next::Nothing, "there is a gap before it");
        input.take(&data(0, b"a", true));
        assert_eq!(
            (input.next(), input.next()),
            (Next::Data(b"a".into()), Next::End)
        );
        input.go_on();
        input.take(&data(0, b"a", true));
        assert_eq!(input.next(), Next::Nothing, "an end counts once");
    }

    #[test]
    fn what_has_no_room_is_not_taken() {
        let mut input = Input::default();
        input.take(&data(0, &vec![7; INPUT + 5], true));
        assert_eq!(input.taken(), INPUT as u64);
        while let Next::Data(_) = input.next() {}
        assert_eq!(input.next(), Next::Nothing);
        input.take(&data(INPUT as u64, &[7; 5], true));
        assert_eq!(
            (input.next(), input.next()),
            (Next::Data(vec![7; 5]), Next::End)
        );
    }
}
