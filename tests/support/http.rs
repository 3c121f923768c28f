//! As much HTTP as a test needs, on a socket that it holds: heads and bodies are written as they are given.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A connection to a server.
pub struct Connection(BufReader<TcpStream>);

/// An answer, its body whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body came to its end as HTTP tells it.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn cookie(&self) -> String {
        self.header("set-cookie")
            .expect("every answer sets the cookie")
            .to_owned()
    }
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Writes what may be a piece of a request; a peer that closed is no failure of the test.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.get_mut().write_all(bytes.as_ref()).is_ok()
    }

    /// Gives up writing after this time.
    pub fn impatient(&mut self, time: Duration) {
        self.0.get_mut().set_write_timeout(Some(time)).unwrap();
    }

    /// A request with a body of known length.
    pub fn request(&mut self, path: &str, cookie: &str, body: &[u8]) -> Answer {
        self.send(head(
            path,
            cookie,
            &format!("Content-Length: {}\r\n", body.len()),
        ));
        self.send(body);
        self.answer().expect("an answer")
    }

    /// A request in chunks.
    pub fn chunked(&mut self, path: &str, cookie: &str, pieces: &[&[u8]]) -> Answer {
        self.send(head(path, cookie, "Transfer-Encoding: chunked\r\n"));
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            self.send(chunk(piece));
        }
        self.send("0\r\n\r\n");
        self.answer().expect("an answer")
    }

    /// The next answer; none where the connection was closed instead.
    pub fn answer(&mut self) -> Option<Answer> {
        let (status, headers) = self.head()?;
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
            whole: true,
        };
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().unwrap();
            answer.body.resize(length, 0);
            answer.whole = self.0.read_exact(&mut answer.body).is_ok();
        } else if answer.header("transfer-encoding") == Some("chunked") {
            answer.whole = self.chunks(&mut answer.body).is_some();
        } else {
            answer.whole = self.0.read_to_end(&mut answer.body).is_ok();
        }
        Some(answer)
    }

    /// The head of an answer, whose body is still to come.
    pub fn head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        let line = self.line()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some((status, headers));
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// One chunk of an answer whose head was read; empty at its end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line()?, 16).ok()?;
        let mut chunk = vec![0; size];
        self.0.read_exact(&mut chunk).ok()?;
        self.line()?;
        Some(chunk)
    }

    /// Whether the server closes the connection without another word.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Some(());
            }
            body.extend(chunk);
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).ok()?;
        (read > 0 && line.ends_with("\r\n")).then(|| line.trim_end().to_owned())
    }
}

pub fn head(path: &str, cookie: &str, more: &str) -> String {
    let cookie = if cookie.is_empty() {
        String::new()
    } else {
        format!("Cookie: {cookie}\r\n")
    };
    format!("POST {path} HTTP/1.1\r\nHost: test\r\n{cookie}{more}\r\n")
}

pub fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}
