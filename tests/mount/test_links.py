"""What a link that is cut does to a mount: nothing, or an honest error within `timeout`."""

import os
import pathlib
import threading
import time

import pytest

from world import FTPFS, content_of, run, wait_until

GRACE = 5  # seconds beyond the time-out, for the machine


@pytest.fixture
def far(make):
    """A vsftpd at the far end of a 40 Mbit/s, 20 ms link; its `wan` can be cut."""
    wan = make.wan(subnet=1 + os.getpid() % 250, rtt=20, rate=40)
    server = make.server("vsftpd", address=wan.address, netns=wan.netns)
    server.wan = wan
    return server


def unsent_after_close(address):
    """What the kernel goes on sending there for sockets that nobody has any more (FIN-WAIT-1)."""
    peer = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    queues = [int(row[4].partition(":")[0], 16) for row in rows
              if row[2].startswith(peer) and row[3] == "04"]
    return [n for n in queues if n > 1]  # 1 is the FIN


def close_in_vain(f):
    with pytest.raises(OSError):
        f.close()


def test_what_was_given_up_does_not_arrive_later(make, far):
    """When the link mends, the server will have been told other things."""
    far.put("gone", b"x")
    mount = make.mount(far, timeout=2, connect_timeout=2)
    os.stat(mount.path / "gone")
    f = (mount.path / "file").open("wb", buffering=0)
    f.write(content_of(3 << 20))  # and its upload follows
    far.wan.cut()
    f.write(content_of(2 << 20))
    with pytest.raises(OSError):
        f.close()
    with pytest.raises(OSError):
        os.unlink(mount.path / "gone")
    try:
        assert unsent_after_close(far.address) == []
    finally:
        far.wan.mend()


def test_a_link_cut_for_ten_seconds(make, far):
    content = content_of(20 << 20)
    far.put("file", content)
    mount = make.mount(far, timeout=30)
    fd = os.open(mount.path / "file", os.O_RDONLY)
    try:
        assert os.pread(fd, 1 << 20, 0) == content[:1 << 20]
        far.wan.cut()
        mender = threading.Timer(10, far.wan.mend)
        mender.start()
        got = []
        begun = time.monotonic()
        for at in range(1 << 20, len(content), 1 << 20):
            got.append(os.pread(fd, 1 << 20, at))
        assert b"".join(got) == content[1 << 20:]
        assert time.monotonic() - begun < 60
        mender.join()
    finally:
        os.close(fd)


def test_a_link_cut_while_writing(make, far):
    content = content_of(12 << 20)
    mount = make.mount(far, timeout=30)
    with (mount.path / "file").open("wb", buffering=0) as f:
        f.write(content[:6 << 20])
        far.wan.cut()
        mender = threading.Timer(10, far.wan.mend)
        mender.start()
        f.write(content[6 << 20:])
    mender.join()
    assert (far.root / "file").read_bytes() == content


def test_the_server_learns_that_an_append_was_cut_off(make, far):
    """vsftpd locks what it receives, for 300 s when it is not told that no more will come; and what it had
    before is needed to go on."""
    before, more = content_of(1 << 20), content_of(4 << 20)
    log = far.put("log", before)
    mount = make.mount(far, timeout=2, connect_timeout=2)
    f = (mount.path / "log").open("ab", buffering=0)
    f.write(more)
    closing = threading.Thread(target=close_in_vain, args=[f])
    closing.start()
    wait_until(lambda: log.stat().st_size > len(before), 20, "the append to begin")
    far.wan.cut()
    closing.join(20)
    far.wan.mend()
    run(FTPFS, "--sync", mount.path, timeout=60)
    assert log.read_bytes() == before + more


def test_a_link_cut_for_good(make, far):
    """Nothing is reset, nothing answers: errors come in time, and so does the end of the mount."""
    content = content_of(20 << 20)
    far.put("file", content)
    mount = make.mount(far, timeout=5, connect_timeout=5, dcache_timeout=0)
    fd = os.open(mount.path / "file", os.O_RDONLY)
    try:
        assert os.pread(fd, 1000, 0) == content[:1000]
        far.wan.cut()
        for attempt in (lambda: os.pread(fd, 1000, 15 << 20), lambda: os.listdir(mount.path)):
            begun = time.monotonic()
            with pytest.raises(OSError):
                attempt()
            assert time.monotonic() - begun < 5 + 5 + GRACE
        far.wan.mend()
        assert os.listdir(mount.path) == ["file"]
        assert os.pread(fd, 1000, 15 << 20) == content[15 << 20:][:1000]
    finally:
        os.close(fd)
