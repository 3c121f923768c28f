"""The register of the checks of remo/2, what they may ask for, and a channel that is followed by offsets.

No check stands here; what they say when a promise is broken is in checks/suite.py.
"""

import os
import re
import time

from checks.suite import Failure, Tally, equal, expect, short, until
from remo2_client import Client, new_id

__all__ = ["Channel", "Failure", "REGISTER", "Scene", "Tally", "bare", "check", "equal", "expect", "free_after", "good",
           "new_id", "play", "process_gone", "refused", "short", "until",
           "wait_until_held"]

REGISTER = []
MIB = 1024 * 1024


class Check:
    def __init__(self, play, slow, second):
        self.play, self.slow, self.second = play, slow, second
        self.name = play.__name__.replace("_", "-")


def check(slow=False, second=False):
    """Registers a function of the scene as a check that its name describes; `slow` ones take 10 s and more."""
    def register(play):
        REGISTER.append(Check(play, slow, second))
        return play
    return register


class Scene:
    """Where checks play: server, user, scratch folder, and another user where there is one."""

    def __init__(self, target, who, folder, second=None):
        self.target, self.who, self.folder, self.second = target, who, folder, second
        self._count = 0

    def login(self, who=None):
        return Client(self.target, who or self.who).login()

    def file(self, name):
        """A path in the scratch folder that nothing has."""
        self._count += 1
        return os.path.join(self.folder, "%d-%s" % (self._count, name))


def play(scene, only, quick):
    tally = Tally()
    for one in REGISTER:
        if only and not re.search(only, one.name):
            continue
        why = "it is slow" if quick and one.slow else "needs --second-user" if one.second and not scene.second else None
        if why:
            print("skip %s: %s" % (one.name, why), flush=True)
        else:
            tally.run(one.name, lambda one=one: one.play(scene))
    return tally.close()


# --- what checks say ---


def good(answer):
    """A sealed 200 in an HTTP 200, with the header lines of every sealed answer."""
    expect(answer.sealed and answer.http == 200 and answer.status == 200, "%s instead of a sealed 200", answer)
    expect("error" not in answer.tail, "the answer fails at its end: %s", answer)
    equal(answer.response.one("Content-Type"), "application/octet-stream", "Content-Type")
    cache = {word.strip() for word in (answer.response.one("Cache-Control") or "").split(",")}
    expect({"no-store", "no-transform"} <= cache, "Cache-Control: %s", cache)
    return answer


def refused(answer, status, error):
    """A sealed refusal, in an HTTP 200."""
    expect(answer.sealed, "%s instead of a sealed %d %s", answer, status, error)
    equal((answer.http, answer.status, answer.error), (200, status, error), "HTTP, status and error")
    expect(isinstance(answer.head.get("message"), str), "a refusal without message: %s", answer)
    return answer


def bare(answer, *statuses):
    """An answer that proves nothing, of one of these statuses."""
    expect(not answer.sealed and answer.http in statuses, "%s instead of a bare %s", answer, statuses)
    return answer


def free_after(client, number):
    """The number serves still."""
    answer = client.call("who", number=number)
    expect(answer.sealed and answer.status == 200, "the number is not free: %s", answer)


def wait_until_held(client, held):
    """The server has proved the first token of `held`. The probe cannot take the number: it has no T."""
    time.sleep(0.2)
    probe = client.seal(held.number, [("H", {"verb": "who"})])
    until(lambda: client.exchange("/who", held.number, probe).http == 409, "the number is not held")


def process_gone(pid, seconds=5):
    def gone():
        try:
            with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True
    until(gone, "process %d lives on" % pid, seconds)


class Channel:
    """A command that is followed by offsets, as a client should; nothing lost, nothing doubled."""

    def __init__(self, client, identity=None, out=0, err=0, sent=0):
        self.client, self.id = client, identity or new_id()
        self.out, self.err, self.sent = out, err, sent
        self.main = self.second = b""
        self.pid, self.last = None, None

    def open(self, argv=None, **head):
        """/icm; `argv` is a list, or a text for the login shell."""
        if argv is not None:
            head["line" if isinstance(argv, str) else "argv"] = argv
        answer = good(self.client.call("icm", {"id": self.id, **head}))
        self.pid = answer.head["pid"]
        self.last = answer
        return self

    def raw(self, verb="idt", data=None, **head):
        """One /idt or /edt as it is told, with nothing added but the id, and `in` with data."""
        if data is not None:
            head.setdefault("in", self.sent)
        return self.client.call(verb, {"id": self.id, **head}, data or b"")

    def idt(self, data=None, verb="idt", **head):
        """Sends data, acknowledges, takes what came; the answer."""
        asked = {"out": self.out, **({"err": self.err} if self.err else {}), **head}
        return self.take(good(self.raw(verb, data, **asked)), len(data or b""))

    def take(self, answer, size=0):
        equal(answer.head["out"], self.out, "where D begins")
        if answer.second:
            equal(answer.head["err"], self.err, "where E begins")
        self.main, self.second = self.main + answer.main, self.second + answer.second
        self.out += len(answer.main)
        self.err += len(answer.second)
        equal(answer.tail["out"], self.out, "next offset in T")
        if "err" in answer.tail:
            equal(answer.tail["err"], self.err, "next offset of the second stream in T")
        expect(answer.tail["state"] in ("running", "exited"), "state %r", answer.tail["state"])
        if size:
            expect(answer.tail["in"] <= self.sent + size, "more is taken than was sent: %s", answer)
            self.sent = answer.tail["in"]
        self.last = answer
        return answer

    def type(self, data, seconds=20, **head):
        """Sends all of data, again and again where not all was taken."""
        goal, end = self.sent + len(data), time.monotonic() + seconds
        while self.sent < goal:
            expect(time.monotonic() < end, "input stops at %d of %d", self.sent, goal)
            self.idt(data[len(data) - (goal - self.sent):][:192 * 1024], **head)
        return self

    def until(self, wanted, seconds=10):
        """Follows until `wanted` has come in the main stream, and gives what came up to its end."""
        end = time.monotonic() + seconds
        while wanted not in self.main:
            expect(time.monotonic() < end, "%r does not come, only %s", wanted, short(self.main[-160:]))
            expect(not self.last or self.last.tail.get("state") != "exited" or self.out < self.last.tail["out"],
                   "it ended without %r: %s", wanted, short(self.main[-160:]))
            self.idt(wait=1000)
        before, _, self.main = self.main.partition(wanted)
        return before + wanted

    def finish(self, seconds=30):
        """Follows to the end and gives its T."""
        end = time.monotonic() + seconds
        while not self.last or self.last.tail.get("state") != "exited":
            expect(time.monotonic() < end, "it does not end: %s", self.last)
            self.idt(wait=2000)
        return self.last.tail
