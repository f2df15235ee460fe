"""plan - which cells are raced for docs/performance.md, and which of them decide whether the goals are met.

All of it takes about an hour, of which half are the peers' at 20 ms.  So three runs go to what a goal is about and
to what takes seconds, one to what takes minutes (ONCE) and to what only shows how a figure grows.  Left out are

- rclone and lftp where they take their time once for each file or directory on a link that is longer than 20 ms, which
  only says again what 20 ms says (rclone's `ls -l` of 10,000 files alone would take a quarter of an hour at 100 ms);
- over TLS the mounts but ftpfs, and of the clients what has no goal: the question is what TLS costs;
- on lossy and on narrow links what is not the link's to decide (a listing, a random read);
- curlftpfs, which Debian 12 does not have: it races when it is installed and named (`bench ... curlftpfs`).
"""

import re

from benchmarks import goals
from benchmarks.course import SIZES, Link
from benchmarks.race import Cell
from benchmarks.tasks import READERS, find_task

WAN = Link("20 ms", 20)
LAN = Link("0.2 ms", 0.2)
FAR = Link("100 ms", 100)
LOSSY = Link("20 ms, 1 % loss", 20, loss=1, congestion="reno")
NARROW = Link("20 ms, 100 Mbit/s", 20, rate=100)
LOOPBACK = Link("loopback", None)

# Seconds that each may take; far from any limit, so that once is enough.
ONCE = {("walk", "lftp"): 200, ("list-wide", "rclone"): 400, ("walk", "rclone"): 200, ("copy-out", "rclone"): 250,
        ("rsync-in", "rclone"): 120, ("edit-mid", "rclone"): 120, ("rsync-in", "ftpfs"): 120,
        ("rand-read", "rclone"): 60}
LIMIT = 60


def heat(link, tasks, contenders, *, tls=False, runs=3, limit=LIMIT, once=ONCE):
    """Cells of those contenders that can do it."""
    for task in tasks:
        for who in contenders:
            if find_task(who, task):
                slow = once.get((task, who))
                yield Cell(link, tls, task, who, 1 if slow else runs, slow or limit)


def wan(runs):
    yield from heat(WAN, ["list-wide", "walk", "copy-out", "read-big", "write-big", "copy-in", "rand-read",
                          "rsync-in", "edit-mid"], ["ftpfs", "rclone", "lftp", "curl"], runs=runs)
    yield from heat(WAN, ["grep-tree", "tar-tree", "ls-busy"], ["ftpfs"], runs=runs)
    yield from heat(WAN, ["copy-in", "rsync-in"], ["ftpfs-back"], runs=runs)
    yield from heat(WAN, goals.SMALL_TLS + goals.BIG_TLS, ["ftpfs"], tls=True, runs=runs)


def matrix(runs=None):
    """Of a link its most telling cells first."""
    runs = runs or 3
    yield from wan(runs)
    yield from heat(WAN, ["copy-out", "copy-in", "list-wide", *goals.BIG_TLS], ["lftp", "curl"], tls=True, runs=1)
    yield from heat(LOOPBACK, ["loop-read", "loop-write"], ["ftpfs", "ftpfs-direct", "rclone", "curl"],
                    runs=runs)
    yield from heat(LOSSY, ["read-big"], ["ftpfs", "curl"], runs=runs, limit=200)
    yield from heat(LOSSY, ["copy-out"], ["ftpfs", "lftp"], runs=1)
    yield from heat(NARROW, ["read-big", "write-big", "copy-out"], ["ftpfs", "lftp", "curl"], runs=1)
    yield from heat(LAN, ["list-wide", "walk", "copy-out", "read-big", "write-big", "copy-in", "rand-read"],
                    ["ftpfs", "rclone", "lftp", "curl"], runs=runs, once={})
    yield from heat(FAR, ["list-wide", "walk", "copy-out", "read-big", "write-big", "copy-in", "rand-read"],
                    ["ftpfs", "curl"], runs=1, limit=150)
    yield from heat(FAR, ["copy-out", "copy-in"], ["lftp"], runs=1, limit=200)
    yield from heat(WAN, ["list-100", "list-10000", "list-100000"], ["ftpfs", "curl"], runs=1, limit=200)
    yield from heat(WAN, [f"{way}-{size}" for size in SIZES for way in ("read", "write")], ["ftpfs", "curl"],
                    runs=1, limit=300)
    yield from heat(WAN, [f"readers-{n}" for n in READERS], ["ftpfs", "rclone"], runs=1)


def acceptance(runs=None):
    """What the goals name, and only that."""
    needed = {needed for goal in goals.GOALS for needed in goal.cells()}
    return [cell for cell in matrix(runs) if cell.key() in needed]


def chosen(cells, pattern):
    return [cell for cell in cells if not pattern or re.search(pattern, cell.key())]
