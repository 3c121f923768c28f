"""HTTP/1.1 by hand, for the sake of its framing: lengths, chunks, writes, prefixes and proxies.

Knows nothing of tokens or sessions (remo_wire.py, remo_peer.py).
"""

import base64
import socket
from urllib.parse import unquote, urlsplit

TIMEOUT = 60.0  # seconds for one read or write
ANSWER_LIMIT = 256 * 1024 * 1024  # bytes of one body: more is an answer without end


class Cut(ConnectionError):
    """The connection ended, or stood still, before the answer did."""


class Target:
    """Where a server is: host, port, path prefix, and the forward proxy on the way."""

    def __init__(self, url, proxy=None):
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("no http URL: %s" % url)
        self.authority = parts.netloc
        self.base = parts.path.rstrip("/")
        self.address = (parts.hostname, parts.port or 80)
        self.extra = []
        self.by_proxy = bool(proxy)
        if proxy:
            self._go_through(urlsplit(proxy))

    def _go_through(self, proxy):
        self.address = (proxy.hostname, proxy.port or 3128)
        if proxy.username is not None:
            pair = "%s:%s" % (unquote(proxy.username), unquote(proxy.password or ""))
            secret = base64.b64encode(pair.encode("utf-8")).decode("ascii")
            self.extra.append(("Proxy-Authorization", "Basic " + secret))

    def line(self, path):
        """The request target: absolute-form where a proxy reads it."""
        return ("http://" + self.authority if self.by_proxy else "") + self.base + path


class Response:
    """A whole answer: version, status, reason, headers and body."""

    def __init__(self, version, status, reason, headers):
        self.version, self.status, self.reason, self.headers = version, status, reason, headers
        self.body = b""

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name):
        values = self.all(name)
        return values[-1] if values else None

    @property
    def has_length(self):
        return bool(self.all("Content-Length"))

    @property
    def chunked(self):
        return (self.one("Transfer-Encoding") or "").lower() == "chunked"


class Connection:
    """One connection that carries requests one after the other, and counts how often it was opened."""

    def __init__(self, target, timeout=TIMEOUT):
        self.target, self.timeout = target, timeout
        self._socket = self._reader = None
        self.opened = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._socket is not None:
            self._reader.close()
            self._socket.close()
            self._socket = self._reader = None

    def connect(self):
        if self._socket is None:
            self._socket = socket.create_connection(self.target.address, self.timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._reader = self._socket.makefile("rb")
            self.opened += 1
        return self._socket

    def request(self, method, path, headers=(), chunks=None, framing=None, write_size=None):
        """Sends a request and reads its answer.

        `framing`: None for no body, "length" or "chunked"; `chunks` are the pieces of the body, each
        of which becomes one chunk. `write_size`: bytes a write; None writes all at once.
        """
        self.connect()
        try:
            self._send(self.head(method, path, headers, chunks, framing) + body_bytes(chunks, framing), write_size)
        except (BrokenPipeError, ConnectionResetError):
            pass  # an early refusal: the answer may still be there to read
        try:
            return self.read(method)
        except (OSError, ValueError) as error:
            self.close()
            raise Cut("no whole answer: %s" % (error or type(error).__name__)) from error
        except Cut:
            self.close()
            raise

    def head(self, method, path, headers, chunks, framing):
        lines = ["%s %s HTTP/1.1" % (method, self.target.line(path)), "Host: " + self.target.authority]
        lines += ["%s: %s" % pair for pair in [*self.target.extra, *headers]]
        if framing == "length":
            lines.append("Content-Length: %d" % sum(map(len, chunks)))
        elif framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _send(self, data, write_size):
        if write_size is None:
            self._socket.sendall(data)
            return
        for at in range(0, len(data), write_size):
            self._socket.sendall(data[at:at + write_size])

    def read(self, method="GET"):
        response = self._read_head()
        while 100 <= response.status < 200:
            response = self._read_head()
        if method != "HEAD" and response.status not in (204, 304):
            response.body = self._read_body(response)
        if not self._is_kept(response):
            self.close()
        return response

    def _is_kept(self, response):
        """tinyproxy closes after each answer without saying so: behind a proxy only a promise counts."""
        said = (response.one("Connection") or "").lower()
        return said == "keep-alive" if self.target.by_proxy else said != "close" and response.version != "HTTP/1.0"

    def _line(self):
        line = self._reader.readline(65536)
        if not line.endswith(b"\r\n"):
            raise Cut("the answer ends within a line: %r" % line[:60])
        return line[:-2].decode("latin-1")

    def _read_head(self):
        version, status, reason = (self._line() + "  ").split(" ", 2)
        headers = []
        while True:
            line = self._line()
            if not line:
                return Response(version, int(status), reason.strip(), headers)
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))

    def _read_body(self, response):
        if response.chunked:
            return self._read_chunks()
        if response.has_length:
            return self._exactly(int(response.one("Content-Length")))
        data = self._reader.read()
        self.close()
        return data

    def _read_chunks(self):
        data, total = [], 0
        while True:
            size = int(self._line().split(";")[0], 16)
            if size == 0:
                while self._line():
                    pass
                return b"".join(data)
            total += size
            if total > ANSWER_LIMIT:
                raise Cut("an answer without end")
            data.append(self._exactly(size))
            if self._exactly(2) != b"\r\n":
                raise Cut("a chunk without its CRLF")

    def _exactly(self, size):
        data = self._reader.read(size)
        if len(data) != size:
            raise Cut("%d bytes of %d" % (len(data), size))
        return data


def body_bytes(chunks, framing):
    if framing == "length":
        return b"".join(chunks)
    if framing == "chunked":
        return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n\r\n"
    return b""
