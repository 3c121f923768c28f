#!/usr/bin/env python3
"""Plays conversations of remo/2 with a running server, one line a check.

The server must run on this machine, with rights to the scratch folder. The last line counts;
the exit status is 1 when a check failed. Second opinion only: nothing here knows our own code.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import remo2_checks.login  # noqa: E402,F401  (each import registers its checks, in this order)
import remo2_checks.bodies  # noqa: E402,F401
import remo2_checks.numbers  # noqa: E402,F401
import remo2_checks.acts  # noqa: E402,F401
import remo2_checks.commands  # noqa: E402,F401
import remo2_checks.channels  # noqa: E402,F401
import remo2_checks.output  # noqa: E402,F401
import remo2_checks.terminals  # noqa: E402,F401
import remo2_checks.owners  # noqa: E402,F401
import remo2_checks.files  # noqa: E402,F401
import remo2_checks.forward  # noqa: E402,F401
from remo2_checks.suite import REGISTER, Scene, play  # noqa: E402
from remo2_client import Target, Who  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="of the server, with its prefix")
    parser.add_argument("--user")
    parser.add_argument("--key", help="the user's private key (PEM), Ed448 or RSA")
    parser.add_argument("--server", help="the server's public key (PEM)")
    parser.add_argument("--second-user", metavar="V", help="another user, for what is between users")
    parser.add_argument("--second-key", metavar="V_key.pem")
    parser.add_argument("--folder", help="scratch folder that the server can write; default: a new one")
    parser.add_argument("--quick", action="store_true", help="leave out checks that take 10 s and more")
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
        sys.exit("remo2_conversation.py: --url, --user, --key and --server are needed")
    who = Who(said.user, said.key, said.server)
    second = Who(said.second_user, said.second_key, said.server) if said.second_user else None
    folder = tempfile.mkdtemp(prefix="remo2-peer-", dir=said.folder and os.path.abspath(said.folder))
    try:
        return play(Scene(Target(said.url), who, folder, second), said.only, said.quick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
