"""race - runs the heats of a plan, interleaved, and writes down each run as soon as it is over."""

import contextlib
import datetime
import hashlib
import json
import mmap
import os
import pathlib
import platform
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from typing import NamedTuple

import world

from benchmarks import contenders
from benchmarks.contenders import MOUNTS
from benchmarks.course import Content, Course, Link, Wrong, want
from benchmarks.keys import key
from benchmarks.tasks import TASKS, find_task


BACKED = 4 << 30  # bytes: what a file of 1 GiB takes of the page cache, for any contender and the server, and more


def back_memory():
    """A hypervisor that was given free pages back (free page reporting) has a page fault of its own for each,
    several times as long as the guest's: who comes first would pay it, and who uses more of the page cache twice."""
    half = os.sysconf("SC_AVPHYS_PAGES") * mmap.PAGESIZE // 2
    mmap.mmap(-1, min(BACKED, half), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


class Cell(NamedTuple):
    """One figure."""
    link: Link
    tls: bool
    task: str
    who: str
    runs: int
    limit: float  # seconds

    def key(self):
        return key(self.link.name, self.task, self.who, self.tls)


class Round:
    """One contender's one try at one task."""

    def __init__(self, course, cell):
        self.course, self.who, self.tls, self.limit = course, cell.who, cell.tls, cell.limit
        self.server = course.server(cell.tls)
        self.srv, self.small = course.content.root, course.content.small
        self.mnt, self.out = course.scratch / "mnt", course.scratch / "out"
        self.daemon = None
        self.begun = self.seconds = self.cpu = self.trips = None
        self.remark = ""

    @contextlib.contextmanager
    def clock(self, cpu=False):
        """cpu: count that of the mount's daemon, or of the client, too."""
        if cpu:
            os.sync()  # what the contender before it wrote is not for this one's CPUs to put on the disk
            back_memory()
        cpu_before = self._cpu() if cpu else 0
        self.begun = time.monotonic()
        yield
        self.seconds = time.monotonic() - self.begun
        self.cpu = self._cpu() - cpu_before if cpu else None
        self.begun = None

    def _cpu(self):
        if self.daemon:
            return contenders.cpu_of(self.daemon)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def left(self):
        """Seconds; what is done off the clock has as many once more."""
        return self.limit if self.begun is None else self.limit + self.begun - time.monotonic()

    def sh(self, argv, stdout=subprocess.PIPE, ends=(0,)):
        done = subprocess.run([str(a) for a in argv], timeout=max(self.left(), 0.1), check=False, text=True,
                              stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)
        want(done.returncode in ends, f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def pipe(self, first, second):
        """first | second, and both must succeed."""
        with tempfile.TemporaryFile("w+") as errors:
            source = subprocess.Popen([str(a) for a in first], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=errors)
            try:
                sink = subprocess.run([str(a) for a in second], stdin=source.stdout, stderr=errors,
                                      stdout=errors, timeout=max(self.left(), 0.1), check=False)
                source.stdout.close()
                source.wait(max(self.left(), 0.1))
            finally:
                source.kill()
                source.wait()
            errors.seek(0)
            want(sink.returncode == 0 and source.returncode == 0, errors.read().strip())

    def wait(self, condition, what):
        while not condition():
            want(self.left() > 0, f"waited too long for {what}")
            time.sleep(0.005)

    def wait_arrived(self, source, target):
        """Names and sizes: a mount that uploads behind close(2) gets its time, on the clock."""
        expected = sizes(source)
        self.wait(lambda: sizes(target) == expected, "the server to have it")


def sizes(root):
    if not root.is_dir():
        return root.stat().st_size if root.exists() else None
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            with contextlib.suppress(FileNotFoundError):
                found[os.path.relpath(path, root)] = os.stat(path).st_size
    return found


def attempt(course, cell):
    """{"seconds", and perhaps "cpu", "trips" and "remark"}, or {"failure"}."""
    function, (_, needs) = find_task(cell.who, cell.task), TASKS[cell.task]
    for name in needs:
        course.content.need(name)
    course.content.empty_up()
    t = Round(course, cell)
    shutil.rmtree(t.out, ignore_errors=True)
    t.out.mkdir()
    t.mnt.mkdir(exist_ok=True)
    try:
        if cell.who in MOUNTS:
            t.daemon = contenders.mount(t)
        function(t)
        result = {"seconds": t.seconds, "cpu": t.cpu, "trips": t.trips, "remark": t.remark or None}
        return {what: round(value, 4) if isinstance(value, float) else value
                for what, value in result.items() if value is not None}
    except subprocess.TimeoutExpired:
        return {"failure": f"over {cell.limit:.0f} s"}
    except subprocess.CalledProcessError as e:
        return {"failure": f"FAILED: {(e.stderr or '').strip() or e}"[:150]}
    except Wrong as e:
        return {"failure": f"WRONG: {e}"[:150]}
    except (OSError, AssertionError) as e:
        return {"failure": f"FAILED: {e}"[:150]}
    finally:
        if cell.who in MOUNTS:
            contenders.unmount(cell.who, t.mnt)


class Results:
    """What is known so far; on disk after each run, so that a broken race goes on where it was."""

    def __init__(self, path, fresh=False):
        self.path = path
        self.data = {"machine": machine(), "links": {}, "cells": {}}
        if path and path.exists() and not fresh:
            before = json.loads(path.read_text())
            if before["machine"]["binary"] == self.data["machine"]["binary"]:
                self.data = before
            else:
                print(f"{path} is about another ftpfs: begun afresh", flush=True)

    def runs(self, cell):
        return self.data["cells"].get(cell.key(), {}).get("seconds", [])

    def done(self, cell):
        known = self.data["cells"].get(cell.key(), {})
        return len(self.runs(cell)) >= cell.runs or known.get("failure", "").startswith("over")

    def add(self, cell, result):
        known = self.data["cells"].setdefault(cell.key(), {})
        known.pop("failure", None)
        for what in ("seconds", "cpu", "trips"):
            if what in result:
                known.setdefault(what, []).append(result[what])
        known.update({k: v for k, v in result.items() if k in ("remark", "failure")})
        self.save()

    def know_link(self, course):
        self.data["links"][course.link.name] = {**course.link._asdict(), "congestion": course.congestion()}
        self.save()

    def save(self):
        if self.path:
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(self.data, indent=1) + "\n")
            new.replace(self.path)


def machine():
    binary = pathlib.Path(world.FTPFS).read_bytes()
    commit = subprocess.run(["git", "-C", str(world.REPO), "describe", "--always", "--dirty"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    model = [line.partition(": ")[2] for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return {"date": datetime.date.today().isoformat(), "kernel": platform.release(),
            "system": platform.freedesktop_os_release()["PRETTY_NAME"],
            "cpus": os.cpu_count(), "cpu": model[0] if model else platform.machine(),
            "versions": contenders.versions(), "commit": commit.stdout.strip(),
            "binary": hashlib.sha256(binary).hexdigest()[:16]}


def show(cell, results, result):
    seconds = results.runs(cell)
    word = f"{result['seconds']:8.2f} s" if "seconds" in result else "       -  "
    cpu = f"  {result['cpu']:.2f} s of CPU" if "cpu" in result else ""
    print(f"{len(seconds)}/{cell.runs} {cell.link.name + (', TLS' if cell.tls else ''):14} {cell.task:11} "
          f"{cell.who:9} {word}{cpu}  {result.get('remark', '')}{result.get('failure', '')}".rstrip(),
          flush=True)


def race(cells, results, scratch):
    """Run 1 of all, then run 2 of all, so that a machine that drifts does so for all alike."""
    content = Content(scratch)
    for link in dict.fromkeys(cell.link for cell in cells):
        here = [cell for cell in cells if cell.link == link and not results.done(cell)]
        if not here:
            continue
        course = Course(link, content, scratch)
        try:
            results.know_link(course)
            failed = set()
            for run in range(max(cell.runs for cell in here)):
                for cell in here:
                    if len(results.runs(cell)) == run < cell.runs and cell not in failed:
                        result = attempt(course, cell)
                        results.add(cell, result)
                        show(cell, results, result)
                        if "failure" in result:
                            failed.add(cell)
        finally:
            course.close()


def summary(cells, results):
    for cell in cells:
        known, seconds = results.data["cells"].get(cell.key(), {}), results.runs(cell)
        if seconds:
            spread = f" ({min(seconds):.2f} .. {max(seconds):.2f})" if len(seconds) > 1 else ""
            print(f"{cell.task:11} {cell.who:9} {statistics.median(seconds):8.2f} s{spread}")
        else:
            print(f"{cell.task:11} {cell.who:9}        -    {known.get('failure', '')}")
