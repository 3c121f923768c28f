"""Checks of /icm, /idt and /edt without a terminal: input by offsets, its end, signals; what comes back is in output.py."""

import hashlib
import os
import time

from remo2_checks.suite import MIB, Channel, check, equal, expect, good, process_gone, refused

def close(client, *channels):
    good(client.call("who", {"done": [one.id for one in channels]}))


@check()
def icm_answers_at_once_with_a_pid(scene):
    with scene.login() as client:
        start = time.monotonic()
        one = Channel(client).open("sleep 66")
        expect(time.monotonic() - start < 2, "it took %.1f s", time.monotonic() - start)
        expect(os.path.exists("/proc/%d" % one.pid), "no process %d", one.pid)
        equal((one.last.tail["state"], one.last.tail["in"], one.last.tail["signals"]), ("running", 0, 0), "T")
        close(client, one)


@check()
def idt_echoes_and_edt_ends(scene):
    with scene.login() as client:
        one = Channel(client).open(["cat"])
        one.type(b"one\n").until(b"one\n")
        one.type(b"two\n").until(b"two\n")
        one.idt(b"three\n", verb="edt")
        equal(one.finish()["exit"], 0, "exit")
        equal(one.main, b"three\n", "output")


@check()
def icm_arguments_count_as_in_cmd(scene):
    with scene.login() as client:
        one = Channel(client).open("pwd -P; echo $REMO_X; echo err >&2; exit 6", cwd=scene.folder, env={"REMO_X": "ë"},
                                   split=True)
        equal(one.finish()["exit"], 6, "exit")
        equal((one.main.decode(), one.second), ("%s\në\n" % os.path.realpath(scene.folder), b"err\n"), "streams")
        one = Channel(client).open("sleep 60", timeout=1)
        equal(one.finish(10).get("signal"), 15, "signal after the timeout")


@check()
def idt_wait_ends_with_the_first_output(scene):
    with scene.login() as client:
        one = Channel(client).open("sleep 1; echo x; sleep 66")
        start = time.monotonic()
        one.idt(wait=10_000)
        expect(0.5 < time.monotonic() - start < 3, "it took %.1f s", time.monotonic() - start)
        equal(one.main, b"x\n", "output")
        start = time.monotonic()
        one.idt()
        expect(time.monotonic() - start < 0.5, "wait 0 took %.1f s", time.monotonic() - start)
        start = time.monotonic()
        one.idt(wait=700)
        expect(0.6 < time.monotonic() - start < 1.5, "wait 700 took %.2f s", time.monotonic() - start)
        close(client, one)


@check()
def input_already_taken_is_ignored(scene):
    with scene.login() as client:
        one = Channel(client).open(["cat"])
        one.type(b"hello ")
        answer = good(one.raw(data=b"HELLO world", **{"in": 0}))
        equal(answer.tail["in"], 11, "in")
        answer = good(one.raw(data=b"XXX", **{"in": 3}))
        equal(answer.tail["in"], 11, "in")
        one.sent = 11
        one.until(b"world")
        close(client, one)


@check()
def input_behind_a_gap_is_not_taken(scene):
    with scene.login() as client:
        one = Channel(client).open(["cat"])
        one.type(b"abc")
        answer = good(one.raw(data=b"later", **{"in": 10}))
        equal(answer.tail["in"], 3, "in")
        answer = good(one.raw("edt", b"", **{"in": 10}))
        equal(answer.tail["in"], 3, "in after an /edt behind a gap")
        one.type(b"defghij\n").until(b"abcdefghij\n")
        expect(b"later" not in one.main, "the bytes behind the gap came")
        close(client, one)


