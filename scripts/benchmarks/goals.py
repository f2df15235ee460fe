"""goals - what was promised of speed, and whether the figures keep it."""

import statistics
from typing import NamedTuple

from benchmarks.keys import key

SMALL_TLS = ["list-wide", "walk", "copy-out", "copy-in"]
BIG_TLS = ["read-big", "write-big"]
WAN, LOSSY, LOOPBACK = "20 ms", "20 ms, 1 % loss", "loopback"


class Figure(NamedTuple):
    """The median of a cell's runs, in what a goal counts in."""
    key: str
    what: str = "seconds"  # or "cpu"; or "trips", of the link as full as it was

    def of(self, data):
        runs = data["cells"].get(self.key, {}).get(self.what)
        return statistics.median(runs) if runs else None


class Goal(NamedTuple):
    """`ours` is at most `factor` times `theirs`, which is another figure or a number."""
    text: str
    ours: Figure
    factor: float
    theirs: object

    def cells(self):
        return [f.key for f in (self.ours, self.theirs) if isinstance(f, Figure)]

    def ratio(self, data):
        """None while a figure is missing."""
        ours = self.ours.of(data)
        theirs = self.theirs.of(data) if isinstance(self.theirs, Figure) else self.theirs
        return ours / theirs if ours is not None and theirs else None


def against(task, who, factor, words, link=WAN):
    return Goal(f"{task}{'' if link == WAN else f' ({link})'}: {words}",
                Figure(key(link, task, "ftpfs")), factor, Figure(key(link, task, who)))


def against_own(task, other, factor):
    return Goal(f"{task}: seconds of {other}", Figure(key(WAN, task, "ftpfs")), factor,
                Figure(key(WAN, other, "ftpfs")))


def round_trips(task, count, most, unit):
    return Goal(f"{task}: round trips a {unit}", Figure(key(WAN, task, "ftpfs")), most, count * 0.020)


def over_tls(task, factor):
    return Goal(f"{task} over TLS: seconds of plain", Figure(key(WAN, task, "ftpfs", True)), factor,
                Figure(key(WAN, task, "ftpfs")))


def loop(task):
    yield against(task, "curl", 1 / 0.8, "seconds of curl", LOOPBACK)
    yield Goal(f"{task} ({LOOPBACK}): CPU seconds of rclone", Figure(key(LOOPBACK, task, "ftpfs"), "cpu"),
               1 / 2, Figure(key(LOOPBACK, task, "rclone"), "cpu"))


def back(task, factor):
    return Goal(f"{task} with write=back: seconds of lftp mirror -R --parallel=8",
                Figure(key(WAN, task, "ftpfs-back")), factor, Figure(key(WAN, task, "lftp")))


GOALS = [
    against("list-wide", "curl", 2.5, "seconds of curl's plain LIST"),
    against("walk", "lftp", 1 / 15, "seconds of lftp find"),
    against("walk", "rclone", 1 / 8, "seconds of rclone"),
    against("copy-out", "lftp", 1 / 2.0, "seconds of lftp mirror --parallel=8"),
    against("copy-out", "rclone", 1 / 13, "seconds of rclone"),
    against("read-big", "curl", 1.02, "seconds of curl"),
    against("read-big", "curl", 0.3, "seconds of curl", LOSSY),
    against("write-big", "curl", 1.05, "seconds of curl -T"),
    round_trips("rand-read", 50, 2.2, "read"),
    round_trips("copy-in", 200, 3.2, "file"),
    round_trips("rsync-in", 200, 10, "file"),
    back("copy-in", 1 / 1.5),
    back("rsync-in", 1),
    round_trips("edit-mid", 1, 20, "edit"),
    against_own("grep-tree", "copy-out", 1.3),
    against_own("tar-tree", "copy-out", 1.3),
    *loop("loop-read"),
    *loop("loop-write"),
    *[over_tls(task, 1.6) for task in BIG_TLS],
    *[over_tls(task, 2.5) for task in SMALL_TLS],
    Goal("ls-busy: round trips of the busy link", Figure(key(WAN, "ls-busy", "ftpfs"), "trips"), 3, 1),
]


def verdicts(data, raced=None):
    """(text, ratio or None, limit, met), of the goals about these cells only, if any are named."""
    for goal in GOALS:
        if raced is not None and not raced.issuperset(goal.cells()):
            continue
        ratio = goal.ratio(data)
        yield goal.text, ratio, goal.factor, ratio is not None and ratio <= goal.factor


def judge(data, raced):
    """Prints a line for each; 1 when one is missed."""
    print()
    missed = 0
    for text, ratio, limit, met in verdicts(data, raced):
        missed += not met
        print(f"{'yes' if met else 'NO '}  {f'{ratio:.3f}' if ratio is not None else '-':>7} "
              f"(at most {limit:.3f})  {text}")
    print(f"{missed} missed" if missed else "all met")
    return 1 if missed else 0
