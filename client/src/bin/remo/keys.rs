//! What is typed: keys for the other side, and `~` at the beginning of a line for this one.
//! Not here: what follows from it.

/// What a piece of typing holds, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Keys for the process.
    Keys(Vec<u8>),
    /// `~.`
    Leave,
    /// `~d`
    Detach,
    /// `~?`
    Help,
}

/// Reads typing; it may come in any pieces.
#[derive(Debug)]
pub(crate) struct Keyboard {
    /// The next key stands at the beginning of a line.
    fresh: bool,
    /// A `~` stood there.
    tilde: bool,
}

impl Keyboard {
    pub(crate) fn new() -> Self {
        Self {
            fresh: true,
            tilde: false,
        }
    }

    pub(crate) fn read(&mut self, piece: &[u8]) -> Vec<Typed> {
        let mut all = Vec::new();
        let mut keys = Vec::new();
        for &key in piece {
            if let Some(act) = self.key(key, &mut keys) {
                flush(&mut keys, &mut all);
                all.push(act);
            }
        }
        flush(&mut keys, &mut all);
        all
    }

    fn key(&mut self, key: u8, keys: &mut Vec<u8>) -> Option<Typed> {
        if self.fresh && !self.tilde && key == b'~' {
            self.tilde = true;
            return None;
        }
        let after_tilde = std::mem::take(&mut self.tilde);
        self.fresh = matches!(key, b'\r' | b'\n');
        if !after_tilde {
            keys.push(key);
            return None;
        }
        match key {
            b'.' => return Some(Typed::Leave),
            b'd' => return Some(Typed::Detach),
            b'?' => {
                self.fresh = true;
                return Some(Typed::Help);
            }
            b'~' => keys.push(b'~'),
            other => keys.extend([b'~', other]),
        }
        None
    }
}

fn flush(keys: &mut Vec<u8>, all: &mut Vec<Typed>) {
    if !keys.is_empty() {
        all.push(Typed::Keys(std::mem::take(keys)));
    }
}

/// What `~?` shows, on a raw terminal.
pub(crate) const HELP: &str = "\r\n\
    ~.  leave, and end what runs there\r\n\
    ~d  detach: leave, and let it run (remo attach goes on)\r\n\
    ~~  type ~\r\n\
    ~?  this help (all of them after Enter)\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Typed {
        Typed::Keys(text.into())
    }

    #[test]
    fn a_tilde_counts_at_the_beginning_of_a_line_only() {
        let mut keyboard = Keyboard::new();
        assert_eq!(keyboard.read(b"ls ~.\r"), [keys("ls ~.\r")]);
        assert_eq!(
            keyboard.read(b"~?x~.\r~."),
            [Typed::Help, keys("x~.\r"), Typed::Leave]
        );
        assert_eq!(Keyboard::new().read(b"~d"), [Typed::Detach]);
    }

    #[test]
    fn pieces_may_be_cut_anywhere_and_no_key_is_lost() {
        let mut keyboard = Keyboard::new();
        assert_eq!(keyboard.read(b"~"), []);
        assert_eq!(keyboard.read(b"~"), [keys("~")]);
        assert_eq!(keyboard.read(b"\r~"), [keys("\r")]);
        assert_eq!(keyboard.read(b"x"), [keys("~x")]);
    }
}
