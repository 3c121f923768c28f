"""What the two ends of remo_serv agree on: keys, log-in, tokens, and bodies of dialects 0.3 and 0.6.

No sockets and no HTTP in here (remo_http.py), and no conversation (remo_peer.py).
"""

import base64
import hashlib
import hmac as stdlib_hmac
import json
import os
import re
import struct
import time as clock

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ed448, padding as rsa_padding, rsa, x448
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

CRLF = b"\r\n"
TOO_OLD = 10  # seconds: a token older than this is refused (0.6)
TOO_NEW = 60  # seconds: a token this far in the future is refused (0.6)
FILE_PIECE = 8192  # bytes of data in one token of the Python client
ANSWER_PIECE = 16384  # bytes of data in one token of the Python server's /get
HASH_SIZE = 48
RAW_KEY_SIZE = 57


class Refusal(Exception):
    """What was read breaks the protocol; the text says how."""


# --- base64 and keys ---------------------------------------------------------------------------


def encode64(raw):
    """URL-safe base64 with padding, as text."""
    return base64.urlsafe_b64encode(raw).decode("ascii")


def decode64(text):
    """The strict inverse of encode64: one spelling for one value."""
    data = text.encode("ascii", "replace") if isinstance(text, str) else bytes(text)
    if len(data) % 4 or not re.fullmatch(rb"[A-Za-z0-9_-]*={0,2}", data):
        raise Refusal("not URL-safe base64")
    raw = base64.urlsafe_b64decode(data)
    if base64.urlsafe_b64encode(raw) != data:
        raise Refusal("base64 in another than its canonical form")
    return raw


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def private_key(pem, password=None):
    """A long-term private key (Ed448 or RSA) from PEM bytes."""
    return serialization.load_pem_private_key(pem, password or None)


def public_key(stored):
    """A public key as PEM (0.6) or as URL-safe base64 of its 57 raw bytes (0.3)."""
    stored = stored.encode("utf-8") if isinstance(stored, str) else bytes(stored)
    if stored.lstrip().startswith(b"-----"):
        return serialization.load_pem_public_key(stored)
    return ed448.Ed448PublicKey.from_public_bytes(decode64(stored))


def sign(key, message):
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, rsa_padding.PKCS1v15(), hashes.SHA512())
    return key.sign(message)


def verify(key, signature, message):
    """True or false; RSA keys sign PKCS#1 v1.5 over SHA-512."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, rsa_padding.PKCS1v15(), hashes.SHA512())
        else:
            key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


# --- log-in ------------------------------------------------------------------------------------


def derive(shared):
    """The Fernet key of a session from the X448 secret."""
    return ConcatKDFHash(hashes.SHA256(), 32, b"remo_serv").derive(shared)


def raw_public(key):
    public = key.public_key()
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def login_request(user, key, ephemeral):
    """The JSON body of /auth for a transient X448 private key."""
    raw = raw_public(ephemeral)
    signature = sign(key, user.encode("utf-8") + raw)
    return json.dumps({"user": user, "key": encode64(raw), "sign": encode64(signature)}).encode()


def login_answer(server_key, ephemeral):
    """The body of the answer to /auth."""
    raw = raw_public(ephemeral)
    return (encode64(raw) + "\r\n" + encode64(sign(server_key, raw))).encode()


def finish_login(answer, ephemeral, server_public):
    """Proves the answer to /auth and gives the session's key."""
    lines = answer.split(CRLF)
    if len(lines) != 2 or len(lines[0]) != 76:
        raise Refusal("an answer to /auth of %d lines, the first of %d characters" % (len(lines), len(lines[0])))
    raw = decode64(lines[0])
    if not verify(server_public, decode64(lines[1]), raw):
        raise Refusal("the server's signature is false")
    return TokenKey(derive(agree(ephemeral, raw)))


def agree(ephemeral, raw):
    """The X448 secret; a point that leads to zeros is refused."""
    try:
        return ephemeral.exchange(x448.X448PublicKey.from_public_bytes(raw))
    except ValueError as error:
        raise Refusal("transient key refused: %s" % error) from error


# --- Fernet ------------------------------------------------------------------------------------


class TokenKey:
    """A Fernet key: seals with a chosen clock and IV, opens strictly and leaves age to the caller."""

    def __init__(self, raw):
        if len(raw) != 32:
            raise Refusal("a Fernet key of %d bytes" % len(raw))
        self._signing, self._encryption = raw[:16], raw[16:]

    def seal(self, data, now=None, iv=None):
        iv = iv or os.urandom(16)
        now = int(clock.time()) if now is None else now
        pad = padding.PKCS7(128).padder()
        lock = Cipher(algorithms.AES(self._encryption), modes.CBC(iv)).encryptor()
        secret = lock.update(pad.update(data) + pad.finalize()) + lock.finalize()
        head = b"\x80" + struct.pack(">Q", now) + iv + secret
        return base64.urlsafe_b64encode(head + self._tag(head))

    def open(self, token):
        """The time (Unix seconds), IV and data of a token."""
        raw = decode64(token)
        if len(raw) < 73 or raw[0] != 0x80 or (len(raw) - 57) % 16:
            raise Refusal("no Fernet token")
        if not stdlib_hmac.compare_digest(raw[-32:], self._tag(raw[:-32])):
            raise Refusal("a token that this key did not seal")
        iv, secret = raw[9:25], raw[25:-32]
        unlock = Cipher(algorithms.AES(self._encryption), modes.CBC(iv)).decryptor()
        strip = padding.PKCS7(128).unpadder()
        data = strip.update(unlock.update(secret) + unlock.finalize()) + strip.finalize()
        return struct.unpack(">Q", raw[1:9])[0], iv, data

    def _tag(self, head):
        return stdlib_hmac.new(self._signing, head, hashlib.sha256).digest()


