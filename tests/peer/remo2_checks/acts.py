"""Checks of ids, of members that are unknown, wrong or null, and of `done`."""

import os
import time

from remo2_checks.suite import (Channel, check, equal, expect, good, new_id, process_gone, refused, short,
                                until)


def run(client, identity, line, **head):
    return client.call("cmd", {"id": identity, "line": line, **head})


@check()
def the_same_act_is_done_once_and_answered_again(scene):
    with scene.login() as client, scene.login() as other:
        file, identity = scene.file("lines"), new_id()
        line = "echo x >> %s; echo out; exit 4" % file
        for who in (client, client, other):
            answer = good(run(who, identity, line))
            equal((answer.main, answer.tail["exit"]), (b"out\n", 4), "output and exit")
        equal(os.path.getsize(file), 2, "size of the file")


@check()
def the_same_act_is_answered_while_it_runs(scene):
    with scene.login() as client:
        file = scene.file("lines")
        head = {"id": new_id(), "line": "echo x >> %s; sleep 1; echo end" % file}
        flights = [client.fly("cmd", head) for _ in range(3)]
        for flight in flights:
            answer = good(flight.result())
            equal((answer.main, answer.tail["state"]), (b"end\n", "exited"), "output and state")
        equal(os.path.getsize(file), 2, "size of the file")


@check()
def icm_again_is_the_same_process(scene):
    with scene.login() as client:
        one = Channel(client).open(["sleep", "60"])
        again = Channel(client, one.id).open(["sleep", "60"])
        equal(again.pid, one.pid, "pid")
        good(client.call("who", {"done": [one.id]}))


@check()
def other_arguments_are_answered_as_the_first(scene):
    with scene.login() as client:
        identity = new_id()
        equal(good(run(client, identity, "echo one")).main, b"one\n", "first")
        equal(good(run(client, identity, "echo two")).main, b"one\n", "second")


@check()
def another_verb_is_id_used(scene):
    with scene.login() as client:
        identity = new_id()
        good(run(client, identity, "true"))
        refused(client.call("icm", {"id": identity, "argv": ["true"]}), 409, "id_used")
        one = Channel(client).open(["true"])
        refused(run(client, one.id, "true"), 409, "id_used")


@check()
def idt_and_edt_never_open(scene):
    with scene.login() as client:
        identity = new_id()
        for verb in ("idt", "edt"):
            refused(client.call(verb, {"id": identity, "in": 0}, b"x" if verb == "idt" else b""), 404, "not_found")
        good(run(client, identity, "true"))


@check()
def refusals_of_the_act_use_the_id_and_are_repeated(scene):
    with scene.login() as client:
        for where in ("program", "cwd"):
            path, mark, identity = scene.file(where), scene.file("mark"), new_id()
            head = {"id": identity, "argv": [path]} if where == "program" else {
                "id": identity, "argv": ["touch", mark], "cwd": path}
            first = client.call("icm", head)
            expect(first.sealed and first.status >= 400, "%s that is not there: %s", where, first)
            if where == "program":
                with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o755), "w", encoding="ascii") as file:
                    file.write("#!/bin/sh\ntouch %s\n" % mark)
            else:
                os.mkdir(path)
            second = client.call("icm", head)
            equal(second.head, first.head, "the refusal again")
            expect(not os.path.exists(mark), "it was carried out")
            refused(client.call("cmd", {"id": identity, "argv": ["true"]}), 409, "id_used")
            if where == "cwd":
                os.rmdir(path)


@check()
def gone_after_done(scene):
    with scene.login() as client:
        file, identity = scene.file("lines"), new_id()
        good(run(client, identity, "echo x >> " + file))
        good(client.call("who", {"done": [identity]}))
        for verb, head in (("cmd", {"line": "echo x >> " + file}), ("idt", {}), ("edt", {"in": 0})):
            refused(client.call(verb, {"id": identity, **head}), 410, "gone")
        refused(client.call("icm", {"id": identity, "argv": ["true"]}), 409, "id_used")
        equal(os.path.getsize(file), 2, "size of the file")
        good(client.call("who", {"done": [identity]}))


