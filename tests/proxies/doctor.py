#!/usr/bin/env python3
"""Compares what `remo doctor --json` says of a path with what that path is known to do.

`doctor.py KIND [bare]` reads the report from standard input and prints one line for each thing compared: `ok NAME` or
`FAIL NAME: WHY`. With `bare`, the proxy's log-in was left out. Nothing is started here.
"""

import json
import sys

MIB = 1 << 20
ALL = range(7 * MIB // 2, 4 * MIB + 1)  # what the server takes in one request
BUFFERS = {"request_buffering.buffers": True, "answer_buffering.buffers": True}
STREAMS = {"request_buffering.buffers": False, "answer_buffering.buffers": False}
REVERSE = {"proxy.used": False, "proxy.named_by": None}
FORWARD = {"proxy.used": True, "proxy.named_by": "http_proxy"}
COMMON = {
    "works": True,
    "server.answers": "server",
    "server.trusted": True,
    "log_in.user": "new",
    "side_by_side.at_once": True,
    "repeats.repeated": 0,
    "changes.changed": 0,
    "changes.stale": 0,
    "clock.sealed": True,
    "idle.bears_ms": range(2000, 2001),
}
SQUID = {**FORWARD, **STREAMS, "request_size.passes": ALL, "keep_alive.kept_ms": range(2000, 10_000)}
# It answers when it has read all of a request, and closes after each answer.
TINYPROXY = {**FORWARD, **STREAMS, "request_size.passes": ALL, "keep_alive.kept_ms": 0, "round_trip.kept_ms": None,
             "request_buffering.early_answers_lost": True}
EXPECTED = {
    "nginx": {**REVERSE, **BUFFERS, "request_size.passes": range(900_000, MIB + 1), "request_size.status": 413},
    "nginx-large": {**REVERSE, **BUFFERS, "request_size.passes": ALL},
    "nginx-streaming": {**REVERSE, **STREAMS, "request_size.passes": ALL},
    "squid": {**SQUID, "proxy.has_login": False},
    "squid-basic": {**SQUID, "proxy.has_login": True},
    "tinyproxy": {**TINYPROXY, "proxy.has_login": False},
    "tinyproxy-basic": {**TINYPROXY, "proxy.has_login": True},
}
BARE = {**FORWARD, "works": False, "proxy.has_login": False, "proxy.status": 407, "proxy.schemes": ["Basic"],
        "server.answers": "path"}


def fact(report, name):
    if "." not in name:
        return report[name]
    finding, member = name.split(".")
    found = next(one for one in report["findings"] if one["name"] == finding)
    return found["facts"].get(member, "(missing)")


def main():
    kind, bare = sys.argv[1], sys.argv[2:] == ["bare"]
    report = json.load(sys.stdin)
    for name, wanted in (BARE if bare else {**COMMON, **EXPECTED[kind]}).items():
        found = fact(report, name)
        fits = found in wanted if isinstance(wanted, range) else found == wanted and type(found) is type(wanted)
        print("ok %s" % name if fits else "FAIL %s: %r instead of %r" % (name, found, wanted))


if __name__ == "__main__":
    main()
