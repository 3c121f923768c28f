//! A mark in the vectors of the tokens that one side makes, by which it knows them again. Dialect 0.3 has
//! one key for both directions and nothing in a token that says where it is going: without the mark,
//! whoever is on the path could send a server's own answer back to it as a command line or as input.

use std::{fmt, sync::Arc};

use aes::{
    Aes128,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};

use crate::{fernet::Iv, refusal::Refusal};

/// Makes vectors that look random to everybody else: 8 random bytes and 8 zeros, encrypted with a key
/// that nobody else has. A foreign vector passes for a marked one once in 2^64.
#[derive(Clone)]
pub struct Mark(Arc<Aes128>);

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark(hidden)")
    }
}

impl Mark {
    /// Draws a mark.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`].
    pub fn draw() -> Result<Self, Refusal> {
        let mut key = zeroize::Zeroizing::new([0; 16]);
        getrandom::fill(&mut *key).map_err(|_| Refusal::RandomMissing)?;
        Ok(Self(Arc::new(Aes128::new((&*key).into()))))
    }

    /// A marked vector, as unpredictable as a random one.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`].
    pub fn vector(&self) -> Result<Iv, Refusal> {
        let mut half = [0; 8];
        getrandom::fill(&mut half).map_err(|_| Refusal::RandomMissing)?;
        let mut block = (u128::from(u64::from_be_bytes(half)) << 64)
            .to_be_bytes()
            .into();
        self.0.encrypt_block(&mut block);
        Ok(block.into())
    }

    /// Whether a vector has the mark.
    pub fn is_on(&self, vector: &Iv) -> bool {
        let mut block = (*vector).into();
        self.0.decrypt_block(&mut block);
        u128::from_be_bytes(block.into()) << 64 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_known_again_and_by_its_own_key_only() {
        let (ours, theirs) = (Mark::draw().unwrap(), Mark::draw().unwrap());
        let vectors: Vec<_> = (0..100).map(|_| ours.vector().unwrap()).collect();
        assert!(
            vectors
                .iter()
                .all(|vector| ours.is_on(vector) && !theirs.is_on(vector))
        );
        assert!(!ours.is_on(&Iv::default()));
        let mut sorted = vectors.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), vectors.len());
    }
}
