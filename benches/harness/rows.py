"""The figures of `benches/run`: what is measured, against what, and the goal."""

import os
import pty
import select
import statistics
import time
import tty

from . import copies, machine
from .result import Row, compare, take_turns
from .stage import memory


def fresh(stage):
    """A command by a fresh process, log-in included."""
    ours = lambda: stage.remo("exec", stage.url, "--", "true")[0]  # noqa: E731
    rounds = 8 if stage.small else 40
    if stage.ssh_missing:
        times, = take_turns(rounds, ours)
        yield Row("remo exec true", statistics.median(times) * 1e3, None, "ms")
        return
    stage.ssh("true", master=True)
    acts = ours, lambda: stage.ssh("true"), lambda: stage.ssh("true", master=True)
    ours, theirs, master = take_turns(rounds, *acts)
    yield compare("fresh remo exec true / ssh true", 0.05, ours, theirs, ("remo", "ssh"))
    yield compare("fresh remo exec true / ssh with master", 0.15, ours, master, ("remo", "ssh"))


def commands(stage):
    """`/cmd` of `true` in one session, in sequence, and the same spawned and reaped here."""
    found = stage.ask_load("cmd", 200 if stage.small else 2000)
    detail = "cmd p50 %.3g p99 %.3g ms, spawn p50 %.3g p99 %.3g ms" % tuple(
        found[act][at] for act in ("cmd", "spawn") for at in ("p50", "p99"))
    ratio = found["ratio"]
    yield Row("/cmd true in sequence / spawn and reap", ratio["p50"], 1.5, detail, [ratio["least"], ratio["most"]])


def keys(stage):
    """From a key to its echo, at a terminal there that runs `cat`."""
    count = 60 if stage.small else 400
    remo = [stage.program("remo"), "shell", *stage.who(), stage.url]
    contenders = [(remo, stage.environment())]
    if not stage.ssh_missing:
        contenders.append((stage.ssh_command("-tt", "exec cat"), dict(os.environ)))
    terminals = [Terminal(command, environment) for command, environment in contenders]
    terminals[0].say(b"exec cat\n")
    for terminal in terminals:
        terminal.settle()
    echoes = [[] for _ in terminals]
    for at in range(count):
        for terminal, times in zip(terminals, echoes):
            time.sleep(0.03)  # nobody types faster
            times.append(terminal.echo(b"abcdefghij"[at % 10:at % 10 + 1]))
    for terminal in terminals:
        terminal.close()
    p50s, p99s = ([quantile(times, share) for times in echoes] for share in (0.5, 0.99))
    for word, found in ("p50", p50s), ("p99", p99s):
        if stage.ssh_missing:
            yield Row("key echo " + word, found[0] * 1e3, None, "ms")
        else:
            detail = "remo %.3g ms, ssh %.3g ms" % tuple(seconds * 1e3 for seconds in found)
            # Of few keys the slowest says nothing.
            goal = None if stage.small and word == "p99" else 2
            yield Row("key echo %s, remo shell / ssh" % word, found[0] / found[1], goal, detail)


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command, environment):
        self.pid, self.master = pty.fork()
        if not self.pid:
            try:
                os.execvpe(command[0], command, dict(environment, TERM="xterm", PS1="$ "))
            finally:
                os._exit(127)
        tty.setraw(self.master)

    def say(self, text):
        time.sleep(1)  # until a prompt stands there; settle() proves that it was enough
        os.write(self.master, text)

    def settle(self):
        """Waits until what is typed is echoed once, and nothing else comes."""
        while select.select([self.master], [], [], 1)[0]:
            if not os.read(self.master, 65536):
                raise SystemExit("run: a terminal ended")
        self.echo(b"z")

    def echo(self, key):
        begin = time.monotonic()
        os.write(self.master, key)
        while select.select([self.master], [], [], 10)[0]:
            if key in os.read(self.master, 65536):
                return time.monotonic() - begin
        raise SystemExit("run: a key was not echoed within 10 s")

    def close(self):
        os.close(self.master)
        os.waitpid(self.pid, 0)


def quantile(values, share):
    return sorted(values)[round((len(values) - 1) * share)]


def logins(stage):
    """Log-ins on all cores: the server's processor time beside that of the primitives, and who waits meanwhile."""
    server = stage.fresh_server()
    found = stage.ask_load("logins", 200 if stage.small else 1000, server)
    stage.stop(server)
    detail = "%.0f a second, %.3g ms of the server each, primitives %.3g ms" % (
        found["a_second"], found["server_ms"], found["primitives_ms"])
    yield Row("log-in, server's time / primitives", found["ratio"], 1.2, detail)
    alone, meanwhile = found["who_alone"], found["who_meanwhile"]
    detail = "p50 %.3g; alone p50 %.3g p99 %.3g" % (meanwhile["p50"], alone["p50"], alone["p99"])
    yield Row("other requests meanwhile, p99 ms", meanwhile["p99"], 20, detail)


def terminals(stage):
    """Terminals at which nothing happens."""
    count = 100 if stage.small else 1000
    server = stage.fresh_server()
    found = stage.ask_load("terminals", count, server)
    stage.stop(server)
    detail = "%d terminals, %d to %d KiB" % (count, found["kib_before"], found["kib_after"])
    yield Row("memory of an idle terminal, KiB", found["kib_each"], 64, detail)
    yield Row("processor of %d idle terminals, %%" % count, found["processor"] * 100, 1)


def clients(stage):
    """Many clients that run commands at once."""
    count = 50 if stage.small else 200
    found = stage.ask_load("clients", count)
    times = found["cmd"]
    detail = "p50 %.3g p99 %.3g most %.3g ms, %.0f a second, the slowest client %.3g s" % (
        times["p50"], times["p99"], times["most"], found["a_second"], found["slowest_client_s"])
    yield Row("%d clients at once, p99 / p50" % count, times["p99"] / times["p50"], 3, detail)


def sizes(stage):
    """The server at rest, and what is given away."""
    server = stage.fresh_server()
    stage.remo("exec", stage.url, "--", "true")
    yield Row("server at rest, MiB", memory(server.pid, "VmRSS") / 1024, 15)
    stage.stop(server)
    for name in ("remo-serv", "remo"):
        yield Row("size of %s, MiB" % name, os.path.getsize(stage.program(name)) / (1 << 20), 15)


ALL = {"exec": fresh, "cmd": commands, "keys": keys, "logins": logins, "terminals": terminals, "clients": clients,
       "sizes": sizes, "codec": machine.codec, "limits": machine.limits, "file": copies.file, "tree": copies.tree}
