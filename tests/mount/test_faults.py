"""What goes wrong outside: servers that die, links that are cut, limits, idle time-outs, full disks.

Either it is as if nothing had happened, or an honest error comes within `timeout`: never wrong data, never
a hang, and the mount works again when the server does.
"""

import errno
import os
import threading
import time

import pytest

import world
from world import KINDS, contained, content_of, run, wait_until

TIMEOUT = 10  # the mount's own
QUICK = 4  # the same, where a test waits for it to pass
GRACE = 5  # beyond it, for the machine

everywhere = pytest.mark.parametrize("kind", KINDS)


def read_all(fd, at, size):
    """Bytes [at, size) in small reads; each comes, or fails, within the mount's time-out."""
    parts = []
    while at < size:
        begun = time.monotonic()
        try:
            part = os.pread(fd, min(100000, size - at), at)
        finally:
            assert time.monotonic() - begun < (TIMEOUT + GRACE) * world.SLOW
        assert part, f"end of file at {at} of {size}"
        parts.append(part)
        at += len(part)
    return b"".join(parts)


@everywhere
def test_server_restarts_in_the_middle_of_reading(make, kind):
    content = content_of(40 << 20)
    server = make.server(kind)
    server.put("file", content)
    mount = make.mount(server, timeout=TIMEOUT)
    fd = os.open(mount.path / "file", os.O_RDONLY)
    try:
        assert os.pread(fd, 1 << 20, 0) == content[:1 << 20]
        server.restart()
        assert read_all(fd, 1 << 20, len(content)) == content[1 << 20:]
    finally:
        os.close(fd)


@everywhere
def test_server_restarts_in_the_middle_of_writing(make, kind):
    content = content_of(16 << 20)
    server = make.server(kind)
    mount = make.mount(server, timeout=TIMEOUT)
    with (mount.path / "file").open("wb", buffering=0) as f:
        f.write(content[:8 << 20])
        server.restart()
        f.write(content[8 << 20:])
    assert (server.root / "file").read_bytes() == content


@everywhere
def test_server_restarts_between_operations(make, kind):
    """Idle logins died unseen: nobody notices."""
    server = make.server(kind)
    server.put("old", b"old")
    mount = make.mount(server, timeout=TIMEOUT)
    assert os.listdir(mount.path) == ["old"]
    server.restart()
    (mount.path / "new").write_text("new")
    (mount.path / "dir").mkdir()
    os.rename(mount.path / "old", mount.path / "dir" / "old")
    assert (server.root / "new").read_text() == "new"
    assert (server.root / "dir" / "old").read_bytes() == b"old"


def test_server_gone_is_an_error_in_time(make):
    content = content_of(40 << 20)
    server = make.server()
    server.put("file", content)
    server.put("dir/inside", b"x")
    mount = make.mount(server, timeout=QUICK, dcache_timeout=0)
    with (mount.path / "file").open("rb") as f:
        assert f.read(1000) == content[:1000]
        server.kill()
        attempts = {
            "read": lambda: os.pread(f.fileno(), 1000, 30 << 20),
            "list": lambda: os.listdir(mount.path / "dir"),
            "mkdir": lambda: os.mkdir(mount.path / "new"),
            "unlink": lambda: os.unlink(mount.path / "dir" / "inside"),
        }
        for name, attempt in attempts.items():
            begun = time.monotonic()
            with pytest.raises(OSError) as e:
                attempt()
            assert time.monotonic() - begun < (QUICK + GRACE) * world.SLOW, name
            assert e.value.errno not in (errno.ENOENT, errno.EACCES), name
    server.start()
    assert os.listdir(mount.path / "dir") == ["inside"]
    assert (mount.path / "file").read_bytes() == content


def test_close_tells_that_the_server_is_gone(make):
    server = make.server()
    mount = make.mount(server, timeout=QUICK)
    f = (mount.path / "file").open("wb", buffering=0)
    f.write(b"precious" * 10000)
    server.kill()
    begun = time.monotonic()
    with pytest.raises(OSError):
        f.write(b"more")
        f.close()
    assert time.monotonic() - begun < 2 * (QUICK + GRACE) * world.SLOW
    f.close()
    server.start()
    # what was written is kept, and the next success stores it
    with (mount.path / "file").open("ab") as f:
        os.fsync(f.fileno())
    assert (server.root / "file").read_bytes()[:80000] == b"precious" * 10000


