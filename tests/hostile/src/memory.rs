//! What the proxy keeps of one request for another: those held back, those of the past, and old answers.
//! Does not hold when it is used.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{body::Body, body::Framing, head::Head, plan::Dice};

/// Requests, and answers an address, that are remembered.
const KEPT: usize = 64;
/// Bytes of a body that is remembered, at most.
pub const LONGEST_KEPT: usize = 1 << 20;

/// A request that is there as a whole.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Where it goes, `HOST:PORT`.
    pub to: String,
    /// Its head, as it is sent.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
}

impl Whole {
    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.to_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it, reads the answer to its end, and forgets it.
    ///
    /// # Errors
    /// The server cannot be reached, or breaks off.
    pub async fn send_aside(self) -> io::Result<()> {
        let (read, mut write) = TcpStream::connect(&self.to).await?.into_split();
        write.write_all(&self.to_bytes()).await?;
        let mut read = BufReader::new(read);
        if let Some(head) = Head::read(&mut read).await? {
            let framing = Framing::of_answer(&head, self.head.word(0));
            Body::new(framing).whole(&mut read).await?;
        }
        Ok(())
    }
}

/// When a request that is held back is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When the request of this number comes.
    Request(u64),
    /// When a request comes after the next log-in.
    LogIn,
}

/// An answer that was given.
pub type Given = (Head, Vec<u8>);

/// Everything that is kept.
#[derive(Default)]
pub struct Memory {
    held: Mutex<Vec<(Until, Whole)>>,
    past: Mutex<VecDeque<Whole>>,
    given: Mutex<HashMap<String, VecDeque<Given>>>,
}

impl Memory {
    /// Keeps a request back.
    pub fn hold(&self, until: Until, request: Whole) {
        locked(&self.held).push((until, request));
    }

    /// What is to be sent now that the request of this number comes. A log-in makes what waits for one due
    /// with the next request.
    pub fn due(&self, number: u64, is_log_in: bool) -> Vec<Whole> {
        let mut held = locked(&self.held);
        let is_due = |until: Until| matches!(until, Until::Request(at) if at <= number);
        let due = held.extract_if(.., |(until, _)| is_due(*until));
        let due = due.map(|(_, request)| request).collect();
        if is_log_in {
            for (until, _) in held.iter_mut().filter(|(until, _)| *until == Until::LogIn) {
                *until = Until::Request(number + 1);
            }
        }
        due
    }

    /// All that is held back.
    pub fn release(&self) -> Vec<Whole> {
        let all = std::mem::take(&mut *locked(&self.held));
        all.into_iter().map(|(_, request)| request).collect()
    }

    /// Remembers a request that was sent.
    pub fn record(&self, request: &Whole) {
        if request.body.len() <= LONGEST_KEPT {
            push(&mut locked(&self.past), request.clone());
        }
    }

    /// One of those that were sent.
    pub fn past(&self, dice: &mut Dice) -> Option<Whole> {
        dice.pick(locked(&self.past).make_contiguous()).cloned()
    }

    /// Remembers the answer of an address.
    pub fn give(&self, address: &str, answer: Given) {
        push(
            locked(&self.given).entry(address.to_owned()).or_default(),
            answer,
        );
    }

    /// One of its old answers.
    pub fn given(&self, address: &str, dice: &mut Dice) -> Option<Given> {
        let mut given = locked(&self.given);
        dice.pick(given.get_mut(address)?.make_contiguous())
            .cloned()
    }
}

fn push<T>(to: &mut VecDeque<T>, one: T) {
    if to.len() == KEPT {
        to.pop_front();
    }
    to.push_back(one);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
