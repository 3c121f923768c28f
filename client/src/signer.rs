//! What signs for a user: an agent, a key that is here, or one that is read when it is first needed.
//! Not here: what is signed, and where keys are found.

use std::fmt;
use std::sync::Arc;

use remo_protocol::agent::KeyFile;
use remo_protocol::keys::PrivateKey;
use tokio::sync::OnceCell;

use crate::agent::Agent;
use crate::error::Error;

/// Reads a key, perhaps asking for its password; fails with what to tell the user.
pub type ReadKey = dyn Fn() -> Result<PrivateKey, String> + Send + Sync;

/// What signs the log-ins of a user. Clones share what they have read.
#[derive(Clone)]
pub struct Signer {
    key: Arc<OnceCell<Arc<PrivateKey>>>,
    read: Option<Arc<ReadKey>>,
    agent: Option<Arc<(Agent, KeyFile)>>,
}

impl From<PrivateKey> for Signer {
    fn from(key: PrivateKey) -> Self {
        Arc::new(key).into()
    }
}

impl From<Arc<PrivateKey>> for Signer {
    fn from(key: Arc<PrivateKey>) -> Self {
        Self {
            key: Arc::new(OnceCell::new_with(Some(key))),
            read: None,
            agent: None,
        }
    }
}

impl Signer {
    /// A key that is read when something is to be signed, and not before.
    pub fn later(read: impl Fn() -> Result<PrivateKey, String> + Send + Sync + 'static) -> Self {
        Self {
            key: Arc::default(),
            read: Some(Arc::new(read)),
            agent: None,
        }
    }

    /// The same, by the agent that holds the key, as long as it does.
    #[must_use]
    pub fn by(self, agent: Agent, file: KeyFile) -> Self {
        Self {
            agent: Some(Arc::new((agent, file))),
            ..self
        }
    }

    /// Signs what a log-in says.
    ///
    /// # Errors
    /// [`Error::Key`], where there is nothing to sign with.
    pub(crate) async fn sign(&self, message: &[u8]) -> Result<[u8; 114], Error> {
        if let Some((agent, file)) = self.agent.as_deref() {
            match agent.sign(*file, message).await {
                Ok(sign) => return Ok(sign),
                Err(trouble) => tracing::debug!(%trouble, "the agent does not sign"),
            }
        }
        let key = self.key.get_or_try_init(|| self.read()).await?;
        Ok(key.sign(message))
    }

    /// Somebody may have to be asked, which takes its time.
    async fn read(&self) -> Result<Arc<PrivateKey>, Error> {
        let missing = || Error::Key("there is no key to sign with".into());
        let read = self.read.clone().ok_or_else(missing)?;
        let read = tokio::task::spawn_blocking(move || read()).await;
        read.map_err(|_| missing())?
            .map(Arc::new)
            .map_err(Error::Key)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_key_is_read_once_and_only_when_it_is_needed() {
        let reads = Arc::new(AtomicU32::new(0));
        let counted = reads.clone();
        let signer = Signer::later(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(PrivateKey::from_raw(&[7; 57]))
        });
        assert_eq!(reads.load(Ordering::SeqCst), 0);
        let (one, two) = tokio::join!(signer.sign(b"a"), signer.sign(b"a"));
        assert_eq!(one.unwrap(), two.unwrap());
        assert_eq!(reads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn why_a_key_cannot_be_read_is_told() {
        let signer = Signer::later(|| Err("no file".into()));
        let error = signer.sign(b"a").await.unwrap_err();
        assert_eq!(error.to_string(), "no file");
    }
}