def check_age(stamp, now):
    if stamp < now - TOO_OLD:
        raise Refusal("a token %d s old" % (now - stamp))
    if stamp > now + TOO_NEW:
        raise Refusal("a token %d s in the future" % (stamp - now))


# --- lines -------------------------------------------------------------------------------------


def request_lines(body):
    """The tokens of a request; only the last may lack its CRLF."""
    lines = body.split(CRLF)
    if lines and not lines[-1]:
        lines.pop()
    if any(not line for line in lines):
        raise Refusal("an empty line")
    return lines


def answer_lines(body, python_quirks=False):
    """The tokens of an answer; each is followed by CRLF."""
    if body and not body.endswith(CRLF):
        raise Refusal("the last token of an answer lacks its CRLF")
    lines = body.split(CRLF)[:-1]
    if python_quirks:
        return [line for line in lines if line]
    if any(not line for line in lines):
        raise Refusal("an empty line in an answer")
    return lines


def pieces_of(data, size=FILE_PIECE):
    return [data[at:at + size] for at in range(0, len(data), size)]


# --- bodies of 0.6 -----------------------------------------------------------------------------


def path_hash(path):
    return hashlib.sha384(path.encode("ascii")).digest()


def frame(first, last, request, token, data=b""):
    marks = (b"B" if first else b".") + (b"E" if last else b".")
    return marks + struct.pack(">hh", request, token) + data


def frames_of_request(path, request, data=b"", pieces=None):
    """The plaintexts of a request: one BE, or with `pieces` a stream that ends in an empty .E."""
    if pieces is None:
        return [frame(True, True, request, 0, path_hash(path) + data)]
    plain = [frame(True, False, request, 0, path_hash(path) + (pieces[0] if pieces else b""))]
    plain += [frame(False, False, request, at, piece) for at, piece in enumerate(pieces[1:], 1)]
    return plain + [frame(False, True, request, len(plain))]


def frames_of_answer(status, request, pieces, with_end=True):
    """The plaintexts of an answer, made one by one; `with_end` false leaves E out as Python does."""
    told = str(status).encode("ascii")
    count = 0
    for piece in pieces:
        if piece:
            yield frame(count == 0, False, request, count, (told if count == 0 else b"") + piece)
            count += 1
    if count == 0:
        yield frame(True, True, request, 0, told)
    elif with_end:
        yield frame(False, True, request, count)


def unframe(plain):
    """The marks, request number, token number and data of a token's plaintext."""
    if len(plain) < 6 or plain[:1] not in b"B." or plain[1:2] not in b"E.":
        raise Refusal("no 0.6 frame")
    return (plain[:2], *struct.unpack(">hh", plain[2:6]), plain[6:])


def open_request(key, path, number, body, now, check_each=False):
    """Data pieces of a 0.6 request that must carry `number` (None: any) and name `path`."""
    lines = request_lines(body)
    if not lines:
        raise Refusal("an empty body")
    pieces, ended = [], False
    for at, line in enumerate(lines):
        stamp, _, plain = key.open(line)
        if at == 0 or check_each:
            check_age(stamp, now)
        marks, request, token, data = unframe(plain)
        number = request if number is None else number
        if ended:
            raise Refusal("a token after the end")
        if (marks[:1] == b"B") != (at == 0):
            raise Refusal("the mark %r in token %d" % (marks, at))
        if (request, token) != (number, at):
            raise Refusal("numbers %d/%d where %d/%d stands" % (request, token, number, at))
        if at == 0:
            if data[:HASH_SIZE] != path_hash(path):
                raise Refusal("the hash of another path")
            data = data[HASH_SIZE:]
        ended = marks[1:] == b"E"
        if ended and at and data:
            raise Refusal("a final token with data")
        pieces.append(data)
    if not ended:
        raise Refusal("no final token")
    return pieces


def open_answer(key, body, number, now, python_quirks=False):
    """The status within and the data of a 0.6 answer to request `number`."""
    status, data, ended = None, [], False
    for at, line in enumerate(answer_lines(body, python_quirks)):
        stamp, _, plain = key.open(line)
        marks, request, token, piece = unframe(plain)
        if ended:
            raise Refusal("a token after the end of an answer")
        if (marks[:1] == b"B") != (at == 0):
            raise Refusal("the mark %r in token %d of an answer" % (marks, at))
        if (request, token) != (number, at):
            raise Refusal("answer numbered %d/%d where %d/%d stands" % (request, token, number, at))
        if at == 0:
            check_age(stamp, now)
            if not re.fullmatch(rb"[1-5][0-9][0-9]", piece[:3]):
                raise Refusal("no status in the first token: %r" % piece[:3])
            status, piece = int(piece[:3]), piece[3:]
        ended = marks[1:] == b"E"
        data.append(piece)
    if status is None:
        raise Refusal("an answer without a token")
    if not ended and not python_quirks:
        raise Refusal("an answer without its E token")
    return status, b"".join(data)


# --- bodies of 0.3 -----------------------------------------------------------------------------


def open_request_03(key, body):
    return [key.open(line)[2] for line in request_lines(body)]


def open_answer_03(key, body, python_quirks=False):
    return b"".join(key.open(line)[2] for line in answer_lines(body, python_quirks))
