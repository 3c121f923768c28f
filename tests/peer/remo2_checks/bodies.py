"""Checks of bodies: what is spoilt gets a bare 400 and leaves its number free, what is sound is answered once."""

import os
import time

import remo2_wire as wire
from remo2_client import Line, new_id
from remo2_checks.suite import bare, check, expect, equal, free_after, good, until
from remo_wire import CRLF, TokenKey

WHO = {"verb": "who"}


def plain(client, number, parts):
    """Tokens from (kind, number or None, index or None, payload); None is what is right."""
    return [wire.seal(client.keys.up, number if request is None else request, at if index is None else index, kind, data)
            for at, (kind, request, index, data) in enumerate(parts)]


def listed(*kinds_and_data):
    return [(kind, None, None, data) for kind, data in kinds_and_data]


SPOILT = {
    "no_T": listed(("H", WHO)),
    "no_H": listed(("T", {})),
    "D_first": listed(("D", b"x"), ("T", {})),
    "P_first": listed(("P", b"x"), ("H", WHO), ("T", {})),
    "two_H": listed(("H", WHO), ("H", WHO), ("T", {})),
    "two_T": listed(("H", WHO), ("T", {}), ("T", {})),
    "P_after_T": listed(("H", WHO), ("T", {}), ("P", b"")),
    "unknown_kind": listed(("H", WHO), ("X", b""), ("T", {})),
    "small_kind": listed(("H", WHO), ("t", {})),
    "E_in_a_request": listed(("H", WHO), ("E", b"x"), ("T", {})),
    "H_no_json": listed(("H", b"{"), ("T", {})),
    "H_a_list": listed(("H", b"[]"), ("T", {})),
    "H_no_utf8": listed(("H", b'{"verb":"who","x":"\xff"}'), ("T", {})),
    "H_member_twice": listed(("H", b'{"verb":"who","probe":1,"probe":1}'), ("T", {})),
    "H_inner_member_twice": listed(("H", b'{"verb":"who","x":{"a":1,"a":1}}'), ("T", {})),
    "H_without_verb": listed(("H", {}), ("T", {})),
    "H_verb_no_text": listed(("H", {"verb": 1}), ("T", {})),
    "verb_of_another_route": listed(("H", {"verb": "info"}), ("T", {})),
    "H_too_long": listed(("H", b'{"verb":"who","x":"' + b"a" * 131072 + b'"}'), ("T", {})),
    "T_too_long": listed(("H", WHO), ("T", b'{"x":"' + b"a" * 131072 + b'"}')),
    "P_too_long": listed(("H", WHO), ("P", bytes(1048577)), ("T", {})),
    "T_no_json": listed(("H", WHO), ("T", b"")),
    "T_a_text": listed(("H", WHO), ("T", b'"x"')),
    "T_member_twice": listed(("H", WHO), ("T", b'{"a":1,"a":1}')),
    "other_number_in_T": [("H", None, None, WHO), ("T", 777, None, {})],
    "index_skipped": [("H", None, None, WHO), ("T", None, 2, {})],
    "index_repeated": [("H", None, None, WHO), ("T", None, 0, {})],
    "index_from_1": [("H", None, 1, WHO), ("T", None, 2, {})],
    "number_0": [("H", 0, None, WHO), ("T", 0, None, {})],
}


def _spoilt(name, parts):
    def play(scene):
        with scene.login() as client:
            good(client.call("who"))
            number = client.next()
            bare(client.exchange("/who", number, plain(client, number, parts)), 400)
            free_after(client, number)
    play.__name__ = "spoilt_body_" + name
    check()(play)


for word, spoilt_parts in SPOILT.items():
    _spoilt(word, spoilt_parts)


def _twisted(name, twist):
    """`twist` makes the bytes of a body from the client and the tokens of a sound one."""
    def play(scene):
        with scene.login() as client:
            number = client.next()
            tokens = client.seal(number, client.parts("who", data=[("P", b"pad")]))
            bare(client.exchange("/who", number, twist(client, tokens)), 400)
            free_after(client, number)
    play.__name__ = "spoilt_body_" + name
    check()(play)


@check()
def numbers_that_are_not_whole_are_refused(scene):
    """The specification leaves open whether it is the body or the verb that refuses them."""
    with scene.login() as client:
        for text in (b"-1", b"1.5", b"9007199254740992", b"1e400", b"NaN"):
            number = client.next()
            parts = listed(("H", b'{"verb":"who","probe":' + text + b"}"), ("T", {}))
            answer = client.exchange("/who", number, plain(client, number, parts))
            expect(answer.status == 400 and answer.http == (200 if answer.sealed else 400), "%s: %s", text, answer)
        good(client.call("who"))


