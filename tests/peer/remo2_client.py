"""A client of remo/2 that tests hold in their hands: every token, number, cookie and connection can be spoilt.

The wire is in remo2_wire.py, what is expected of a server in remo2_checks/.
"""

import os
import select
import threading
import time

import remo2_wire as wire
from remo_http import Connection, Cut, Target
from remo_wire import CRLF, Refusal

__all__ = ["Answer", "Client", "Cut", "Refusal", "Target", "new_id"]

PIECE = 192 * 1024  # bytes of data in one token, so that a request of one piece stays below 512 KiB


def new_id():
    return os.urandom(16).hex()


class Line(Connection):
    """A connection whose request can be sent, and whose answer read, bit by bit."""

    def begin(self, path, length, cookie=None, extra=(), version="HTTP/1.1"):
        """Sends the head of a POST whose body will have `length` bytes."""
        if self._socket is not None and self.has_answer():
            self.close()  # the server closed it meanwhile
        self.connect()
        headers = [("Cookie", "SESSION_ID=" + cookie)] if cookie else []
        headers += [("Content-Length", str(length)), *extra]
        head = self.head("POST", path, headers, None, None)
        self.write(head.replace(b" HTTP/1.1\r\n", b" %s\r\n" % version.encode(), 1))

    def write(self, data):
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # an early refusal: the answer may still be there to read

    def has_answer(self):
        """Something of an answer is there, or the end."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def answer(self):
        """The whole answer, however it is framed."""
        try:
            return self.read("POST")
        except (OSError, ValueError) as error:
            self.close()
            raise Cut("no whole answer: %s" % (error or type(error).__name__)) from error

    def lines(self):
        """The head of the answer, then its lines one by one as they arrive."""
        head = self._read_head()
        while 100 <= head.status < 200:
            head = self._read_head()
        yield head
        left = b""
        for piece in self._pieces(head):
            left += piece
            *whole, left = left.split(CRLF)
            yield from whole
        if left:
            raise Cut("the answer ends within a line")
        self.close()

    def _pieces(self, head):
        if head.chunked:
            size = int(self._line().split(";")[0], 16)
            while size:
                yield self._exactly(size)
                self._exactly(2)
                size = int(self._line().split(";")[0], 16)
        else:
            left = int(head.one("Content-Length")) if head.has_length else 1 << 62
            while left:
                piece = self._reader.read1(min(left, 65536))
                if not piece:
                    return
                left -= len(piece)
                yield piece


class Answer:
    """What came back: the response, and what it says where it is sealed."""

    def __init__(self, response, opened=None):
        self.response, self.http, self.sealed = response, response.status, opened is not None
        self.head = opened.head if opened else {}
        self.tail = opened.tail if opened else {}
        self.main = opened.main if opened else b""
        self.second = opened.second if opened else b""
        self.parts = opened.parts if opened else []

    @property
    def status(self):
        """The sealed status; of a bare answer that of HTTP."""
        return self.head["status"] if self.sealed else self.http

    @property
    def error(self):
        return self.head.get("error")

    def __str__(self):
        if not self.sealed:
            return "a bare %d %r" % (self.http, self.response.body[:60])
        return "a sealed %r, %d+%d bytes, %r" % (self.head, len(self.main), len(self.second), self.tail)


class Held:
    """A request on its way: `first` tokens are sent, the rest waits for release() or drop()."""

    def __init__(self, client, number, path, tokens, first, cookie):
        self.client, self.number, self.tokens, self.sent = client, number, tokens, first
        self.line = Line(client.target)
        self.line.begin(path, len(wire.body_of(tokens)), cookie)
        self.line.write(wire.body_of(tokens[:first]))

    def release(self, count=None):
        """Sends the rest (or `count` tokens of it); with all sent, gives the answer."""
        upto = len(self.tokens) if count is None else self.sent + count
        self.line.write(wire.body_of(self.tokens[self.sent:upto]))
        self.sent = upto
        return self.answer() if upto == len(self.tokens) else None

    def answer(self):
        return self.client.open(self.line.answer(), self.number)

    def drop(self):
        self.line.close()


class Flight(threading.Thread):
    """A call on a connection of its own; join it with result()."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self._act, self._result, self._error = act, None, None
        self.ended = None
        self.start()

    def run(self):
        try:
            self._result = self._act()
        except Exception as error:  # handed over in result()
            self._error = error
        self.ended = time.monotonic()

    def result(self, seconds=60):
        self.join(seconds)
        if self.is_alive():
            raise Cut("no answer within %d s" % seconds)
        if self._error:
            raise self._error
        return self._result


