"""Checks of /info and /auth of remo/2, and of the life of sessions."""

import base64
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor

from cryptography.hazmat.primitives.asymmetric import ed448

import remo2_wire as wire
from remo2_client import Client, Line
from remo2_checks.suite import bare, check, equal, expect, good
from remo_peer import Peer
from remo_wire import decode64, encode64, raw_public, sign

P = 2 ** 448 - 2 ** 224 - 1
ZEROS = {"0": 0, "1": 1, "p-1": P - 1, "p": P, "p+1": P + 1}


def resigned(scene, **changes):
    """The members of a log-in in which some raw values differ; the signature is over what is sent."""
    handshake = Client(scene.target, scene.who).handshake()
    members = handshake.members
    xc, ek = raw_public(handshake.transient), handshake.kem.public
    user = changes.get("user", scene.who.user)
    xc, ek = changes.get("xc", xc), changes.get("ek", ek)
    server = changes.get("server", wire.raw_of(scene.who.server))
    mc = wire.client_message(user, server, xc, ek)
    sigc = sign(changes.get("key", scene.who.key), changes.get("message", lambda: mc)())
    return {**members, "user": user, "server": encode64(hashlib.sha256(server).digest()), "key": encode64(xc),
            "kem": encode64(ek), "sign": encode64(sigc)}


def auth(scene, members):
    body = members if isinstance(members, bytes) else wire.write_json(members)
    with Client(scene.target, scene.who) as client:
        return client.post("/auth", body)


def auth_status(scene, members, *statuses):
    response = auth(scene, members)
    expect(response.status in statuses, "status %d %r instead of %s", response.status, response.body[:60], statuses)


@check()
def info_v2_names_keys_and_dialects(scene):
    with Line(scene.target) as line:
        line.begin("/info", 7)
        line.write(b'{"v":2}')
        response = line.answer()
    equal(response.status, 200, "status")
    found = wire.read_json(response.body)
    equal(found["v"], 2, "v")
    expect(encode64(wire.raw_of(scene.who.server)) in found["keys"], "the server's key is not among %r", found["keys"])
    expect(all(len(decode64(key)) == 57 for key in found["keys"]), "keys %r", found["keys"])
    expect(found["dialects"] and all(isinstance(one, str) for one in found["dialects"]), "dialects %r", found["dialects"])


@check()
def auth_makes_a_session(scene):
    with scene.login() as one, scene.login() as two:
        good(one.call("who"))
        good(two.call("who"))
        equal(one.cookie.split(".")[0], two.cookie.split(".")[0], "RUN of two sessions")
        expect(one.cookie != two.cookie, "two sessions with one id")


@check()
def auth_sets_the_session_as_cookie(scene):
    with Client(scene.target, scene.who) as client:
        handshake = client.handshake()
        response = client.post("/auth", handshake.body())
        session = handshake.finish(response.body).session
        expect(any(line.split(";")[0].strip() == "SESSION_ID=" + session for line in response.all("Set-Cookie")),
               "no cookie with %s but %r", session, response.all("Set-Cookie"))


def _refuses(name, statuses, make):
    def play(scene):
        auth_status(scene, make(scene), *statuses)
    play.__name__ = "auth_refuses_" + name
    check()(play)


def _without(scene, name):
    members = resigned(scene)
    del members[name]
    return members


for word, number in ZEROS.items():
    _refuses("x448_key_" + word.replace("-", "_less_").replace("+", "_plus_"), (403,),
             lambda scene, number=number: resigned(scene, xc=number.to_bytes(56, "little")))
