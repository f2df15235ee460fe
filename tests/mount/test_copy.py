"""`cp` inside the mount: the server copies, where it can; where not, all is as it was."""

import os

import pytest
import world

SIZE = 20_000_000
CONTENT = world.content_of(SIZE)


def copies(server):
    """New, over another file, with time and mode, and of one that was written a moment ago."""
    server.put("d/file", CONTENT, mode=0o640, mtime=1_000_000_000)
    server.put("d/old", b"old" * 1000, mode=0o600)

    def work(path):
        here, there = path / "d", server.root / "d"
        world.run("cp", here / "file", here / "new")
        assert (there / "new").read_bytes() == CONTENT
        assert (here / "new").stat().st_size == SIZE
        assert abs((here / "new").stat().st_mtime - (there / "new").stat().st_mtime) < 1
        world.run("cp", here / "file", here / "old")
        assert (there / "old").read_bytes() == CONTENT
        assert (there / "old").stat().st_mode & 0o777 == 0o600
        world.run("cp", "-p", "--reflink=auto", here / "new", here / "same")
        world.run("cp", "-p", here / "file", here / "same")
        for place in here, there:
            assert (place / "same").stat().st_mtime == 1_000_000_000
            assert (place / "same").stat().st_mode & 0o777 == 0o640
        assert sorted(os.listdir(there)) == ["file", "new", "old", "same"]
    return work


def test_no_byte_travels(make, account):
    server = make.server("proftpd")
    said = account(server, copies(server))
    if said["SITE COPY"] != "yes":
        pytest.skip("this ProFTPD has no mod_copy")
    assert int(said["bytes_in"]) + int(said["bytes_out"]) < 100_000


def test_what_was_copied_is_what_is_read(make):
    server = make.server("proftpd")
    server.put("file", CONTENT)
    server.put("old", b"old" * 1_000_000)
    here = make.mount(server, write="back").path
    assert (here / "old").read_bytes() == b"old" * 1_000_000  # the kernel has pages of it
    with (here / "fresh").open("wb") as f:
        f.write(CONTENT[::-1])
    world.run("cp", here / "fresh", here / "old")
    assert (here / "old").read_bytes() == CONTENT[::-1]
    with (here / "old").open("ab") as f:
        f.write(b"tail")
    assert (here / "old").read_bytes() == CONTENT[::-1] + b"tail"
    world.run(world.FTPFS, "--sync", here)
    assert (server.root / "old").read_bytes() == CONTENT[::-1] + b"tail"


def test_elsewhere(make, account):
    server = make.server("vsftpd")
    said = account(server, copies(server))
    assert int(said["bytes_out"]) >= SIZE