class Client:
    """A session of a user with a server; `number` is that of the last request."""

    def __init__(self, target, who):
        self.target, self.who = target, who
        self.line = Line(target)
        self.keys, self.cookie, self.number, self.born = None, None, 0, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.line.close()

    # --- log-in ---

    def handshake(self, **spoilt):
        """A log-in request that is not sent yet."""
        return wire.Handshake(spoilt.get("user", self.who.user), spoilt.get("key", self.who.key),
                              spoilt.get("server", self.who.server), spoilt.get("transient"), spoilt.get("seed"))

    def post(self, path, body, cookie=None, extra=(), version="HTTP/1.1"):
        """A bare exchange; nothing is opened."""
        self.line.begin(path, len(body), cookie, extra, version)
        self.line.write(body)
        return self.line.answer()

    def login(self, cookie=None):
        handshake = self.handshake()
        response = self.post("/auth", handshake.body(), cookie)
        if response.status != 200:
            raise Refusal("log-in refused: %d %r" % (response.status, response.body[:80]))
        self.born = time.monotonic()
        self.keys = handshake.finish(response.body)
        self.cookie, self.number = self.keys.session, 0
        return self

    # --- requests ---

    def next(self):
        self.number += 1
        return self.number

    def parts(self, verb, head=None, data=(), tail=None):
        """The parts of a request: `data` is bytes, or the parts between H and T."""
        if isinstance(data, (bytes, bytearray)):
            data = [("D", data[at:at + PIECE]) for at in range(0, len(data), PIECE)]
        return [("H", {"verb": verb, **(head or {})}), *data, ("T", tail or {})]

    def seal(self, number, parts, now=None):
        return wire.seal_all(self.keys.up, number, parts, now)

    def exchange(self, path, number, tokens, cookie=None, line=None, **how):
        """Sends tokens (or a ready body) as they are, and opens the answer as one to `number`."""
        body = tokens if isinstance(tokens, bytes) else wire.body_of(tokens)
        line = line or self.line
        line.begin(path, len(body), self.cookie if cookie is None else cookie, **how)
        line.write(body)
        return self.open(line.answer(), number)

    def open(self, response, number):
        """Sealed is what proves; all else is bare, unless it says to be ours."""
        if response.body[:5] != b"gAAAA":
            return Answer(response)
        return Answer(response, wire.open_answer(self.keys.down, number, response.body))

    def call(self, verb, head=None, data=(), tail=None, number=None, line=None):
        """One verb played as it should be."""
        number = self.next() if number is None else number
        return self.exchange("/" + verb, number, self.seal(number, self.parts(verb, head, data, tail)), line=line)

    def fly(self, verb, head=None, data=(), tail=None, number=None):
        """The same beside others, on a connection of its own."""
        number = self.next() if number is None else number

        def act():
            with Line(self.target) as line:
                return self.call(verb, head, data, tail, number, line)
        return Flight(act)

    def hold(self, verb, head=None, data=(), tail=None, first=1, number=None, cookie=None):
        """Sends the first tokens of a request and keeps the rest back."""
        number = self.next() if number is None else number
        tokens = self.seal(number, self.parts(verb, head, data, tail))
        return Held(self, number, "/" + verb, tokens, first, cookie or self.cookie)

    def stream(self, verb, head=None, data=(), tail=None):
        """Gives (kind, payload, time) of the answer's tokens as they arrive."""
        number = self.next()
        line, body = Line(self.target), wire.body_of(self.seal(number, self.parts(verb, head, data, tail)))
        with line:
            line.begin("/" + verb, len(body), self.cookie)
            line.write(body)
            lines = line.lines()
            response = next(lines)
            opener = wire.Opener(self.keys.down, number, "DEP")
            if response.status != 200:
                raise Refusal("a stream of status %d" % response.status)
            for token in lines:
                yield (*opener.take(token), time.monotonic())
            opener.close()


class Who:
    """Who speaks, and the server that is trusted."""

    def __init__(self, user, key_file, server_file):
        self.user, self.key, self.server = wire.credentials(user, key_file, server_file)
