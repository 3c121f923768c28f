//! Every ceiling that both ends keep to, with its unit. What only a server can choose stands in its
//! configuration.

/// Bytes of data that one token may carry, its frame included (`docs/protocol.md`, "Ends of the numbers").
pub const TOKEN_PLAIN: usize = 4 * MIB;

/// Bytes of one line: a token of [`TOKEN_PLAIN`] bytes of data with its frame and the longest prefix,
/// encrypted and in base64.
pub const LINE: usize = base64_length(FERNET_OVERHEAD + TOKEN_PLAIN + 2 * BLOCK + PREFIX);

/// Bytes of an `/auth` body. The largest sound one, with a signature of an 8192-bit key, has under 2 KiB.
pub const AUTH_BODY: usize = 64 * 1024;

/// Bytes of an answer to `/auth`.
pub const AUTH_ANSWER: usize = 64 * 1024;

/// Bytes of the argument of a verb, before it is sealed: a command line or a path.
pub const ARGUMENT: usize = 32 * 1024;

/// Bytes of a PEM file.
pub const PEM: usize = 64 * 1024;

/// The last request number and the last token number of dialect 0.6: its numbers are signed and of 16 bits.
pub const LAST_NUMBER: u16 = i16::MAX as u16;

/// Seconds after which the first token of a body of dialect 0.6 is refused.
pub const TOKEN_AGE: u64 = 10;

/// Seconds that a token of dialect 0.6 may come from the future.
pub const CLOCK_SKEW: u64 = 60;

/// Seconds of silence after which a number out of step is accepted in dialect 0.6.
pub const STEP_SILENCE: u64 = 20;

/// Seconds by which an argument of dialect 0.3 may be older than the newest token of its session.
pub const ARGUMENT_AGE: u64 = 60;

/// Arguments of dialect 0.3 that a session remembers: as many as [`ARGUMENT_AGE`] seconds may bring.
pub const ARGUMENTS: usize = 65_536;

/// Transient keys that a server remembers, so that each serves one log-in.
pub const TRANSIENT_KEYS: usize = 10_000;

/// Bytes of data in a token where nothing asks for another size.
pub const TOKEN_DATA: usize = 64 * 1024;

/// Bytes of data in a token of remo/2.
pub const REMO2_DATA: usize = MIB;

/// Bytes of a JSON object in a token of remo/2.
pub const REMO2_JSON: usize = 128 * 1024;

/// How many numbers, from the highest taken downwards, a server of remo/2 remembers one by one.
pub const REMO2_WINDOW: u64 = 1024;

/// Requests of a session of remo/2, after which it ends.
pub const REMO2_REQUESTS: u64 = 1 << 32;

const MIB: usize = 1024 * 1024;
const BLOCK: usize = 16;
const PREFIX: usize = 64;

/// Version, time stamp, initialisation vector and HMAC of a Fernet token.
pub const FERNET_OVERHEAD: usize = 1 + 8 + 16 + 32;

const fn base64_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// How many bytes of data each token of a file of `size` bytes carries, so that its number of tokens
/// fits dialect 0.6; `None` for a file that no size of token fits (somewhat over 120 GiB).
pub fn token_data(size: u64) -> Option<usize> {
    // One number is kept for the end, and some for a file that grows while it is read.
    let tokens = u64::from(LAST_NUMBER) - 1024;
    let step = TOKEN_DATA as u64;
    let wanted = size
        .div_ceil(tokens)
        .div_ceil(step)
        .max(1)
        .checked_mul(step)?;
    usize::try_from(wanted)
        .ok()
        .filter(|data| data + PREFIX <= TOKEN_PLAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_40_gib_fit_the_numbers_and_the_token() {
        for gib in [0, 1, 3, 40, 100] {
            let size = gib << 30;
            let data = token_data(size).unwrap() as u64;
            assert!(size.div_ceil(data) < u64::from(LAST_NUMBER), "{gib} GiB");
        }
        assert_eq!(token_data(0), Some(TOKEN_DATA));
        assert_eq!(token_data(u64::MAX), None);
    }
}
