"""kill -9 of ftpfs, kill -9 of the server, a cut link, each at a random instant: nothing promised is lost.

Environment:
    ROUNDS         rounds in all, dealt to the cases below (default: a few, each server and kill in one write mode)
    SEED           the first round's; round i has SEED + i, and prints it when it fails
    CRASH_SECONDS  no round begins after so many, dealt to the cases alike (default: 25, without ROUNDS)
    CRASH_SERVERS  e.g. "vsftpd:plain proftpd:tls"
    CRASH_KILLS    of "ftpfs server link"
    CRASH_WRITE    of "through back"
"""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

import conftest
import world
from model import Model, Wrong
from workload import NAMES
from world import run, wait_until

SERVERS = os.environ.get("CRASH_SERVERS", "vsftpd:plain proftpd:plain vsftpd:tls proftpd:tls").split()
KILLS = os.environ.get("CRASH_KILLS", "ftpfs server link").split()
WRITES = os.environ.get("CRASH_WRITE", "through back").split()
SEED = int(os.environ.get("SEED") or random.randrange(10 ** 9))
GLANCE = "ROUNDS" not in os.environ and "CRASH_WRITE" not in os.environ
CASES = [(s, k, w) for s in SERVERS for k in KILLS
         for w in ([random.Random(f"{SEED} {s} {k}").choice(WRITES)] if GLANCE else WRITES)]
ROUNDS = -(-int(os.environ.get("ROUNDS", 2 * len(CASES))) // len(CASES))
SECONDS = float(os.environ.get("CRASH_SECONDS") or ("inf" if "ROUNDS" in os.environ else 25)) / max(len(CASES), 1)

WRITERS = 2
OPERATIONS = 30
TIMEOUT = 3  # the mount's own
RTT = 4


class Round:
    """One seed's: a directory of the server, mounted, and what is done to it."""

    def __init__(self, case, seed):
        self.case, self.seed = case, seed
        self.rng = random.Random(seed)
        self.name = f"r{seed}"
        self.at = case.scratch / self.name
        self.at.mkdir()
        self.mount = None
        self.starts = [self.fill(f"{self.name}/w{n}") for n in range(WRITERS)]
        self.logs = [self.at / f"log{n}" for n in range(WRITERS)]

    def fill(self, directory):
        start = {}
        self.case.server.make_dir(f"{directory}/d")
        os.chown(self.case.server.root / directory, world.OWNER, world.OWNER)
        os.chown(self.case.server.root / self.name, world.OWNER, world.OWNER)
        for name in NAMES:
            if self.rng.random() < 0.6:
                start[name] = self.rng.randbytes(self.rng.choice([0, 300, 30000, 400000]))
                self.case.server.put(f"{directory}/{name}", start[name])
        return start

    def attach(self):
        self.mount = world.Mount(self.case.server, self.at / "mnt", self.at / "cache", timeout=TIMEOUT, connect_timeout=TIMEOUT,
                                 path=f"/{self.name}", **self.case.options)

    def writers(self):
        program = [sys.executable, "-B", pathlib.Path(__file__).with_name("workload.py")]
        return [subprocess.Popen([*program, str(self.seed + n), self.mount.path / f"w{n}", log,
                                  str(OPERATIONS)], stdin=subprocess.DEVNULL)
                for n, log in enumerate(self.logs)]

    def wait_for_instant(self, writers):
        """In the middle of an operation, or between two: a random while after a random one began."""
        log, number = self.logs[0], self.rng.randrange(OPERATIONS * 3 // 4)
        delay = self.rng.choice([0, 0.002, 0.01, 0.03]) * self.rng.random()

        def begun():
            return (log.exists() and f"begin {number}\n" in log.read_text()) or \
                all(w.poll() is not None for w in writers)

        end = time.monotonic() + 30 * world.SLOW
        while not begun() and time.monotonic() < end:
            time.sleep(0.0005)
        time.sleep(delay)

    def crash(self):
        """What it was, for the report."""
        pause = self.rng.choices([0, 0.5, 1.5 * TIMEOUT], [7, 2, 1])[0]
        if self.case.kill == "ftpfs":
            os.kill(self.mount.pid, signal.SIGKILL)
        elif self.case.kill == "server":
            self.case.server.kill()
            time.sleep(pause)
            self.case.server.start()
        else:
            self.case.wan.cut()
            time.sleep(pause or 0.2)
            self.case.wan.mend()

    def remount(self):
        """And wait until there is nothing left to do."""
        if self.case.kill == "ftpfs":
            run("fusermount3", "-uz", self.mount.path)
        else:
            self.mount.unmount()
        self.attach()
        run(world.FTPFS, "--sync", self.mount.path, timeout=60)

    def seen(self, top):
        """Contents below top, and what lies there that is nobody's."""
        files, litter = {}, []
        for path in pathlib.Path(top).rglob("*"):
            if path.name.startswith(".ftpfs-"):
                litter.append(path.name)
            elif not path.is_dir():
                files[str(path.relative_to(top))] = path.read_bytes()
        return files, litter

    def verify(self):
        shown = [self.seen(self.mount.path / f"w{n}") for n in range(WRITERS)]
        self.mount.unmount()
        self.case.wait_for_server()
        told = [self.verify_writer(n, *shown[n]) for n in range(WRITERS)]
        wrong = [line for _, lines in told for line in lines]
        if wrong:
            raise Wrong("\n".join(wrong))
        return sum(promises for promises, _ in told)

    def verify_writer(self, n, shown, shown_litter):
        """(promises, what is wrong)"""
        files, litter = self.seen(self.case.server.root / self.name / f"w{n}")
        log, wrong = self.logs[n].read_text(), []
        try:
            model = Model(self.seed + n, self.starts[n]).replay(log)
            originals = dict(files)
            model.drop_copies(originals)
            model.check(originals)
        except Wrong as e:
            wrong.append(str(e))
        if litter:
            wrong.append(f"left on the server: {litter}")
        if shown_litter:
            wrong.append(f"the mount shows {shown_litter}")
        if shown != files:
            names = [f for f in {*files, *shown} if files.get(f) != shown.get(f)]
            wrong.append(f"the new mount shows something else than the server has: {names}")
        return log.count("ok "), wrong

    def play(self):
        writers = []
        try:
            self.attach()
            writers = self.writers()
            self.wait_for_instant(writers)
            self.crash()
            for writer in writers:
                writer.wait(120 * world.SLOW)
            self.remount()
            return self.verify()
        finally:
            for writer in writers:
                if writer.poll() is None:
                    writer.kill()
            if self.mount:
                self.mount.discard()
            for writer in writers:
                writer.wait(60)

    def clean(self):
        shutil.rmtree(self.case.server.root / self.name)
        shutil.rmtree(self.at)


class Case:
    """A server, a way to fail, a write mode."""

    def __init__(self, stack, server, kill, write):
        kind, _, mode = server.partition(":")
        self.kill, self.unread = kill, set()
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="ftpfs-crash-"))
        stack.callback(shutil.rmtree, self.scratch, ignore_errors=True)
        self.scratch.chmod(0o755)
        (self.scratch / "server").mkdir()
        where = {}
        if kill == "link":
            self.wan = world.Wan(rtt=RTT)
            stack.callback(self.wan.close)
            where = {"address": self.wan.address, "netns": self.wan.netns}
        self.server = world.Server(kind, mode or "plain", self.scratch / "server", **where)
        stack.callback(self.server.close)
        self.options = {"write": "back"} if write == "back" else {}

    def sessions(self):
        """Connections over which something may still come: seen from the server, or from this end of a link
        that was cut, since the server does not learn of what was reset meanwhile."""
        rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        if self.kill == "link":
            peer = "".join(f"{int(part):02X}" for part in reversed(self.wan.address.split(".")))
            return [row for row in rows if row[2].startswith(peer) and row[3] not in ("05", "06")]
        here = f":{self.server.port:04X}"
        return [row for row in rows if row[1].endswith(here) and row[3] not in ("0A", "06")]

    def wait_for_server(self):
        """Until it is done with what it was sent.  A closed data connection whose command was lost in the cut, and
        with it the reset of its control connection, is read by nobody: its queue stands still."""
        queues, since = None, 0

        def done():
            nonlocal queues, since
            rows = [row for row in self.sessions() if row[1] not in self.unread]
            now = [(row[1], row[4]) for row in rows]
            if now != queues:
                queues, since = now, time.monotonic()
            if self.kill == "link" and time.monotonic() - since > 10 and all(row[3] == "04" for row in rows):
                self.unread |= {row[1] for row in rows}
                return True
            return not rows

        wait_until(done, 60, "the server to be done with what it was sent")