@check()
def requests_out_of_order_make_one_stream(scene):
    with scene.login() as client:
        one = Channel(client).open(["cat"])
        pieces, at = [b"%04d" % n for n in range(40)], 0
        starts = []
        for piece in pieces:
            starts.append(at)
            at += len(piece)
        taken = 0
        while taken < at:
            flights = [client.fly("idt", {"id": one.id, "in": starts[n]}, pieces[n]) for n in (3, 1, 2, 0, 1) if n < len(starts)]
            found = [good(flight.result()).tail["in"] for flight in flights]
            taken = max(found)
            keep = next((n for n, start in enumerate(starts) if start >= taken), len(starts))
            starts, pieces = starts[keep:], pieces[keep:]
        one.sent = taken
        one.idt(b"", verb="edt")
        one.finish()
        equal(one.main, b"".join(b"%04d" % n for n in range(40)), "output")


@check()
def a_process_that_does_not_read_takes_1_mib(scene):
    with scene.login() as client:
        go = scene.file("go")
        one = Channel(client).open("until [ -e %s ]; do sleep 0.1; done; sha256sum" % go)
        data, start = os.urandom(1_600_000), time.monotonic()
        while one.sent < len(data):
            before = one.sent
            one.idt(data[before:before + 192 * 1024])
            if one.sent < before + 192 * 1024:
                break
        expect(time.monotonic() - start < 20, "it took %.1f s", time.monotonic() - start)
        expect(MIB // 2 <= one.sent < len(data), "%d bytes are taken", one.sent)
        equal(good(one.raw("edt", data[-1000:], **{"in": len(data) - 1000})).tail["in"], one.sent, "in after an early /edt")
        with open(go, "wb"):
            pass
        while one.sent < len(data):
            one.idt(data[one.sent:][:192 * 1024], verb="edt" if len(data) - one.sent <= 192 * 1024 else "idt")
        one.finish()
        equal(one.main.split()[0].decode(), hashlib.sha256(data).hexdigest(), "sum of what arrived")


@check()
def edt_counts_once(scene):
    with scene.login() as client:
        one = Channel(client).open("wc -c; sleep 0.3; echo end")
        one.type(b"12345")
        for _ in range(3):
            one.take(good(one.raw("edt", b"678", out=one.out, **{"in": 5})))
        one.finish()
        equal(one.main, b"8\nend\n", "output")


@check()
def edt_leaves_the_output_open(scene):
    with scene.login() as client:
        one = Channel(client).open("cat; sleep 1; echo more; exit 2")
        one.idt(b"x\n", verb="edt")
        equal(one.finish()["exit"], 2, "exit")
        equal(one.main, b"x\nmore\n", "output")


# --- signals ---


@check()
def a_signal_is_taken_once(scene):
    with scene.login() as client:
        one = Channel(client).open("trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done")
        one.until(b"ready\n")
        for _ in range(3):
            equal(good(one.raw(signal=10, signals=0)).tail["signals"], 1, "signals")
            time.sleep(0.15)
        one.until(b"usr1\n")
        equal(good(one.raw(signal=10, signals=5)).tail["signals"], 1, "signals after a count ahead")
        one.idt(wait=300)
        equal(one.main, b"", "a second signal")
        equal(good(one.raw(signal=10, signals=1)).tail["signals"], 2, "signals")
        one.until(b"usr1\n")
        close(client, one)


@check()
def a_signal_goes_to_the_group(scene):
    with scene.login() as client:
        one = Channel(client).open("sleep 67 & echo $!; wait")
        child = int(one.until(b"\n"))
        one.idt(signal=15, signals=0)
        process_gone(child)
        equal(one.finish().get("signal"), 15, "signal")


@check()
def every_signal_of_the_system_is_one(scene):
    with scene.login() as client:
        for number in (10, 34, 40, 64):
            one = Channel(client).open(["sleep", "69"])
            equal(good(one.raw(signal=number, signals=0)).tail["signals"], 1, "signals after signal %d" % number)
            equal(one.finish(5).get("signal"), number, "signal")


@check()
def a_signal_without_count_is_400(scene):
    with scene.login() as client:
        one = Channel(client).open("sleep 68")
        refused(one.raw(signal=15), 400, "bad_request")
        equal(good(one.raw()).tail["state"], "running", "state")
        close(client, one)
