"""The wire of remo/2: handshake of both sides, tokens, bodies both ways, strict JSON.

No sockets (remo2_client.py), and nothing of what a verb means (remo2_checks/).
"""

import hashlib
import json
import os
import re
import struct

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import x448
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import mlkem
import remo_wire
from remo_wire import CRLF, Refusal, TokenKey, agree, decode64, encode64, raw_public, sign, verify

HEADER = struct.Struct(">cQI")  # kind, number of the request, index of the token
OBJECT_LIMIT = 128 * 1024  # bytes of JSON in H and T
DATA_LIMIT = 1024 * 1024  # bytes of payload in D, E and P
NUMBER_LIMIT = 2 ** 53 - 1
SESSION_FORM = re.compile(r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{22}")


class LoginRefused(Refusal):
    """What a server answers to a log-in that it does not take."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


# --- JSON --------------------------------------------------------------------------------------


def read_json(raw):
    """A JSON object, read as the specification has it: UTF-8, no member twice, whole numbers but for `mtime`."""
    try:
        text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
        found = json.loads(text, object_pairs_hook=_members, parse_float=_Fraction, parse_int=_whole,
                           parse_constant=_refuse)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Refusal("no JSON: %s" % error) from error
    if not isinstance(found, dict):
        raise Refusal("JSON that is no object")
    _check_numbers(found, None)
    return found


class _Fraction(float):
    """A number that was not spelt as a whole one."""


class _Negative(int):
    """A number with a minus."""


def _whole(text):
    return _Negative(text) if text.startswith("-") else int(text)


def _refuse(text):
    raise Refusal("the number %s" % text)


def _members(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise Refusal("a member twice")
    return dict(pairs)


def _check_numbers(value, name):
    if isinstance(value, dict):
        for inner, one in value.items():
            _check_numbers(one, inner)
    elif isinstance(value, list):
        for one in value:
            _check_numbers(one, None)
    elif name != "mtime" and (isinstance(value, (_Fraction, _Negative))
                              or type(value) is int and value > NUMBER_LIMIT):
        raise Refusal("the number %r" % value)


def write_json(members):
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


# --- handshake ---------------------------------------------------------------------------------


def u16(data):
    return struct.pack(">H", len(data)) + data


def raw_of(public):
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def client_message(user, server, xc, ek):
    """Mc."""
    return b"remo_serv/2 client\0" + u16(user.encode("utf-8", "surrogatepass")) + server + xc + ek


def server_message(mc, sigc, session, xs, ct):
    """Ms."""
    head = hashlib.sha512(mc + u16(sigc)).digest()
    return b"remo_serv/2 server\0" + head + u16(session.encode("ascii")) + xs + ct


def derive(ms, x448_secret, kem_secret):
    """K_up and K_down."""
    salt, secret = hashlib.sha512(ms).digest(), x448_secret + kem_secret
    words = (b"remo_serv client to server", b"remo_serv server to client")
    return tuple(HKDF(hashes.SHA512(), 32, salt, word).derive(secret) for word in words)


class Keys:
    """A session: its id, and one Fernet key a direction."""

    def __init__(self, session, up, down):
        self.session, self.up, self.down = session, TokenKey(up), TokenKey(down)
        self.raw = (up, down)


class Handshake:
    """The client's side of one /auth."""

    def __init__(self, user, key, server, transient=None, seed=None):
        self.server = server
        self.transient = transient or x448.X448PrivateKey.generate()
        self.kem = mlkem.PrivateKey(seed or os.urandom(64))
        self.mc = client_message(user, raw_of(server), raw_public(self.transient), self.kem.public)
        self.sigc = sign(key, self.mc)
        self.members = {
            "v": 2, "user": user, "server": encode64(hashlib.sha256(raw_of(server)).digest()),
            "key": encode64(raw_public(self.transient)), "kem": encode64(self.kem.public), "sign": encode64(self.sigc)}

    def body(self):
        return write_json(self.members)

    def finish(self, answer):
        """Proves the server's answer and gives the session."""
        found = read_json(answer)
        if found.get("v") != 2:
            raise Refusal("an answer of another version")
        session = text_of(found, "session")
        if not SESSION_FORM.fullmatch(session):
            raise Refusal("a session of another form")
        xs, ct, sigs = (decode64(text_of(found, name)) for name in ("key", "kem", "sign"))
        if len(xs) != 56 or len(ct) != mlkem.CIPHERTEXT_SIZE:
            raise Refusal("an answer with sizes %d and %d" % (len(xs), len(ct)))
        ms = server_message(self.mc, self.sigc, session, xs, ct)
        if not verify(self.server, sigs, ms):
            raise Refusal("the server's signature is false")
        return Keys(session, *derive(ms, agree(self.transient, xs), self.kem.decapsulate(ct)))


def text_of(members, name):
    value = members.get(name)
    if not isinstance(value, str):
        raise Refusal("no text %r" % name)
    return value


def answer_login(body, users, server_key, session, transient=None, encapsulated=None):
    """The server's side of one /auth: the answer's members and the session, or LoginRefused."""
    try:
        found = read_json(body)
    except Refusal as error:
        raise LoginRefused(400, str(error)) from error
    if found.get("v") != 2 or not isinstance(found["v"], int):
        raise LoginRefused(400, "another version")
    try:
        user, server = text_of(found, "user"), decode64(text_of(found, "server"))
        xc, ek, sigc = (decode64(text_of(found, name)) for name in ("key", "kem", "sign"))
        check_lengths(user, server, xc, ek)
        own = raw_public(server_key)
        if server != hashlib.sha256(own).digest():
            raise LoginRefused(421, "another server")
        mc = client_message(user, own, xc, ek)
        if user not in users or not verify(users[user], sigc, mc):
            raise Refusal("signature or user")
        transient = transient or x448.X448PrivateKey.generate()
        x448_secret = agree(transient, xc)
        ct, kem_secret = encapsulated or mlkem.encapsulate(ek)
        mlkem.check_public(ek)
    except LoginRefused:
        raise
    except Refusal as error:
        raise LoginRefused(403, str(error)) from error
    xs = raw_public(transient)
    ms = server_message(mc, sigc, session, xs, ct)
    members = {"v": 2, "session": session, "key": encode64(xs), "kem": encode64(ct),
               "sign": encode64(sign(server_key, ms))}
    return members, Keys(session, *derive(ms, x448_secret, kem_secret))


def check_lengths(user, server, xc, ek):
    if (len(server), len(xc), len(ek)) != (32, 56, mlkem.PUBLIC_SIZE):
        raise Refusal("sizes %d, %d and %d" % (len(server), len(xc), len(ek)))
    if not 1 <= len(user) <= 64 or "/" in user or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in user):
        raise Refusal("no user name")


