"""tasks - what is raced.  Each takes a Round, works between its clock's start and stop, and verifies.

On the clock is only what a user waits for, until the far end has every byte; the comparison with
what should have arrived comes after it, or runs beside it in a pipe, the same for all contenders."""

import os
import random
import shutil
import socket
import statistics
import subprocess
import time

import world

from benchmarks.contenders import MOUNTS, curl, lftp
from benchmarks.course import BLOCK, BUSY, MIB, SIZES, same, want

RANDOM_READS = 50
SMALL_FILES = 200
WORD = "no-file-has-this-word"
TASKS = {}  # name: (function, what it needs)
CLIENT_TASKS = {}  # (client, name): function


def task(*needs, name=None):
    def enter(function):
        TASKS[name or function.__name__.replace("_", "-")] = (function, needs)
        return function
    return enter


def client_task(who, *names):
    def enter(function):
        CLIENT_TASKS.update({(who, name): function for name in names})
        return function
    return enter


def find_task(who, name):
    """The function, or None: clients do what they can of it."""
    return TASKS[name][0] if who in MOUNTS else CLIENT_TASKS.get((who, name))


# -- looking

def list_files(directory, count):
    def run(t):
        with t.clock():
            lines = t.sh(["ls", "-l", t.mnt / directory]).splitlines()
        want(len(lines) == count + 1, "entries are missing")

    def run_curl(t):
        with t.clock():
            lines = t.sh(curl(t, f"/{directory}/")).splitlines()
        want(len(lines) == count, "entries are missing")

    def run_lftp(t):
        with t.clock():
            lines = t.sh(lftp(t, f"ls {directory}")).splitlines()
        want(len(lines) == count, "entries are missing")
    return run, run_curl, run_lftp


for _name, _directory, _count in (("list-wide", "wide", 10000), ("list-100", "few", 100),
                                  ("list-10000", "wide", 10000), ("list-100000", "crowd", 100000)):
    _run, _curl, _lftp = list_files(_directory, _count)
    task(_directory, name=_name)(_run)
    client_task("curl", _name)(_curl)
    client_task("lftp", _name)(_lftp)


@task("deep")
def walk(t):
    with t.clock():
        found = t.sh(["find", t.mnt / "deep", "-type", "f"])
    want(len(found.splitlines()) == 500, "files are missing")


@client_task("lftp", "walk")
def lftp_walk(t):
    with t.clock():
        found = t.sh(lftp(t, "find deep"))
    want(found.count("leaf.txt") == 500, "files are missing")


@task("few", "busy-1", "busy-2")
def ls_busy(t):
    """`ls` of a directory not seen before, beside two downloads and two uploads."""
    moves = [["cat", t.mnt / "busy-1"], ["cat", t.mnt / "busy-2"],
             ["cp", "--sparse=never", t.srv / "busy-1", t.mnt / "up" / "a"],
             ["cp", "--sparse=never", t.srv / "busy-2", t.mnt / "up" / "b"]]
    movers = [subprocess.Popen([str(a) for a in argv], stdout=subprocess.DEVNULL) for argv in moves]
    try:
        t.wait(lambda: all(under_way(t, movers)), "all four to be under way")
        before = round_trip(t)
        with t.clock():
            names = t.sh(["ls", t.mnt / "few"]).split()
        after = round_trip(t)
        want(all(under_way(t, movers)), f"the transfers ended first, in {t.seconds:.2f} s")
        want(names == sorted(os.listdir(t.srv / "few")), "names are missing")
        t.trips = t.seconds / ((before + after) / 2)
        t.remark = f"{t.trips:.1f} round trips, which then take {before * 1e3:.0f} and {after * 1e3:.0f} ms"
    finally:
        for mover in movers:
            mover.kill()
            mover.wait()


