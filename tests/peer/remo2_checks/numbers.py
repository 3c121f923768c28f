"""Checks of request numbers: taken, held, freed and forgotten; of requests in flight side by side; of `end` and `by`."""

import os
import time

import remo2_wire as wire
from remo2_client import Line, new_id
from remo2_checks.suite import bare, check, equal, expect, free_after, good, refused, wait_until_held


@check()
def a_replay_is_409(scene):
    with scene.login() as client:
        number = client.next()
        tokens = client.seal(number, client.parts("who"))
        good(client.exchange("/who", number, tokens))
        for _ in range(3):
            bare(client.exchange("/who", number, tokens), 409)
        other = client.seal(number, client.parts("cmd", {"id": new_id(), "argv": ["true"]}))
        bare(client.exchange("/cmd", number, other), 409)
        good(client.call("who"))


@check()
def a_replay_of_what_was_refused_is_409(scene):
    with scene.login() as client:
        number = client.next()
        tokens = client.seal(number, client.parts("who", {"strange": 1}))
        refused(client.exchange("/who", number, tokens), 400, "unknown_member")
        bare(client.exchange("/who", number, tokens), 409)


@check()
def a_replay_of_a_command_runs_nothing(scene):
    with scene.login() as client:
        file, number = scene.file("lines"), client.next()
        tokens = client.seal(number, client.parts("cmd", {"id": new_id(), "line": "echo x >> " + file}))
        good(client.exchange("/cmd", number, tokens))
        for _ in range(3):
            bare(client.exchange("/cmd", number, tokens), 409)
        equal(os.path.getsize(file), 2, "size of the file")


@check()
def a_body_of_another_session_is_refused(scene):
    with scene.login() as one, scene.login() as two:
        number = one.next()
        tokens = one.seal(number, one.parts("who"))
        bare(two.exchange("/who", number, tokens), 400)
        bare(one.exchange("/who", number, tokens, cookie=two.cookie), 400)
        good(one.exchange("/who", number, tokens))
        good(two.call("who", number=number))


@check()
def numbers_may_come_in_any_order(scene):
    with scene.login() as client:
        for number in (10, 3, 7, 1, 9, 1000, 2, 999, 500):
            good(client.call("who", number=number))
        for number in (10, 3, 999, 1000):
            bare(client.call("who", number=number), 409)


@check()
def the_window_is_1024_numbers(scene):
    with scene.login() as client:
        good(client.call("who", number=5000))
        good(client.call("who", number=5000 - 1023))
        bare(client.call("who", number=5000 - 1023), 409)
        bare(client.call("who", number=5000 - 1024), 409)
        bare(client.call("who", number=1), 409)
        good(client.call("who", number=2 ** 40))
        bare(client.call("who", number=5001), 409)
        good(client.call("who", number=2 ** 63))


@check()
def a_spoilt_high_number_moves_no_window(scene):
    with scene.login() as client:
        good(client.call("who"))
        bare(client.exchange("/who", 10 ** 6, client.seal(10 ** 6, [("H", {"verb": "who"})])), 400)
        held = client.hold("who", first=1, number=10 ** 7)
        good(client.call("who", number=2))
        held.drop()


@check()
def a_held_number_is_409_meanwhile(scene):
    with scene.login() as client:
        held = client.hold("who", data=[("P", b"x")], first=1)
        wait_until_held(client, held)
        good(held.release())
        bare(client.call("who", number=held.number), 409)


@check()
def a_held_number_outlives_the_window(scene):
    with scene.login() as client:
        number = client.next()
        held = client.hold("who", data=[("P", b"x")], first=2, number=number)
        wait_until_held(client, held)
        good(client.call("who", number=90_000))
        good(held.release())
        bare(client.call("who", number=number), 409)


@check()
def a_held_number_below_the_window_stays_taken_when_it_fails(scene):
    with scene.login() as client:
        held = client.hold("who", data=[("P", b"x")], first=2, number=5)
        wait_until_held(client, held)
        good(client.call("who", number=90_000))
        held.line.write(b"junk\r\n" * 200)
        bare(held.answer(), 400)
        bare(client.call("who", number=5), 409)