@check()
def done_hangs_up_what_runs(scene):
    with scene.login() as client:
        hup, eof = scene.file("hup"), scene.file("eof")
        one = Channel(client).open("trap 'touch %s' HUP; echo ready; while :; do read x || { touch %s; sleep 9; }; done"
                                   % (hup, eof))
        one.until(b"ready\n")
        start = time.monotonic()
        good(client.call("who", {"done": [one.id]}))
        process_gone(one.pid)
        expect(0.5 < time.monotonic() - start < 4, "killed after %.1f s", time.monotonic() - start)
        expect(os.path.exists(hup), "no SIGHUP came")
        expect(not os.path.exists(eof), "it saw the end of its input")
        refused(one.raw(), 410, "gone")


@check()
def done_reaches_the_whole_group(scene):
    with scene.login() as client:
        one = Channel(client).open("sleep 77 & echo $!; trap '' HUP; cat")
        child = int(one.until(b"\n"))
        good(client.call("who", {"done": [one.id]}))
        process_gone(one.pid)
        process_gone(child)


# --- members ---


UNKNOWN = [("who", {"strange": 1}, {}), ("who", {"strange": None}, {}), ("who", {}, {"strange": 1}),
           ("who", {"id": "0" * 32}, {}), ("cmd", {"argv": ["true"], "pty": {"rows": 1, "cols": 1, "term": "x"}}, {}),
           ("cmd", {"argv": ["true"], "Cwd": "/"}, {}), ("cmd", {"argv": ["true"], "attach": True}, {}),
           ("cmd", {"argv": ["true"]}, {"x": None}), ("icm", {"argv": ["true"], "wait": 0}, {}),
           ("icm", {"argv": ["true"], "stream": True}, {}), ("icm", {"argv": ["true"], "rows": 3}, {}),
           ("icm", {"argv": ["true"], "pty": {"rows": 1, "cols": 1, "term": "x", "colour": 1}}, {}),
           ("idt", {"argv": ["true"]}, {}), ("idt", {"keep": 5}, {}), ("idt", {}, {"x": 1}), ("edt", {"line": "x"}, {})]


@check()
def unknown_members_are_refused(scene):
    with scene.login() as client:
        for verb, head, tail in UNKNOWN:
            identity = new_id()
            known = {} if verb == "who" else {"id": identity}
            answer = client.call(verb, {**known, **head}, tail=tail)
            try:
                refused(answer, 400, "unknown_member")
            except Exception as error:
                raise type(error)("%s %r %r: %s" % (verb, head, tail, error)) from error
            if verb in ("cmd", "icm"):
                good(client.call("cmd" if verb == "icm" else "icm", {"id": identity, "argv": ["true"]}))


PTY = {"rows": 24, "cols": 80, "term": "xterm"}
TRUE = {"argv": ["true"]}
BAD_ACTS = [{"argv": []}, {"argv": "true"}, {"argv": [1]}, {"argv": None}, {"argv": ["a\0b"]}, {"line": None},
            {"line": ["x"]}, {"line": "a\0b"}, {"argv": ["true"], "line": "true"}]
BAD_IDS = ["0" * 31, "0" * 33, "g" * 32, "", 5, None]
BAD_VALUES = {
    "cmd": {"cwd": [None, 1, "a\0b"], "env": [None, [], {"A": 1}, {"A": None}, {"A": "a\0b"}], "split": [1, None],
            "timeout": ["1", None], "wait": ["1", None], "stream": ["yes", None]},
    "icm": {"pty": [None, [], {**PTY, "rows": "24"}, {**PTY, "cols": None}, {**PTY, "term": 5}], "keep": [None, "1"]},
    "idt": {"in": [None], "out": [None, "0"], "err": [None], "wait": [None], "stream": [None], "attach": [None, 1],
            "rows": [None], "cols": ["80"], "signal": [None, 15]},
    "who": {"probe": [None, "1"], "by": [None, "1"], "end": [None, {}, "x", [None]], "done": [None, "x", [1], [["x"]]]},
}
BAD = {verb: [{**(TRUE if verb in ("cmd", "icm") else {}), name: value} for name, values in members.items()
              for value in values] for verb, members in BAD_VALUES.items()}
