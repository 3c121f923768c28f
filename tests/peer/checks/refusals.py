"""Checks of what must be refused: log-ins, cookies, replays, numbers, and every kind of rejected vector.

The kinds of vectors are made anew with the live session's key. Failed log-ins come last: they may be delayed.
"""

import json
import time

from cryptography.hazmat.primitives.asymmetric import x448

import remo_wire as wire
from checks.suite import Failure, alive, answered, check, dead, equal, expect, refused
from remo_peer import Refusal, session_cookie
from remo_wire import frame, path_hash

PRIME = 2**448 - 2**224 - 1


# --- who may not speak ---


@check()
def request_before_auth(scene):
    with scene.peer() as peer:
        peer.key = wire.TokenKey(b"k" * 32)
        for verb, argument in (("cmd", "id"), ("icm", "cat"), ("get", "/etc/hostname"), ("idt", None), ("edt", None)):
            answer = refused(peer.verb(verb, argument, b"x"), 403)
            equal(answer.response.one("Content-Length"), "0", "Content-Length of /" + verb)
        refused(peer.verb("nothing"), 403)


@check()
def unknown_cookie(scene):
    with scene.login() as peer:
        answer = refused(peer.cmd("id", cookies=["f" * 32], keep=False), 403)
        equal(answer.response.body, b"", "body")
        expect(session_cookie(answer.response) not in (None, "f" * 32, *peer.cookies), "no new cookie")


@check()
def cookies_of_odd_forms(scene):
    with scene.login() as peer:
        for odd in ("", "x" * 3000, "%00", "../../etc", '"quoted"', "é".encode().decode("latin-1")):
            answer = peer.cmd("id", cookies=[odd], keep=False)
            expect(answer.status in (400, 403, 431), "status %d for the cookie %r", answer.status, odd[:20])


@check()
def cookie_of_another_session(scene):
    with scene.login() as peer, scene.login() as other:
        alive(other)
        refused(peer.cmd("id", cookies=other.cookies, keep=False, raw=True), 400, 403)


@check()
def bad_path_tokens(scene):
    foreign = wire.TokenKey(b"k" * 32).seal(b"id").decode()
    for token in ("x", "A" * 100, foreign, "gAAAAA", "%20"):
        with scene.login() as peer:
            alive(peer)
            refused(peer.exchange("/cmd/" + token), 403, 400)
            if peer.dialect == "0.3":
                alive(peer)


@check()
def tampered_path_token(scene):
    with scene.login() as peer:
        alive(peer)
        token = bytearray(peer.key.seal(b"echo tampered"))
        token[40] = ord("A") if token[40] != ord("A") else ord("B")
        refused(peer.exchange("/cmd/" + token.decode()), 403)


@check()
def junk_for_a_body(scene):
    for junk in (b"!!!!", b"\0" * 100, b"gAAAAA==", b"\r\n\r\n"):
        with scene.login() as peer:
            alive(peer)
            path = peer.path("cmd", "cat")
            if peer.dialect == "0.6":
                peer.number += 1
            outcome = attempt(lambda: peer.open(peer.send(path, [junk], "length")))
            expect(outcome != 200, "junk is taken for a body: %r", junk)


# --- replays ---


@check(dialects=("0.3",), ours=True)
def replayed_path_token(scene):
    with scene.login() as peer:
        path = peer.path("cmd", "echo once")
        answered(peer.exchange(path), 200, b"once\n")
        refused(peer.exchange(path))
        refused(peer.exchange("/cmd/" + other_spelling(path.split("/")[2])))
        alive(peer)


@check(dialects=("0.3",), ours=True)
def path_token_much_older_than_the_newest(scene):
    with scene.login() as peer:
        alive(peer)
        old = peer.key.seal(b"echo old", int(time.time()) - 63).decode()
        refused(peer.exchange("/cmd/" + old))
        alive(peer)


@check(dialects=("0.3",))
def clocks_that_disagree(scene):
    with scene.login() as peer:
        for text in (b"one", b"two"):
            token = peer.key.seal(b"echo " + text, int(time.time()) - 3000).decode()
            answered(peer.exchange("/cmd/" + token), 200, text + b"\n")


@check(dialects=("0.6",))
def replayed_request(scene):
    with scene.login() as peer:
        alive(peer)
        path = peer.path("cmd", "echo once")
        tokens, framing = peer.tokens(path, b"", None)
        answered(peer.exchange_tokens(path, tokens, framing), 200, b"once\n")
        expect(attempt(lambda: peer.exchange_tokens(path, tokens, framing)) != 200, "a replay is played")
        dead(peer)


@check(ours=True)
def replayed_auth(scene):
    with scene.peer() as peer:
        ephemeral = x448.X448PrivateKey.generate()
        body = wire.login_request(scene.who.user, scene.who.key, ephemeral)
        equal(peer.send("/auth", [body], "length").status, 200, "status of the first")
    with scene.peer() as peer:
        equal(peer.send("/auth", [body], "length").status, 403, "status of the second")