@check()
def a_failed_body_frees_its_number(scene):
    with scene.login() as client:
        held = client.hold("who", data=[("P", b"x" * 500)], first=1)
        wait_until_held(client, held)
        held.line.write(b"junk\r\n" * 400)
        bare(held.answer(), 400)
        free_after(client, held.number)


@check()
def used_numbers_are_answered_before_the_rest_is_read(scene):
    with scene.login() as client, Line(scene.target, 10) as line:
        number = client.next()
        tokens = client.seal(number, client.parts("who"))
        good(client.exchange("/who", number, tokens))
        line.begin("/who", 400_000, client.cookie)
        line.write(wire.body_of(tokens[:1]))
        equal(line.answer().status, 409, "status")


@check()
def false_first_tokens_are_answered_before_the_rest_is_read(scene):
    with scene.login() as client, Line(scene.target, 10) as line:
        good(client.call("who"))
        line.begin("/who", 400_000, client.cookie)
        line.write(wire.body_of([b"gAAAAA" + b"A" * 122]))
        equal(line.answer().status, 400, "status")


@check()
def requests_run_side_by_side(scene):
    with scene.login() as client:
        slow = client.fly("cmd", {"id": new_id(), "argv": ["sleep", "1.5"]})
        time.sleep(0.2)
        start = time.monotonic()
        for _ in range(5):
            good(client.call("who"))
        expect(time.monotonic() - start < 1 and slow.is_alive(), "a waiting request stops the others")
        good(slow.result())


@check()
def many_in_flight_are_each_answered(scene):
    with scene.login() as client:
        flights = [client.fly("cmd", {"id": new_id(), "argv": ["echo", str(at)]}) for at in range(16)]
        for at, flight in enumerate(flights):
            equal(good(flight.result()).main, b"%d\n" % at, "output")


# --- `end` ---


@check()
def end_ends_a_session(scene):
    with scene.login() as old, scene.login() as new:
        good(old.call("who"))
        good(new.call("who", {"end": [old.cookie]}))
        bare(old.call("who"), 403)
        good(new.call("who", {"end": [old.cookie, "A" * 22 + "." + "B" * 22]}))


@check()
def end_comes_before_the_T_of_an_older_request(scene):
    with scene.login() as old, scene.login() as new:
        mark = scene.file("mark")
        good(old.call("who"))
        held = old.hold("cmd", {"id": new_id(), "argv": ["touch", mark]}, [("P", b"x")], first=2)
        wait_until_held(old, held)
        good(new.call("who", {"end": [old.cookie]}))
        bare(held.release(), 403)
        time.sleep(0.3)
        expect(not os.path.exists(mark), "it was carried out in a session that had ended")


@check()
def late_requests_end_nothing(scene):
    with scene.login() as old, scene.login() as new:
        good(old.call("who"))
        refused(new.call("who", {"end": [old.cookie], "by": 0}), 408, "late")
        good(old.call("who"))


@check(second=True)
def end_reaches_no_other_user(scene):
    with scene.login() as one, scene.login(scene.second) as two:
        good(one.call("who"))
        two.call("who", {"end": [one.cookie]})
        good(one.call("who"))


# --- `by` ---


@check()
def late_is_408_and_nothing_is_done(scene):
    with scene.login() as client:
        mark, head = scene.file("mark"), {"id": new_id()}
        head["argv"] = ["touch", mark]
        held = client.hold("cmd", {**head, "by": 1000}, [("P", b"x")], first=2)
        time.sleep(max(0, client.born + 1.4 - time.monotonic()))
        refused(held.release(), 408, "late")
        bare(client.call("who", number=held.number), 409)
        expect(not os.path.exists(mark), "it was carried out")
        good(client.call("cmd", {**head, "by": 600_000}))
        expect(os.path.exists(mark), "the id was used by a late request")


@check()
def late_leaves_the_id_free_for_another_verb(scene):
    with scene.login() as client:
        identity = new_id()
        refused(client.call("cmd", {"id": identity, "argv": ["true"], "by": 0}), 408, "late")
        good(client.call("icm", {"id": identity, "argv": ["true"]}))


@check()
def in_time_is_no_fault(scene):
    with scene.login() as client:
        for verb, head in (("who", {}), ("cmd", {"id": new_id(), "argv": ["true"]})):
            good(client.call(verb, {**head, "by": 60_000}))
            good(client.call("who", {"by": 2 ** 53 - 1}))
