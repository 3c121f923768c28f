"""Checks of /icm, /idt and /edt without a terminal: offsets both ways, window, signals, streams that stay open."""

import hashlib
import os
import time

from remo2_checks.suite import (MIB, Channel, check, equal, expect, good, process_gone, refused, until)

COUNTER = "i=0; while :; do head -c 65536 /dev/zero; i=$((i+1)); echo $i > %s; done"


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


# --- output ---


@check()
def output_is_kept_until_it_is_acknowledged(scene):
    with scene.login() as client:
        one = Channel(client).open("echo abc; sleep 66")
        until(lambda: good(one.raw(out=0)).main == b"abc\n", "no output")
        for _ in range(3):
            equal(good(one.raw(out=0)).main, b"abc\n", "what was not acknowledged")
            equal(good(one.raw()).main, b"abc\n", "without `out`")
        answer = good(one.raw(out=1))
        equal((answer.head["out"], answer.main), (1, b"bc\n"), "from 1")
        answer = good(one.raw(out=4))
        equal((answer.head["out"], answer.main, answer.tail["out"]), (4, b"", 4), "from the end")
        close(client, one)


@check()
def acknowledgement_never_goes_back(scene):
    with scene.login() as client:
        one = Channel(client).open("echo abcdef; sleep 66")
        one.until(b"abcdef\n")
        one.idt()
        answer = good(one.raw(out=2))
        expect(answer.head["out"] >= 2 and answer.tail["out"] == 7, "%s", answer)
        equal(answer.main, b"abcdef\n"[answer.head["out"]:], "bytes from there")
        close(client, one)


@check()
def an_offset_beyond_the_end_counts_as_the_end(scene):
    with scene.login() as client:
        one = Channel(client).open("echo abc; sleep 1; echo def; sleep 66")
        until(lambda: good(one.raw(out=0)).main == b"abc\n", "no output")
        answer = good(one.raw(out=10 ** 12))
        equal((answer.head["out"], answer.main, answer.tail["out"]), (4, b"", 4), "H, D and T")
        one.out = 4
        one.until(b"def\n")
        close(client, one)


@check()
def the_window_stops_the_process(scene):
    with scene.login() as client:
        count = scene.file("count")
        one = Channel(client).open(COUNTER % count)

        def made():
            with open(count, encoding="ascii") as file:
                return int(file.read().strip() or 0) * 65536
        until(lambda: os.path.exists(count) and made() >= MIB - 65536, "it does not run")
        time.sleep(0.7)
        first = made()
        expect(first <= 2 * MIB, "%d bytes were read without acknowledgement", first)
        for _ in range(3):
            good(one.raw(out=0))
        time.sleep(0.3)
        expect(made() <= first + 65536, "reading without acknowledgement lets it go on")
        answer = good(one.raw(out=0))
        expect(MIB // 2 <= len(answer.main) <= MIB, "%d bytes in an answer", len(answer.main))
        good(one.raw(out=answer.tail["out"]))
        until(lambda: made() > first + MIB // 2, "an acknowledgement does not let it go on")
        close(client, one)
        process_gone(one.pid)


@check()
def each_stream_has_its_own_window(scene):
    with scene.login() as client:
        one = Channel(client).open("head -c 3000000 /dev/zero >&2 & echo out; wait", split=True)
        one.finish(60)
        equal((one.main, len(one.second)), (b"out\n", 3_000_000), "streams")


@check()
def exited_stands_at_the_end_of_both_streams_only(scene):
    with scene.login() as client:
        one = Channel(client).open("head -c 600000 /dev/zero; head -c 600000 /dev/zero >&2", split=True)
        process_gone(one.pid, 10)
        states = set()
        while one.last.tail.get("state") != "exited":
            one.idt(wait=1000)
            if (one.out, one.err) != (600_000, 600_000):
                states.add(one.last.tail["state"])
        expect("exited" not in states, "it exited before all was told")
        equal((len(one.main), len(one.second)), (600_000, 600_000), "bytes")


@check()
def the_exit_is_kept_until_it_is_fetched(scene):
    with scene.login() as client:
        one = Channel(client).open("echo x; exit 42")
        process_gone(one.pid)
        for _ in range(3):
            answer = good(one.raw(out=0, wait=3000))
            equal((answer.main, answer.tail["state"], answer.tail["exit"]), (b"x\n", "exited", 42), "output, state, exit")


@check()
def twenty_megabytes_pass_through_cat(scene):
    with scene.login() as client:
        one, data = Channel(client).open(["cat"]), os.urandom(20_000_000)
        heard, end = [], time.monotonic() + 300
        while one.sent < len(data):
            expect(time.monotonic() < end, "too slow: %d bytes", one.sent)
            one.idt(data[one.sent:one.sent + 360_000])
            heard.append(one.main)
            one.main = b""
        one.idt(b"", verb="edt")
        one.finish(120)
        whole = b"".join([*heard, one.main])
        expect(whole == data, "%d bytes came back, or others", len(whole))


@check()
def a_stream_stays_open_while_others_acknowledge(scene):
    with scene.login() as client:
        one = Channel(client).open("for i in 1 2 3; do head -c 1000000 /dev/zero; sleep 0.4; done; exit 8")
        total, tail = 0, None
        for kind, payload, _ in client.stream("idt", {"id": one.id, "out": 0, "stream": True}):
            if kind == "D":
                total += len(payload)
                good(client.call("idt", {"id": one.id, "out": total}))
            tail = payload if kind == "T" else tail
        equal((total, tail["out"], tail["exit"]), (3_000_000, 3_000_000, 8), "bytes, out and exit")


@check()
def a_stream_tells_at_once(scene):
    with scene.login() as client:
        one = Channel(client).open(["cat"])
        stream = client.stream("idt", {"id": one.id, "out": 0, "stream": True})
        equal(next(stream)[0], "H", "first token")
        for word in (b"a\n", b"b\n", b"c\n"):
            start = time.monotonic()
            one.sent = good(one.raw(data=word)).tail["in"]
            kind, payload, moment = next(stream)
            equal((kind, payload), ("D", word), "token")
            expect(moment - start < 1, "it took %.2f s", moment - start)
        good(one.raw("edt", b""))
        *_, last = stream
        equal(last[1]["exit"], 0, "exit")


@check(slow=True)
def a_silent_stream_carries_P(scene):
    with scene.login() as client:
        one = Channel(client).open("sleep 34; echo x")
        start = time.monotonic()
        seen = [(kind, round(moment - start, 1)) for kind, _, moment in
                client.stream("idt", {"id": one.id, "out": 0, "stream": True})]
        times = [moment for kind, moment in seen if kind == "P"]
        expect(len(times) >= 2 and all(later - earlier < 16.5 for earlier, later in zip([0, *times], times)), "%s", seen)
        equal([kind for kind, _ in seen if kind != "P"], ["H", "D", "T"], "the other tokens")


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
def a_signal_without_count_is_400(scene):
    with scene.login() as client:
        one = Channel(client).open("sleep 68")
        refused(one.raw(signal=15), 400, "bad_request")
        equal(good(one.raw()).tail["state"], "running", "state")
        close(client, one)