@pytest.mark.skipif(world.what_is_missing() is not None, reason=str(world.what_is_missing()))
@pytest.mark.parametrize("server, kill, write", CASES)
def test_nothing_promised_is_lost(server, kill, write):
    title = f"{server}, {kill} fails, write={write}"
    rounds = promised = 0
    failures = []
    first = SEED + 10 ** 6 * CASES.index((server, kill, write))
    with contextlib.ExitStack() as stack:
        case = Case(stack, server, kill, write)
        begun = time.monotonic()
        for seed in range(first, first + WRITERS * ROUNDS, WRITERS):
            if time.monotonic() - begun > SECONDS:
                break
            rounds += 1
            one = Round(case, seed)
            try:
                promised += one.play()
            except (Wrong, AssertionError, OSError, subprocess.TimeoutExpired) as e:
                failures.append(f"{type(e).__name__}: {e}\n  again: ROUNDS=1 SEED={seed} CRASH_SERVERS={server} "
                                f"CRASH_KILLS={kill} CRASH_WRITE={write} make check-crash")
                conftest.TALLIES.append(failures[-1])
                print(failures[-1], flush=True)
                continue
            one.clean()
        seconds = time.monotonic() - begun
    conftest.TALLIES.append(f"{title}: {rounds} rounds from SEED={first} in {seconds:.0f} s, {promised} "
                            f"promises, {len(failures)} rounds failed")
    assert not failures, "\n".join(failures)
