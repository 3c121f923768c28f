//! The ceilings that are a server's own to choose. Those that both ends keep to are in
//! [`remo_protocol::limits`].

use std::{path::PathBuf, time::Duration};

/// What a server lets its clients take. Every field may be changed before the application is made.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's path; longer: 414.
    pub path: usize,
    /// Bytes of an `/auth` body; longer: 413.
    pub auth_body: usize,
    /// Time for an `/auth` body to arrive; longer: 408.
    pub auth_time: Duration,
    /// Time without a byte of a request's body; longer: 408.
    pub stall: Duration,
    /// When the refusal of a log-in leaves, counted from when it was read.
    pub refusal_time: Duration,
    /// Log-ins that are checked at once, each on a core.
    pub logins: usize,
    /// Log-ins that wait to be checked; one more: 503.
    pub logins_waiting: usize,
    /// Sessions in all; a log-in more: 503.
    pub sessions: usize,
    /// Sessions of one user; with one more, the one that was silent longest goes.
    pub sessions_a_user: usize,
    /// Sessions without a log-in; with one more, the one that was silent longest goes.
    pub sessions_unauthenticated: usize,
    /// Requests of one session that wait for their turn; one more: 503.
    pub turns_waiting: usize,
    /// Time without a request after which a session ends.
    pub session_time: Duration,
    /// Bytes of each stream of a channel of remo/2 that its client has not received; then nothing more is read
    /// from the process or connection.
    pub window: usize,
    /// Channels of remo/2 of one user; one more: `too_many`.
    pub channels_a_user: usize,
    /// Processes and connections of all users, those of the older dialects included; one more in remo/2: `too_many`.
    pub channels: usize,
    /// Whether users of remo/2 may have connections made to wherever this machine reaches.
    pub forward: bool,
    /// Bytes of input that a process has not taken yet, in a file; more: 413.
    pub spool: u64,
    /// Bytes of input that are held in memory before the file is used, and before a command starts
    /// although its input has not ended.
    pub spool_memory: usize,
    /// The folder of that file, which has no name.
    pub spool_folder: PathBuf,
    /// The folder of what outlives the server: which uploads are unfinished. Without one they end with the
    /// application.
    pub state_folder: Option<PathBuf>,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            path: 60 * 1024,
            auth_body: remo_protocol::limits::AUTH_BODY,
            auth_time: Duration::from_secs(10),
            stall: Duration::from_secs(60),
            refusal_time: Duration::from_millis(100),
            logins: cores,
            logins_waiting: 64,
            sessions: 4096,
            sessions_a_user: 512,
            sessions_unauthenticated: 1024,
            turns_waiting: 64,
            session_time: Duration::from_secs(600),
            window: 1 << 20,
            channels_a_user: 1024,
            channels: 8192,
            forward: true,
            spool: 1 << 30,
            spool_memory: 1 << 20,
            spool_folder: "/var/tmp".into(),
            state_folder: None,
        }
    }
}
