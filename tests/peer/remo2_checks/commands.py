"""Checks of /cmd: words, shell, place, streams, exit, time; and of what goes on after it with /idt and /edt."""

import os
import pwd
import signal
import time

from remo2_checks.suite import MIB, Channel, check, equal, expect, good, new_id, process_gone, until
from remo2_client import Line

WORDS = ["a b", "", "*", "$HOME", "'", '"', "\\", "ë", "-n", "\n", ";true", "`id`"]


def cmd(client, line=None, data=b"", **head):
    if line is not None:
        head["line" if isinstance(line, str) else "argv"] = line
    head.setdefault("id", new_id())
    return good(client.call("cmd", head, data))


def ended(answer, code=0):
    equal((answer.tail["state"], answer.tail.get("exit"), answer.tail.get("signal")), ("exited", code, None),
          "state, exit and signal")
    return answer


@check()
def cmd_answers_in_one_round_trip(scene):
    with scene.login() as client:
        answer = ended(cmd(client, ["echo", "hello"]))
        equal(answer.main, b"hello\n", "output")
        equal((answer.head["out"], answer.tail["out"], answer.tail["in"]), (0, 6, 0), "out in H and T, in")


@check()
def cmd_words_are_exact(scene):
    with scene.login() as client:
        wanted = b"".join(word.encode() + b"\0" for word in WORDS)
        equal(ended(cmd(client, ["printf", "%s\\0", *WORDS])).main, wanted, "words")


@check()
def cmd_line_is_run_by_the_login_shell(scene):
    with scene.login() as client:
        equal(ended(cmd(client, "echo a b | tr a-z A-Z; exit 7"), 7).main, b"A B\n", "output")
        shell = cmd(client, "readlink /proc/$$/exe; true").main.decode().strip()
        uid = int(cmd(client, ["id", "-u"]).main)
        equal(shell, os.path.realpath(pwd.getpwuid(uid).pw_shell or "/bin/sh"), "shell")


@check()
def cmd_starts_at_home(scene):
    with scene.login() as client:
        home = pwd.getpwuid(int(cmd(client, ["id", "-u"]).main)).pw_dir
        equal(cmd(client, ["pwd", "-P"]).main.decode().strip(), os.path.realpath(home), "working directory")
        equal(cmd(client, ["pwd", "-P"], cwd=scene.folder).main.decode().strip(), os.path.realpath(scene.folder), "cwd")


@check()
def cmd_env_is_added(scene):
    with scene.login() as client:
        words = cmd(client, ["env", "-0"], env={"REMO_A": "x y\n=", "REMO_B": ""}).main.split(b"\0")
        expect(b"REMO_A=x y\n=" in words and b"REMO_B=" in words, "environment %r", words)
        expect(any(word.startswith(b"PATH=/") for word in words), "no PATH in %r", words)


@check()
def cmd_exit_codes_are_exact(scene):
    with scene.login() as client:
        for code in (0, 1, 2, 126, 127, 128, 255):
            ended(cmd(client, "exit %d" % code), code)


@check()
def cmd_signals_are_told(scene):
    with scene.login() as client:
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGHUP):
            tail = cmd(client, "kill -%d $$; sleep 5" % number).tail
            equal((tail["state"], tail.get("signal"), tail.get("exit")), ("exited", int(number), None), "state, signal, exit")


@check()
def cmd_streams_apart_and_together(scene):
    with scene.login() as client:
        line = "echo out; echo err >&2"
        answer = ended(cmd(client, line, split=True))
        equal((answer.main, answer.second, answer.tail["err"]), (b"out\n", b"err\n", 4), "streams")
        for head in ({}, {"split": False}):
            answer = ended(cmd(client, line, **head))
            equal((answer.main, answer.second), (b"out\nerr\n", b""), "streams")


@check()
def cmd_input_ends_after_D(scene):
    with scene.login() as client:
        equal(ended(cmd(client, ["cat"])).main, b"", "without D")
        data = os.urandom(300_000)
        answer = ended(cmd(client, ["cat"], data))
        equal(answer.main, data, "what cat said")
        equal(answer.tail["in"], len(data), "in")


@check()
def cmd_input_that_nobody_reads_hurts_nobody(scene):
    with scene.login() as client:
        ended(cmd(client, ["true"], bytes(380_000)))


@check()
def cmd_does_not_end_at_a_pause(scene):
    with scene.login() as client:
        equal(ended(cmd(client, "echo a; sleep 0.7; echo b; sleep 0.7; echo c")).main, b"a\nb\nc\n", "output")


@check()
def cmd_wait_ends_the_answer_not_the_command(scene):
    with scene.login() as client:
        identity, start = new_id(), time.monotonic()
        answer = cmd(client, "echo a; sleep 2; echo b; exit 3", wait=500, id=identity)
        expect(0.3 < time.monotonic() - start < 1.5, "answered after %.2f s", time.monotonic() - start)
        equal((answer.main, answer.tail["state"], "exit" in answer.tail), (b"a\n", "running", False), "output, state, exit")
        channel = Channel(client, identity)
        channel.take(answer)
        equal(channel.finish()["exit"], 3, "exit")
        equal(channel.main, b"a\nb\n", "output")


