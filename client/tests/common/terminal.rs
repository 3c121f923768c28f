//! A terminal at which a test sits, and a `remo` on it.
//! The promises themselves are in the tests.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// How long anything may take to be seen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A `remo` whose terminal is this one.
pub struct Terminal {
    pub child: Child,
    pub keys: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    pub fn start(remo: &Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .unwrap();
        // A session of its own, so that Ctrl-C reaches it and nobody else.
        let mut command = Command::new("setsid");
        command
            .arg("--ctty")
            .arg(remo.get_program())
            .args(remo.get_args());
        command
            .env_clear()
            .envs(
                remo.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("TERM", "xterm");
        command.current_dir(remo.get_current_dir().unwrap());
        command
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave);
        let child = command.spawn().unwrap();
        let keys = File::from(master);
        let mut output = keys.try_clone().unwrap();
        let (tell, screen) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length) = output.read(&mut piece) {
                if tell.send(piece[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            keys,
            screen,
            seen: String::new(),
        }
    }

    pub fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` is on the screen, and forgets what came up to it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.seen.find(text) {
                let before = self.seen[..place].to_owned();
                self.seen.drain(..place + text.len());
                return before;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(piece) => self.seen.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("'{text}' did not come; the screen shows {:?}", self.seen),
            }
        }
    }

    /// The next bytes that are shown, as they are; nothing when whoever showed them has ended.
    #[track_caller]
    pub fn shown(&mut self) -> Option<Vec<u8>> {
        assert_eq!(self.seen, "", "it was looked at as text");
        // An answer whose framing was spoilt is given up after 25 s of silence.
        match self.screen.recv_timeout(PATIENCE * 3) {
            Ok(piece) => Some(piece),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing more is shown"),
        }
    }

    #[track_caller]
    pub fn expect_end(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status
                    .code()
                    .or(status.signal().map(|signal| 1000 + signal));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it did not end; the screen shows {:?}", self.seen);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