_refuses("x448_key_too_short", (403,), lambda scene: resigned(scene, xc=b"\x05" * 55))
_refuses("x448_key_too_long", (403,), lambda scene: resigned(scene, xc=b"\x05" * 57))
_refuses("kem_key_too_short", (403,), lambda scene: resigned(scene, ek=bytes(1567)))
_refuses("kem_key_with_large_coefficient", (403,), lambda scene: resigned(scene, ek=b"\xff\xff\xff" + bytes(1565)))
_refuses("signature_of_another_key", (403,), lambda scene: resigned(scene, key=ed448.Ed448PrivateKey.generate()))
_refuses("signature_over_other_bytes", (403,), lambda scene: resigned(scene, message=lambda: b"other"))
_refuses("unknown_user", (403,), lambda scene: resigned(scene, user="nobody-has-this-name"))
_refuses("user_with_slash", (403,), lambda scene: resigned(scene, user="a/b"))
_refuses("user_with_nul", (403,), lambda scene: resigned(scene, user="a\0b"))
_refuses("user_of_65_characters", (403,), lambda scene: resigned(scene, user="x" * 65))
_refuses("empty_user", (403,), lambda scene: resigned(scene, user=""))
_refuses("another_server", (421,), lambda scene: resigned(scene, server=os.urandom(57)))
_refuses("another_server_before_the_user", (421,), lambda scene: resigned(scene, server=os.urandom(57), user="nobody"))
_refuses("lengths_before_the_server", (403,), lambda scene: resigned(scene, server=os.urandom(57), xc=bytes(55)))
_refuses("version_3", (400,), lambda scene: {**resigned(scene), "v": 3})
_refuses("version_1", (400,), lambda scene: {**resigned(scene), "v": 1})
_refuses("version_as_text", (400,), lambda scene: {**resigned(scene), "v": "2"})
_refuses("version_null", (400,), lambda scene: {**resigned(scene), "v": None})
_refuses("a_list", (400,), lambda scene: wire.write_json(resigned(scene)).join([b"[", b"]"]))
_refuses("no_json", (400,), lambda scene: b"\x00 no json")
_refuses("cut_json", (400,), lambda scene: wire.write_json(resigned(scene))[:-1])
_refuses("base64_without_padding", (403,),
         lambda scene: {**resigned(scene), "key": encode64(os.urandom(56)).rstrip("=")})
_refuses("base64_with_line_feed", (403,), lambda scene: (lambda m: {**m, "key": m["key"] + "\n"})(resigned(scene)))
_refuses("base64_of_the_other_alphabet", (403,),
         lambda scene: (lambda m: {**m, "sign": base64.b64encode(b"\xff" * 114).decode()})(resigned(scene)))
_refuses("a_number_as_key", (403,), lambda scene: {**resigned(scene), "key": 5})
for word in ("user", "server", "key", "kem", "sign"):
    _refuses("missing_" + word, (403,), lambda scene, word=word: _without(scene, word))


@check()
def auth_refusals_look_alike(scene):
    cases = [resigned(scene, user="nobody-has-this-name"), resigned(scene, key=ed448.Ed448PrivateKey.generate()),
             resigned(scene, message=lambda: b"x")]
    seen, times = [], []
    for members in cases * 2:
        start = time.monotonic()
        response = auth(scene, members)
        times.append(time.monotonic() - start)
        names = sorted(name.lower() for name, _ in response.headers)
        seen.append((response.status, response.body, names))
    expect(all(one == seen[0] for one in seen), "answers differ: %r", seen)
    expect(max(times) - min(times) < 0.2, "times differ: %s", ["%.3f" % one for one in times])


@check()
def auth_takes_a_transient_key_once(scene):
    with Client(scene.target, scene.who) as client:
        handshake = client.handshake()
        equal(client.post("/auth", handshake.body()).status, 200, "first")
        equal(client.post("/auth", handshake.body()).status, 403, "repeated")
        again = client.handshake(transient=handshake.transient)
        equal(client.post("/auth", again.body()).status, 403, "same Xc, other EK")


@check()
def auth_remembers_no_unproved_transient_key(scene):
    with Client(scene.target, scene.who) as client:
        handshake = client.handshake()
        spoilt = {**handshake.members, "sign": encode64(bytes(114))}
        equal(client.post("/auth", wire.write_json(spoilt)).status, 403, "spoilt")
        equal(client.post("/auth", handshake.body()).status, 200, "sound, same Xc")


@check()
def auth_looks_at_no_cookie(scene):
    with scene.login() as old, Client(scene.target, scene.who) as client:
        good(old.call("who"))
        client.login(cookie=old.cookie)
        good(client.call("who"))
        good(old.call("who"))


