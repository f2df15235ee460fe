"""What programs rely on a disk for: open files that move, appends, interrupts, secrets."""

import errno
import mmap
import os
import pathlib
import select
import signal
import stat
import subprocess
import sys
import time

import pytest

import world
from world import contained, every_server, run, wait_until


@every_server()
def test_an_open_file_outlives_its_name(place):
    content = os.urandom(3 << 20)
    place.put("file", content)
    with (place.here / "file").open("rb") as f:
        assert f.read(1000) == content[:1000]
        os.unlink(place.here / "file")
        assert not (place.here / "file").exists()
        assert f.read() == content[1000:]
    assert os.listdir(place.there) == []


@every_server()
def test_a_new_file_unlinked_while_open(place):
    with (place.here / "temporary").open("w+b") as f:
        f.write(b"scratch" * 10000)
        f.flush()
        os.unlink(place.here / "temporary")
        f.seek(7)
        assert f.read(7) == b"scratch"
        assert os.fstat(f.fileno()).st_size == 70000
    assert os.listdir(place.there) == []
    assert os.listdir(place.here) == []


@every_server()
def test_an_open_file_is_renamed(place):
    place.put("old", b"first ")
    with (place.here / "old").open("ab") as f:
        f.write(b"before ")
        f.flush()
        os.rename(place.here / "old", place.here / "new")
        f.write(b"after")
    assert os.listdir(place.there) == ["new"]
    assert (place.there / "new").read_bytes() == b"first before after"


@every_server()
def test_a_directory_with_an_open_file_is_renamed(place):
    (place.here / "dir").mkdir()
    with (place.here / "dir" / "file").open("wb") as f:
        f.write(b"x" * 100000)
        os.rename(place.here / "dir", place.here / "moved")
        f.write(b"y" * 100000)
    assert (place.there / "moved" / "file").read_bytes() == b"x" * 100000 + b"y" * 100000
    assert os.listdir(place.there) == ["moved"]


@every_server()
def test_a_file_renamed_over_an_open_one(place):
    place.put("target", b"old content")
    place.put("source", b"new content")
    with (place.here / "target").open("rb") as f:
        os.rename(place.here / "source", place.here / "target")
        assert f.read() == b"old content"
    assert (place.here / "target").read_bytes() == b"new content"
    assert (place.there / "target").read_bytes() == b"new content"


APPENDER = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
for n in range(200):
    os.write(fd, f"{sys.argv[2]} {n:04d}\\n".encode())
os.close(fd)
"""


@every_server()
def test_two_processes_append(place):
    log = place.here / "log"
    log.touch()
    writers = [subprocess.Popen([sys.executable, "-c", APPENDER, str(log), name]) for name in "AB"]
    assert [w.wait(60 * world.SLOW) for w in writers] == [0, 0]
    lines = (place.there / "log").read_text().splitlines()
    assert [x for x in lines if x[0] == "A"] == [f"A {n:04d}" for n in range(200)]
    assert [x for x in lines if x[0] == "B"] == [f"B {n:04d}" for n in range(200)]


@every_server()
def test_reading_and_writing_one_file(place):
    place.put("file", b"0123456789" * 1000)
    with (place.here / "file").open("r+b") as f:
        f.seek(5000)
        f.write(b"HELLO")
        f.seek(4995)
        assert f.read(15) == b"56789HELLO56789"
        f.truncate(6000)
        os.fsync(f.fileno())
        assert (place.there / "file").stat().st_size == 6000
        f.seek(0, os.SEEK_END)
        f.write(b"end")
    want = bytearray(b"0123456789" * 600 + b"end")
    want[5000:5005] = b"HELLO"
    assert (place.there / "file").read_bytes() == bytes(want)


@every_server()
def test_a_mapped_reader_sees_each_write(place):
    """The server is near, and what is opened write-only goes past the kernel's pages."""
    want = bytearray(b"0123456789" * 30000)
    place.put("file", bytes(want))
    reader = os.open(place.here / "file", os.O_RDONLY)
    with mmap.mmap(reader, len(want), mmap.MAP_SHARED, mmap.PROT_READ) as seen:
        assert seen[:] == want
        writer = os.open(place.here / "file", os.O_WRONLY)
        for at in range(17, len(want) - 6000, 7001):
            piece = b"%06d" % at * 999
            os.pwrite(writer, piece, at)
            want[at:at + len(piece)] = piece
            assert os.pread(reader, len(piece), at) == piece
            assert seen[:] == want
        os.close(writer)
        assert seen[:] == want
    os.close(reader)
    assert (place.there / "file").read_bytes() == want


