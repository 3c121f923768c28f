//! Standard input as pieces, and standard output and error as places to write to.
//! What goes through them is not known here.

use std::io::{self, ErrorKind, IsTerminal, Read, Write, stderr, stdin};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use remo_client::remo2::{Failure, Jumped, Output};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::{Instant, timeout_at};

use crate::{PROGRAM, aside};

/// Reads standard input in a thread of its own, which the end of the program does not wait for.
pub(crate) fn input() -> Receiver<io::Result<Bytes>> {
    let (to, pieces) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        let is_terminal = stdin().is_terminal();
        loop {
            let read = if is_terminal {
                aside::read(&mut piece)
            } else {
                stdin().lock().read(&mut piece)
            };
            let read = match read {
                Ok(0) => return,
                Ok(length) => Ok(Bytes::copy_from_slice(
                    piece.get(..length).unwrap_or_default(),
                )),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let broken = read.is_err();
            if to.blocking_send(read).is_err() || broken {
                return;
            }
        }
    });
    pieces
}

/// What was there of an input before anything was sent.
pub(crate) struct Early {
    pub(crate) data: Bytes,
    /// The input has ended with it.
    pub(crate) is_all: bool,
}

/// Takes what is there of an input, up to a little more than there is room for. A file or a short pipe has ended by then; a
/// terminal is not waited for.
pub(crate) async fn early(
    input: &mut Receiver<io::Result<Bytes>>,
    room: usize,
) -> Result<Early, Failure> {
    let mut data = BytesMut::new();
    let moment = if stdin().is_terminal() {
        Duration::ZERO
    } else {
        MOMENT
    };
    let end = Instant::now() + moment;
    let is_all = loop {
        match timeout_at(end, input.recv()).await {
            Ok(None) => break true,
            Ok(Some(piece)) => data.extend_from_slice(&piece.map_err(Failure::Input)?),
            Err(_) => break false,
        }
        if data.len() > room {
            break false;
        }
    };
    Ok(Early {
        data: data.freeze(),
        is_all,
    })
}

/// Both streams of a process, to those of this one.
pub(crate) fn output() -> Output {
    Output::new(
        Box::new(tokio::io::stdout()),
        Box::new(tokio::io::stderr()),
        jumped(),
    )
}

/// The one stream of a terminal there, to the one here, which is raw.
pub(crate) fn terminal() -> Output {
    let jumped = |bytes| {
        let line = format!("\r\n[{PROGRAM}: jumped over {bytes} bytes]\r\n");
        let _ = stderr().write_all(line.as_bytes());
    };
    Output::new(
        Box::new(tokio::io::stdout()),
        Box::new(tokio::io::stderr()),
        Box::new(jumped),
    )
}

fn jumped() -> Jumped {
    Box::new(|bytes| remo_cli::report(PROGRAM, &format!("jumped over {bytes} bytes of output")))
}

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// How long the end of an input is waited for, once the log-in is over.
const MOMENT: Duration = Duration::from_millis(10);
