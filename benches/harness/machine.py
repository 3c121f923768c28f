"""What the machine itself gives, beside the figures."""

import json
import os
import shutil
import socket
import subprocess
import threading

from .result import Row, compare, take_turns
from .stage import ROOT

MIB = 1 << 20


def make_file(path, length):
    block = os.urandom(MIB)
    with open(path, "wb") as file:
        for at in range(0, length, MIB):
            # No block is like another, so that a swap would show.
            file.write((at.to_bytes(8, "big") + block[8:])[:length - at])
        os.fsync(file.fileno())


def same(one, other):
    return subprocess.run(["cmp", "-s", one, other], check=False).returncode == 0


def through_tcp(source, target):
    """File to socket to file, without any sealing: what loopback and the disk allow."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def send():
            with socket.create_connection(listener.getsockname()) as out, open(source, "rb") as file:
                out.sendfile(file)
        sender = threading.Thread(target=send)
        sender.start()
        connection, _ = listener.accept()
        buffer = bytearray(MIB)
        with connection, open(target, "wb") as file:
            while got := connection.recv_into(buffer):
                file.write(memoryview(buffer)[:got])
            os.fsync(file.fileno())
        sender.join()


def limits(stage):
    """`cp` and a plain TCP connection, of the file that is copied elsewhere; both on the disk at the end."""
    length = stage.size
    source, target = stage.path("file"), stage.path("copy")
    if not os.path.exists(source):
        make_file(source, length)

    def cp():
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", source, target], check=True)
        subprocess.run(["sync", target], check=True)

    cps, tcps = take_turns(stage.rounds, cp, lambda: through_tcp(source, target))
    os.unlink(target)
    yield compare("cp / TCP, %d MiB, synced" % (length // MIB), None, cps, tcps, ("cp", "TCP"), 1, "s")


def codec(_):
    """One core: tokens beside HMAC-SHA-256 alone."""
    command = ["cargo", "bench", "--quiet", "--locked", "-p", "remo-protocol", "--bench", "codec", "--", "--json"]
    found = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    goals = {"seal, 8 side by side": 1 / 0.6, "open": 1 / 0.65}
    for row in found["rows"]:
        if row["bytes"] != 64 << 10 or row["act"].startswith("HMAC"):
            continue
        share = row["share"]
        spread = [1 / share["most"], 1 / share["least"]]
        detail = "%.0f MB/s" % row["speed"]["median"]
        yield Row("Fernet %s, time by HMAC's" % row["act"], 1 / share["median"], goals.get(row["act"]), detail, spread)