@every_server()
def test_a_file_that_grows_is_followed(place, make):
    """By tail -f, and by whoever looks at the size and reads on, without opening it again."""
    there = place.put("log", b"first\n")
    content = b"first\n"
    mount = make.mount(place.server, path=f"/{place.there.name}", dcache_timeout=1)
    tail = subprocess.Popen(["tail", "-n", "+1", "-s", ".1", "-f", mount.path / "log"],
                            stdout=subprocess.PIPE)
    os.set_blocking(tail.stdout.fileno(), False)
    shown, sizes = b"", [0]
    try:
        with there.open("ab", buffering=0) as log, \
                (mount.path / "log").open("rb", buffering=0) as reader:
            assert reader.read() == content
            for n in range(3):
                more = b"line %d\n" % n * (n * 1000 + 1)
                log.write(more)
                content += more

                def grown():
                    sizes.append(os.fstat(reader.fileno()).st_size)
                    return sizes[-1] == len(content)

                wait_until(grown, 10, "the new size")
                assert reader.read() == more
                assert os.pread(reader.fileno(), len(content), 0) == content
                while len(shown) < len(content):
                    select.select([tail.stdout], [], [], 10)
                    part = tail.stdout.read()
                    assert part, "tail shows nothing"
                    shown += part
                assert shown == content
        assert sizes == sorted(sizes)
    finally:
        tail.kill()
        tail.communicate()


@every_server()
def test_writes_of_any_size(place):
    """Also small ones, that begin and end nowhere in particular, and some behind the end."""
    writer = os.open(place.here / "file", os.O_WRONLY | os.O_CREAT)
    want = bytearray()
    for n in [1, 511, 512, 513, 4095, 4097, 1 << 20, (1 << 20) + 1, 3] * 3:
        want += bytes([n % 251]) * n
        assert os.write(writer, want[-n:]) == n
    os.lseek(writer, 12345, os.SEEK_CUR)
    os.write(writer, b"behind")
    want += bytes(12345) + b"behind"
    os.close(writer)
    appender = os.open(place.here / "file", os.O_WRONLY | os.O_APPEND)
    for number in range(50):
        os.write(appender, b"line %d\n" % number)
        want += b"line %d\n" % number
    os.close(appender)
    assert (place.here / "file").read_bytes() == want
    assert (place.there / "file").read_bytes() == want


@every_server()
def test_close_means_the_server_has_it(place):
    """No delay, no polling: the bytes are there when close(2) returns."""
    for number in range(20):
        with (place.here / f"f{number}").open("wb") as f:
            f.write(b"%d" % number * 1000)
        assert (place.there / f"f{number}").read_bytes() == b"%d" % number * 1000


