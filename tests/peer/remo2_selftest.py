#!/usr/bin/env python3
"""Tests the stand-in for remo/2 against the vectors, both ways, sound and spoilt. Needs nothing that this project builds.

`--vectors FILE` names remo2.json where it is not found beside the tests.
"""

import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from cryptography.fernet import Fernet  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ed448, x448  # noqa: E402

import mlkem  # noqa: E402
import remo2_wire as wire  # noqa: E402
from checks.suite import Tally, equal, expect, raises  # noqa: E402
from remo_wire import CRLF, Refusal, TokenKey, decode64, encode64  # noqa: E402


class Vectors:
    """The file, and the parties that it tells of."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.all = json.load(file)
        self.user = self.all["user"]
        self.user_key = ed448.Ed448PrivateKey.from_private_bytes(self.raw("user_private_raw"))
        self.server_key = ed448.Ed448PrivateKey.from_private_bytes(self.raw("server_private_raw"))
        self.up, self.down = TokenKey(self.raw("k_up")), TokenKey(self.raw("k_down"))

    def raw(self, name):
        return decode64(self.all[name])

    def transient(self, side):
        return x448.X448PrivateKey.from_private_bytes(self.raw("x448_%s_private_raw" % side))

    def handshake(self):
        return wire.Handshake(self.user, self.user_key, self.server_key.public_key(), self.transient("client"),
                              self.raw("mlkem_client_seed_d_z"))

    def log_in(self, body, encapsulated=None):
        return wire.answer_login(body, {self.user: self.user_key.public_key()}, self.server_key, self.all["session"],
                                 self.transient("server"), encapsulated)


def check_mlkem(v, plain):
    key = mlkem.PrivateKey(v.raw("mlkem_client_seed_d_z"), plain)
    equal(encode64(key.public), v.all["request_json"]["kem"], "encapsulation key")
    ct = v.raw("mlkem_ciphertext")
    equal(key.decapsulate(ct), v.raw("mlkem_secret"), "secret")
    expect(key.decapsulate(bytes([ct[0] ^ 1]) + ct[1:]) != v.raw("mlkem_secret"), "a spoilt ciphertext gives the secret")
    ct, secret = mlkem.encapsulate(key.public)
    equal(key.decapsulate(ct), secret, "secret of a fresh ciphertext")


def check_handshake_of_client(v):
    handshake = v.handshake()
    equal(wire.read_json(handshake.body()), v.all["request_json"], "request")
    equal(encode64(handshake.mc), v.all["Mc"], "Mc")
    keys = handshake.finish(json.dumps(v.all["response_json"]))
    equal(keys.session, v.all["session"], "session")
    equal(keys.raw, (v.raw("k_up"), v.raw("k_down")), "keys")


def check_handshake_of_server(v):
    equal(wire.raw_public(v.server_key), v.raw("server_public_raw"), "public key of the server")
    shared = v.raw("mlkem_ciphertext"), v.raw("mlkem_secret")
    members, keys = v.log_in(json.dumps(v.all["request_json"]), shared)
    equal(members, v.all["response_json"], "answer")
    equal(keys.raw, (v.raw("k_up"), v.raw("k_down")), "keys")


def check_transcript(v):
    equal(wire.agree(v.transient("client"), wire.raw_public(v.transient("server"))), v.raw("x448_secret"), "X448 secret")
    said, mc = v.all["response_json"], v.raw("Mc")
    ms = wire.server_message(mc, decode64(v.all["request_json"]["sign"]), said["session"], decode64(said["key"]),
                             decode64(said["kem"]))
    equal(encode64(ms), v.all["Ms"], "Ms")


def check_fresh_handshake(v):
    handshake = wire.Handshake(v.user, v.user_key, v.server_key.public_key())
    members, keys = v.log_in(handshake.body())
    equal(handshake.finish(wire.write_json(members)).raw, keys.raw, "keys")


def refuse_request_of_auth(v, entry):
    try:
        v.log_in(json.dumps(entry["request"]))
    except wire.LoginRefused as refusal:
        equal(refusal.status, entry["status"], "status")
    else:
        expect(False, "it is taken")


def refuse_answer_of_auth(v, entry):
    text = entry["response_text"] if "response_text" in entry else json.dumps(entry["response"])
    raises(Refusal, lambda: v.handshake().finish(text), "it is taken")


def check_exchange(v, entry):
    opened = wire.open_request(v.up, entry["request_body"].encode("ascii"), entry["request_number"])
    wanted = [(kind, data if kind in "HT" else data.encode("latin-1")) for kind, data in entry["request_parts"]]
    equal([("H", opened.head), *opened.parts, ("T", opened.tail)], wanted, "parts of the request")
    equal("/" + opened.head["verb"], entry["route"], "route")
    answer = wire.open_answer(v.down, entry["request_number"], entry["response_body"].encode("ascii"))
    expect(answer.head["status"] in (200, 404), "status %r", answer.head["status"])
    if entry["route"] == "/cmd":
        equal((answer.main, answer.second, answer.tail["exit"]), (opened.main, b"oops\n", 3), "what cat and echo said")
    if entry["route"] == "/get" and answer.head["status"] == 200:
        equal(len(answer.main), answer.head["size"], "size")


def check_sealing_again(v, entry):
    for key, name in ((v.up, "request"), (v.down, "response")):
        body = entry[name + "_body"].encode("ascii")
        for at, line in enumerate(body.split(CRLF)[:-1]):
            stamp, iv, plain = key.open(line)
            equal(key.seal(plain, stamp, iv), line, "token %d of the %s sealed again" % (at, name))
            equal(Fernet(encode64(v.raw("k_up" if key is v.up else "k_down"))).decrypt(line), plain, "what Fernet finds")
            kind, number, index, payload = wire.open_token(key, line)
            equal((number, index), (entry["request_number"], at), "numbers")
            again = wire.open_token(key, wire.seal(key, number, index, kind, payload))
            equal(again, (kind, number, index, payload), "token made anew")
    parts = [(kind, data if kind in "HT" else data.encode("latin-1")) for kind, data in entry["request_parts"]]
    made = wire.body_of(wire.seal_all(v.up, entry["request_number"], parts))
    opened = wire.open_request(v.up, made)
    equal([("H", opened.head), *opened.parts, ("T", opened.tail)], parts, "a body made anew")


def refuse_request(v, entry):
    body = entry["body"].encode("ascii")
    if entry.get("sealed") or entry["why"] == "verb of another route":
        head = wire.open_request(v.up, body).head  # sound as a body: what it says is for the verb to judge
        expect("/" + head["verb"] != entry["route"] or set(head) - {"verb"}, "nothing is wrong with %r", head)
        return
    raises(Refusal, lambda: wire.open_request(v.up, body), "it is taken")


def refuse_answer(v, entry):
    raises(Refusal, lambda: wire.open_answer(v.down, entry["request_number"], entry["body"].encode("ascii")), "it is taken")


def check_replay(v):
    body = v.all["replay"]["body"].encode("ascii")
    equal(wire.open_request(v.up, body).number, wire.open_request(v.up, body).number, "number")


def check_cuts(v):
    """No body cut at any token, or anywhere within one, is taken for a whole one."""
    for entry in v.all["exchanges"][:2]:
        body, number = entry["response_body"].encode("ascii"), entry["request_number"]
        for at in range(len(body)):
            raises(Refusal, lambda at=at: wire.open_answer(v.down, number, body[:at]), "cut at %d it is taken" % at)


def check_flips(v):
    """No flipped bit passes."""
    entry = v.all["exchanges"][0]
    body, number = entry["response_body"].encode("ascii"), entry["request_number"]
    for at in range(len(body) * 8):
        bad = bytearray(body)
        bad[at // 8] ^= 1 << at % 8
        raises(Refusal, lambda bad=bad: wire.open_answer(v.down, number, bytes(bad)), "bit %d flips unseen" % at)


SOUND = ['{}', '{"a":0,"b":[1,{"c":9007199254740991}],"d":null}', '{"mtime":-1.5}', '{"x":{"mtime":1e3}}', '{"\u00eb":"\\u0000"}']
SPOILT = ['', '[]', 'null', '1', '{"a":1,"a":1}', '{"a":{"b":1,"b":2}}', '{"a":-1}', '{"a":1.5}', '{"a":9007199254740992}',
          '{"a":NaN}', '{"mtime":Infinity}', '{"a":01}', "{'a':1}", '{"a":1}x', '{"a":1,}', '{"a":[-1]}', '{"a":-0}']


def check_json(text, good):
    if good:
        equal(wire.read_json(wire.write_json(wire.read_json(text.encode()))), json.loads(text), "read, written and read")
    else:
        raises(Refusal, lambda: wire.read_json(text.encode()), "it is taken")


def run(tally, v):
    for plain in (False, True) if mlkem._library else (True,):
        tally.run("mlkem-%s" % ("plain" if plain else "library"), lambda: check_mlkem(v, plain))
    for check in (check_handshake_of_client, check_handshake_of_server, check_transcript, check_fresh_handshake,
                  check_replay, check_cuts, check_flips):
        tally.run(check.__name__[6:].replace("_", "-"), lambda: check(v))
    kinds = (("exchanges", check_exchange), ("exchanges", check_sealing_again),
             ("rejected_auth_requests", refuse_request_of_auth), ("rejected_auth_responses", refuse_answer_of_auth),
             ("rejected_requests", refuse_request), ("rejected_answers", refuse_answer))
    for name, check in kinds:
        for at, entry in enumerate(v.all[name]):
            label = entry.get("why") or "%s %d" % (entry["route"], at)
            tally.run("%s %s: %s" % (name, check.__name__.split("_")[0], label), lambda: check(v, entry))
    for good, texts in ((True, SOUND), (False, SPOILT)):
        for text in texts:
            tally.run("json %s %s" % ("taken" if good else "refused", ascii(text)), lambda: check_json(text, good))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", default=os.path.join(HERE, "../vectors/remo2.json"))
    said = parser.parse_args()
    tally = Tally()
    run(tally, Vectors(said.vectors))
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
