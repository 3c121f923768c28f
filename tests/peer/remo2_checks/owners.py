"""Checks of whose a channel is: other sessions, other users, `attach`, and `keep`."""

import os
import time

from remo2_checks.suite import Channel, bare, check, equal, expect, good, new_id, process_gone, refused, until


def close(client, *channels):
    good(client.call("who", {"done": [one.id for one in channels]}))


@check()
def another_session_may_read_not_write(scene):
    with scene.login() as client, scene.login() as other:
        one = Channel(client).open("echo abc; cat")
        until(lambda: good(one.raw(out=0)).main == b"abc\n", "no output")
        equal(good(other.call("idt", {"id": one.id})).main, b"abc\n", "what another session reads")
        for head, data in (({"in": 0}, b"x"), ({"in": 0}, b""), ({"out": 0}, b""), ({"err": 0}, b""),
                           ({"signal": 15, "signals": 0}, b""), ({"rows": 5, "cols": 5}, b"")):
            refused(other.call("idt", {"id": one.id, **head}, data), 409, "not_attached")
        for head in ({}, {"in": 0}):
            refused(other.call("edt", {"id": one.id, **head}), 409, "not_attached")
        refused(other.call("who", {"done": [one.id]}), 409, "not_attached")
        one.type(b"def\n").until(b"abc\ndef\n")
        equal(one.last.tail["signals"], 0, "signals")
        close(client, one)


@check()
def attach_moves_a_channel(scene):
    with scene.login() as client, scene.login() as other:
        one = Channel(client).open(["cat"])
        one.type(b"abc\n").until(b"abc\n")
        two = Channel(other, one.id, one.out, sent=one.sent)
        two.idt(b"def\n", attach=True)
        two.until(b"def\n")
        refused(one.raw(data=b"x"), 409, "not_attached")
        refused(client.call("who", {"done": [one.id]}), 409, "not_attached")
        one.sent, one.out = two.sent, two.out
        one.idt(b"ghi\n", attach=True)
        one.until(b"ghi\n")
        refused(two.raw(data=b"x"), 409, "not_attached")
        close(client, one)


@check()
def a_channel_goes_on_in_the_next_session(scene):
    with scene.login() as old:
        one = Channel(old).open("cat; echo over; exit 3")
        one.type(b"abc").until(b"abc")
    with scene.login() as new:
        two = Channel(new, one.id, one.out, sent=one.sent)
        answer = good(new.call("idt", {"id": one.id, "attach": True, "out": one.out, "in": 0, "end": [old.cookie]}, b"abcdef\n"))
        two.take(answer)
        equal(answer.tail["in"], 7, "in")
        bare(old.call("who"), 403)
        two.sent = 7
        two.idt(b"", verb="edt")
        equal(two.finish()["exit"], 3, "exit")
        equal(two.main, b"def\nover\n", "output")


@check()
def attach_of_nothing_is_not_found(scene):
    with scene.login() as client:
        refused(client.call("idt", {"id": new_id(), "attach": True}), 404, "not_found")


@check()
def bytes_received_by_another_are_gone(scene):
    with scene.login() as client, scene.login() as other:
        one = Channel(client).open("echo abc; sleep 0.5; echo def; sleep 66")
        one.until(b"abc\n")
        one.idt()
        answer = good(other.call("idt", {"id": one.id, "attach": True, "out": 0, "wait": 3000}))
        equal(answer.tail["out"], answer.head["out"] + len(answer.main), "out")
        equal(answer.main, b"abc\ndef\n"[answer.head["out"]:][:len(answer.main)], "bytes from where H says")
        close(other, one)


@check(second=True)
def ids_of_two_users_have_nothing_to_do_with_each_other(scene):
    with scene.login() as one, scene.login(scene.second) as two:
        identity = new_id()
        equal(good(one.call("cmd", {"id": identity, "line": "echo one"})).main, b"one\n", "first user")
        equal(good(two.call("cmd", {"id": identity, "line": "echo two"})).main, b"two\n", "second user")
        equal(good(one.call("cmd", {"id": identity, "line": "echo one"})).main, b"one\n", "first user again")


@check(second=True)
def channels_of_other_users_are_not_there(scene):
    with scene.login() as client, scene.login(scene.second) as other:
        one = Channel(client).open(["cat"])
        for verb, head, data in (("idt", {}, b""), ("idt", {"attach": True}, b""), ("idt", {"in": 0}, b"x"),
                                 ("edt", {"in": 0}, b""), ("idt", {"signal": 9, "signals": 0}, b"")):
            refused(other.call(verb, {"id": one.id, **head}, data), 404, "not_found")
        expect(one.id not in str(good(other.call("who")).tail["channels"]), "another user sees it")
        other.call("who", {"done": [one.id]})
        one.type(b"alive\n").until(b"alive\n")
        close(client, one)


@check()
def keep_hangs_up_what_nobody_asks_for(scene):
    with scene.login() as client:
        hup, eof = scene.file("hup"), scene.file("eof")
        one = Channel(client).open("trap 'touch %s' HUP; sleep 69 & echo $!; while :; do read x || { touch %s; sleep 9; }; done"
                                   % (hup, eof), keep=1)
        child = int(one.until(b"\n"))
        for _ in range(6):
            time.sleep(0.4)
            equal(good(one.raw()).tail["state"], "running", "state")
        process_gone(one.pid, 8)
        process_gone(child)
        expect(os.path.exists(hup), "no SIGHUP came")
        expect(not os.path.exists(eof), "it saw the end of its input")
        refused(one.raw(), 410, "gone")
        refused(client.call("icm", {"id": one.id, "argv": ["true"]}), 410, "gone")


@check()
def keep_counts_from_the_end_of_the_last_answer(scene):
    with scene.login() as client:
        one = Channel(client).open("sleep 70", keep=1)
        one.idt(wait=2500)
        equal(good(one.raw()).tail["state"], "running", "state")
        close(client, one)


@check()
def a_terminal_forgotten_is_hung_up(scene):
    with scene.login() as client:
        hup = scene.file("hup")
        one = Channel(client).open("trap 'touch %s; exit' HUP; echo ready; while :; do sleep 0.05; done" % hup, keep=1,
                                   pty={"rows": 24, "cols": 80, "term": "dumb"})
        one.until(b"ready\r\n")
        process_gone(one.pid, 8)
        expect(os.path.exists(hup), "no SIGHUP came")


@check()
def a_channel_outlives_its_session(scene):
    with scene.login() as old, scene.login() as new:
        one = Channel(old).open("echo abc; sleep 71")
        good(new.call("who", {"end": [old.cookie]}))
        bare(old.call("who"), 403)
        expect(os.path.exists("/proc/%d" % one.pid), "the process ended with the session")
        two = Channel(new, one.id)
        two.idt(attach=True, wait=2000)
        equal(two.main, b"abc\n", "output")
        close(new, two)
        process_gone(one.pid)