def under_way(t, movers):
    for reader in movers[:2]:
        want(reader.poll() is None, "a transfer ended first")
        with open(f"/proc/{reader.pid}/io", encoding="ascii") as io:
            yield int(io.readline().split()[1]) > MIB
    # under whatever name they have meanwhile
    yield sum(MIB < up.stat().st_size < BUSY for up in (t.srv / "up").iterdir()) == 2


def round_trip(t):
    """What connect(2) takes: a round trip of the link as full as it is now."""
    times = []
    for _ in range(5):
        begun = time.monotonic()
        socket.create_connection((t.server.address, t.server.port), 10).close()
        times.append(time.monotonic() - begun)
    return statistics.median(times)


# -- reading

@task("tree")
def copy_out(t):
    with t.clock():
        t.sh(["cp", "-r", t.mnt / "tree", t.out / "tree"])
    want(same(t.srv / "tree", t.out / "tree"), "the copy differs")


@client_task("lftp", "copy-out")
def lftp_copy_out(t):
    with t.clock():
        t.sh(lftp(t, f"mirror --parallel=8 tree {t.out}/tree"))
    want(same(t.srv / "tree", t.out / "tree"), "the copy differs")


@task("tree")
def grep_tree(t):
    """-L names every file that was read to its end without a match; 1 says that there was none."""
    with t.clock():
        found = t.sh(["grep", "-r", "-L", WORD, t.mnt / "tree"], ends=(0, 1))
    want(len(found.splitlines()) == 1000, "files were not read")


@task("tree")
def tar_tree(t):
    """Into a file: tar does not read what it writes to /dev/null."""
    archive = t.out / "tree.tar"
    with t.clock():
        t.sh(["tar", "cf", archive, "-C", t.mnt, "tree"])
    t.sh(["tar", "xf", archive, "-C", t.out])
    want(same(t.srv / "tree", t.out / "tree"), "the archive differs")


def read_file(name):
    """Each byte is compared as it comes, by a process at the end of a pipe."""
    def run(t):
        with t.clock():
            t.pipe(["cat", t.mnt / name], ["cmp", "-", t.srv / name])

    def run_curl(t):
        with t.clock():
            t.pipe(curl(t, f"/{name}"), ["cmp", "-", t.srv / name])

    def run_lftp(t):
        with t.clock():
            t.pipe(lftp(t, f"cat {name}"), ["cmp", "-", t.srv / name])
    return run, run_curl, run_lftp


for _name, _file in (("read-big", "big.bin"), *((f"read-{s}", f"size-{s}") for s in SIZES)):
    _run, _curl, _lftp = read_file(_file)
    task(_file, name=_name)(_run)
    client_task("curl", _name)(_curl)
    client_task("lftp", _name)(_lftp)