BAD["cmd"] += [{}, *BAD_ACTS, *({"id": identity, **TRUE} for identity in BAD_IDS)]
BAD["icm"] += [*BAD_ACTS, {**TRUE, "pty": PTY, "split": True}]
BAD["idt"] += [{"signal": "TERM", "signals": 0}, {"signal": 999, "signals": 0}, {"signal": 15, "signals": None}]


def _bad(verb, head):
    def play(scene):
        with scene.login() as client:
            identity = new_id() if verb != "idt" else Channel(client).open(["cat"]).id
            known = {} if verb == "who" else {"id": identity}
            refused(client.call(verb, {**known, **head}), 400, "bad_request")
            if verb in ("cmd", "icm"):
                good(client.call("cmd" if verb == "icm" else "icm", {"id": identity, "argv": ["true"]}))
            elif verb == "idt":
                equal(good(client.call("idt", {"id": identity})).tail["signals"], 0, "signals")
                good(client.call("who", {"done": [identity]}))
    return play


@check()
def wrong_members_are_bad_requests(scene):
    wrong = []
    for verb, heads in BAD.items():
        for head in heads:
            try:
                _bad(verb, head)(scene)
            except Exception as error:
                wrong.append("%s %s: %s" % (verb, short(head), error))
    expect(not wrong, "%s", " | ".join(wrong))


@check()
def a_command_without_id_is_a_bad_request(scene):
    with scene.login() as client:
        for verb in ("cmd", "icm", "idt", "edt"):
            refused(client.call(verb, {"argv": ["true"]} if verb in ("cmd", "icm") else {}), 400, "bad_request")


@check()
def icm_carries_no_data(scene):
    with scene.login() as client:
        mark = scene.file("mark")
        answer = client.call("icm", {"id": new_id(), "argv": ["touch", mark]}, b"data")
        equal(answer.status, 400, "status")
        time.sleep(0.2)
        expect(not os.path.exists(mark), "it was carried out")


# --- /who ---


@check()
def who_tells_who(scene):
    with scene.login() as client:
        tail = good(client.call("who")).tail
        equal(tail["user"], scene.who.user, "user")
        expect({"rights", "version", "dialects", "clock", "channels"} <= set(tail), "members %s", sorted(tail))
        expect(abs(tail["clock"] - time.time()) < 60, "clock %r", tail["clock"])


@check()
def who_lists_channels(scene):
    with scene.login() as client, scene.login() as other:
        one = Channel(client).open(["cat"])
        for peer in (client, other):
            found = {entry["id"]: entry for entry in good(peer.call("who")).tail["channels"]}
            expect(one.id in found, "%s is not listed", one.id)
            equal((found[one.id]["verb"], found[one.id]["state"]), ("icm", "running"), "verb and state")
        good(client.call("who", {"done": [one.id]}))
        until(lambda: one.id not in str(good(client.call("who")).tail["channels"]), "it is listed after `done`")


@check()
def who_probe_pauses_between_H_and_T(scene):
    with scene.login() as client:
        seen = list(client.stream("who", {"probe": 900}))
        equal([kind for kind, _, _ in seen if kind != "P"], ["H", "T"], "tokens")
        pause = seen[-1][2] - seen[0][2]
        expect(0.8 < pause < 3, "H and T are %.2f s apart", pause)
        start = time.monotonic()
        good(client.call("who", {"probe": 0}))
        expect(time.monotonic() - start < 1, "a probe of 0 waits")
