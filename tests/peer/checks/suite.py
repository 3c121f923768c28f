"""The register of checks, what they may ask for, and how their outcome is printed.

No check stands here.
"""

import os
import re
import time
import traceback

import remo_wire as wire
from remo_peer import Peer, Refusal

REGISTER = []
NGINX_BODY = 1024 * 1024


class Failure(Exception):
    """A promise that was not kept."""


class Check:
    """A check and its conditions: dialects, size of the largest body, quirks of the server, the path."""

    def __init__(self, play, dialects, body, ours, direct, second):
        self.play, self.dialects, self.body = play, dialects, body
        self.ours, self.direct, self.second = ours, direct, second
        self.name = play.__name__.replace("_", "-")

    def reason_to_skip(self, scene):
        if scene.dialect not in self.dialects:
            return "not in dialect " + scene.dialect
        if self.direct and scene.through_proxy:
            return "a proxy may change this"
        if self.ours and scene.quirks == "python":
            return "not promised by the Python server"
        if self.second and scene.second is None:
            return "needs --second-user"
        if scene.max_body is not None and self.body > scene.max_body:
            return "a body of %d bytes" % self.body
        return None


def check(dialects=("0.3", "0.6"), body=0, ours=False, direct=False, second=False):
    """Registers a function of the scene as a check that its name describes."""
    def register(play):
        REGISTER.append(Check(play, dialects, body, ours, direct, second))
        return play
    return register


class Scene:
    """Where checks play: server, user, scratch folder and the switches of the command line."""

    def __init__(self, target, dialect, who, folder, second=None, quirks="none", through_proxy=False, max_body=None):
        self.target, self.dialect, self.who, self.folder = target, dialect, who, folder
        self.second, self.quirks = second, quirks
        self.through_proxy, self.max_body = through_proxy, max_body

    def peer(self, dialect=None, who=None):
        return Peer(self.target, dialect or self.dialect, who or self.who, self.quirks)

    def login(self, dialect=None, who=None):
        return self.peer(dialect, who).login()

    def file(self, name, content=None):
        """A path in the scratch folder, written where content is given."""
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
        return path


# --- what checks say ---


def expect(condition, text, *values):
    if not condition:
        raise Failure(text % values if values else text)


def equal(found, wanted, what):
    expect(found == wanted, "%s: %s instead of %s", what, short(found), short(wanted))


def answered(answer, status, data=None):
    """An answer of this status, and with this data where some is given."""
    expect(answer.status == status, "status %d instead of %d: %s", answer.status, status, short(answer.data))
    if status == 200:
        expect(answer.sealed, "a 200 that is not sealed: %s", short(answer.data))
    if data is not None:
        equal(answer.data, data, "data")
    return answer


def refused(answer, *statuses):
    """An answer of one of these statuses; none given: any of 400 to 499."""
    good = answer.status in statuses if statuses else 400 <= answer.status < 500
    expect(good, "status %d instead of %s: %s", answer.status,
           " or ".join(map(str, statuses)) or "4xx", short(answer.data))
    return answer


def raises(kind, act, what):
    try:
        act()
    except kind:
        return
    raise Failure(what)


def alive(peer):
    """The session still works."""
    answered(peer.cmd("echo alive"), 200, b"alive\n")


def dead(peer):
    """The session no longer works: 403 without a body."""
    answer = peer.cmd("echo alive")
    refused(answer, 403)
    equal(answer.response.body, b"", "the body of a 403")


def until(ready, what, seconds=10.0):
    """Waits for a state that comes by itself."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise Failure(what)
        time.sleep(0.02)


def content_of(path):
    return wire.read_file(path)


def short(value):
    text = repr(value)
    return text if len(text) <= 160 else "%s... (%d)" % (text[:160], len(value))


# --- the run ---


class Tally:
    """Prints outcomes and counts them."""

    def __init__(self, verbose=False):
        self.passed = self.failed = 0
        self.verbose = verbose

    def run(self, name, act):
        try:
            act()
        except Failure as failure:
            self.fail(name, str(failure))
        except (Refusal, OSError, ValueError) as error:
            self.fail(name, "%s: %s" % (type(error).__name__, error))
        except Exception as error:  # a check's own mistake must not end the others
            self.fail(name, "%s: %s" % (type(error).__name__, error))
            traceback.print_exc()
        else:
            self.passed += 1
            print("ok", name, flush=True)

    def fail(self, name, why):
        self.failed += 1
        print("FAIL %s: %s" % (name, " ".join(why.split())), flush=True)

    def close(self):
        """The last line; the exit status."""
        print("%d passed, %d failed" % (self.passed, self.failed), flush=True)
        return 1 if self.failed or not self.passed else 0


def play(scene, only=None):
    """Plays every check that the scene allows."""
    tally = Tally()
    for one in REGISTER:
        if only and not re.search(only, one.name):
            continue
        why = one.reason_to_skip(scene)
        if why is not None:
            print("skip %s: %s" % (one.name, why), flush=True)
            continue
        tally.run(one.name, lambda one=one: one.play(scene))
    return tally.close()
