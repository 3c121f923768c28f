//! Changes in a server's folders: each is asked under one id, and carried out once.
//! What they are made for is not known here.

use bytes::Bytes;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::Run;
use serde_json::Value;

use super::naming;
use crate::remo2::asking::{Act, Room};
use crate::remo2::failure::Failure;
use crate::remo2::live::Live;
use crate::remo2::{Channel, Remote};

/// A change there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Makes a folder.
    Mkdir {
        /// Its permission bits; what the umask there leaves, where not given.
        mode: Option<u32>,
        /// Those above it too, and that it is there already is no error.
        parents: bool,
    },
    /// Removes a file, a link or an empty folder.
    Rm {
        /// A folder with all that is in it.
        recursive: bool,
    },
    /// Gives it another name, in the place of what has that name.
    Mv {
        /// The new path.
        to: &'a [u8],
    },
    /// Sets permission bits.
    Chmod {
        /// Which.
        mode: u32,
    },
    /// Makes a symbolic link.
    Symlink {
        /// Where it leads.
        to: &'a [u8],
    },
}

impl Change<'_> {
    fn members(self, head: &mut Object) {
        let mut set = |name: &str, value: Value| head.insert(name.into(), value);
        match self {
            Self::Mkdir { mode, parents } => {
                set("op", "mkdir".into());
                if let Some(mode) = mode {
                    set("mode", mode.into());
                }
                if parents {
                    set("parents", true.into());
                }
            }
            Self::Rm { recursive } => {
                set("op", "rm".into());
                if recursive {
                    set("recursive", true.into());
                }
            }
            Self::Mv { to } => {
                set("op", "mv".into());
                naming::put(head, "to", to);
            }
            Self::Chmod { mode } => {
                set("op", "chmod".into());
                set("mode", mode.into());
            }
            Self::Symlink { to } => {
                set("op", "symlink".into());
                naming::put(head, "to", to);
            }
        }
    }
}

impl Remote {
    /// Carries out a change at `path`, once, whatever the path between does.
    ///
    /// # Errors
    /// See [`Failure`]: [`Failure::Unknown`] where it may be carried out and nobody knows.
    pub async fn change(&self, path: &[u8], change: Change<'_>) -> Result<(), Failure> {
        let mut head = Object::new();
        change.members(&mut head);
        naming::put(&mut head, "path", path);
        head.insert("id".into(), Channel::draw_id()?.into());
        let mut act = Once {
            head,
            by: self.patience() * 2,
            sent: None,
        };
        loop {
            let trailer = self.ask(&mut act).await?;
            sound(&trailer)?;
            // Without it the server is still at it.
            if trailer.get("done").and_then(Value::as_bool) == Some(true) {
                return Ok(());
            }
        }
    }
}

/// What went wrong after an answer had begun stands in its trailer.
pub(super) fn sound(trailer: &Object) -> Result<(), Failure> {
    let text = |name: &str| trailer.get(name).and_then(Value::as_str);
    match text("error") {
        None => Ok(()),
        Some(error) => {
            let message = text("message").unwrap_or_default();
            Err(Failure::refused(500, error, message))
        }
    }
}

/// `/fs` with an id.
struct Once {
    head: Object,
    /// How much later than it is sent it may come.
    by: std::time::Duration,
    /// The run of the server that it was first sent to.
    sent: Option<Run>,
}

impl Act for Once {
    fn verb(&self) -> &'static str {
        "fs"
    }

    fn compose(&mut self, live: &Live, _: Room) -> (Object, Bytes) {
        self.sent.get_or_insert_with(|| live.run.clone());
        let mut head = self.head.clone();
        head.insert("by".into(), live.by(self.by).into());
        (head, Bytes::new())
    }

    fn belongs(&self, run: &Run) -> Result<(), Failure> {
        match &self.sent {
            Some(first) if first != run => Err(Failure::Unknown),
            _ => Ok(()),
        }
    }
}
