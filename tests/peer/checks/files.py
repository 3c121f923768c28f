"""Checks of /get and /put: sizes, bytes, modes, errors, and what remains of a body that fails."""

import os

import remo_wire as wire
from checks.suite import alive, answered, check, content_of, equal, expect, refused, until

MIB = 1024 * 1024


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def there_and_back(scene, size):
    data, path = pattern(size), scene.file("file-%d" % size)
    with scene.login() as peer:
        answered(peer.put(path, data), 200)
        expect(content_of(path) == data, "the file that was put differs")
        answer = answered(peer.get(path), 200)
        expect(answer.data == data, "the file that was got differs: %d bytes of %d", len(answer.data), size)
        equal(sorted(os.listdir(scene.folder)).count("file-%d" % size), 1, "files of that name")
    os.unlink(path)


def sizes():
    for size in (0, 1, 8191, 8192, 8193, 16383, 16384, 16385, 3 * MIB + 7):
        def play(scene, size=size):
            there_and_back(scene, size)
        play.__name__ = "put_and_get_of_%d_bytes" % size
        check(body=size * 4 // 3 if size else 0)(play)


sizes()


@check(dialects=("0.3",))
def put_of_an_empty_file_by_plain_get(scene):
    path = scene.file("empty-by-get")
    with scene.login() as peer:
        answered(peer.verb("put", path), 200)
        equal(content_of(path), b"", "content")


@check()
def put_of_one_token_with_a_length(scene):
    path = scene.file("one-token")
    with scene.login() as peer:
        answered(peer.verb("put", path, b"all of it"), 200)
        equal(content_of(path), b"all of it", "content")


@check(ours=True)
def put_of_a_stream_with_a_length(scene):
    path, data = scene.file("stream-with-length"), pattern(100_000)
    with scene.login() as peer:
        answered(peer.put(path, data, framing="length"), 200)
        expect(content_of(path) == data, "the file differs")


@check(ours=True)
def put_in_small_writes(scene):
    path, data = scene.file("small-writes"), pattern(30_000)
    with scene.login() as peer:
        answered(peer.put(path, data, write_size=1000), 200)
        expect(content_of(path) == data, "the file differs")


@check()
def put_over_a_file_keeps_its_mode(scene):
    path = scene.file("keeps-mode", b"old content, longer than the new")
    for mode in (0o640, 0o600, 0o755):
        os.chmod(path, mode)
        with scene.login() as peer:
            answered(peer.put(path, b"new"), 200)
        equal(content_of(path), b"new", "content")
        equal(oct(os.stat(path).st_mode & 0o7777), oct(mode), "mode")


@check()
def file_names_of_all_kinds(scene):
    with scene.login() as peer:
        for name in ("with space", "ünï-☃", "quote'\"", "-dash", "new\nline", "%41+x"):
            path = scene.file(name)
            answered(peer.put(path, name.encode()), 200)
            equal(content_of(path), name.encode(), "content of %r" % name)
            answered(peer.get(path), 200, name.encode())
            os.unlink(path)


@check(ours=True)
def get_of_a_missing_file(scene):
    path = scene.file("secret-name-that-is-missing")
    with scene.login() as peer:
        answer = refused(peer.get(path), 400)
        expect(answer.data, "no line says why")
        expect(b"secret-name" not in answer.response.body, "the name is shown to the path in the clear")
        alive(peer)


@check()
def get_of_a_folder(scene):
    with scene.login() as peer:
        refused(peer.get(scene.folder), 400)
        alive(peer)


@check()
def get_and_put_of_an_empty_name(scene):
    with scene.login() as peer:
        refused(peer.get(""), 400)
        refused(peer.put("", b"x"), 400)
        alive(peer)


@check()
def get_and_put_of_a_name_with_nul(scene):
    with scene.login() as peer:
        refused(peer.get(scene.file("a") + "\0b"), 400)
        refused(peer.put(scene.file("a") + "\0b", b"x"), 400)
        expect(not os.path.exists(scene.file("a")), "a file was written")
        alive(peer)


@check()
def put_to_a_folder(scene):
    with scene.login() as peer:
        refused(peer.put(scene.folder, b"x"), 400, 500)
        refused(peer.put(scene.file("no-such-folder/x"), b"x"), 400, 500)
        alive(peer)


@check(ours=True)
def get_of_a_device_does_not_hang(scene):
    with scene.login() as peer:
        refused(peer.get("/dev/zero"), 400)
        alive(peer)


@check()
def get_and_put_with_a_bad_path_token(scene):
    path = scene.file("bad-path-token")
    with scene.login() as peer, scene.login() as other:
        for verb in ("get", "put"):
            refused(peer.exchange("/%s/%s" % (verb, "A" * 100), b"x"), 400)
            refused(peer.exchange(other.path(verb, path), b"x"), 400)
        expect(not os.path.exists(path), "a file was written")


# --- what remains of a body that fails ---


def spoilt_put(scene, name, spoil):
    """Puts over an old file with tokens that `spoil` changed: refused, and the old file stays alone."""
    path = scene.file(name, b"old")
    before = sorted(os.listdir(scene.folder))
    with scene.login() as peer:
        alive(peer)
        target = peer.path("put", path)
        tokens, framing = peer.tokens(target, b"", wire.pieces_of(pattern(50_000)))
        answer = peer.exchange_tokens(target, spoil(tokens, peer), framing)
        refused(answer, 400)
    equal(content_of(path), b"old", "content")
    until(lambda: sorted(os.listdir(scene.folder)) == before, "something of it remains")


@check()
def put_with_a_tampered_token(scene):
    spoilt_put(scene, "put-tampered", lambda tokens, _: tokens[:2] + [tamper(tokens[2])] + tokens[3:])


@check()
def put_with_a_token_of_another_key(scene):
    foreign = wire.TokenKey(b"k" * 32)
    spoilt_put(scene, "put-foreign", lambda tokens, _: tokens[:2] + [foreign.seal(b"x")] + tokens[2:])


@check()
def put_with_a_line_of_junk(scene):
    spoilt_put(scene, "put-junk", lambda tokens, _: tokens[:-1] + [b"!!!!"])


@check(dialects=("0.6",))
def put_with_a_token_missing(scene):
    spoilt_put(scene, "put-missing", lambda tokens, _: tokens[:2] + tokens[3:])


@check(dialects=("0.6",))
def put_with_tokens_swapped(scene):
    spoilt_put(scene, "put-swapped", lambda tokens, _: tokens[:1] + [tokens[2], tokens[1]] + tokens[3:])


@check(dialects=("0.6",))
def put_without_its_end(scene):
    spoilt_put(scene, "put-endless", lambda tokens, _: tokens[:-1])


@check(dialects=("0.6",))
def put_with_a_token_after_its_end(scene):
    spoilt_put(scene, "put-after-end", lambda tokens, _: tokens + [tokens[-1]])


@check()
def put_that_is_cut_leaves_nothing(scene):
    path = scene.file("put-cut", b"old")
    before = sorted(os.listdir(scene.folder))
    with scene.login() as peer:
        target = peer.path("put", path)
        tokens, _ = peer.tokens(target, b"", wire.pieces_of(pattern(100_000)))
        body = wire.CRLF.join(tokens)
        line = peer.connection
        head = line.head("POST", target, [("Cookie", "SESSION_ID=" + peer.cookies[0])], None, None)
        head = head[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"
        line.connect().sendall(head + b"%x\r\n" % len(body) + body[:len(body) // 2])
        line.close()
        peer.cmd("true")  # requests of one session take turns: the cut one is over now, whatever this says
    until(lambda: sorted(os.listdir(scene.folder)) == before, "something of it remains")
    equal(content_of(path), b"old", "content")


def tamper(token):
    at = len(token) // 2
    return token[:at] + (b"A" if token[at:at + 1] != b"A" else b"B") + token[at + 1:]
