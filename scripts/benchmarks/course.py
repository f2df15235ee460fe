"""course - where a race is run: the link, the servers at its far end, and what they serve."""

import os
import pathlib
import random
import shutil
import subprocess
from typing import NamedTuple, Optional

import world

SMALL_DIRS = 4  # of the tree's 20, for the tasks that upload
BLOCK = 4096
MIB = 1 << 20
BUSY = 256 * MIB  # seconds of transfer, even four at once


class Link(NamedTuple):
    name: str
    rtt: Optional[float]  # ms; None: loopback
    rate: float = 0       # Mbit/s; 0: no limit
    loss: float = 0       # percent
    congestion: Optional[str] = None  # the server's; None: the system's own


class Wrong(Exception):
    """A task ended and its result is not right."""


def want(true, why):
    if not true:
        raise Wrong(why)


def sh(argv, timeout, **how):
    """Raises subprocess.TimeoutExpired or CalledProcessError."""
    how.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([str(a) for a in argv], timeout=timeout, check=True,
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **how).stdout


def same(a, b):
    return subprocess.run(["diff", "-rq", str(a), str(b)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


# What is served, each by its name; made when the first task needs it, the same each time.

def tree(at):
    """20 directories of 50 small files, 16 MB."""
    rng = random.Random(7)
    for d in range(20):
        directory = at / f"d{d:02d}"
        directory.mkdir(parents=True)
        for f in range(50):
            (directory / f"f{f:03d}.dat").write_bytes(rng.randbytes(rng.randint(500, 32000)))


def deep(at):
    """611 directories, 500 of them with a file."""
    for a in range(10):
        for b in range(10):
            for c in range(5):
                directory = at / f"a{a}" / f"b{b}" / f"c{c}"
                directory.mkdir(parents=True)
                (directory / "leaf.txt").write_text("leaf")


def flat(count):
    def make(at):
        at.mkdir()
        for i in range(count):
            (at / f"file-{i:06d}.txt").write_bytes(b"x" * (i % 100))
    return make


def noise(size, seed):
    def make(at):
        rng = random.Random(seed)
        with at.open("wb") as f:
            for _ in range(0, size, MIB):
                f.write(rng.randbytes(min(size, MIB)))
    return make


def sparse(size):
    """A random block in every MiB and holes between them: a shifted or a lost piece is seen."""
    def make(at):
        rng = random.Random(size)
        with at.open("wb") as f:
            f.truncate(size)
            for start in range(0, size, MIB):
                f.seek(start + rng.randrange(MIB // BLOCK) * BLOCK)
                f.write(rng.randbytes(BLOCK))
    return make


def several(count, size):
    def make(at):
        at.mkdir()
        for i in range(count):
            noise(size, i)(at / f"{i:02d}")
    return make


SIZES = {"1M": MIB, "16M": 16 * MIB, "256M": 256 * MIB, "2G": 2048 * MIB}
MAKERS = {
    "tree": tree, "deep": deep, "wide": flat(10000), "few": flat(100), "crowd": flat(100000),
    "big.bin": noise(64 * MIB, 1), "loop.bin": noise(1024 * MIB, 3),
    "busy-1": sparse(BUSY), "busy-2": sparse(BUSY), "side": several(16, 8 * MIB),
    **{f"size-{name}": sparse(size) for name, size in SIZES.items()},
}


class Content:
    """The directory that every server serves."""

    def __init__(self, scratch):
        self.root = scratch / "served"
        self.small = scratch / "small"
        self.root.mkdir()

    def need(self, name):
        at = self.root / name
        if not at.exists():
            MAKERS[name](at)
            sh(["chown", "-R", f"{world.OWNER}:{world.OWNER}", at], 60)
        if name == "tree" and not self.small.exists():
            for d in range(SMALL_DIRS):
                shutil.copytree(at / f"d{d:02d}", self.small / f"d{d:02d}")

    def empty_up(self):
        """`up` is where a task may write."""
        shutil.rmtree(self.root / "up", ignore_errors=True)
        (self.root / "up").mkdir()
        os.chown(self.root / "up", world.OWNER, world.OWNER)


class Course:
    """A link and the servers behind it, plain and TLS, both on the same content."""

    def __init__(self, link, content, scratch):
        self.link, self.content, self.scratch = link, content, scratch
        self.servers = {}
        self.wan = None
        if link.rtt is not None:
            self.wan = world.Wan(rtt=link.rtt, rate=link.rate, loss=link.loss, queue=500,
                                 congestion=link.congestion)

    def congestion(self):
        own = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
        return {"server": self.wan.congestion if self.wan else own, "client": own}

    def server(self, tls):
        if tls not in self.servers:
            # No more of the link's name than this: overlays take no comma in a path.
            place = self.scratch / f"server-{'tls' if tls else 'plain'}"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            where = {"address": self.wan.address, "netns": self.wan.netns} if self.wan else {}
            self.servers[tls] = world.Server("vsftpd", "tls" if tls else "plain", place,
                                             root=self.content.root, **where)
        return self.servers[tls]

    def close(self):
        try:
            for server in self.servers.values():
                server.close()
        finally:
            if self.wan:
                self.wan.close()

    def wire_bytes(self):
        for line in pathlib.Path("/proc/net/dev").read_text().splitlines():
            name, _, rest = line.strip().partition(":")
            if name == "lo" if self.wan is None else name.startswith("wan") and name.endswith("-a"):
                fields = rest.split()
                return int(fields[0]) + int(fields[8])
        return 0
