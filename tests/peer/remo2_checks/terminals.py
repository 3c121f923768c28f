"""Checks of /icm with `pty`: size, term, keys, job control, who gets the signals, and what `attach` shows."""

import time

from remo2_checks.suite import Channel, check, equal, expect, good, process_gone, refused

PTY = {"rows": 24, "cols": 80, "term": "xterm-256color"}


def terminal(client, line, **head):
    return Channel(client).open(line, pty=head.pop("pty", PTY), **head)


def close(client, *channels):
    good(client.call("who", {"done": [one.id for one in channels]}))


def shell(client):
    """An interactive shell whose prompt is known."""
    one = terminal(client, ["sh", "-i"], env={"PS1": "@ ", "ENV": "/dev/null"})
    one.until(b"@ ")
    return one


@check()
def a_terminal_is_one(scene):
    with scene.login() as client:
        one = terminal(client, "tty; stty size; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo all")
        equal(one.finish()["exit"], 0, "exit")
        lines = one.main.split(b"\r\n")
        expect(lines[0].startswith(b"/dev/pts/"), "tty %r", lines[0])
        equal(lines[1:], [b"24 80", b"xterm-256color", b"all", b""], "what it says")


@check()
def a_terminal_is_controlling(scene):
    with scene.login() as client:
        one = terminal(client, "echo x > /dev/tty; ps -o tpgid= -p $$")
        one.finish()
        lines = one.main.split()
        equal(lines[0], b"x", "what went to /dev/tty")
        expect(int(lines[1]) > 0, "no foreground group")


@check()
def a_terminal_echoes_in_one_round_trip(scene):
    with scene.login() as client:
        one = terminal(client, ["cat"])
        answer = one.idt(b"abc\n", wait=2000)
        expect(answer.main.startswith(b"abc"), "the echo is not in the same answer: %s", answer)
        one.until(b"abc\r\nabc\r\n")
        close(client, one)


@check()
def bytes_pass_a_raw_terminal(scene):
    with scene.login() as client:
        one = terminal(client, "stty raw -echo; printf ready; head -c 256; stty sane")
        one.until(b"ready")
        one.type(bytes(range(256)))
        one.finish()
        expect(bytes(range(256)) in one.main, "output %r", one.main)


@check()
def edt_sends_VEOF_to_a_terminal(scene):
    with scene.login() as client:
        one = terminal(client, "cat; echo over; stty eof ^B; cat; echo again")
        one.type(b"x\n").until(b"x\r\nx\r\n")
        one.idt(b"", verb="edt")
        one.until(b"over\r\n")
        close(client, one)


@check()
def VEOF_is_the_one_of_the_terminal(scene):
    with scene.login() as client:
        one = terminal(client, "stty eof ^B; echo ready; cat; echo over")
        one.until(b"ready\r\n")
        one.idt(b"line\n", verb="edt")
        equal(one.finish()["exit"], 0, "exit")
        expect(one.main.endswith(b"over\r\n") and b"line" in one.main, "output %r", one.main)


@check()
def edt_repeated_sends_one_VEOF(scene):
    """Its answer may have been lost: what changes something is carried out once."""
    with scene.login() as client:
        one = terminal(client, "cat; echo over; cat; echo again")
        one.type(b"x\n").until(b"x\r\nx\r\n")
        for _ in range(3):
            one.take(good(one.raw("edt", b"", out=one.out, wait=300)))
        expect(b"over" in one.main and b"again" not in one.main, "three times the same /edt: %r", one.main)
        close(client, one)


@check()
def resize_is_seen(scene):
    with scene.login() as client:
        one = terminal(client, "trap 'echo winch; stty size' WINCH; echo ready; while :; do sleep 0.05; done")
        one.until(b"ready\r\n")
        one.idt(rows=50, cols=132)
        one.until(b"winch\r\n50 132\r\n")
        close(client, one)


@check()
def resize_of_an_older_request_is_ignored(scene):
    with scene.login() as client:
        one = shell(client)
        older, newer = client.next(), client.next()
        good(client.call("idt", {"id": one.id, "rows": 40, "cols": 100}, number=newer))
        good(client.call("idt", {"id": one.id, "rows": 11, "cols": 22}, number=older))
        one.type(b"stty size\n").until(b"40 100\r\n")
        close(client, one)


@check()
def resize_of_a_pipe_hurts_nobody(scene):
    with scene.login() as client:
        one = Channel(client).open(["cat"])
        answer = one.raw(rows=40, cols=100)
        expect(answer.sealed and answer.status in (200, 400), "%s", answer)
        one.type(b"x\n").until(b"x\n")
        close(client, one)


