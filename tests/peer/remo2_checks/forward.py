"""Checks of /fwd, against far ends on this machine: both directions and their ends, refusals, resets."""

import socket
import struct

from remo2_checks.suite import MIB, Channel, check, equal, expect, good, new_id, refused, until


class There:
    """What is connected to."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.to = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def connect(self, client, **head):
        """A channel, and its far end."""
        one = Channel(client)
        one.last = good(client.call("fwd", {"id": one.id, "connect": self.to, **head}))
        expect("pid" not in one.last.head, "a connection has no process: %s", one.last)
        equal(one.last.tail["state"], "running", "state")
        return one, self.accept()

    def accept(self):
        far = self.listener.accept()[0]
        far.settimeout(10)
        return far


def read(far):
    """All that comes, to its end."""
    return b"".join(iter(lambda: far.recv(65536), b""))


def is_reset(far):
    try:
        read(far)
    except ConnectionResetError:
        return True
    return False


def resets(far):
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()


@check()
def fwd_carries_both_ways_and_each_direction_ends_by_itself(scene):
    with scene.login() as client, There() as there:
        one, far = there.connect(client)
        one.type(b"asked\0")
        one.idt(b"", verb="edt")
        equal(read(far), b"asked\0", "what the far end heard")
        far.sendall(b"answered")
        far.close()
        tail = one.finish()
        equal((one.main, "exit" in tail, "signal" in tail, "error" in tail), (b"answered", False, False, False), "its end")
        one, far = there.connect(client)
        far.sendall(b"said")
        far.shutdown(socket.SHUT_WR)
        one.finish()
        one.idt(b"heard", verb="edt")
        equal((one.main, read(far)), (b"said", b"heard"), "with the end first from there")
        good(client.call("who", {"done": [one.id]}))


@check()
def fwd_of_the_same_id_connects_once(scene):
    with scene.login() as client, There() as there:
        one, _far = there.connect(client)
        good(client.call("fwd", {"id": one.id, "connect": there.to}))
        refused(client.call("icm", {"id": one.id, "line": "true"}), 409, "id_used")
        there.listener.settimeout(0.3)
        try:
            there.accept()
        except socket.timeout:
            pass
        else:
            expect(False, "a second connection")
        channels = client.call("who").tail["channels"]
        equal([other["connect"] for other in channels if other["id"] == one.id], [there.to], "who")
        good(client.call("who", {"done": [one.id]}))


@check()
def fwd_that_cannot_connect_says_so_each_time(scene):
    with There() as there:
        nobody = there.to
    with scene.login() as client:
        ident = new_id()
        for _ in range(2):
            refused(client.call("fwd", {"id": ident, "connect": nobody}), 502, "connect")
        refused(client.call("idt", {"id": ident}), 502, "connect")
        refused(client.call("fwd", {"id": new_id(), "connect": "no-such-host.invalid:1"}), 502, "connect")


@check()
def fwd_wants_a_host_and_a_port(scene):
    with scene.login() as client, There() as there:
        for wrong in "", "host", "host:", "host:0", "host:65536", "::1:80", "a b:80", "a\n:80", "http://host:80", 80:
            refused(client.call("fwd", {"id": new_id(), "connect": wrong}), 400, "bad_request")
        refused(client.call("fwd", {"id": new_id()}), 400, "bad_request")
        refused(client.call("fwd", {"id": new_id(), "connect": there.to}, b"data"), 400, "bad_request")
        refused(client.call("fwd", {"id": new_id(), "connect": there.to, "wait": 1}), 400, "unknown_member")


@check()
def fwd_tells_a_reset_and_resets_what_was_not_ended(scene):
    with scene.login() as client, There() as there:
        one, far = there.connect(client)
        far.sendall(b"last words")
        one.until(b"last words")
        resets(far)
        until(lambda: one.raw(out=one.out, wait=1000).tail["state"] == "exited", "the end")
        tail = one.raw(out=one.out).tail
        equal((tail.get("error"), "exit" in tail), ("reset", False), "how it ended")
        one, far = there.connect(client)
        one.type(b"half a thi")
        good(client.call("who", {"done": [one.id]}))
        expect(is_reset(far), "an end that was none looks like one")


@check()
def fwd_holds_back_and_goes_on_in_a_later_session(scene):
    with scene.login() as client, There() as there:
        one, far = there.connect(client)
        far.settimeout(1)
        sent = 0
        try:
            while sent < 64 * MIB:
                sent += far.send(b"x" * MIB)
        except socket.timeout:
            pass
        expect(sent < 64 * MIB, "nothing holds the far end back")
        with scene.login() as later:
            refused(later.call("idt", {"id": one.id, "out": 0}), 409, "not_attached")
            two = Channel(later, one.id)
            two.idt(attach=True)
            far.close()
            until(lambda: two.idt(wait=1000).tail["state"] == "exited", "the end", 30)
            equal(len(two.main), sent, "bytes that came")