# --- the kinds of rejected vectors, dialect 0.6 ---


def spoilt(seal, right, number):
    """Every kind of rejected body for `right`, the frame data of the path: name, tokens."""
    now = int(time.time())
    whole = frame(True, True, number, 0, right)
    token = seal(whole)
    middle = len(token) // 2
    other = b"A" if token[middle:middle + 1] != b"A" else b"B"
    head = frame(True, False, number, 0, right)

    def part(at, data):
        return seal(frame(False, False, number, at, data))

    def end(at, data=b""):
        return seal(frame(False, True, number, at, data))

    yield "tampered byte", [token[:middle] + other + token[middle + 1:]]
    yield "truncated token", [token[:-8]]
    yield "token older than 10 s", [seal(whole, now - 13)]
    yield "token more than 60 s in the future", [seal(whole, now + 64)]
    yield "request number skipped", [seal(frame(True, True, number + 2, 0, right))]
    yield "request number repeated", [seal(frame(True, True, number - 1, 0, right))]
    yield "request number negative", [seal(frame(True, True, -number, 0, right))]
    yield "token number not zero", [seal(frame(True, True, number, 1, right))]
    yield "hash of another path", [seal(frame(True, True, number, 0, path_hash("/cmd/other")))]
    yield "hash cut short", [seal(frame(True, True, number, 0, right[:-1]))]
    yield "magic without B", [seal(frame(False, True, number, 0, right))]
    yield "magic of other letters", [seal(b"XE" + whole[2:])]
    yield "empty plaintext", [seal(b"")]
    yield "other session's key", [wire.TokenKey(b"k" * 32).seal(whole)]
    yield "not base64", [b"!!!!"]
    yield "empty body", []
    yield "one newline", [b"", b""]
    yield "stream without its final token", [seal(head), part(1, b"def")]
    yield "stream with a token missing", [seal(head), part(2, b"def"), end(3)]
    yield "stream with tokens swapped", [seal(head), part(2, b"b"), part(1, b"a"), end(3)]
    yield "stream with a second first token", [seal(head), seal(head), end(2)]
    yield "stream with a number of another request", [
        seal(head), seal(frame(False, False, number + 1, 1, b"x")), end(2)]
    yield "token after the end", [token, end(1, b"x")]
    yield "token after the end of a stream", [seal(head), end(1), end(2)]


def spoilt_names():
    key = wire.TokenKey(b"k" * 32)
    return [name for name, _ in spoilt(key.seal, path_hash("/cmd/x"), 2)]


def refuse_spoilt(scene, wanted, first):
    """Sends one kind of spoilt request, first in its session or not: no answer of 200 may come whole."""
    marker = scene.file("spoilt-was-run")
    with scene.login() as peer:
        if not first:
            alive(peer)
        path = peer.path("put", marker)
        peer.number += 1
        right = path_hash(path)
        tokens = next(tokens for name, tokens in spoilt(peer.key.seal, right, peer.number) if name == wanted)
        framing = "chunked" if len(tokens) > 1 and tokens[0] else "length"
        outcome = attempt(lambda: peer.exchange_tokens(path, tokens, framing))
        expect(outcome in (400, 403), "the outcome is %s", outcome)
        try:
            wire.read_file(marker)
            raise Failure("the file was written")
        except FileNotFoundError:
            pass
        if not first and (len(tokens) < 2 or not tokens[0]):
            dead(peer)


def rejected_kinds():
    for name in spoilt_names():
        label = name.replace("'", "").replace(" ", "_")

        def later(scene, name=name):
            refuse_spoilt(scene, name, False)

        def first(scene, name=name):
            with scene.login() as peer:
                alive(peer)  # the user's floor is 0.6 from here on
            refuse_spoilt(scene, name, True)

        later.__name__ = "rejected_" + label
        first.__name__ = "rejected_as_first_request_" + label
        check(dialects=("0.6",))(later)
        check(dialects=("0.6",), ours=True)(first)


rejected_kinds()


@check(dialects=("0.6",))
def stripped_body_of_a_first_request(scene):
    """A path that takes the body away must not make a 0.3 request of a 0.6 one."""
    with scene.login() as peer:
        alive(peer)
    for verb, argument in (("cmd", "echo stripped"), ("get", "/etc/passwd"), ("put", scene.file("stripped"))):
        with scene.login() as peer:
            response = peer.send(peer.path(verb, argument))
            expect(response.status in (400, 403), "/%s without its body is answered %d", verb, response.status)


