"""A client of remo_serv in dialects 0.3 and 0.6, written from the specification as a second opinion.

Behaves as the Python clients do where that is known, and reads strictly. Checks are in checks/.
"""

import time

from cryptography.hazmat.primitives.asymmetric import x448

import remo_wire as wire
from remo_http import Connection, Target
from remo_wire import Refusal

__all__ = ["Answer", "Credentials", "Peer", "Refusal", "Target"]


class Credentials:
    """Who speaks, and the server that is trusted."""

    def __init__(self, user, key_file, server_file, password=None):
        self.user = user
        self.key = wire.private_key(wire.read_file(key_file), password.encode("utf-8") if password else None)
        self.server = wire.public_key(wire.read_file(server_file))


class Answer:
    """An answer once opened: the HTTP status, the data, and whether it came sealed."""

    def __init__(self, response, data, sealed):
        self.response, self.data, self.sealed = response, data, sealed
        self.status = response.status

    @property
    def text(self):
        return self.data.decode("utf-8", "replace")


class Peer:
    """A session with a server; numbers, cookie and key are plain attributes, so that tests can spoil them."""

    def __init__(self, target, dialect, who, quirks="none"):
        self.dialect, self.who = dialect, who
        self.python_quirks = quirks == "python"
        self.connection = Connection(target)
        self.cookies = []
        self.key = None
        self.number = 0  # of the last request sent
        self.set_cookie = True  # every answer must set SESSION_ID

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    # --- plain HTTP ---

    def send(self, path, chunks=None, framing=None, method=None, write_size=None, cookies=None, keep=True):
        """One exchange with the session's cookies; nothing is opened. `keep` takes the new cookie over."""
        sent = self.cookies if cookies is None else cookies
        headers = [("Cookie", "; ".join("SESSION_ID=" + value for value in sent))] if sent else []
        method = method or ("POST" if framing else "GET")
        response = self.connection.request(method, path, headers, chunks, framing, write_size)
        cookie = session_cookie(response)
        if cookie is None and self.set_cookie:
            raise Refusal("answer %d to %s sets no SESSION_ID" % (response.status, path.split("/")[1]))
        if keep and cookie is not None:
            self.cookies = [cookie]
        return response

    # --- the session ---

    def login(self, method="POST", framing="length"):
        """/auth; raises Refusal where it is refused. The session starts anew."""
        ephemeral = x448.X448PrivateKey.generate()
        body = wire.login_request(self.who.user, self.who.key, ephemeral)
        response = self.send("/auth", [body], framing, method=method)
        if response.status != 200:
            raise Refusal("log-in refused: %d %r" % (response.status, response.body[:80]))
        self.key = wire.finish_login(response.body, ephemeral, self.who.server)
        self.number = 0
        return self

    def logout(self):
        return self.send("/auth", [], "length")

    # --- verbs ---

    def path(self, verb, argument=None):
        """The path of a verb below the base, its argument sealed."""
        if argument is None:
            return "/" + verb
        raw = argument.encode("utf-8") if isinstance(argument, str) else argument
        return "/%s/%s" % (verb, self.key.seal(raw).decode("ascii"))

    def verb(self, verb, argument=None, data=b"", pieces=None, **how):
        """Plays one verb: `data` is one token, `pieces` a stream of tokens."""
        return self.exchange(self.path(verb, argument), data, pieces, **how)

    def exchange(self, path, data=b"", pieces=None, **how):
        tokens, framing = self.tokens(path, data, pieces)
        return self.exchange_tokens(path, tokens, how.pop("framing", framing), **how)

    def exchange_tokens(self, path, tokens, framing, last_crlf=False, raw=False, **how):
        """Sends tokens as they are, in chunks as the Python client makes them, and opens the answer unless `raw`."""
        chunks = [token if at == 0 else wire.CRLF + token for at, token in enumerate(tokens)]
        if last_crlf:
            chunks.append(wire.CRLF)
        if framing is None and tokens:
            framing = "chunked" if len(tokens) > 1 else "length"
        response = self.send(path, chunks, framing, **how)
        return Answer(response, response.body, False) if raw else self.open(response)

    def tokens(self, path, data, pieces):
        """Counts the request and seals its body: the tokens and the framing of the Python client."""
        if self.dialect == "0.6":
            self.number += 1
            plain = wire.frames_of_request(path, self.number, data, pieces)
        else:
            plain = ([data] if data else []) if pieces is None else pieces
        framing = "chunked" if pieces is not None else ("length" if plain else None)
        return [self.key.seal(piece) for piece in plain], framing

    def open(self, response):
        """As the Python clients: an answer with a Content-Length is taken as it is, any other is opened."""
        if response.has_length or self.key is None:
            return Answer(response, response.body, False)
        if self.dialect == "0.3":
            return Answer(response, wire.open_answer_03(self.key, response.body, self.python_quirks), True)
        status, data = wire.open_answer(
            self.key, response.body, self.number, int(time.time()), self.python_quirks)
        if status != (200 if self.python_quirks else response.status):
            raise Refusal("status %d within, %d without" % (status, response.status))
        return Answer(response, data, True)

    # --- the verbs by name ---

    def cmd(self, line, data=b"", pieces=None, **how):
        return self.verb("cmd", line, data, pieces, **how)

    def put(self, remote, content, **how):
        return self.verb("put", remote, pieces=wire.pieces_of(content), **how)

    def get(self, remote):
        return self.verb("get", remote)


def session_cookie(response):
    """The SESSION_ID of the last Set-Cookie that has one."""
    found = None
    for line in response.all("Set-Cookie"):
        first = line.split(";")[0].strip()
        if first.startswith("SESSION_ID="):
            found = first[len("SESSION_ID="):]
    return found
