//! The keys that an agent holds: each for a time, and none in the clear while it is locked. Time is an input.
//! Not here: who asks for them, and what is signed.

use std::time::Duration;

use remo_protocol::agent::{HeldKey, KeyFile, Refused, Why};
use remo_protocol::keys::PrivateKey;
use std::sync::Arc;
use zeroize::Zeroizing;

use super::clock::Moment;

/// Keys, and whether anybody may use them.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: Vec<Held>,
    lock: Option<Lock>,
}

/// A key and until when it is held.
#[derive(Debug)]
struct Held {
    file: KeyFile,
    name: String,
    fingerprint: String,
    until: Moment,
    secret: Secret,
}

/// A key in the clear, or sealed by the password of the lock.
enum Secret {
    Open(Arc<PrivateKey>),
    Sealed(Zeroizing<String>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// A lock: a key that means nothing, sealed by the password, shows whether a password is the right one.
#[derive(Debug)]
struct Lock {
    proof: Zeroizing<String>,
    failures: u32,
    /// No password is looked at before.
    not_before: Moment,
}

impl Keyring {
    /// Takes a key, in place of one from the same file.
    ///
    /// # Errors
    /// [`Why::Locked`], [`Why::Full`].
    pub fn add(
        &mut self,
        key: PrivateKey,
        file: KeyFile,
        name: &str,
        until: Moment,
    ) -> Result<String, Refused> {
        self.check_open()?;
        let fingerprint = key.public().fingerprint().to_string();
        self.keys.retain(|held| held.file != file);
        if self.keys.len() >= MOST_KEYS {
            return Err(refused(
                Why::Full,
                format!("the agent holds {MOST_KEYS} keys already (remo agent forget makes room)"),
            ));
        }
        self.keys.push(Held {
            file,
            name: name.to_owned(),
            fingerprint: fingerprint.clone(),
            until,
            secret: Secret::Open(Arc::new(key)),
        });
        Ok(fingerprint)
    }

    /// The key of a file, to sign with.
    ///
    /// # Errors
    /// [`Why::Locked`], [`Why::NoKey`].
    pub fn key(&mut self, file: &KeyFile, now: Moment) -> Result<Arc<PrivateKey>, Refused> {
        self.expire(now);
        self.check_open()?;
        let held = self.keys.iter().find(|held| held.file == *file);
        match held.map(|held| &held.secret) {
            Some(Secret::Open(key)) => Ok(key.clone()),
            _ => Err(refused(
                Why::NoKey,
                "the agent does not hold this key (remo agent add hands it over)".into(),
            )),
        }
    }

    /// Erases what is over; says whether anything was.
    pub fn expire(&mut self, now: Moment) -> bool {
        let before = self.keys.len();
        self.keys.retain(|held| held.until > now);
        before != self.keys.len()
    }

    /// Whether a key of this file is held.
    #[must_use]
    pub fn holds(&self, file: &KeyFile) -> bool {
        self.keys.iter().any(|held| held.file == *file)
    }

    /// Erases the keys of this fingerprint or name; says whether there was one. A lock does not prevent it.
    pub fn forget(&mut self, key: &str) -> bool {
        let before = self.keys.len();
        self.keys
            .retain(|held| held.fingerprint != key && held.name != key);
        before != self.keys.len()
    }

    /// Erases all keys.
    pub fn forget_all(&mut self) {
        self.keys.clear();
    }

    /// The keys, as they are shown.
    #[must_use]
    pub fn list(&self, now: Moment) -> Vec<(KeyFile, HeldKey)> {
        let shown = |held: &Held| HeldKey {
            fingerprint: held.fingerprint.clone(),
            name: held.name.clone(),
            seconds: held.until.since(now).as_secs(),
            sessions: Vec::new(),
        };
        self.keys
            .iter()
            .map(|held| (held.file, shown(held)))
            .collect()
    }

    /// Whether nothing is given.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Seals all keys by a password: none is in memory in the clear until it comes again.
    ///
    /// # Errors
    /// [`Why::Locked`]; [`Why::Full`] where the system has no random numbers to give.
    pub fn lock(&mut self, password: &[u8], now: Moment) -> Result<(), Refused> {
        self.check_open()?;
        let no_random = |_| refused(Why::Full, "the system gives no random numbers".into());
        let proof = PrivateKey::generate().and_then(|key| key.to_encrypted_pem(password));
        let proof = proof.map_err(no_random)?;
        let mut sealed = Vec::new();
        for held in &self.keys {
            sealed.push(match &held.secret {
                Secret::Open(key) => key.to_encrypted_pem(password).map_err(no_random)?,
                Secret::Sealed(text) => text.clone(),
            });
        }
        for (held, sealed) in self.keys.iter_mut().zip(sealed) {
            held.secret = Secret::Sealed(sealed);
        }
        self.lock = Some(Lock {
            proof,
            failures: 0,
            not_before: now,
        });
        Ok(())
    }

    /// Opens it all again. After a wrong password none is looked at for a while: 1 s, then twice as long each time, up to 5 minutes.
    ///
    /// # Errors
    /// [`Why::NotLocked`], [`Why::Password`].
    pub fn unlock(&mut self, password: &[u8], now: Moment) -> Result<(), Refused> {
        self.expire(now);
        let not_locked = || refused(Why::NotLocked, "the agent is not locked".into());
        let lock = self.lock.as_mut().ok_or_else(not_locked)?;
        let wait = lock.not_before.since(now);
        if !wait.is_zero() {
            let seconds = wait.as_millis().div_ceil(1000);
            let text = format!("a wrong password was given: the next is looked at in {seconds} s");
            return Err(refused(Why::Password, text));
        }
        if PrivateKey::from_pem(lock.proof.as_bytes(), Some(password)).is_err() {
            let pause = FIRST_PAUSE * 2_u32.saturating_pow(lock.failures.min(16));
            lock.failures += 1;
            lock.not_before = now.plus(pause.min(LONGEST_PAUSE));
            return Err(refused(Why::Password, "the password is wrong".into()));
        }
        self.lock = None;
        for held in &mut self.keys {
            if let Secret::Sealed(text) = &held.secret
                && let Ok(key) = PrivateKey::from_pem(text.as_bytes(), Some(password))
            {
                held.secret = Secret::Open(Arc::new(key));
            }
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), Refused> {
        match self.lock {
            None => Ok(()),
            Some(_) => Err(refused(
                Why::Locked,
                "the agent is locked (remo agent unlock)".into(),
            )),
        }
    }
}

pub(super) fn refused(why: Why, message: String) -> Refused {
    Refused { why, message }
}

/// Keys that are held at once. Locking seals each by itself, which takes its time.
const MOST_KEYS: usize = 16;

/// How long after the first wrong password no other is looked at.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: KeyFile = KeyFile([1; 32]);

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    fn ring(until: u64) -> Keyring {
        let mut ring = Keyring::default();
        let key = PrivateKey::from_raw(&[7; 57]);
        ring.add(key, FILE, "zoe", at(until)).unwrap();
        ring
    }

    fn why<T: std::fmt::Debug>(result: Result<T, Refused>) -> Why {
        result.unwrap_err().why
    }

    #[test]
    fn a_key_is_given_until_its_time_is_over_and_then_erased() {
        let mut ring = ring(100);
        assert!(ring.key(&FILE, at(99)).is_ok());
        assert_eq!(ring.list(at(40))[0].1.seconds, 60);
        assert_eq!(why(ring.key(&FILE, at(100))), Why::NoKey);
        assert!(ring.list(at(0)).is_empty() && !ring.holds(&FILE));
    }

    #[test]
    fn what_is_forgotten_is_gone() {
        let mut ring = ring(100);
        assert!(!ring.forget("other"));
        assert!(ring.forget("zoe"));
        assert_eq!(why(ring.key(&FILE, at(1))), Why::NoKey);
        let mut ring = self::ring(100);
        let fingerprint = ring.list(at(0))[0].1.fingerprint.clone();
        assert!(ring.forget(&fingerprint));
        let mut ring = self::ring(100);
        ring.forget_all();
        assert!(!ring.holds(&FILE));
    }

    #[test]
    fn a_locked_ring_gives_nothing_and_holds_no_key_in_the_clear() {
        let mut ring = ring(1000);
        ring.lock(b"sesame", at(0)).unwrap();
        assert_eq!(why(ring.key(&FILE, at(1))), Why::Locked);
        let other = PrivateKey::from_raw(&[8; 57]);
        assert_eq!(why(ring.add(other, FILE, "x", at(9))), Why::Locked);
        assert_eq!(why(ring.lock(b"x", at(1))), Why::Locked);
        assert!(matches!(ring.keys[0].secret, Secret::Sealed(_)));
        ring.unlock(b"sesame", at(2)).unwrap();
        let key = ring.key(&FILE, at(3)).unwrap();
        assert_eq!(key.public(), PrivateKey::from_raw(&[7; 57]).public());
        assert_eq!(why(ring.unlock(b"sesame", at(4))), Why::NotLocked);
    }

    #[test]
    fn a_key_whose_time_is_over_while_it_is_locked_does_not_come_back() {
        let mut ring = ring(100);
        ring.lock(b"sesame", at(0)).unwrap();
        ring.unlock(b"sesame", at(100)).unwrap();
        assert_eq!(why(ring.key(&FILE, at(100))), Why::NoKey);
    }

    #[test]
    fn wrong_passwords_are_looked_at_ever_more_seldom() {
        let mut ring = ring(1000);
        ring.lock(b"sesame", at(0)).unwrap();
        assert_eq!(why(ring.unlock(b"wrong", at(10))), Why::Password);
        let early = ring.unlock(b"sesame", at(10)).unwrap_err();
        assert!(early.message.contains("in 1 s"), "{early:?}");
        assert_eq!(why(ring.unlock(b"wrong", at(11))), Why::Password);
        let early = ring.unlock(b"sesame", at(12)).unwrap_err();
        assert!(
            early.message.contains("in 1 s"),
            "two are over at 13: {early:?}"
        );
        ring.unlock(b"sesame", at(13)).unwrap();
    }

    #[test]
    fn there_is_a_ceiling_of_keys_and_one_for_each_file() {
        let mut ring = Keyring::default();
        let add = |ring: &mut Keyring, number: usize| {
            let file = KeyFile([u8::try_from(number).unwrap(); 32]);
            ring.add(PrivateKey::from_raw(&[7; 57]), file, "k", at(9))
        };
        for number in 0..MOST_KEYS {
            add(&mut ring, number).unwrap();
        }
        add(&mut ring, 0).unwrap();
        assert_eq!(why(add(&mut ring, MOST_KEYS)), Why::Full);
    }
}