def _cut(tokens, size):
    return wire.body_of(tokens)[:-size]


_twisted("empty", lambda client, tokens: b"")
_twisted("short_plaintext", lambda client, tokens: wire.body_of([client.keys.up.seal(b"H" + bytes(8) + b"\0\0\0")]))
_twisted("last_CRLF_missing", lambda client, tokens: _cut(tokens, 2))
_twisted("last_LF_missing", lambda client, tokens: _cut(tokens, 1))
_twisted("cut_in_the_last_token", lambda client, tokens: _cut(tokens, 9))
_twisted("cut_before_T", lambda client, tokens: wire.body_of(tokens[:-1]))
_twisted("cut_to_nothing_but_H", lambda client, tokens: wire.body_of(tokens[:1]))
_twisted("only_LF", lambda client, tokens: b"".join(token + b"\n" for token in tokens))
_twisted("empty_line_first", lambda client, tokens: CRLF + wire.body_of(tokens))
_twisted("empty_line_between", lambda client, tokens: wire.body_of([tokens[0], b"", *tokens[1:]]))
_twisted("empty_line_last", lambda client, tokens: wire.body_of(tokens) + CRLF)
_twisted("junk_between", lambda client, tokens: wire.body_of([tokens[0], b"junk", *tokens[1:]]))
_twisted("junk_last", lambda client, tokens: wire.body_of(tokens) + b"junk")
_twisted("tokens_swapped", lambda client, tokens: wire.body_of([tokens[1], tokens[0], tokens[2]]))
_twisted("token_repeated", lambda client, tokens: wire.body_of([tokens[0], tokens[1], tokens[1], tokens[2]]))
_twisted("token_left_out", lambda client, tokens: wire.body_of([tokens[0], tokens[2]]))
_twisted("reflected", lambda client, tokens: wire.body_of(wire.seal_all(client.keys.down, 1, client.parts("who"))))
_twisted("sealed_by_a_stranger",
         lambda client, tokens: wire.body_of(wire.seal_all(TokenKey(os.urandom(32)), 1, client.parts("who"))))
_twisted("without_padding", lambda client, tokens: wire.body_of(tokens).replace(b"=", b""))


@check()
def spoilt_body_any_flipped_bit(scene):
    with scene.login() as client:
        number = client.next()
        body = wire.body_of(client.seal(number, client.parts("who")))
        for at in range(0, len(body), 7):
            bad = bytearray(body)
            bad[at] ^= 1 << at % 8
            bare(client.exchange("/who", number, bytes(bad)), 400)
        good(client.exchange("/who", number, body))


@check()
def spoilt_body_cut_anywhere(scene):
    with scene.login() as client:
        number = client.next()
        body = wire.body_of(client.seal(number, client.parts("who")))
        for at in range(0, len(body), 11):
            bare(client.exchange("/who", number, body[:at]), 400)
        good(client.exchange("/who", number, body))


@check()
def own_answers_sent_back_are_refused(scene):
    with scene.login() as client:
        answer = good(client.call("who"))
        bare(client.exchange("/who", 1, answer.response.body), 400)
        good(client.call("who"))


@check()
def tokens_of_two_bodies_do_not_join(scene):
    with scene.login() as client, scene.login() as other:
        first, second = client.next(), client.next()
        one, two = (client.seal(number, client.parts("who")) for number in (first, second))
        bare(client.exchange("/who", first, [one[0], two[1]]), 400)
        strange = other.seal(first, other.parts("who"))
        bare(client.exchange("/who", first, [one[0], strange[1]]), 400)
        bare(client.exchange("/who", first, strange), 400)
        good(client.exchange("/who", first, one))
        good(client.exchange("/who", second, two))


@check()
def other_route_is_a_bare_400_and_frees_the_number(scene):
    with scene.login() as client:
        mark = scene.file("mark")
        parts = client.parts("cmd", {"id": new_id(), "argv": ["touch", mark]})
        for path in ("/icm", "/who", "/idt", "/edt", "/nonsense", "/"):
            number = client.next()
            bare(client.exchange(path, number, client.seal(number, parts)), 400, 403, 404)
            free_after(client, number)
        expect(not os.path.exists(mark), "it was carried out")


