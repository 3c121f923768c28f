//! HMAC-SHA-256 in steps of one block, so that those of several tokens can be made side by side.
//! What is signed is not known here.

use sha2::block_api::compress256;
use zeroize::Zeroizing;

/// The state of a SHA-256 between two blocks.
pub(super) type State = [u32; 8];

/// Bytes of a block of SHA-256.
pub(super) const BLOCK: usize = 64;

/// A key whose two blocks are hashed once. Erased when dropped.
pub(super) struct MacKey {
    inner: Zeroizing<State>,
    outer: Zeroizing<State>,
}

impl MacKey {
    /// A key of at most one block: it is filled up with zeros (RFC 2104).
    pub(super) fn new(key: &[u8; 16]) -> Self {
        Self {
            inner: hash_key(key, 0x36),
            outer: hash_key(key, 0x5c),
        }
    }

    /// The state before the first block of what is signed.
    pub(super) fn begin(&self) -> Zeroizing<State> {
        self.inner.clone()
    }

    /// Ends a MAC: `state` has taken `blocks`, and `rest` is what follows them (below 119 bytes).
    pub(super) fn finish(
        &self,
        mut state: Zeroizing<State>,
        blocks: usize,
        rest: &[u8],
    ) -> [u8; 32] {
        absorb_end(&mut state, 1 + blocks, rest);
        let digest = Zeroizing::new(bytes(&state));
        let mut outer = self.outer.clone();
        absorb_end(&mut outer, 1, &*digest);
        bytes(&outer)
    }

    /// The MAC of the whole of `signed`.
    pub(super) fn sign(&self, signed: &[u8]) -> [u8; 32] {
        let (blocks, rest) = signed.as_chunks();
        let mut state = self.begin();
        compress256(&mut state, blocks);
        self.finish(state, blocks.len(), rest)
    }
}

/// Takes whole blocks into a state.
#[inline]
pub(super) fn absorb(state: &mut State, blocks: &[[u8; BLOCK]]) {
    compress256(state, blocks);
}

fn hash_key(key: &[u8; 16], pad: u8) -> Zeroizing<State> {
    let mut block = Zeroizing::new([pad; BLOCK]);
    for (to, from) in block.iter_mut().zip(key) {
        *to ^= from;
    }
    let mut state = Zeroizing::new(START);
    compress256(&mut state, std::slice::from_ref(&*block));
    state
}

/// Takes what follows `before` blocks, and the padding of SHA-256.
fn absorb_end(state: &mut State, before: usize, rest: &[u8]) {
    let mut end = Zeroizing::new([0; 2 * BLOCK]);
    let bits = 8 * (before * BLOCK + rest.len()) as u64;
    let length = (rest.len() + 1 + 8).next_multiple_of(BLOCK);
    if let Some(data) = end.get_mut(..rest.len()) {
        data.copy_from_slice(rest);
    }
    if let Some(mark) = end.get_mut(rest.len()) {
        *mark = 0x80;
    }
    if let Some(count) = end.get_mut(length - 8..length) {
        count.copy_from_slice(&bits.to_be_bytes());
    }
    let (blocks, _) = end.as_chunks();
    compress256(state, blocks.get(..length / BLOCK).unwrap_or_default());
}

fn bytes(state: &State) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    bytes
}

/// The state that SHA-256 begins with (FIPS 180-4, 5.3.3).
const START: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use super::*;

    #[test]
    fn it_is_the_hmac_of_every_length() {
        let key = std::array::from_fn(|i| i as u8);
        let data: Vec<u8> = (0..1000).map(|i| (i * 7) as u8).collect();
        for length in (0..300).chain([1000]) {
            let theirs = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).unwrap();
            let theirs = theirs.chain_update(&data[..length]).finalize();
            let ours = MacKey::new(&key).sign(&data[..length]);
            assert_eq!(ours, *theirs.into_bytes(), "{length} bytes");
        }
    }

    #[test]
    fn a_rest_may_be_longer_than_a_block() {
        let key = MacKey::new(&[9; 16]);
        let data = [3; 64 + 118];
        let mut state = key.begin();
        absorb(&mut state, data.as_chunks().0.get(..1).unwrap());
        assert_eq!(key.finish(state, 1, &data[64..]), key.sign(&data));
    }
}
