#!/usr/bin/env python3
"""Plays whole conversations of remo_serv with a running server, one line a check.

The server must run on this machine, with rights to the scratch folder. The last line counts;
the exit status is 1 when a check failed. Second opinion only: nothing here knows our own code.
"""

import argparse
import os
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import checks.commands  # noqa: E402,F401  (each import registers its checks, in this order)
import checks.interactive  # noqa: E402,F401
import checks.files  # noqa: E402,F401
import checks.sessions  # noqa: E402,F401
import checks.refusals  # noqa: E402,F401
from checks.suite import REGISTER, Scene, play  # noqa: E402
from remo_peer import Credentials, Target  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="of the server, with its prefix")
    parser.add_argument("--proxy", help="http://[user:password@]host:port of a forward proxy")
    parser.add_argument("--dialect", choices=["0.3", "0.6"], default="0.6")
    parser.add_argument("--user")
    parser.add_argument("--key", help="the user's private key (PEM); RSA in 0.6")
    parser.add_argument("--server", help="the server's public key (PEM)")
    parser.add_argument("--password", help="of the key file")
    parser.add_argument("--second-user", metavar="V", help="another user, for the other dialect at the same time; "
                        "one whose floor is not 0.6 when --dialect is 0.6")
    parser.add_argument("--second-key", metavar="V_key.pem")
    parser.add_argument("--folder", help="scratch folder that the server can write; default: a new one")
    parser.add_argument("--quirks", choices=["none", "python"], default="none", help="what the server is known for")
    parser.add_argument("--through-proxy", action="store_true", help="allow what a proxy may change")
    parser.add_argument("--max-body", type=int, metavar="BYTES", help="skip checks whose request is bigger")
    parser.add_argument("--only", metavar="PATTERN", help="checks whose name has this regular expression")
    parser.add_argument("--list", action="store_true", help="name the checks and stop")
    return parser.parse_args()


def main():
    said = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the scratch folder goes
    if said.list:
        print("\n".join(one.name for one in REGISTER))
        return 0
    if not (said.url and said.user and said.key and said.server):
        sys.exit("conversation.py: --url, --user, --key and --server are needed")
    who = Credentials(said.user, said.key, said.server, said.password)
    second = Credentials(said.second_user, said.second_key, said.server) if said.second_user else None
    with tempfile.TemporaryDirectory(prefix="remo-peer-") as scratch:
        folder = os.path.join(os.path.abspath(said.folder) if said.folder else scratch, "scratch-%d" % os.getpid())
        os.mkdir(folder)
        try:
            scene = Scene(Target(said.url, said.proxy), said.dialect, who, folder, second, said.quirks,
                          said.through_proxy or bool(said.proxy), said.max_body)
            return play(scene, said.only)
        finally:
            sweep(folder)


def sweep(folder):
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)


if __name__ == "__main__":
    sys.exit(main())
