"""Checks of /info and /cmd: output, input, words of a command line, and the framing of bodies."""

import remo_wire as wire
from checks.suite import alive, answered, check, equal, expect, refused

MIB = 1024 * 1024


@check()
def info_in_the_clear(scene):
    with scene.peer() as peer:
        response = peer.send("/info")
        equal(response.status, 200, "status")
        text = response.body.decode("utf-8")
        expect(text.startswith("remo_serv ") and text.rstrip().endswith(" here"), "text %r", text)


@check()
def info_below(scene):
    with scene.peer() as peer:
        equal(peer.send("/info/more").status, 200, "status")


@check()
def info_sealed_as_first_request(scene):
    with scene.login() as peer:
        text = answered(peer.verb("info"), 200).text
        expect(text.startswith("remo_serv "), "text %r", text)
        alive(peer)


@check()
def cmd_output(scene):
    with scene.login() as peer:
        answered(peer.cmd("echo hello world"), 200, b"hello world\n")


@check()
def cmd_empty_output(scene):
    with scene.login() as peer:
        answered(peer.cmd("true"), 200, b"")
        alive(peer)


@check()
def cmd_that_fails_is_answered(scene):
    with scene.login() as peer:
        answered(peer.cmd("false"), 200, b"")
        answered(peer.cmd("sh -c 'echo left; exit 3'"), 200, b"left\n")


@check()
def cmd_output_and_error_are_one_stream(scene):
    with scene.login() as peer:
        answered(peer.cmd("sh -c 'echo out; echo err >&2; echo more'"), 200, b"out\nerr\nmore\n")


@check()
def cmd_input_of_one_token(scene):
    with scene.login() as peer:
        answered(peer.cmd("cat", b"line 1\nline 2\n"), 200, b"line 1\nline 2\n")


@check()
def cmd_input_of_all_bytes(scene):
    data = bytes(range(256)) * 3
    with scene.login() as peer:
        answered(peer.cmd("cat", data), 200, data)


@check()
def cmd_without_input_reads_an_end(scene):
    with scene.login() as peer:
        answered(peer.cmd("cat"), 200, b"")


@check()
def cmd_input_streamed(scene):
    with scene.login() as peer:
        answered(peer.cmd("cat", pieces=[b"one ", b"two ", b"three"]), 200, b"one two three")


@check(body=2 * MIB)
def cmd_input_of_more_than_1_mib_through_cat(scene):
    data = bytes(at * 7 % 251 for at in range(MIB + 12345))
    with scene.login() as peer:
        answered(peer.cmd("cat", pieces=wire.pieces_of(data)), 200, data)


@check(body=2 * MIB)
def cmd_input_of_more_than_1_mib_is_counted(scene):
    with scene.login() as peer:
        answer = answered(peer.cmd("wc -c", pieces=wire.pieces_of(b"x" * (MIB + 1))), 200)
        equal(answer.data.strip(), b"%d" % (MIB + 1), "count")


@check(body=2 * MIB)
def cmd_input_that_is_not_read(scene):
    with scene.login() as peer:
        answered(peer.cmd("echo done", pieces=wire.pieces_of(b"x" * (MIB + 1))), 200, b"done\n")
        alive(peer)


@check()
def cmd_output_of_20_mb(scene):
    with scene.login() as peer:
        answer = answered(peer.cmd("head -c 20000000 /dev/zero"), 200)
        expect(answer.data == bytes(20_000_000), "%d bytes, or other than zeros", len(answer.data))
        alive(peer)


@check()
def cmd_words_are_split_as_a_posix_shell_does(scene):
    with scene.login() as peer:
        line = r"""printf '%s|' "a b" c\ d 'e"f' "" x"y"z '\n' "q\"r" """
        answered(peer.cmd(line), 200, b'a b|c d|e"f||xyz|\\n|q"r|')


@check()
def cmd_no_shell_runs(scene):
    with scene.login() as peer:
        answered(peer.cmd("echo $HOME * ; echo x > y | cat && true"), 200,
                 b"$HOME * ; echo x > y | cat && true\n")


@check()
def cmd_unicode(scene):
    with scene.login() as peer:
        answered(peer.cmd("printf %s 'café ☃ 𝄞 Ελλ'"), 200, "café ☃ 𝄞 Ελλ".encode())


@check()
def cmd_a_second_line_is_words_too(scene):
    with scene.login() as peer:
        answered(peer.cmd("echo one\ntwo\tthree"), 200, b"one two three\n")


