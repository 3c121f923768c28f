//! Padding of requests: lengths that do not tell what was typed. What is sealed, and how, is not here.

/// Lengths of bodies that carry little input, in bytes: each such body has one of them.
pub const SIZES: [usize; 3] = [2 * 1024, 4 * 1024, 16 * 1024];

/// Bytes of input that travel in lines which all are of one length: what a key sends, and a little more.
pub const KEYS: usize = KEY_LINES * KEY_LINE;

/// Lines that carry them, whether there is something in them or not.
pub(super) const KEY_LINES: usize = 8;

/// Bytes in each: with them a token is as long as without.
pub(super) const KEY_LINE: usize = 2;

/// Bytes of the line of a token with a payload of this length, its end included.
pub(super) fn line(payload: usize) -> usize {
    let padded = ((HEADER + payload) / BLOCK + 1) * BLOCK;
    (OVERHEAD + padded).div_ceil(3) * 4 + 2
}

/// The payloads of a few tokens whose lines take exactly `room` bytes.
pub(super) fn fillers(room: usize) -> Option<Vec<usize>> {
    (1..=MOST).find_map(|count| exactly(room, count))
}

fn exactly(room: usize, count: usize) -> Option<Vec<usize>> {
    if count == 1 {
        return longest(room)
            .filter(|payload| line(*payload) == room)
            .map(|last| vec![last]);
    }
    // Lengths of lines go round every three blocks.
    [0, BLOCK, 2 * BLOCK].into_iter().find_map(|payload| {
        let mut rest = exactly(room.checked_sub(line(payload))?, count - 1)?;
        rest.push(payload);
        Some(rest)
    })
}

/// The longest payload whose line has at most this length.
pub(super) fn longest(room: usize) -> Option<usize> {
    let raw = room.checked_sub(2)? / 4 * 3;
    let blocks = raw.checked_sub(OVERHEAD)? / BLOCK;
    (blocks * BLOCK).checked_sub(HEADER + 1)
}

/// Bytes of a token beside what is encrypted: version, time, vector, proof.
const OVERHEAD: usize = 1 + 8 + 16 + 32;

const BLOCK: usize = 16;

/// Kind, number and index.
const HEADER: usize = 1 + 8 + 4;

/// Tokens of padding that reach any length.
const MOST: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_that_bodies_have_is_reached_exactly() {
        // Lines are four letters a step, and two for their end.
        for room in (1000..2048).step_by(2).chain([15_000, 15_002]) {
            let found = fillers(room);
            let sum = found
                .iter()
                .flatten()
                .map(|payload| line(*payload))
                .sum::<usize>();
            assert_eq!((found.is_some(), sum), (true, room), "{room}");
        }
        assert_eq!(fillers(10), None);
    }

    #[test]
    fn a_key_more_or_less_makes_no_line_longer() {
        assert!((0..=KEY_LINE).all(|length| line(length) == line(0)));
        assert!(line(KEY_LINE + 1) > line(0));
    }
}
