"""Copies of a large file, and of a tree of small ones, each way."""

import itertools
import os
import shlex
import subprocess
import time

from .machine import MIB, make_file, same
from .result import Row, compare, take_turns
from .stage import forget_peak, memory, run


def can_copy(stage):
    command = [stage.program("remo"), "cp", "--help"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def prepare(stage):
    """`remo cp` takes a place there as NAME:PATH."""
    if not os.path.exists(stage.path("named")):
        subprocess.run([stage.program("remo"), "trust", "here", stage.url, *stage.who()], check=True,
                       env=stage.environment(), stdout=subprocess.DEVNULL)
        open(stage.path("named"), "w", encoding="ascii").close()


def synced(path):
    """Ours is on the disk when it says so: so are theirs."""
    subprocess.run(["sync", path], check=True)


def file(stage):
    """One large file, against scp."""
    if not can_copy(stage) or stage.ssh_missing:
        return
    prepare(stage)
    source, target = stage.path("file"), stage.path("copy")
    if not os.path.exists(source):
        make_file(source, stage.size)
    peaks = []

    def remo(one, other):
        def act():
            forget_peak(stage.server.pid)
            seconds, client = run_cp(stage, one, other)
            peaks.append((client, memory(stage.server.pid, "VmHWM")))
            return seconds
        return checked(act, source, target)

    def scp(one, other, cipher=None):
        def act():
            stage.scp(one, other, cipher=cipher)
            synced(target)
        return checked(act, source, target)

    gcm = "aes128-gcm@openssh.com"
    there = stage.there
    for way, ours, theirs in (("up", (source, "here:" + target), (source, there(target))),
                              ("down", ("here:" + source, target), (there(source), target))):
        times = take_turns(stage.rounds, remo(*ours), scp(*theirs), scp(*theirs, cipher=gcm))
        what = "%d MiB %s" % (stage.size // MIB, way)
        yield compare("%s, remo cp / scp" % what, 0.6, times[0], times[1], ("remo", "scp"), 1, "s")
        yield compare("%s, remo cp / scp aes128-gcm" % what, 0.9, times[0], times[2], ("remo", "scp"), 1, "s")
    for side, kib in zip(("client", "server"), map(max, zip(*peaks))):
        yield Row("peak memory of the %s, MiB" % side, kib / 1024, 32)


def run_cp(stage, *rest):
    return run([stage.program("remo"), "cp", *rest], stage.environment())


def checked(act, source, target):
    """Without what was there before; and what is there after is what was sent."""
    def whole():
        if os.path.exists(target):
            os.unlink(target)
        begin = time.monotonic()
        act()
        seconds = time.monotonic() - begin
        if not same(source, target):
            raise SystemExit("run: the copy differs from the file")
        return seconds
    return whole


def tree(stage):
    """Ten thousand files of 4 KiB, against scp -r and tar over ssh."""
    if not can_copy(stage) or stage.ssh_missing:
        return
    prepare(stage)
    count = 500 if stage.small else 10_000
    source = stage.path("tree")
    make_tree(source, count)
    targets = fresh_targets(stage, "tree-copy")

    def checked_tree(act):
        def whole():
            target = next(targets)
            begin = time.monotonic()
            act(target)
            seconds = time.monotonic() - begin
            subprocess.run(["diff", "-r", source, target], check=True)
            return seconds
        return whole

    def shell(line):
        subprocess.run(["bash", "-c", line], check=True, stdout=subprocess.DEVNULL)

    ssh, here = shlex.join(stage.ssh_command()), shlex.quote(source)

    def tar_up(target):
        there = "mkdir -p %s && tar -C %s -xf -" % (shlex.quote(target), shlex.quote(target))
        shell("tar -C %s -cf - . | %s %s" % (here, ssh, shlex.quote(there)))

    def tar_down(target):
        there = shlex.quote("tar -C %s -cf - ." % here)
        shell("mkdir -p %s && %s %s | tar -C %s -xf -" % (shlex.quote(target), ssh, there, shlex.quote(target)))

    rounds = max(2, stage.rounds // 2 + 1)
    for way, remo, scp, tar in (
            ("up", lambda target: run_cp(stage, "-r", source, "here:" + target),
             lambda target: stage.scp(source, stage.there(target), "-r"), tar_up),
            ("down", lambda target: run_cp(stage, "-r", "here:" + source, target),
             lambda target: stage.scp(stage.there(source), target, "-r"), tar_down)):
        times = take_turns(rounds, checked_tree(remo), checked_tree(scp), checked_tree(tar))
        what = "%d files of 4 KiB %s" % (count, way)
        yield compare("%s, remo cp / scp -r" % what, 0.3, times[0], times[1], ("remo", "scp"), 1, "s")
        yield compare("%s, remo cp / tar over ssh" % what, 1.5, times[0], times[2], ("remo", "tar"), 1, "s")


def fresh_targets(stage, name):
    """A new name each time. What was there is removed in the end only: where ext4 has no journal it looks, for minutes
    after a file was removed, at each number of one before it makes another, and that would be all that is measured."""
    for number in itertools.count():
        yield stage.path("%s-%d" % (name, number))


def make_tree(path, count):
    if os.path.exists(path):
        return
    for at in range(count):
        folder = os.path.join(path, "%03d" % (at // 100))
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "%04d" % at), "wb") as file_:
            file_.write(os.urandom(4096))