@check(ours=True)
def cmd_missing_command_is_named(scene):
    with scene.login() as peer:
        answer = refused(peer.cmd("no-such-command-here -x"), 400)
        expect("no-such-command-here" in answer.text, "the command is not named: %r", answer.text)
        expect(answer.sealed, "the command line is shown to the path in the clear")
        alive(peer)


@check(ours=True)
def cmd_command_without_permission(scene):
    path = scene.file("not-a-program", b"#!/bin/sh\necho no\n")
    with scene.login() as peer:
        refused(peer.cmd(path), 400, 403, 500)
        alive(peer)


@check()
def cmd_unbalanced_quotes(scene):
    with scene.login() as peer:
        refused(peer.cmd("echo 'half"), 400, 500)
        refused(peer.cmd('echo "half'), 400, 500)
        alive(peer)


@check()
def cmd_empty(scene):
    with scene.login() as peer:
        for line in ("", "   ", "''"):
            refused(peer.cmd(line), 400, 403, 500)
        alive(peer)


@check()
def cmd_with_nul(scene):
    with scene.login() as peer:
        refused(peer.cmd("echo a\0b"), 400, 403, 500)
        alive(peer)


@check()
def cmd_that_is_not_utf_8(scene):
    with scene.login() as peer:
        answer = peer.cmd(b"printf %s caf\xe9")
        expect(answer.status in (200, 400, 403, 500), "status %d", answer.status)
        alive(peer)


@check()
def unknown_verb_is_404(scene):
    with scene.login() as peer:
        refused(peer.verb("nothing"), 404)
        alive(peer)


@check()
def cmd_without_an_argument(scene):
    with scene.login() as peer:
        answer = peer.exchange("/cmd")
        expect(answer.status in (400, 403, 404), "status %d", answer.status)


# --- framing ---


@check()
def body_of_one_token_in_chunks(scene):
    with scene.login() as peer:
        answered(peer.cmd("cat", b"abc", framing="chunked"), 200, b"abc")


@check()
def body_of_one_token_with_crlf(scene):
    with scene.login() as peer:
        answered(peer.cmd("cat", b"abc", last_crlf=True), 200, b"abc")


@check(ours=True)
def body_of_many_tokens_with_a_length(scene):
    with scene.login() as peer:
        answered(peer.cmd("cat", pieces=[b"one ", b"two ", b"three"], framing="length"), 200, b"one two three")


@check()
def body_of_many_tokens_with_last_crlf(scene):
    with scene.login() as peer:
        answered(peer.cmd("cat", pieces=[b"one ", b"two"], last_crlf=True), 200, b"one two")


@check(ours=True)
def body_in_small_writes(scene):
    with scene.login() as peer:
        answered(peer.cmd("cat", pieces=[b"one ", b"two"], write_size=11), 200, b"one two")
        answered(peer.cmd("cat", b"three", write_size=1), 200, b"three")


@check(ours=True)
def body_in_chunks_that_cut_tokens(scene):
    with scene.login() as peer:
        path = peer.path("cmd", "cat")
        tokens, _ = peer.tokens(path, b"", [b"one ", b"two ", b"three"])
        body = wire.CRLF.join(tokens)
        answer = peer.open(peer.send(path, wire.pieces_of(body, 37), "chunked"))
        answered(answer, 200, b"one two three")


@check(ours=True)
def body_of_an_empty_piece_amid_others(scene):
    with scene.login() as peer:
        answered(peer.cmd("cat", pieces=[b"", b"a", b"", b"b"]), 200, b"ab")


@check()
def body_of_a_large_token(scene):
    data = b"0123456789abcdef" * 40_000
    with scene.login() as peer:
        answered(peer.cmd("wc -c", data), 200)
        answered(peer.cmd("cat", data), 200, data)


@check(direct=True)
def answers_are_streamed_in_chunks(scene):
    with scene.login() as peer:
        response = answered(peer.cmd("echo x"), 200).response
        expect(response.version == "HTTP/1.1" and response.chunked, "not chunked")
        expect(not response.has_length, "a Content-Length")


@check(dialects=("0.3",), direct=True)
def any_method_will_do(scene):
    with scene.login() as peer:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            answered(peer.cmd("cat", b"abc", method=method), 200, b"abc")


@check(dialects=("0.3",))
def post_without_data(scene):
    with scene.login() as peer:
        answered(peer.cmd("cat", framing="length", method="POST"), 200, b"")
