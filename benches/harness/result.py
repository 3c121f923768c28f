"""A figure with its goal, and the contenders that it was got from, measured in turn."""

import statistics
import time


class Row:
    """One line of the results. `figure` is what the goal is about; below it is better."""

    def __init__(self, name, figure, goal=None, detail="", spread=None):
        self.name, self.figure, self.goal, self.detail = name, figure, goal, detail
        self.spread = spread

    @property
    def verdict(self):
        if self.goal is None:
            return "told"
        if self.figure <= self.goal:
            return "reached"
        return "missed" if self.figure <= 2 * self.goal else "lost"

    def as_json(self):
        return {"name": self.name, "figure": self.figure, "goal": self.goal, "verdict": self.verdict,
                "spread": self.spread, "detail": self.detail}

    def as_text(self):
        goal = "" if self.goal is None else "goal %.3g, %s" % (self.goal, self.verdict)
        spread = "" if self.spread is None else "(%.3g to %.3g)" % tuple(self.spread)
        return "%-46s %9.4g %-20s %-22s %s" % (self.name, self.figure, spread, goal, self.detail)


def take_turns(rounds, *acts):
    """Runs acts A B A B; gives the seconds of each. What an act returns, if anything, counts in place of its time."""
    found = [[] for _ in acts]
    for turn in range(rounds + 1):
        for act, times in zip(acts, found):
            begin = time.monotonic()
            said = act()
            if turn:  # the first warms up
                times.append(time.monotonic() - begin if said is None else said)
    return found


def compare(name, goal, ours, theirs, labels=("ours", "theirs"), unit=1e3, word="ms"):
    """The row of a ratio: the median of the rounds' own ratios."""
    ratios = [a / b for a, b in zip(ours, theirs)]
    detail = ", ".join("%s %.3g (%.3g to %.3g) %s" % (label, statistics.median(times) * unit, min(times) * unit,
                                                     max(times) * unit, word)
                       for label, times in zip(labels, (ours, theirs)))
    return Row(name, statistics.median(ratios), goal, detail, [min(ratios), max(ratios)])