@task("big.bin")
def rand_read(t):
    rng = random.Random(3)
    places = [rng.randrange(64 * MIB // BLOCK) * BLOCK for _ in range(RANDOM_READS)]
    with (t.srv / "big.bin").open("rb") as there:
        expected = [os.pread(there.fileno(), BLOCK, at) for at in places]
    with (t.mnt / "big.bin").open("rb") as here, t.clock():
        for at, block in zip(places, expected):
            want(os.pread(here.fileno(), BLOCK, at) == block, "differs")
            want(t.left() > 0, "too slow")


def readers(count):
    def run(t):
        with t.clock():
            all_of_them = [subprocess.Popen(["cmp", t.mnt / "side" / f"{i:02d}",
                                             t.srv / "side" / f"{i:02d}"]) for i in range(count)]
            try:
                for reader in all_of_them:
                    want(reader.wait(t.left()) == 0, "differs")
            finally:
                for reader in all_of_them:
                    reader.kill()
                    reader.wait()
    return run


READERS = (1, 2, 4, 8, 16)
for _count in READERS:
    task("side", name=f"readers-{_count}")(readers(_count))


@task("loop.bin")
def loop_read(t):
    with t.clock(cpu=True):
        t.sh(["cat", t.mnt / "loop.bin"], stdout=subprocess.DEVNULL)
    t.sh(["cmp", t.mnt / "loop.bin", t.srv / "loop.bin"])


@client_task("curl", "loop-read")
def curl_loop_read(t):
    with t.clock(cpu=True):
        got = t.sh(curl(t, "/loop.bin", "-o", "/dev/null", "-w", "%{size_download}"))
    want(int(got) == (t.srv / "loop.bin").stat().st_size, "bytes are missing")


# -- writing: close(2) is not believed, the server's disk is

def write_file(name, cpu=False):
    def run(t):
        with t.clock(cpu):
            t.sh(["cp", "--sparse=never", t.srv / name, t.mnt / "up" / name])
            t.wait_arrived(t.srv / name, t.srv / "up" / name)
        want(same(t.srv / name, t.srv / "up" / name), "what arrived differs")

    def run_curl(t):
        with t.clock(cpu):
            t.sh(curl(t, f"/up/{name}", "-T", t.srv / name))
        want(same(t.srv / name, t.srv / "up" / name), "what arrived differs")

    def run_lftp(t):
        with t.clock(cpu):
            t.sh(lftp(t, f"put {t.srv}/{name} -o up/{name}"))
        want(same(t.srv / name, t.srv / "up" / name), "what arrived differs")
    return run, run_curl, run_lftp


for _name, _file in (("write-big", "big.bin"), ("loop-write", "loop.bin"),
                     *((f"write-{s}", f"size-{s}") for s in SIZES)):
    _run, _curl, _lftp = write_file(_file, cpu=_name == "loop-write")
    task(_file, name=_name)(_run)
    client_task("curl", _name)(_curl)
    client_task("lftp", _name)(_lftp)


@task("tree")
def copy_in(t):
    with t.clock():
        t.sh(["cp", "-r", t.small, t.mnt / "up" / "small"])
        t.wait_arrived(t.small, t.srv / "up" / "small")
    want(same(t.small, t.srv / "up" / "small"), "what arrived differs")


@client_task("lftp", "copy-in", "rsync-in")
def lftp_copy_in(t):
    with t.clock():
        t.sh(lftp(t, f"mirror -R --parallel=8 {t.small} up/small"))
    want(same(t.small, t.srv / "up" / "small"), "what arrived differs")


@task("tree")
def rsync_in(t):
    archive = ["rsync", "-rt", "--omit-dir-times", f"{t.small}/", t.mnt / "up" / "small"]
    with t.clock():
        t.sh(archive)
        t.wait_arrived(t.small, t.srv / "up" / "small")
    want(same(t.small, t.srv / "up" / "small"), "what arrived differs")
    again = t.sh([*archive, "-i", "-n"])
    want(again == "", f"a second run would change {len(again.splitlines())}")


@task("big.bin")
def edit_mid(t):
    """4,000 bytes in the middle of 64 MiB."""
    at, edit, target = 33554449, b"HELLO" * 800, t.srv / "up" / "big.bin"
    shutil.copy(t.srv / "big.bin", target)
    os.chown(target, world.OWNER, world.OWNER)
    expected = bytearray((t.srv / "big.bin").read_bytes())
    expected[at:at + len(edit)] = edit
    before = t.course.wire_bytes()

    def arrived():
        with target.open("rb") as f:
            return target.stat().st_size == len(expected) and \
                os.pread(f.fileno(), len(edit), at) == edit
    with t.clock():
        with (t.mnt / "up" / "big.bin").open("r+b", buffering=0) as f:
            f.seek(at)
            f.write(edit)
            os.fsync(f.fileno())
        t.wait(arrived, "the edit to arrive")
    t.remark = f"{(t.course.wire_bytes() - before) / 1e6:.2f} MB on the wire"
    t.wait(lambda: target.read_bytes() == expected, "the rest to be as it was")


# What a race is over when nobody says.
USUAL = ["list-wide", "walk", "copy-out", "grep-tree", "tar-tree", "read-big", "rand-read", "write-big", "copy-in",
         "rsync-in", "edit-mid"]
