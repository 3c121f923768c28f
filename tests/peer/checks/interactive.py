"""Checks of /icm, /idt and /edt: one command that is talked to over many requests."""

import os
import time

import remo_wire as wire
from checks.suite import alive, answered, check, equal, expect, refused, until

MIB = 1024 * 1024


def hear(peer, wanted, first=b"", seconds=15):
    """Polls /idt until `wanted` has come, and gives all that came."""
    heard, end = first, time.monotonic() + seconds
    while wanted not in heard:
        expect(time.monotonic() < end, "%r does not come, only %r", wanted, heard)
        heard += answered(peer.verb("idt"), 200).data
    return heard


@check()
def icm_cat_echoes(scene):
    with scene.login() as peer:
        first = answered(peer.verb("icm", "cat"), 200).data
        equal(first, b"", "what cat says first")
        heard = hear(peer, b"abc\n", answered(peer.verb("idt", data=b"abc\n"), 200).data)
        equal(heard, b"abc\n", "echo")
        answered(peer.verb("edt"), 200, b"")


@check()
def icm_takes_input_at_once(scene):
    with scene.login() as peer:
        heard = hear(peer, b"first\n", answered(peer.verb("icm", "cat", b"first\n"), 200).data)
        equal(heard, b"first\n", "echo")
        answered(peer.verb("edt", data=b"last\n"), 200, b"last\n")


@check()
def icm_sh_keeps_its_state(scene):
    with scene.login() as peer:
        answered(peer.verb("icm", "sh"), 200)
        answered(peer.verb("idt", data=b"cd /; name=zoe\n"), 200)
        heard = hear(peer, b"/zoe\n", answered(peer.verb("idt", data=b'echo "$(pwd)$name"\n'), 200).data)
        equal(heard, b"/zoe\n", "output")
        heard = answered(peer.verb("edt", data=b"echo err >&2\n"), 200).data
        equal(heard, b"err\n", "error output")


@check()
def icm_answers_soon_when_nothing_comes(scene):
    with scene.login() as peer:
        start = time.monotonic()
        answered(peer.verb("icm", "sleep 30"), 200, b"")
        answered(peer.verb("idt"), 200, b"")
        expect(time.monotonic() - start < 10, "took %.1f s", time.monotonic() - start)


@check()
def idt_gives_at_most_8192_bytes(scene):
    with scene.login() as peer:
        heard = [answered(peer.verb("icm", "sh -c 'head -c 50000 /dev/zero; cat'"), 200).data]
        end = time.monotonic() + 15
        while sum(map(len, heard)) < 50000:
            expect(time.monotonic() < end, "only %d bytes came", sum(map(len, heard)))
            heard.append(answered(peer.verb("idt"), 200).data)
        expect(max(map(len, heard)) <= 8192, "a read of %d bytes", max(map(len, heard)))
        equal(sum(map(len, heard)), 50000, "bytes")


@check()
def edt_streams_all_the_rest(scene):
    with scene.login() as peer:
        first = answered(peer.verb("icm", "sh -c 'cat; head -c 3000000 /dev/zero'"), 200).data
        answer = answered(peer.verb("edt", data=b"tail:"), 200)
        expect(first + answer.data == b"tail:" + bytes(3_000_000), "%d bytes", len(answer.data))
        refused(peer.verb("idt"), 400)


@check(body=2 * MIB)
def idt_and_edt_take_streams(scene):
    data = b"0123456789abcde\n" * 20_000
    with scene.login() as peer:
        answered(peer.verb("icm", "sh -c 'cat >/dev/null; echo end'"), 200, b"")
        answered(peer.verb("idt", pieces=wire.pieces_of(data)), 200)
        answer = answered(peer.verb("edt", pieces=wire.pieces_of(data)), 200)
        equal(answer.data, b"end\n", "output")


@check()
def icm_that_ends_by_itself(scene):
    with scene.login() as peer:
        heard = answered(peer.verb("icm", "echo bye"), 200).data
        end = time.monotonic() + 15
        answer = peer.verb("idt")
        while answer.status == 200 and time.monotonic() < end:
            heard += answer.data
            answer = peer.verb("idt")
        refused(answer, 400)
        equal(heard, b"bye\n", "output")
        alive(peer)


@check()
def icm_shell_that_is_told_to_exit(scene):
    with scene.login() as peer:
        answered(peer.verb("icm", "sh"), 200)
        answered(peer.verb("idt", data=b"exit\n"), 200)
        end = time.monotonic() + 15
        answer = peer.verb("idt")
        while answer.status == 200 and time.monotonic() < end:
            answer = peer.verb("idt")
        refused(answer, 400)


@check()
def idt_and_edt_without_a_process(scene):
    with scene.login() as peer:
        alive(peer)
        refused(peer.verb("idt"), 400)
        refused(peer.verb("edt"), 400)
        refused(peer.verb("idt", data=b"abc\n"), 400)
        alive(peer)


@check()
def another_verb_ends_the_process(scene):
    mark = scene.file("pid-of-icm")
    with scene.login() as peer:
        answered(peer.verb("icm", "sh -c 'echo $$ > %s; echo on; exec cat'" % mark), 200)
        until(lambda: os.path.exists(mark) and os.path.getsize(mark) > 0, "the command does not start")
        pid = int(wire.read_file(mark))
        expect(runs(pid), "process %d does not run", pid)
        alive(peer)
        until(lambda: not runs(pid), "process %d still runs" % pid)
        refused(peer.verb("idt"), 400)


@check()
def a_second_icm_replaces_the_first(scene):
    with scene.login() as peer:
        answered(peer.verb("icm", "cat"), 200)
        heard = hear(peer, b"second\n", answered(peer.verb("icm", "sh -c 'echo second; cat'"), 200).data)
        equal(heard, b"second\n", "output")
        answered(peer.verb("edt"), 200, b"")


@check(ours=True)
def icm_missing_command_is_named(scene):
    with scene.login() as peer:
        answer = refused(peer.verb("icm", "no-such-command-here"), 400, 500)
        expect("no-such-command-here" in answer.text, "the command is not named: %r", answer.text)
        refused(peer.verb("idt"), 400)


@check()
def icm_unbalanced_quotes(scene):
    with scene.login() as peer:
        refused(peer.verb("icm", "cat 'half"), 400, 500)
        alive(peer)


@check(ours=True)
def icm_whose_output_is_cut_within_a_character(scene):
    text = "é" * 9000
    with scene.login() as peer:
        heard = answered(peer.verb("icm", "cat", text.encode()), 200).data
        end = time.monotonic() + 15
        while len(heard) < 18000 and time.monotonic() < end:
            heard += answered(peer.verb("idt"), 200).data
        equal(heard.decode("utf-8"), text, "output")
        answered(peer.verb("edt"), 200, b"")


@check()
def logout_ends_the_process(scene):
    mark = scene.file("pid-of-logout")
    with scene.login() as peer:
        answered(peer.verb("icm", "sh -c 'echo $$ > %s; exec cat'" % mark), 200)
        until(lambda: os.path.exists(mark) and os.path.getsize(mark) > 0, "the command does not start")
        pid = int(wire.read_file(mark))
        equal(peer.logout().status, 200, "status of the logout")
        until(lambda: not runs(pid), "process %d still runs" % pid)


def runs(pid):
    """Whether a process of this machine lives; a zombie does not."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
