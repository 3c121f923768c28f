"""Checks of remo_wire.py against the byte-exact vectors, both ways. No server is needed.

They are run by selftest.py, not in a conversation.
"""

import json

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, x448

import remo_wire as wire
from checks.suite import Tally, equal, expect, raises
from remo_wire import Refusal


class Vectors:
    """The file, and what most checks need of it."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.all = json.load(file)
        self.clock = self.all["clock_unix"]
        self.keys, self.auth = self.all["keys"], self.all["auth"]
        self.key = wire.TokenKey(wire.decode64(self.auth["fernet_key"]))

    def raw(self, name):
        return wire.decode64(self.keys[name])

    def ephemeral(self, side):
        return x448.X448PrivateKey.from_private_bytes(self.raw("ephemeral_%s_private_raw" % side))

    def private(self, who):
        return ed448.Ed448PrivateKey.from_private_bytes(self.raw(who + "_private_raw"))

    def reproduced(self, tokens):
        """Opens tokens and seals their plaintexts again, at the time and with the IV of the vector."""
        for token in tokens:
            stamp, iv, data = self.key.open(token)
            equal(self.key.seal(data, stamp, iv), token, "the token sealed again")
            equal(Fernet(self.auth["fernet_key"]).decrypt(token), data, "what Fernet itself finds")


def raw_of(public):
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def check_keys(v):
    for who in ("server", "user"):
        key = wire.private_key(v.keys[who + "_private_pem"].encode())
        equal(raw_of(key.public_key()), v.raw(who + "_public_raw"), "raw key of " + who)
        equal(raw_of(wire.public_key(v.keys[who + "_public_pem"])), v.raw(who + "_public_raw"), "PEM of " + who)
    locked = v.keys["user_private_pem_encrypted"].encode()
    key = wire.private_key(locked, v.keys["user_private_pem_password"].encode())
    equal(raw_of(key.public_key()), v.raw("user_public_raw"), "the encrypted key")
    raises((ValueError, TypeError), lambda: wire.private_key(locked, b"wrong"), "a wrong password opens the key")


def check_stored_keys(v):
    for form in ("pub_dialect_0_3", "pub_dialect_0_6"):
        equal(raw_of(wire.public_key(v.all["users_db"][form])), v.raw("user_public_raw"), form)


def check_login(v):
    ephemeral, name = v.ephemeral("client"), v.keys["user_name"]
    made = json.loads(wire.login_request(name, v.private("user"), ephemeral))
    told = json.loads(v.auth["request_json"])
    equal(made, told, "request")
    signed = name.encode() + wire.decode64(told["key"])
    equal(signed, wire.decode64(v.auth["signed_bytes"]), "signed bytes")
    expect(wire.verify(wire.public_key(v.keys["user_public_pem"]), wire.decode64(told["sign"]), signed), "signature")
    answer = wire.login_answer(v.private("server"), v.ephemeral("server"))
    equal(answer.decode(), v.auth["response_text"], "answer")
    other = wire.public_key(v.keys["user_public_pem"])
    raises(Refusal, lambda: wire.finish_login(answer, ephemeral, other), "another server is believed")


def check_key_derivation(v):
    shared = wire.agree(v.ephemeral("client"), v.raw("ephemeral_server_public_raw"))
    equal(shared, wire.decode64(v.auth["x448_shared"]), "X448")
    equal(shared, wire.agree(v.ephemeral("server"), v.raw("ephemeral_client_public_raw")), "X448 of the other side")
    equal(wire.encode64(wire.derive(shared)), v.auth["fernet_key"], "Fernet key")


def check_rsa(v):
    told = v.all["rsa_auth_0_6"]
    public, signed = wire.public_key(told["public_pem"]), wire.decode64(told["signed_bytes"])
    signature = wire.decode64(told["sign_pkcs1v15_sha512"])
    expect(wire.verify(public, signature, signed), "signature")
    expect(not wire.verify(public, signature, signed + b"x"), "a false signature is taken")


def check_zero_points(v):
    for value in (0, 1, 2**448 - 2**224 - 2, 2**448 - 2**224 - 1, 2**448 - 2**224):
        raises(Refusal, lambda point=value.to_bytes(56, "little"): wire.agree(v.ephemeral("client"), point),
               "a key that leads to zeros is taken")


def path_token(v, entry):
    parts = entry["path"].split("/")
    if len(parts) > 2:
        v.reproduced([parts[2].encode()])
        if "argument" in entry:
            equal(v.key.open(parts[2])[2].decode(), entry["argument"], "argument")


def check_0_3(v, entry):
    path_token(v, entry)
    if "request_body" in entry:
        body = entry["request_body"].encode()
        v.reproduced(wire.request_lines(body))
        wanted = wire.decode64(entry["plain_b64"]) if "plain_b64" in entry else entry.get("stdin", "").encode()
        plain = wire.open_request_03(v.key, body)
        equal(b"".join(plain), wanted, "data")
        if len(plain) > 1:
            equal(plain, wire.pieces_of(wanted), "pieces")
            expect(not body.endswith(wire.CRLF), "a CRLF after the last")
    if "response_body" in entry:
        body = entry["response_body"].encode()
        v.reproduced(wire.answer_lines(body))
        equal(wire.open_answer_03(v.key, body), wire.decode64(entry["plain_b64"]), "answer")


def check_0_6(v, entry):
    path_token(v, entry)
    path, number, body = entry["path"], entry["request_number"], entry["request_body"].encode()
    data = wire.decode64(entry["plain_b64"]) if "plain_b64" in entry else entry.get("stdin", "").encode()
    if "path_sha384_hex" in entry:
        equal(wire.path_hash(path).hex(), entry["path_sha384_hex"], "hash")
    lines = wire.request_lines(body)
    equal(b"".join(wire.open_request(v.key, path, number, body, v.clock)), data, "data")
    framed = wire.frames_of_request(path, number, data, wire.pieces_of(data) if len(lines) > 1 else None)
    equal([v.key.open(line)[2] for line in lines], framed, "frames made by hand")
    v.reproduced(lines)
    for name, python in (("response_ours", False), ("response_python_server", True)):
        if name in entry:
            check_answer(v, entry[name].encode(), number, wire.decode64(entry["stdout_b64"]), python)


def check_answer(v, body, number, wanted, python):
    equal(wire.open_answer(v.key, body, number, v.clock, python), (200, wanted), "answer")
    v.reproduced(wire.answer_lines(body))
    framed = list(wire.frames_of_answer(200, number, [wanted], not python))
    equal([v.key.open(line)[2] for line in wire.answer_lines(body)], framed, "frames of the answer")
    raises(Refusal, lambda: wire.open_answer(v.key, body, number + 1, v.clock, python), "another request's answer")
    if python and wanted:
        raises(Refusal, lambda: wire.open_answer(v.key, body, number, v.clock), "an answer without E")


def check_rejected(v, entry):
    raises(Refusal, lambda: wire.open_request(v.key, entry["path"], entry["expected_request_number"],
                                              entry["request_body"].encode(), v.clock), "it is taken")


def run(tally: Tally, path):
    """Runs every check of the file, one line each."""
    v = Vectors(path)
    for play in (check_keys, check_stored_keys, check_login, check_key_derivation, check_rsa, check_zero_points):
        tally.run("vector-" + play.__name__[6:].replace("_", "-"), lambda play=play: play(v))
    for section, play in (("dialect_0_3", check_0_3), ("dialect_0_6", check_0_6), ("dialect_0_6_rejected", check_rejected)):
        for at, entry in enumerate(v.all[section]):
            name = "vector-%s-%d-%s" % (section, at, entry.get("verb") or entry["why"])
            tally.run(name.replace("_", "-").replace(" ", "-").replace("'", ""),
                      lambda play=play, entry=entry: play(v, entry))