@check()
def nothing_is_done_before_the_end(scene):
    with scene.login() as client:
        mark, identity = scene.file("mark"), new_id()
        head = {"verb": "cmd", "id": identity, "argv": ["touch", mark]}
        number = client.next()
        bare(client.exchange("/cmd", number, client.seal(number, [("H", head), ("D", b"x")])), 400)
        bare(client.exchange("/cmd", number, client.seal(number, [("H", head), ("T", b"no")])), 400)
        expect(not os.path.exists(mark), "a body without its end was carried out")
        good(client.call("who", number=number))
        good(client.call("cmd", {"id": identity, "argv": ["touch", mark]}))
        until(lambda: os.path.exists(mark), "the whole body was not carried out")


@check()
def nothing_is_done_before_the_end_of_http(scene):
    """T is there, but not yet the end of the body: whether more follows is not known."""
    with scene.login() as client, Line(scene.target) as line:
        mark, number = scene.file("mark"), client.next()
        body = wire.body_of(client.seal(number, client.parts("cmd", {"id": new_id(), "argv": ["touch", mark]})))
        line.begin("/cmd", len(body) + 7, client.cookie)
        line.write(body)
        time.sleep(0.4)
        expect(not os.path.exists(mark), "it was carried out before the end of the body")
        line.close()
        until(lambda: client.call("who", number=number).sealed, "the number stays held")
        expect(not os.path.exists(mark), "a cut body was carried out")


@check()
def a_cut_connection_frees_the_number(scene):
    with scene.login() as client:
        held = client.hold("who", data=[("P", b"x")], first=2)
        held.drop()
        until(lambda: client.call("who", number=held.number).sealed, "the number stays held")


@check()
def keep_alive_tokens_are_ignored(scene):
    with scene.login() as client:
        answer = good(client.call("cmd", {"id": new_id(), "argv": ["cat"]},
                                  [("P", b""), ("D", b"a"), ("P", os.urandom(1000)), ("D", b"b"), ("P", bytes(70000))]))
        equal(answer.main, b"ab", "what cat said")


@check()
def a_body_of_1_mib_is_taken(scene):
    with scene.login() as client:
        number = client.next()
        body = wire.body_of(client.seal(number, client.parts("who", data=[("P", bytes(260_000))] * 3)))
        expect(len(body) < 1048576, "the check is wrong")
        good(client.exchange("/who", number, body))


@check()
def a_piece_of_128_kib_of_H_is_taken(scene):
    with scene.login() as client:
        head = {"id": new_id(), "argv": ["true"], "env": {"X": ""}}
        room = 131072 - len(wire.write_json({"verb": "cmd", **head}))
        head["env"]["X"] = "a" * room
        answer = client.call("cmd", head)
        expect(answer.sealed, "%s", answer)


@check()
def time_stamps_are_not_checked(scene):
    with scene.login() as client:
        for stamp in (0, 1, 2 ** 40, 2 ** 63 - 1, 2 ** 64 - 1):
            number = client.next()
            good(client.exchange("/who", number, client.seal(number, client.parts("who"), stamp)))


@check()
def a_body_beyond_the_ceiling_is_a_bare_413(scene):
    with scene.login() as client, Line(scene.target, 20) as line:
        good(client.call("who"))
        line.begin("/who", 10 ** 12, client.cookie)
        line.write(wire.body_of(client.seal(2, client.parts("who"))[:1]))
        for index in range(1, 200):
            line.write(wire.seal(client.keys.up, 2, index, "P", bytes(1048576)) + CRLF)
            if line.has_answer():
                break
        response = line.answer()
        equal(response.status, 413, "status")
        expect(not response.body.startswith(b"gAAAA"), "it is sealed")
        free_after(client, 2)


@check()
def http_1_0_and_chunks_are_served(scene):
    with scene.login() as client:
        number = client.next()
        tokens = client.seal(number, client.parts("cmd", {"id": new_id(), "argv": ["echo", "old"]}))
        with Line(scene.target) as line:
            answer = client.exchange("/cmd", number, tokens, line=line, version="HTTP/1.0")
            equal(answer.main, b"old\n", "over HTTP/1.0")
            expect(not answer.response.chunked, "chunks to HTTP/1.0")
        number = client.next()
        body = wire.body_of(client.seal(number, client.parts("who")))
        with Line(scene.target) as line:
            response = line.request("POST", "/who", [("Cookie", "SESSION_ID=" + client.cookie)],
                                    [body[:50], body[50:]], "chunked")
            good(client.open(response, number))
