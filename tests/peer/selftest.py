#!/usr/bin/env python3
"""Tests the stand-ins against the vectors and against each other. Needs nothing that this project builds.

`--vectors FILE` names remo_serv.json where it is not found beside the tests.
"""

import argparse
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from checks import vectors  # noqa: E402
from checks.suite import Failure, Tally, alive, equal, expect  # noqa: E402
from remo_peer import Credentials, Peer, Refusal, Target  # noqa: E402
from server import MISDEEDS  # noqa: E402
from stage import Stage  # noqa: E402

PLACES = ["../vectors/remo_serv.json"]


def converse(tally, label, dialect, served, quirks, form="0.6", kind="ed448", options=()):
    """A whole conversation with a fresh server; its lines are counted here."""
    with Stage(form) as stage:
        stage.user("zoë", "zoe", kind).user("bob", "bob")
        with stage.server("--dialect", served, "--quirks", quirks) as server:
            command = [sys.executable, os.path.join(HERE, "conversation.py"), "--url", server.url,
                       "--dialect", dialect, "--quirks", quirks, "--user", "zoë", "--key", stage.path("zoe_key.pem"),
                       "--second-user", "bob", "--second-key", stage.path("bob_key.pem"),
                       "--server", stage.path("remo_serv.pem"), "--folder", stage.folder, *options]
            out = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False).stdout
    for line in out.splitlines():
        told = re.fullmatch(r"(ok|FAIL) ([^ :]+)(?:: (.*))?", line)
        if told and told[1] == "ok":
            tally.run("%s: %s" % (label, told[2]), lambda: None)
        elif told:
            tally.fail("%s: %s" % (label, told[2]), told[3] or "")
    if not re.search(r"^\d+ passed, \d+ failed$", out, re.MULTILINE):
        tally.fail(label, "the conversation did not end")


def notice(dialect, deed):
    """A client of `dialect` must not take what a server with this misdeed sends."""
    with Stage() as stage:
        stage.user("zoë", "zoe")
        with stage.server("--dialect", dialect, "--misbehave", deed) as server:
            who = Credentials("zoë", stage.path("zoe_key.pem"), stage.path("remo_serv.pem"))
            with Peer(Target(server.url), dialect, who) as peer:
                try:
                    peer.login()
                    peer.connection.timeout = 60
                    for text in (b"one " * 9000, b"two " * 9000):
                        answer = peer.cmd("cat", pieces=[text[:20000], text[20000:]])
                        if not answer.sealed:
                            return
                        equal(answer.data, text, "what was taken for the answer")
                except (OSError, ValueError) as error:
                    expect(str(error), "no reason")
                    return
                except Refusal:
                    return
    raise Failure("it was not noticed")


def slow_is_no_fault(dialect):
    with Stage() as stage:
        stage.user("zoë", "zoe")
        with stage.server("--dialect", dialect, "--misbehave", "slow") as server:
            who = Credentials("zoë", stage.path("zoe_key.pem"), stage.path("remo_serv.pem"))
            with Peer(Target(server.url), dialect, who) as peer:
                alive(peer.login())
                equal(peer.number, 1 if dialect == "0.6" else 0, "number")


# What 0.3 cannot see, having neither frames nor order nor an end; "hang" is left out for its length.
UNSEEN = {"0.3": {"wrong-number", "wrong-token", "wrong-status", "reflect", "replay", "swap", "truncate"}, "0.6": set()}


def misdeeds(tally):
    for dialect in ("0.3", "0.6"):
        for deed in sorted(set(MISDEEDS) - UNSEEN[dialect] - {"slow", "hang"}):
            tally.run("misdeed-%s-%s" % (dialect, deed), lambda: notice(dialect, deed))
        tally.run("misdeed-%s-slow" % dialect, lambda: slow_is_no_fault(dialect))


def find_vectors():
    found = [os.path.join(HERE, place) for place in PLACES if os.path.exists(os.path.join(HERE, place))]
    return found[0] if found else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", default=find_vectors())
    said = parser.parse_args()
    tally = Tally()
    if said.vectors:
        vectors.run(tally, said.vectors)
    else:
        tally.fail("vectors", "remo_serv.json is not found: name it with --vectors")
    misdeeds(tally)
    converse(tally, "0.3", "0.3", "both", "none")
    converse(tally, "0.6", "0.6", "both", "none")
    converse(tally, "0.6 of a card", "0.6", "0.6", "none", kind="rsa", options=["--only", "^(cmd|put|login)"])
    converse(tally, "python 0.3", "0.3", "0.3", "python", form="0.3")
    converse(tally, "python 0.6", "0.6", "0.6", "python")
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
