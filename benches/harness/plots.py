"""How cost grows: measured, and drawn as SVG. What a figure should be is not said here."""

import math
import os
import statistics
import subprocess

from . import copies
from .machine import make_file
from .result import take_turns


def draw(stage, folder):
    """Measures, writes one SVG a curve into `folder`, and gives the points."""
    os.makedirs(folder, exist_ok=True)
    drawn = {}
    for name, title, across, measure in (
            ("size", "time against size of a file, up", "MiB", by_size),
            ("files", "time against number of files of 4 KiB, up", "files", by_files),
            ("sessions", "commands a second against sessions at once", "sessions", by_sessions),
            ("round-trip", "time of a file of 16 MiB against round trip", "ms", by_round_trip)):
        curves = measure(stage)
        if curves:
            drawn[name] = curves
            with open(os.path.join(folder, name + ".svg"), "w", encoding="utf-8") as file:
                file.write(svg(title, across, "1/s" if name == "sessions" else "s", curves))
    return drawn


def by_size(stage):
    curves = {"remo cp": [], "scp and sync": []}
    if not copies.can_copy(stage) or stage.ssh_missing:
        return {}
    copies.prepare(stage)
    source, target = stage.path("grown"), stage.path("grown-copy")
    for mib in (1, 4, 16, 64) if stage.small else (1, 4, 16, 64, 256, 1024):
        make_file(source, mib << 20)

        def scp():
            stage.scp(source, stage.there(target))
            copies.synced(target)
        put(curves, mib, take_turns(3, lambda: copies.run_cp(stage, source, "here:" + target)[0], scp))
    os.unlink(source)
    return curves


def by_files(stage):
    curves = {"remo cp -r": [], "scp -r": []}
    if not copies.can_copy(stage) or stage.ssh_missing:
        return {}
    copies.prepare(stage)
    targets = copies.fresh_targets(stage, "grown-tree-copy")
    for count in (10, 100, 500) if stage.small else (10, 100, 1000, 10_000):
        source = stage.path("grown-tree-%d" % count)
        copies.make_tree(source, count)
        put(curves, count, take_turns(2, lambda: copies.run_cp(stage, "-r", source, "here:" + next(targets))[0],
                                      lambda: stage.scp(source, stage.there(next(targets)), "-r")))
    return curves


def by_sessions(stage):
    points = [(count, stage.ask_load("clients", count)["a_second"]) for count in (1, 5, 20, 50, 100, 200)]
    return {"/cmd true": points}


def by_round_trip(stage):
    """A path of so much round trip: a command, and a file each way."""
    source, target = stage.path("far"), stage.path("far-copy")
    make_file(source, 16 << 20)
    curves = {"remo exec true": []}
    if copies.can_copy(stage):
        curves.update({"remo cp up": [], "remo cp down": []})
    for milliseconds in (0, 10, 50, 200):
        proxy = subprocess.Popen(
            [stage.program("hostile-proxy"), "--to", "127.0.0.1:%d" % stage.port, "--rate", "0",
             "--latency", str(milliseconds // 2)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        stage.started.append(proxy)
        url = "http://" + proxy.stdout.readline().decode().strip()
        acts = [lambda: stage.remo("exec", url, "--", "true")[0]]
        if copies.can_copy(stage):
            name = "far%d" % milliseconds
            subprocess.run([stage.program("remo"), "trust", name, url, *stage.who()], check=True,
                           env=stage.environment(), stdout=subprocess.DEVNULL)
            acts += [lambda: copies.run_cp(stage, source, "%s:%s" % (name, target))[0],
                     lambda: copies.run_cp(stage, "%s:%s" % (name, source), target)[0]]
        put(curves, milliseconds, take_turns(3, *acts))
        stage.stop(proxy)
    return curves


def put(curves, at, found):
    for points, times in zip(curves.values(), found):
        points.append((at, statistics.median(times)))


WIDTH, HEIGHT, LEFT, BOTTOM = 640, 400, 70, 50
COLOURS = "#1b6ca8", "#c1440e", "#3b7a3b"


def svg(title, across, up, curves):
    """Both axes are logarithmic; a point at 0 stands at the left edge."""
    points = [point for curve in curves.values() for point in curve]
    xs = scale([x for x, _ in points if x], LEFT, WIDTH - 20)
    ys = scale([y for _, y in points], HEIGHT - BOTTOM, 40)
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">'
             % (WIDTH, HEIGHT), '<rect width="100%" height="100%" fill="white"/>',
             '<text x="%d" y="20" font-size="14">%s</text>' % (LEFT, title)]
    for value in ticks(points, 0):
        parts.append('<text x="%.0f" y="%d" text-anchor="middle">%g</text>' % (xs(value), HEIGHT - BOTTOM + 18, value))
    parts.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (WIDTH - 20, HEIGHT - 10, across))
    low, high = min(y for _, y in points), max(y for _, y in points)
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for value in (10 ** power, 3 * 10 ** power):
            if low * 0.95 <= value <= high * 1.05:
                parts.append('<path d="M%d %.1fH%d" stroke="#ddd"/>' % (LEFT, ys(value), WIDTH - 20))
                parts.append('<text x="%d" y="%.1f" text-anchor="end">%g %s</text>' % (LEFT - 6, ys(value) + 4, value, up))
    for (name, curve), colour, at in zip(curves.items(), COLOURS, range(9)):
        places = [(xs(x), ys(y)) for x, y in curve]
        parts.append('<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>'
                     % (colour, " ".join("%.1f,%.1f" % place for place in places)))
        parts += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (*place, colour) for place in places]
        parts.append('<text x="%d" y="%d" fill="%s">%s</text>' % (LEFT + 12, 52 + 16 * at, colour, name))
    return "\n".join(parts + ["</svg>", ""])


def scale(values, begin, end):
    low, high = math.log(min(values)), math.log(max(values))
    room = (high - low) or 1

    def place(value):
        return begin + (end - begin) * (0.05 + 0.9 * (math.log(value) - low) / room) if value else begin
    return place


def ticks(points, axis):
    return sorted({point[axis] for point in points})
