//! What is told of a copy while it goes on.
//! How it is shown is not known here.

/// Told of everything as it happens, from several tasks at once.
pub trait Watcher: Send + Sync {
    /// So many files and bytes more are to be copied.
    fn found(&self, files: u64, bytes: u64);

    /// A file begins.
    fn begun(&self, path: &[u8], size: u64);

    /// Bytes of a file have come to their place; fewer than nothing where they have to come again.
    fn moved(&self, path: &[u8], bytes: i64);

    /// One thing has ended, in whichever way.
    fn ended(&self, path: &[u8], kind: &'static str, bytes: u64, outcome: &Outcome);

    /// Something worth knowing, which is no failure.
    fn remarked(&self, path: &[u8], remark: &str);
}

/// How it ended with one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is a copy now.
    Copied,
    /// It was the same already.
    Identical,
    /// It was left out, for this reason.
    LeftOut(String),
    /// It failed.
    Failed(String),
}

/// What a copy came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files that were copied.
    pub files: u64,
    /// Folders that were made or entered.
    pub folders: u64,
    /// Links that were made.
    pub links: u64,
    /// Bytes of the files that were copied.
    pub bytes: u64,
    /// Files that were the same already.
    pub identical: u64,
    /// Sockets, pipes, devices.
    pub left_out: u64,
    /// What failed.
    pub failed: u64,
}

impl Summary {
    /// Whether all is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.left_out == 0 && self.failed == 0
    }
}
