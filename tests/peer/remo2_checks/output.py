"""Checks of what a channel tells: offsets, acknowledgement, window, exit, answers that stay open."""

import os
import random
import time

from remo2_checks.suite import MIB, Channel, check, equal, expect, good, process_gone, until

COUNTER = "i=0; while :; do head -c 65536 /dev/zero; i=$((i+1)); echo $i > %s; done"


def close(client, *channels):
    good(client.call("who", {"done": [one.id for one in channels]}))


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
def answers_cut_anywhere_lose_nothing(scene):
    with scene.login() as client:
        line = "seq 300000"
        one, chance = Channel(client).open(line), random.Random(1)
        heard, state = b"", None
        while state != "exited":
            left = chance.randrange(1, 12)
            for kind, payload, _ in client.stream("idt", {"id": one.id, "out": len(heard), "wait": 2000}):
                if kind == "H":
                    equal(payload["out"], len(heard), "where D begins")
                elif kind == "D":
                    heard += payload
                elif kind == "T":
                    state = payload["state"]
                left -= 1
                if not left:
                    break  # what was proved counts, the rest is asked for again
        expect(heard == b"".join(b"%d\n" % n for n in range(1, 300001)), "%d bytes came, or others", len(heard))


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


@check()
def wait_ends_an_answer_in_a_flood(scene):
    """Others acknowledge while it is under way, so that its window is never full."""
    with scene.login() as client:
        one, total, start = Channel(client).open(["yes"], keep=5), 0, time.monotonic()
        for kind, payload, _ in client.stream("idt", {"id": one.id, "out": 0, "wait": 1000}):
            expect(time.monotonic() - start < 6, "an answer with a wait of 1 s goes on after %d bytes", total)
            if kind == "D":
                total += len(payload)
                good(client.call("idt", {"id": one.id, "out": total}))
        close(client, one)
