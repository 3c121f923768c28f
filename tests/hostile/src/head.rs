//! Heads of HTTP/1 messages: read leniently, written as told.
//! Does not hold bodies.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Bytes of one line of a head, at most.
const LONGEST_LINE: u64 = 64 * 1024;
/// Lines of a head, at most.
const MOST_LINES: usize = 256;

/// The first line and the header lines; each character is one byte.
#[derive(Clone, Debug)]
pub struct Head {
    /// The first line, without its end.
    pub start: String,
    /// Names as they were written, and values without the blanks around them.
    pub lines: Vec<(String, String)>,
}

impl Head {
    /// A head without header lines.
    pub fn new(start: &str) -> Self {
        Self {
            start: start.to_owned(),
            lines: vec![],
        }
    }

    /// Reads one; `None` where the stream ends before it.
    ///
    /// # Errors
    /// The stream breaks or ends within it, or it is too long.
    pub async fn read<R: AsyncBufRead + Unpin>(reader: &mut R) -> io::Result<Option<Self>> {
        let Some(start) = read_line(reader).await? else {
            return Ok(None);
        };
        let mut head = Self::new(&start);
        loop {
            match read_line(reader).await? {
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(line) if line.is_empty() => return Ok(Some(head)),
                Some(_) if head.lines.len() == MOST_LINES => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Some(line) => {
                    let (name, value) = line.split_once(':').unwrap_or((&line, ""));
                    head.lines.push((name.to_owned(), value.trim().to_owned()));
                }
            }
        }
    }

    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.lines {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        text.chars()
            .map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?'))
            .collect()
    }

    /// The value of the first line of this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        let named = |line: &&(String, String)| line.0.eq_ignore_ascii_case(name);
        self.lines
            .iter()
            .find(named)
            .map(|(_, value)| value.as_str())
    }

    /// Leaves out all lines of this name.
    pub fn remove(&mut self, name: &str) {
        self.lines
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// This line, and no other of its name.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.lines.push((name.to_owned(), value.to_owned()));
    }

    /// The first, second or third word of the first line.
    pub fn word(&self, index: usize) -> &str {
        self.start.splitn(3, ' ').nth(index).unwrap_or_default()
    }

    /// Puts another word there.
    pub fn set_word(&mut self, index: usize, word: &str) {
        let mut words: Vec<_> = self.start.splitn(3, ' ').collect();
        if let Some(old) = words.get_mut(index) {
            *old = word;
        }
        self.start = words.join(" ");
    }

    /// The status of an answer; 0 where it has none.
    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }
}

async fn read_line<R: AsyncBufRead + Unpin>(reader: &mut R) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut line)
        .await?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line.into_iter().map(char::from).collect()))
}