@every_server()
def test_modes_and_times(place):
    (place.here / "file").write_text("x")
    os.utime(place.here / "file", (1234567890, 1234567890))
    assert (place.here / "file").stat().st_mtime == 1234567890
    assert int((place.there / "file").stat().st_mtime) == 1234567890
    os.chmod(place.here / "file", 0o640)
    assert stat.S_IMODE((place.there / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((place.here / "file").stat().st_mode) == 0o640


@every_server(kinds=["proftpd"])
def test_links_that_are_made_lead_where_they_were_meant_to(place, tmp_path):
    """Wherever the session has been last.  What they lead to must be there: the server wants it."""
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/x").write_text("inner")
    (source / "x").write_text("outer")
    for link, target in (("l", "x"), ("sub/l", "x"), ("sub/up", "../x"), ("dl", "sub")):
        (source / link).symlink_to(target)
    for copy, argv in (("cp", ["cp", "-a", f"{source}/.", place.here / "cp"]),
                       ("rsync", ["rsync", "-a", f"{source}/", f"{place.here / 'rsync'}/"])):
        run("rsync", "-a", "--no-links", f"{source}/", f"{place.here / copy}/")
        os.listdir(place.here)
        run(*argv)
        for link, target in (("l", "x"), ("sub/l", "sub/x"), ("sub/up", "x"), ("dl", "sub")):
            there = (place.there / copy / target).relative_to(place.server.root)
            assert os.readlink(place.there / copy / link) == f"/{there}"
            assert os.path.samefile(place.here / copy / link, place.here / copy / target)
    assert run("rsync", "-ai", f"{source}/", f"{place.here / 'rsync'}/").stdout == ""
    with pytest.raises(FileNotFoundError):
        os.symlink("nothing", place.here / "dangling")


@every_server()
def test_symbolic_links_of_the_server(place):
    if place.server.kind == "pyftpdlib":
        return  # it follows links itself and shows none
    place.put("target", b"content")
    os.symlink("target", place.there / "inside")
    os.symlink("/etc/passwd", place.there / "outside")
    if place.server.kind == "proftpd":
        (place.there / "outside").unlink()  # it leaves out what leads out of the chroot
    assert os.readlink(place.here / "inside") == "target"
    assert (place.here / "inside").read_bytes() == b"content"
    if place.server.kind != "proftpd":
        with pytest.raises(OSError):  # never this machine's own file
            (place.here / "outside").read_bytes()


@every_server(kinds=["pyftpdlib"])
def test_ctrl_c_ends_a_blocked_read(place):
    """The server is stopped in the middle: cat waits for the network, until it is told not to.
    Not vsftpd, in which one process of a session takes it for the other's end and waits for that."""
    content = bytes(64 << 20)
    place.put("big", content)
    reader = subprocess.Popen(["cat", str(place.here / "big")], stdout=subprocess.PIPE)
    inside = contained(place.server.pid)
    try:
        reader.stdout.read(1 << 20)
        for pid in inside:
            os.kill(pid, signal.SIGSTOP)
        drained = subprocess.Popen(["cat"], stdin=reader.stdout, stdout=subprocess.DEVNULL)
        wait_until(lambda: blocked_in_fuse(reader.pid), 30, "cat to wait for the network")
        begun = time.monotonic()
        reader.send_signal(signal.SIGINT)
        reader.wait(10)
        assert time.monotonic() - begun < 2 * world.SLOW
        assert reader.returncode == -signal.SIGINT
        drained.wait(10)
    finally:
        for pid in inside:
            os.kill(pid, signal.SIGCONT)
        reader.kill()
        reader.wait(10)
    assert (place.here / "big").stat().st_size == len(content)
    assert run("cmp", place.here / "big", place.there / "big", timeout=10).returncode == 0


def blocked_in_fuse(pid):
    """Waiting inside a read(2) of the mount, twice in a row with nothing read in between."""
    before = pathlib.Path(f"/proc/{pid}/io").read_text()
    time.sleep(0.3)
    where = pathlib.Path(f"/proc/{pid}/wchan").read_text()
    syscall = pathlib.Path(f"/proc/{pid}/syscall").read_text().split()
    still = pathlib.Path(f"/proc/{pid}/io").read_text() == before
    return still and syscall[0] != "running" and "pipe" not in where


def test_no_password_to_be_seen(make, server):
    mount = make.mount(server, log="debug")
    (mount.path / "seen").write_text("x")
    for pid in [mount.pid]:
        for name in ("cmdline", "environ"):
            assert b"secret" not in pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    line = [x for x in pathlib.Path("/proc/mounts").read_text().splitlines() if str(mount.path) in x]
    assert len(line) == 1
    assert "secret" not in line[0]
    assert line[0].split()[2] == "fuse.ftpfs"
    assert "nosuid" in line[0]
    assert "nodev" in line[0]


def test_a_password_in_the_url_is_scrubbed(make, server, top):
    at = make.scratch()
    url = server.url().replace("ftp://", "ftp://ftpuser:secret@")
    done = world.ftpfs(url, at, password=None, cache_dir=make.cache())
    try:
        assert done.returncode == 0, done.stderr
        assert "secret" not in done.stderr
        pids = list(world.daemons(at))
        assert pids
        for pid in pids:
            assert b"secret" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        assert "secret" not in pathlib.Path("/proc/mounts").read_text()
    finally:
        run("fusermount3", "-u", at, check=False)


def test_direct_io(make, server):
    """No shared mapping is how to see that no page is used; all else works."""
    want = bytearray(b"0123456789" * 300000)
    server.put("direct", bytes(want))
    file = make.mount(server, direct_io=None).path / "direct"
    with file.open("r+b", buffering=0) as f:
        assert [f.read(7), f.read(1 << 20)] == [want[:7], want[7:7 + (1 << 20)]]
        f.seek(1000000)
        f.write(b"HELLO")
        want[1000000:1000005] = b"HELLO"
        assert os.pread(f.fileno(), 3 << 20, 999998) == want[999998:]
        with pytest.raises(OSError) as refused:
            mmap.mmap(f.fileno(), 0)
        assert refused.value.errno == errno.ENODEV
        with mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE) as seen:
            assert seen[:] == want
    assert (server.root / "direct").read_bytes() == want


def test_a_read_only_mount(make, server):
    server.put("ro-file", b"x")
    mount = make.mount(server, ro=None)
    assert (mount.path / "ro-file").read_bytes() == b"x"
    for attempt in (lambda: (mount.path / "ro-new").write_text("x"),
                    lambda: (mount.path / "ro-dir").mkdir(),
                    lambda: (mount.path / "ro-file").unlink()):
        with pytest.raises(OSError) as e:
            attempt()
        assert e.value.errno == errno.EROFS
    assert (server.root / "ro-file").read_bytes() == b"x"


def test_ownership_and_umask(make, server):
    server.put("owned", b"x", mode=0o666)
    mount = make.mount(server, uid=1234, gid=2345, umask="027")
    seen = (mount.path / "owned").stat()
    assert (seen.st_uid, seen.st_gid) == (1234, 2345)
    assert stat.S_IMODE(seen.st_mode) == 0o640


def test_unmount_leaves_no_process(make, server):
    mount = make.mount(server)
    (mount.path / "last").write_text("words")
    mount.unmount()
    assert (server.root / "last").read_text() == "words"
    assert not world.alive(mount.pid)


def test_sigterm_unmounts(make, server):
    mount = make.mount(server)
    os.kill(mount.pid, signal.SIGTERM)
    wait_until(lambda: not os.path.ismount(mount.path), 20, "SIGTERM to unmount")
    wait_until(lambda: not world.alive(mount.pid), 20, "ftpfs to end")