@check()
def nothing_unproved_ends_a_session(scene):
    with scene.login() as client, Line(scene.target) as line:
        good(client.call("who"))
        deeds = [("/auth", b""), ("/auth", b"{}"), ("/auth", b'{"v":2}'), ("/auth", b'{"v":9}'), ("/who", b""),
                 ("/who", b"spoilt"), ("/cmd", b"gAAAAA==\r\n"), ("/cmd/gAAAA", b""), ("/idt", b""), ("/edt", b""),
                 ("/info", b""), ("/nonsense", b"x"), ("/auth", b'{"user":"a","key":"b","sign":"c"}')]
        for path, body in deeds:
            line.begin(path, len(body), client.cookie)
            line.write(body)
            line.answer()
            answer = client.call("who")
            expect(answer.sealed, "after %s %r: %s", path, body, answer)


@check()
def unknown_cookie_is_403_before_the_body(scene):
    with scene.login() as client:
        for cookie in (client.cookie[:-1] + ("A" if client.cookie[-1] != "A" else "B"), "x", client.cookie + "x"):
            with Line(scene.target, 10) as line:
                line.begin("/who", 300_000, cookie)
                response = line.answer()  # nothing of the body was sent
                equal((response.status, response.body), (403, b""), "with the cookie %r" % cookie)
        good(client.call("who"))


@check()
def early_answers_survive_a_body_on_its_way(scene):
    for _ in range(5):
        with Line(scene.target) as line:
            line.begin("/cmd", 900_000, "A" * 22 + "." + "B" * 22)
            line.write(bytes(900_000))
            equal(line.answer().status, 403, "status")


@check()
def half_open_sessions_go_at_1024(scene):
    with scene.login() as first, scene.login() as used:
        good(used.call("who"))
        start = time.monotonic()

        def login(_):
            with scene.login() as client:
                return client
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(login, range(1025)))
        took = time.monotonic() - start
        if took > 25:
            print("note: 1,025 log-ins took %.0f s, too long to tell age from number" % took)
        bare(first.call("who"), 403)
        good(used.call("who"))
        good(made[-1].call("who"))


@check(slow=True)
def half_open_sessions_live_30_s(scene):
    with scene.login() as idle, scene.login() as failed, scene.login() as used, scene.login() as late:
        good(used.call("who"))
        bare(failed.exchange("/who", 1, failed.seal(1, [("H", {"verb": "who"})])), 400)
        time.sleep(22)
        good(late.call("who"))
        time.sleep(10)
        bare(idle.call("who"), 403)
        bare(failed.call("who"), 403)
        good(used.call("who"))
        good(late.call("who"))


@check()
def dialect_0_6_is_served_beside(scene):
    _beside(scene, "0.6", scene.who)


@check(second=True)
def dialect_0_3_is_served_beside(scene):
    """Of the second user, who may never have spoken 0.6 here."""
    _beside(scene, "0.3", scene.second)


def _beside(scene, dialect, who):
    with scene.login() as client, scene.login(who) as same, Peer(scene.target, dialect, who) as peer:
        peer.login()
        for _ in range(3):
            equal(peer.cmd("echo old").data, b"old\n", "what %s said" % dialect)
            good(client.call("who"))
            good(same.call("who"))
        bare(client.exchange("/cmd" + peer.path("cmd", "echo x")[4:], 99, b""), 400, 403, 404)
        good(client.call("who"))
        peer.logout()
        good(same.call("who"))


@check()
def info_is_open_to_sessions_too(scene):
    with scene.login() as client:
        good(client.call("who"))
        response = client.post("/info", b'{"v":2}', client.cookie)
        equal((response.status, wire.read_json(response.body)["v"]), (200, 2), "status and v")
        good(client.call("who"))


@check()
def info_of_old_stays(scene):
    with Line(scene.target) as line:
        line.begin("/info", 0)
        response = line.answer()
    equal(response.status, 200, "status")
    expect(not response.body.startswith(b"{"), "it is JSON: %r", response.body)