@check()
def cmd_wait_0_answers_at_once(scene):
    with scene.login() as client:
        start = time.monotonic()
        equal(cmd(client, ["sleep", "3"], wait=0).tail["state"], "running", "state")
        expect(time.monotonic() - start < 1, "it took %.2f s", time.monotonic() - start)


@check(slow=True)
def answers_end_within_25_s(scene):
    with scene.login() as client, scene.login() as other:
        start = time.monotonic()
        identity = new_id()
        flights = [client.fly("cmd", {"id": identity, "argv": ["sleep", "40"], "wait": 100_000}),
                   other.fly("cmd", {"id": new_id(), "argv": ["sleep", "40"]})]
        for flight, least, most in zip(flights, (15, 19.5), (25.5, 21.5)):
            equal(good(flight.result()).tail["state"], "running", "state")
            expect(least < flight.ended - start < most, "it took %.1f s", flight.ended - start)
        good(client.call("who", {"done": [identity]}))


@check()
def cmd_ends_at_a_full_window(scene):
    with scene.login() as client:
        identity = new_id()
        answer = cmd(client, ["head", "-c", "3000000", "/dev/zero"], id=identity)
        expect(answer.tail["state"] == "running" and 0 < len(answer.main) <= MIB, "%s", answer)
        channel = Channel(client, identity)
        channel.take(answer)
        channel.finish()
        equal(channel.main, bytes(3_000_000), "output")


@check()
def cmd_input_not_taken_is_sent_on_by_edt(scene):
    with scene.login() as client:
        identity, data = new_id(), os.urandom(380_000)
        line = "sleep 1.5; wc -c"
        first = cmd(client, line, data, id=identity, wait=100)
        equal(first.tail["state"], "running", "state")
        channel = Channel(client, identity, sent=first.tail["in"])
        channel.take(first)
        while channel.sent < len(data):
            channel.idt(data[channel.sent:], verb="edt", wait=500)
        channel.finish()
        equal(channel.main.strip(), b"380000", "bytes that arrived")


@check()
def a_child_that_keeps_the_output_open_ends_nothing_late(scene):
    with scene.login() as client:
        identity, start = new_id(), time.monotonic()
        answer = ended(cmd(client, "sleep 60 & echo $!; exit 5", id=identity), 5)
        expect(0.9 < time.monotonic() - start < 4, "exited after %.2f s", time.monotonic() - start)
        good(client.call("who", {"done": [identity]}))
        os.kill(int(answer.main), signal.SIGKILL)


@check()
def cmd_timeout_terminates_the_group(scene):
    with scene.login() as client:
        start = time.monotonic()
        answer = cmd(client, "sleep 61 & echo $!; wait", timeout=1)
        expect(0.9 < time.monotonic() - start < 3, "after %.2f s", time.monotonic() - start)
        equal((answer.tail["state"], answer.tail.get("signal")), ("exited", 15), "state and signal")
        process_gone(int(answer.main))


@check()
def cmd_timeout_kills_what_does_not_listen(scene):
    with scene.login() as client:
        start = time.monotonic()
        answer = cmd(client, "trap '' TERM; while :; do sleep 0.1; done", timeout=1)
        expect(2.8 < time.monotonic() - start < 5, "after %.2f s", time.monotonic() - start)
        equal((answer.tail["state"], answer.tail.get("signal")), ("exited", 9), "state and signal")


@check()
def cmd_outlives_its_connection(scene):
    with scene.login() as client:
        mark, identity = scene.file("mark"), new_id()
        head = {"id": identity, "line": "sleep 1; echo x >> %s; echo done" % mark}
        number = client.next()
        with Line(scene.target) as line:
            body = b"".join(token + b"\r\n" for token in client.seal(number, client.parts("cmd", head)))
            line.begin("/cmd", len(body), client.cookie)
            line.write(body)
            time.sleep(0.3)
        equal(ended(cmd(client, head["line"], id=identity)).main, b"done\n", "output")
        equal(os.path.getsize(mark), 2, "size of the file")


@check()
def cmd_stream_passes_more_than_a_window(scene):
    with scene.login() as client:
        identity, total, tail = new_id(), 0, None
        size = 5 * MIB
        for kind, payload, _ in client.stream("cmd", {"id": identity, "argv": ["head", "-c", str(size), "/dev/zero"],
                                                      "stream": True}):
            if kind == "D":
                total += len(payload)
                good(client.call("idt", {"id": identity, "out": total}))
            tail = payload if kind == "T" else tail
        equal((total, tail["out"], tail["state"], tail["exit"]), (size, size, "exited", 0), "bytes, out, state, exit")


@check()
def a_detached_job_is_collected_later(scene):
    with scene.login() as client:
        identity = new_id()
        cmd(client, "sleep 1; echo late; exit 9", wait=0, id=identity)
    time.sleep(1.2)
    with scene.login() as other:
        answer = good(other.call("idt", {"id": identity, "attach": True, "out": 0, "wait": 3000}))
        equal((answer.main, answer.tail["exit"]), (b"late\n", 9), "output and exit")


@check()
def short_commands_leave_nothing(scene):
    with scene.login() as client:
        identity = new_id()
        answer = cmd(client, "echo $$", id=identity)
        process_gone(int(answer.main))
        good(client.call("who", {"done": [identity]}))
        until(lambda: client.call("idt", {"id": identity}).error == "gone", "it is not forgotten")
