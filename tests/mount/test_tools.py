"""The programs people use, on each server: what they write is on the server's disk, byte for byte."""

import hashlib
import mmap
import os
import random
import shutil
import subprocess
import threading

import pytest

from world import every_server, run, same_tree, wait_until

pytestmark = every_server()


def sample_tree(at, seed=1):
    """A small tree with empty, small, and multi-block files, an empty directory, odd times."""
    rng = random.Random(seed)
    for directory in ("a", "a/b", "c", "empty"):
        (at / directory).mkdir(parents=True)
    for number, size in enumerate([0, 1, 511, 4096, 70000, 1 << 20, 3333333]):
        for directory in ("", "a", "a/b", "c"):
            path = at / directory / f"file{number}"
            path.write_bytes(rng.randbytes(size))
            os.utime(path, (1500000000 + number * 86400, 1500000000 + number * 86400 + 7))
    return at


def test_cp_into_the_mount(place, tmp_path):
    source = sample_tree(tmp_path / "source")
    run("cp", "-r", source, place.here / "copy")
    assert same_tree(source, place.there / "copy") == ""


def test_cp_out_of_the_mount(place, tmp_path):
    source = sample_tree(tmp_path / "source")
    shutil.copytree(source, place.there / "tree")
    run("cp", "-r", place.here / "tree", tmp_path / "copy")
    assert same_tree(source, tmp_path / "copy") == ""


def test_cp_within_the_mount(place, tmp_path):
    source = sample_tree(tmp_path / "source")
    run("cp", "-r", source, place.here / "one")
    run("cp", "-r", place.here / "one", place.here / "two")
    assert same_tree(source, place.there / "two") == ""


def test_rsync_again_transfers_nothing(place, tmp_path):
    source = sample_tree(tmp_path / "source")
    archive = ["rsync", "-a"]
    run(*archive, f"{source}/", place.here / "copy")
    again = run(*archive, "-i", f"{source}/", place.here / "copy")
    assert again.stdout == ""
    assert same_tree(source, place.there / "copy") == ""
    for path in source.rglob("file*"):
        theirs = place.there / "copy" / path.relative_to(source)
        assert int(theirs.stat().st_mtime) == int(path.stat().st_mtime)


def test_rsync_again_after_a_new_mount(place, make, tmp_path):
    """Times must come from the server, not from what this mount remembers to have set."""
    source = sample_tree(tmp_path / "source")
    run("rsync", "-rt", "--omit-dir-times", f"{source}/", place.here / "copy")
    other = make.mount(place.server, path=f"/{place.there.name}")
    again = run("rsync", "-rt", "--omit-dir-times", "-i", f"{source}/", other.path / "copy")
    assert again.stdout == ""


def test_shell_append(place):
    log = place.here / "log"
    for number in range(5):
        run("sh", "-c", f'echo line {number} >> "$0"', log)
    assert (place.there / "log").read_text() == "".join(f"line {n}\n" for n in range(5))


def test_dd_changes_the_middle_alone(place):
    content = bytearray(random.Random(2).randbytes(2 << 20))
    place.put("image", bytes(content))
    run("dd", f"of={place.here / 'image'}", "if=/dev/zero", "bs=4096", "count=3", "seek=100",
        "conv=notrunc")
    content[409600:409600 + 3 * 4096] = bytes(3 * 4096)
    assert (place.there / "image").read_bytes() == bytes(content)


@pytest.mark.parametrize("size", [0, 1, 99999, 100000, 100001, 300000])
def test_truncate(place, size):
    content = random.Random(3).randbytes(100000)
    place.put("file", content)
    run("truncate", "-s", str(size), place.here / "file")
    assert (place.there / "file").read_bytes() == content[:size].ljust(size, b"\0")
    assert (place.here / "file").stat().st_size == size


def test_mmap_read(place):
    content = random.Random(4).randbytes(3000001)
    place.put("file", content)
    with (place.here / "file").open("rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
        assert m[2999990:] == content[2999990:]
        assert m[:100] == content[:100]
        assert hashlib.sha256(m).digest() == hashlib.sha256(content).digest()


def test_mmap_shared_write(place):
    content = bytearray(random.Random(5).randbytes(200000))
    place.put("file", bytes(content))
    with (place.here / "file").open("r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        m[100000:100005] = b"HELLO"
        m.flush()
    content[100000:100005] = b"HELLO"
    wait_until(lambda: (place.there / "file").read_bytes() == bytes(content), 20,
               "the mapped bytes to be on the server")


def test_a_program_runs_from_the_mount(place):
    program = place.here / "true"
    shutil.copy("/bin/echo", program)
    os.chmod(program, 0o755)
    assert run(program, "hello").stdout == "hello\n"
    script = place.here / "script"
    script.write_text("#!/bin/sh\necho from a script\n")
    os.chmod(script, 0o755)
    assert run(script).stdout == "from a script\n"


def test_eight_writers_at_once(place):
    contents = {f"w{n}": random.Random(n).randbytes(400000 + n) for n in range(8)}
    failures = []

    def write(name):
        try:
            with (place.here / name).open("wb") as f:
                for at in range(0, len(contents[name]), 65536):
                    f.write(contents[name][at:at + 65536])
        except OSError as e:
            failures.append((name, e))

    threads = [threading.Thread(target=write, args=(name,)) for name in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failures == []
    assert {n: (place.there / n).read_bytes() for n in contents} == contents


def test_five_thousand_entries(place):
    for number in range(5000):
        place.put(f"entry-{number:04d}", b"x" * (number % 7))
    names = {f"entry-{number:04d}" for number in range(5000)}
    assert set(os.listdir(place.here)) == names
    with os.scandir(place.here) as entries:
        sizes = {e.name: e.stat().st_size for e in entries}
    assert sizes == {f"entry-{number:04d}": number % 7 for number in range(5000)}


def test_a_long_read_does_not_freeze_ls(place):
    place.put("big", bytes(64 << 20))
    reader = subprocess.Popen(["cat", str(place.here / "big")], stdout=subprocess.PIPE)
    try:
        reader.stdout.read(65536)  # and the rest stays in the pipe and on the wire
        assert run("ls", "-l", place.here, timeout=5).stdout.count("big") == 1
        (place.here / "new").mkdir()
        assert (place.there / "new").is_dir()
    finally:
        reader.kill()
        reader.wait(10)


def test_df(place):
    numbers = os.statvfs(place.here)
    assert numbers.f_bsize > 0
    assert run("df", place.here).returncode == 0
