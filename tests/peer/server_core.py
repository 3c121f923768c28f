"""The stand-in server's users, sessions and log-in, and how it opens a request.

No HTTP (server.py) and no verbs (server_verbs.py).
"""

import json
import os
import sqlite3
import threading
import time

from cryptography.hazmat.primitives.asymmetric import x448

import remo_wire as wire
from remo_wire import Refusal

SEQUENCE_MEMORY = 20  # seconds after which any request number is taken
REPLAY_MEMORY = 60  # seconds of 0.3 path tokens
NAME_LENGTH = 64


class Wrong(Exception):
    """A refusal with its HTTP status."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


class Drop(Exception):
    """The connection is to end without an answer."""


class Session:
    """One client: its key, dialect, numbers, and interactive command."""

    def __init__(self):
        self.id = os.urandom(16).hex()
        self.lock = threading.RLock()
        self.forget()

    def forget(self):
        self.user = self.key = self.dialect = self.process = None
        self.number, self.moved = 0, 0.0
        self.seen, self.newest = set(), 0


class Service:
    """All that a server knows: keys, users, sessions, floors."""

    def __init__(self, dialect, key, users, quirks="none"):
        self.dialect, self.key, self.users = dialect, key, users
        self.python = quirks == "python"
        self.sessions, self.transients, self.floors = {}, set(), set()
        self.lock = threading.Lock()

    # --- log-in ---

    def new_session(self):
        session = Session()
        with self.lock:
            self.sessions[session.id] = session
        return session

    def authenticate(self, session, body):
        """/auth: the text of the answer."""
        session.forget()
        if not body:
            return b"Disconnected"
        user, raw, signature = fields_of(body)
        public = self.users.find(user)
        try:
            point = wire.decode64(raw)
            proved = public is not None and wire.verify(public, wire.decode64(signature), user.encode() + point)
            if not proved or not self.is_fresh(point):
                raise Refusal("no proof")
            ephemeral = x448.X448PrivateKey.generate()
            session.key = wire.TokenKey(wire.derive(wire.agree(ephemeral, point)))
        except Refusal as refusal:
            raise Wrong(403, "Forbidden") from refusal
        session.user = user
        session.dialect = None if self.dialect == "both" else self.dialect
        return wire.login_answer(self.key, ephemeral)

    def is_fresh(self, point):
        with self.lock:
            known = point in self.transients
            self.transients.add(point)
        return self.python or not known

    # --- requests ---

    def choose(self, ids, path, body):
        """The session meant by the cookies: the one whose key proves the request, else any that is known."""
        known = [self.sessions[one] for one in ids if one in self.sessions]
        keyed = [session for session in known if session.key]
        proving = [session for session in keyed if proves(session.key, path, body)]
        return next(iter(proving + keyed + known), None)

    def settle(self, session, path, body):
        """Gives a session the dialect of its first proven request."""
        if session.dialect is not None:
            return
        if names_path(session.key, path, body):
            session.dialect = "0.6"
            self.floors.add(session.user)
        elif session.user in self.floors:
            session.key = None
            raise Wrong(403, "this user speaks 0.6")
        elif proves(session.key, path, body):
            session.dialect = "0.3"

    def open(self, session, path, body):
        """The data pieces of a request, its numbers checked."""
        if session.dialect != "0.6":
            return wire.open_request_03(session.key, body)
        late = time.time() - session.moved > SEQUENCE_MEMORY and session.number
        free = late or (self.python and not session.number)
        number = None if free else session.number + 1
        try:
            pieces = wire.open_request(session.key, path, number, body, int(time.time()), self.python)
        except Refusal:
            session.key = None
            raise
        session.number = wire.unframe(session.key.open(wire.request_lines(body)[0])[2])[1]
        session.moved = time.time()
        return pieces

    def argument(self, session, token):
        """The plaintext of a path token; in 0.3 a token is taken once."""
        stamp, iv, data = session.key.open(token)
        if session.dialect == "0.3" and not self.python:
            if iv in session.seen or stamp < session.newest - REPLAY_MEMORY:
                raise Refusal("a path token seen before")
            session.seen.add(iv)
            session.newest = max(session.newest, stamp)
        return data


def fields_of(body):
    try:
        said = json.loads(body)
        user, raw, signature = said["user"], said["key"], said["sign"]
    except (ValueError, KeyError, TypeError) as error:
        raise Wrong(400, "no log-in") from error
    if not all(isinstance(one, str) for one in (user, raw, signature)):
        raise Wrong(400, "no log-in")
    if not 1 <= len(user) <= NAME_LENGTH or "/" in user or any(ord(one) < 32 or 127 <= ord(one) < 160 for one in user):
        raise Wrong(403, "Forbidden")
    return user, raw, signature


def proves(key, path, body):
    """Whether the key sealed the path's token or the body's first."""
    for token in [path.split("/")[2] if path.count("/") > 1 else "", body.split(wire.CRLF)[0]]:
        try:
            key.open(token)
            return True
        except Refusal:
            continue
    return False


def names_path(key, path, body):
    """Whether the body opens with a 0.6 frame that names the path."""
    try:
        marks, _, _, data = wire.unframe(key.open(body.split(wire.CRLF)[0])[2])
    except Refusal:
        return False
    return marks[:1] == b"B" and data[:wire.HASH_SIZE] == wire.path_hash(path)


class Users:
    """The SQLite table of users, read only."""

    def __init__(self, file, only=None):
        self.file, self.only = file, only  # only: "0.3" or "0.6" reads that version's form alone

    def find(self, name):
        with sqlite3.connect("file:%s?mode=ro" % self.file, uri=True) as base:
            row = base.execute("SELECT pub FROM users WHERE user = ?", (name,)).fetchone()
        base.close()
        return self._key(row[0]) if row and row[0] else None

    def _key(self, stored):
        stored = stored.encode("utf-8") if isinstance(stored, str) else bytes(stored)
        is_pem = stored.lstrip().startswith(b"-----")
        if (self.only == "0.3" and is_pem) or (self.only == "0.6" and not is_pem):
            return None
        try:
            return wire.public_key(stored)
        except (ValueError, Refusal):
            return None