@check(dialects=("0.6",))
def get_made_a_put_by_the_path(scene):
    """/get/T turned into /put/T keeps neither hash nor dialect."""
    path = scene.file("get-made-put", b"kept")
    with scene.login() as peer:
        alive(peer)
        asked = peer.path("get", path)
        tokens, framing = peer.tokens(asked, b"", None)
        outcome = attempt(lambda: peer.exchange_tokens(asked.replace("/get/", "/put/"), tokens, framing))
        expect(outcome in (400, 403), "the outcome is %s", outcome)
        equal(wire.read_file(path), b"kept", "content")


@check(dialects=("0.6",), ours=True)
def zero_three_after_a_proven_zero_six(scene):
    with scene.login() as peer:
        alive(peer)
    with scene.login("0.3") as peer:
        refused(peer.cmd("echo x"), 400, 403)
        # a session below its user's floor is worth nothing, whatever it asks
        refused(peer.verb("get", "/etc/hostname"), 400, 403)


# --- log-ins ---


@check()
def auth_without_json(scene):
    bodies = [b"{", b"[]", b"null", b"\xff\xfe", b'{"user": "x"}', b'{"user": "x", "key": "AAAA"}', b'"text"', b"12"]
    for body in bodies:
        with scene.peer() as peer:
            equal(peer.send("/auth", [body], "length").status, 400, "status of %r" % body)


def login_fields(scene, **spoil):
    raw = wire.raw_public(x448.X448PrivateKey.generate())
    raw = spoil.pop("raw", raw)
    user = spoil.pop("user", scene.who.user)
    signature = wire.sign(scene.who.key, user.encode("utf-8") + raw)
    fields = {"user": user, "key": wire.encode64(raw), "sign": wire.encode64(signature)}
    return json.dumps({**fields, **spoil}).encode()


def failed_login(scene, body):
    with scene.peer() as peer:
        response = peer.send("/auth", [body], "length")
        peer.key = wire.TokenKey(b"k" * 32)
        refused(peer.cmd("id"), 403)
        return response


@check()
def unknown_user_and_bad_signature_look_alike(scene):
    unknown = failed_login(scene, login_fields(scene, user="nobody-of-that-name"))
    false = failed_login(scene, login_fields(scene, sign=wire.encode64(b"s" * 114)))
    equal((unknown.status, false.status), (403, 403), "statuses")
    equal(unknown.body, false.body, "body")
    equal(sorted(name for name, _ in unknown.headers), sorted(name for name, _ in false.headers), "headers")


@check()
def auth_with_keys_that_lead_to_zeros(scene):
    for value in (0, 1, PRIME - 1, PRIME, PRIME + 1):
        response = failed_login(scene, login_fields(scene, raw=value.to_bytes(56, "little")))
        equal(response.status, 403, "status of the key %d" % (value if value < 2 else value - PRIME))


@check()
def auth_with_bad_fields(scene):
    spoils = [{"key": "!!"}, {"key": wire.encode64(b"short")}, {"sign": "!!"}, {"sign": ""}, {"user": ""},
              {"user": "a/b"}, {"user": "x" * 65}, {"user": "a\nb"}, {"user": 5}, {"key": None}]
    for spoil in spoils:
        own = {**spoil} if isinstance(spoil.get("user", ""), str) else {}
        body = login_fields(scene, **own) if own else json.dumps({**json.loads(login_fields(scene)), **spoil})
        body = body if isinstance(body, bytes) else body.encode()
        status = failed_login(scene, body).status
        expect(status in (400, 403), "status %d for %r", status, spoil)


@check()
def a_server_signature_is_no_client_signature(scene):
    """The answer of the server, sent back as the log-in of a user without a name."""
    with scene.login() as peer:
        ephemeral = x448.X448PrivateKey.generate()
        body = wire.login_request(scene.who.user, scene.who.key, ephemeral)
        lines = peer.send("/auth", [body], "length").body.decode().split("\r\n")
    stolen = json.dumps({"user": "", "key": lines[0], "sign": lines[1]}).encode()
    equal(failed_login(scene, stolen).status in (400, 403), True, "refusal")


@check()
def the_server_lives_on(scene):
    with scene.login() as peer:
        alive(peer)


# --- helpers ---


def attempt(act):
    """The status of an answer that is whole; what broke it else."""
    try:
        return act().status
    except (Refusal, OSError) as error:
        return str(error)
    except Exception as error:  # a cut connection
        return "%s: %s" % (type(error).__name__, error)


def other_spelling(token):
    """Another base64 text of the same bytes: the unused bits of the last character changed."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    bare = token.rstrip("=")
    spare = {0: 0, 1: 2, 2: 4}[len(token) - len(bare)]
    if not spare:
        return bare  # no spare bits: leaves nothing to change but the padding, of which there is none
    last = letters[letters.index(bare[-1]) ^ 1]
    return bare[:-1] + last + "=" * (len(token) - len(bare))