def test_an_interrupted_save_keeps_the_old_file(make):
    old = content_of(1 << 20, 1)
    server = make.server()
    server.put("file", old)
    mount = make.mount(server, timeout=TIMEOUT)
    new = content_of(30 << 20, 2)
    f = (mount.path / "file").open("wb", buffering=0)
    f.write(new)
    server.kill()
    assert (server.root / "file").read_bytes() == old
    server.start()
    f.close()
    assert (server.root / "file").read_bytes() == new
    assert os.listdir(server.root) == ["file"]


LIMITS = {
    "vsftpd": "max_per_ip=3",
    "proftpd": "MaxClientsPerHost 3",
    "pure-ftpd": "-C 3",
    "pyftpdlib": "server.max_cons_per_ip = 3",
}


@everywhere
def test_a_limit_of_three_connections(make, kind):
    """Eight readers and a writer share what there is; the limit is learned, not an error."""
    server = make.server(kind, extra=LIMITS[kind])
    contents = {f"r{n}": content_of(2 << 20, n) for n in range(8)}
    for name, content in contents.items():
        server.put(name, content)
    mount = make.mount(server, max_conns=8, timeout=20)
    results = {}

    def read(name):
        try:
            results[name] = (mount.path / name).read_bytes()
        except OSError as e:
            results[name] = e

    threads = [threading.Thread(target=read, args=(name,)) for name in contents]
    for thread in threads:
        thread.start()
    (mount.path / "written").write_bytes(b"w" * 300000)
    assert len(os.listdir(mount.path)) == 9
    for thread in threads:
        thread.join(60 * world.SLOW)
    assert {n: r if isinstance(r, OSError) else r == contents[n] for n, r in results.items()} == {
        n: True for n in contents}
    assert (server.root / "written").read_bytes() == b"w" * 300000


def test_one_connection_is_enough(make):
    server = make.server("vsftpd", extra="max_per_ip=1")
    wait_until(lambda: len(contained(server.pid)) == 2, 20, "vsftpd to have buried who asked whether it is up")
    mount = make.mount(server, max_conns=4, timeout=20)
    run("cp", "-r", world.REPO / "include", mount.path / "copy")
    assert world.same_tree(world.REPO / "include", server.root / "copy") == ""
    with (mount.path / "copy" / "remote.h").open("rb") as f:
        f.read(10)
        assert "base" in os.listdir(mount.path / "copy")


IDLE = {
    "vsftpd": "idle_session_timeout=3\ndata_connection_timeout=3",
    "proftpd": "TimeoutIdle 3\nTimeoutNoTransfer 3\nTimeoutStalled 3",
}


@pytest.mark.parametrize("kind", IDLE)
def test_an_idle_time_out_of_the_server(make, kind):
    """The server hangs up on idle logins and stalled transfers; reading and writing go on."""
    content = content_of(30 << 20)
    server = make.server(kind, extra=IDLE[kind])
    server.put("file", content)
    mount = make.mount(server, timeout=TIMEOUT)
    with (mount.path / "file").open("rb", buffering=0) as r, \
            (mount.path / "written").open("wb", buffering=0) as w:
        assert r.read(100000) == content[:100000]
        w.write(b"before ")
        at_first = server.connections()
        assert at_first
        wait_until(lambda: not at_first & server.connections() or idle_for(server, 8), 30,
                   "the server to hang up, or to be kept from it")
        assert read_all(r.fileno(), 100000, len(content)) == content[100000:]
        w.write(b"after")
    assert (server.root / "written").read_bytes() == b"before after"
    assert sorted(os.listdir(mount.path)) == ["file", "written"]


def idle_for(server, seconds):
    """True when the server has had so long to hang up."""
    server.idle_since = getattr(server, "idle_since", time.monotonic())
    return time.monotonic() - server.idle_since > seconds


@everywhere
def test_killed_and_mounted_again(make, kind):
    """ftpfs itself dies; what close(2) had confirmed is on the server, and a new mount works."""
    server = make.server(kind)
    mount = make.mount(server)
    (mount.path / "kept").write_bytes(b"k" * 100000)
    os.kill(mount.pid, 9)
    wait_until(lambda: not world.alive(mount.pid), 20, "ftpfs to die")
    mount.discard()
    assert (server.root / "kept").read_bytes() == b"k" * 100000
    again = make.mount(server)
    assert (again.path / "kept").read_bytes() == b"k" * 100000