@check()
def job_control_works(scene):
    with scene.login() as client:
        one = shell(client)
        one.type(b"sleep 300\n")
        time.sleep(0.4)
        one.type(b"\x1a").until(b"@ ")
        one.type(b"jobs\n").until(b"Stopped")
        one.type(b"fg\n").until(b"sleep 300")
        time.sleep(0.3)
        one.type(b"\x03").until(b"@ ")
        one.type(b"echo $((40+2))\n").until(b"42\r\n")
        close(client, one)
        process_gone(one.pid)


@check()
def a_signal_goes_to_the_foreground_group(scene):
    with scene.login() as client:
        one = shell(client)
        one.type(b"sh -c 'echo pid $$ x; exec sleep 300'\n").until(b"\r\npid ")
        child = int(one.until(b" x").split()[0])
        one.until(b"\r\n")
        one.idt(signal=15, signals=0)
        process_gone(child)
        one.until(b"@ ")
        one.type(b"echo $((40+2))\n").until(b"42\r\n")
        close(client, one)


@check()
def ctrl_c_into_a_flood_is_jumped_over(scene):
    with scene.login() as client:
        one = shell(client)
        one.type(b"yes\n").until(b"y\r\ny\r\n")
        time.sleep(0.5)
        start = time.monotonic()
        answer = good(one.raw(data=b"\x03", out=10 ** 15))
        one.sent, one.out, one.main, one.last = answer.tail["in"], answer.tail["out"], b"", answer
        while b"@ " not in one.main:
            expect(time.monotonic() - start < 5, "no prompt")
            answer = good(one.raw(out=10 ** 15 if len(answer.main) > 9000 else one.out, wait=500))
            one.main, one.out = answer.main, answer.tail["out"]
        close(client, one)


@check()
def hang_up_ends_a_terminal(scene):
    with scene.login() as client:
        one = shell(client)
        one.type(b"sh -c 'echo pid $$ x; exec sleep 301'\n").until(b"\r\npid ")
        foreground = int(one.until(b" x").split()[0])
        close(client, one)
        process_gone(one.pid)
        process_gone(foreground)
        refused(one.raw(), 410, "gone")


@check()
def a_terminal_ends_with_its_exit(scene):
    with scene.login() as client:
        one = shell(client)
        one.type(b"exit 17\n")
        equal(one.finish()["exit"], 17, "exit")


@check()
def no_split_on_a_terminal(scene):
    with scene.login() as client:
        refused(client.call("icm", {"id": "ab" * 16, "argv": ["true"], "pty": PTY, "split": True}), 400, "bad_request")


@check()
def attach_shows_the_last_16_kib(scene):
    with scene.login() as client, scene.login() as other:
        one = terminal(client, "stty -opost; seq 10000; echo ready; cat")
        one.until(b"ready\n", 20)
        one.idt()
        edge = one.out
        answer = good(other.call("idt", {"id": one.id, "attach": True, "out": 0, "rows": 24, "cols": 80}))
        equal(answer.head["out"], edge - 16384, "where D begins")
        equal(answer.tail["out"], answer.head["out"] + len(answer.main), "out in T")
        expect(answer.main.endswith(b"9999\n10000\nready\n"), "it ends with %r", answer.main[-40:])
        close(other, one)


@check()
def attach_makes_programs_draw_anew(scene):
    with scene.login() as client, scene.login() as other:
        one = terminal(client, "trap 'echo winch' WINCH; echo ready; while :; do sleep 0.02; done")
        one.until(b"ready\r\n")
        answer = good(other.call("idt", {"id": one.id, "attach": True, "out": one.out, "rows": 24, "cols": 80}))
        two = Channel(other, one.id, out=answer.head["out"])
        two.take(answer)
        two.until(b"winch\r\n")
        close(other, one)


@check()
def attach_starts_the_numbers_of_resizes_anew(scene):
    with scene.login() as client, scene.login() as other:
        one = shell(client)
        other.next()
        good(client.call("idt", {"id": one.id, "rows": 40, "cols": 100}, number=900))
        good(other.call("idt", {"id": one.id, "attach": True, "rows": 33, "cols": 66}, number=1))
        two = Channel(other, one.id, one.out, sent=one.sent)
        two.type(b"stty size\n").until(b"33 66\r\n")
        close(other, one)