# --- tokens and bodies -------------------------------------------------------------------------


def payload_of(kind, payload):
    return write_json(payload) if isinstance(payload, dict) else bytes(payload)


def seal(key, number, index, kind, payload, now=None):
    """One token; `kind` is a letter, `payload` an object or bytes."""
    kind = kind.encode("ascii") if isinstance(kind, str) else kind
    return key.seal(HEADER.pack(kind, number, index) + payload_of(kind, payload), now)


def seal_all(key, number, parts, now=None):
    """The tokens of a body from its parts [(kind, payload), …]."""
    return [seal(key, number, at, kind, payload, now) for at, (kind, payload) in enumerate(parts)]


def body_of(tokens):
    return b"".join(token + CRLF for token in tokens)


def open_token(key, token):
    """Kind (a letter), request, index and payload."""
    _, _, plain = key.open(token)
    if len(plain) < HEADER.size:
        raise Refusal("a plaintext shorter than its header")
    kind, request, index = HEADER.unpack_from(plain)
    return kind.decode("latin-1"), request, index, plain[HEADER.size:]


class Opener:
    """Proves the tokens of one body in their order; `kinds` may stand between H and T."""

    def __init__(self, key, number, kinds):
        self.key, self.number, self.kinds = key, number, kinds
        self.count, self.head, self.tail = 0, None, None

    def take(self, line):
        """The kind and payload of the next token: an object in H and T, bytes in the others."""
        kind, request, index, payload = open_token(self.key, line)
        self.number = request if self.number is None else self.number
        if request != self.number or request == 0 or index != self.count:
            raise Refusal("numbers %d/%d where %s/%d stands" % (request, index, self.number, self.count))
        if self.tail is not None or (kind == "H") != (index == 0) or kind not in "HT" + self.kinds:
            raise Refusal("%r as token %d" % (kind, index))
        self.count += 1
        if len(payload) > (OBJECT_LIMIT if kind in "HT" else DATA_LIMIT):
            raise Refusal("%r of %d bytes" % (kind, len(payload)))
        if kind == "H":
            payload = self.head = read_json(payload)
        elif kind == "T":
            payload = self.tail = read_json(payload)
        return kind, payload

    def close(self):
        if self.tail is None:
            raise Refusal("no T")


class Opened:
    """A whole body: number, H, the two streams, T, and how many P stood between."""

    def __init__(self, number, head, parts, tail):
        self.number, self.head, self.tail, self.parts = number, head, tail, parts
        self.main = b"".join(data for kind, data in parts if kind == "D")
        self.second = b"".join(data for kind, data in parts if kind == "E")


def open_body(key, number, body, kinds):
    if not body.endswith(CRLF):
        raise Refusal("no CRLF at the end")
    opener = Opener(key, number, kinds)
    parts = [opener.take(line) for line in body.split(CRLF)[:-1]]
    opener.close()
    return Opened(opener.number, opener.head, parts[1:-1], opener.tail)


def open_request(key, body, number=None):
    return open_body(key, number, body, "DP")


def open_answer(key, number, body):
    opened = open_body(key, number, body, "DEP")
    status = opened.head.get("status")
    if type(status) is not int or not 100 <= status <= 599:
        raise Refusal("an answer without status")
    return opened


def credentials(user, key_file, server_file):
    """A user's private key and the server's public one, from PEM files."""
    return (user, remo_wire.private_key(remo_wire.read_file(key_file)),
            remo_wire.public_key(remo_wire.read_file(server_file)))
