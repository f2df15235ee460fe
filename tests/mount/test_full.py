"""No room and no permission: on the server, in the spool, by quota.  An error at write, fsync or close,
never silence; the bytes are in a file that the log names; when there is room the next try stores them."""

import errno
import os
import pathlib
import re
import time

import pytest

import world
from world import KINDS, content_of, run, sync, wait_until

TIMEOUT = 4  # of the mount; what a server that breaks off instead of saying why is waited for
MB = 1 << 20

# ProFTPD's 451 is "Input/output error"; pyftpdlib aborts the transfer (426), or says nothing at all.
FULL = {
    "vsftpd": (errno.ENOSPC,),
    "proftpd": (errno.ENOSPC, errno.EIO),
    "pure-ftpd": (errno.ENOSPC,),
    "pyftpdlib": (errno.EIO, errno.ETIMEDOUT, errno.ECONNRESET),
}

everywhere = pytest.mark.parametrize("kind", KINDS)
both_modes = pytest.mark.parametrize("write", ["through", "back"])


@pytest.fixture
def telling(make):
    """As make.mount, with a log."""
    return lambda server, **options: make.mount(server, said=make.scratch() / "log", timeout=TIMEOUT,
                                                **options)


def assert_kept(mount, content):
    """The log has named a file, and that has the bytes."""
    named = re.findall(r"its changes are in ([^\s,]+)", mount.said.read_text())
    assert pathlib.Path(named[-1]).read_bytes() == content


def assert_nothing_left(mount):
    """The kernel tells of the last close when it likes: no sync waits for that."""
    cache = mount.path.parent / "cache"
    wait_until(lambda: not [p for p in cache.rglob("*") if p.name.startswith(("spool-", "kept-"))],
               10, "the spools to go")


def store_in_vain(mount, f, content):
    """fsync says so at once; a close with write=back has promised, and who waits is told."""
    error = None
    if mount.write == "back":
        os.close(os.dup(f.fileno()))
        done = sync(mount, check=False)
        assert done.returncode == 11
        assert "1 files are not on the server yet" in done.stderr
    else:
        with pytest.raises(OSError) as e:
            os.fsync(f.fileno())
        error = e.value.errno
    assert_kept(mount, content)
    return error


def store_again(f, told):
    """The error of a try that nobody waited for is told once, then all is well."""
    if told is None:
        with pytest.raises(OSError) as e:
            os.fsync(f.fileno())
        told = e.value.errno
    os.fsync(f.fileno())
    return told


@everywhere
def test_a_full_disk(make, small_disk, kind):
    server = make.server(kind, root=small_disk)
    server.put("old", b"old content")
    mount = make.mount(server, timeout=2 if world.SLOW == 1 else TIMEOUT)
    begun = time.monotonic()
    with pytest.raises(OSError) as e, (mount.path / "big").open("wb", buffering=0) as f:
        for _ in range(8):
            f.write(content_of(MB))
    assert e.value.errno in FULL[kind], e.value
    assert time.monotonic() - begun < 60 * world.SLOW
    assert (mount.path / "old").read_bytes() == b"old content"
    os.unlink(mount.path / "big")
    assert os.listdir(server.root) == ["old"]
    (mount.path / "small").write_bytes(b"fits")
    assert (server.root / "small").read_bytes() == b"fits"


@both_modes
@everywhere
def test_a_full_disk_keeps_the_old_file(make, telling, small_disk, kind, write):
    """Replacing 1 MB by 2.5 MB fails; the 1 MB is still there, until there is room."""
    old, new = content_of(MB), content_of(5 * MB // 2, 12)
    server = make.server(kind, root=small_disk)
    server.put("file", old)
    ballast = server.put("ballast", bytes(2 * MB))
    mount = telling(server, write=write)
    with (mount.path / "file").open("wb", buffering=0) as f:
        f.write(new)
        told = store_in_vain(mount, f, new)
        assert (server.root / "file").read_bytes() == old
        assert (mount.path / "file").read_bytes() == new
        ballast.unlink()
        assert store_again(f, told) in FULL[kind]
        assert (server.root / "file").read_bytes() == new
    sync(mount)
    assert os.listdir(server.root) == ["file"]
    assert_nothing_left(mount)


@both_modes
def test_a_quota(make, telling, write):
    new = content_of(5 * MB // 2)
    server = make.server("pure-ftpd", extra="-n 100:3")
    mount = telling(server, write=write)
    (mount.path / "ballast").write_bytes(bytes(2 * MB))
    sync(mount)
    with (mount.path / "file").open("wb", buffering=0) as f:
        f.write(new)
        told = store_in_vain(mount, f, new)
        (mount.path / "ballast").unlink()
        assert store_again(f, told) == errno.EDQUOT
        assert (server.root / "file").read_bytes() == new


@both_modes
@pytest.mark.parametrize("old", [None, b"old content"], ids=["new", "replaced"])
@pytest.mark.parametrize("kind", ["vsftpd", "proftpd"])
def test_a_permission_that_is_lost(make, telling, kind, write, old):
    new = content_of(300000)
    server = make.server(kind)
    directory = server.make_dir("d")
    if old:
        server.put("d/file", old)
    mount = telling(server, write=write, path="/d")
    with (mount.path / "file").open("wb", buffering=0) as f:
        f.write(new)
        if old:
            (directory / "file").chmod(0o444)
        directory.chmod(0o555)
        told = store_in_vain(mount, f, new)
        assert [p.read_bytes() for p in directory.iterdir()] == ([old] if old else [])
        directory.chmod(0o755)
        if old:
            (directory / "file").chmod(0o644)
        assert store_again(f, told) == errno.EACCES
        assert (directory / "file").read_bytes() == new
    sync(mount)
    assert os.listdir(directory) == ["file"]
    assert_nothing_left(mount)


@pytest.mark.parametrize("kind", ["vsftpd", "proftpd"])
def test_what_was_refused_is_not_shown(make, telling, kind):
    """close(2) has told the error, and the changes are set aside: the file is what the server has."""
    server = make.server(kind)
    directory = server.make_dir("d")
    server.put("d/file", b"old content", mode=0o444)
    directory.chmod(0o555)
    mount = telling(server, write="through", path="/d")
    for flags in (os.O_TRUNC, os.O_APPEND) * 5:
        fd = os.open(mount.path / "file", os.O_WRONLY | flags)
        os.write(fd, b"new")
        with pytest.raises(PermissionError):
            os.close(fd)
        assert (mount.path / "file").read_bytes() == b"old content"
        assert (mount.path / "file").stat().st_size == len(b"old content")


def written(f, content):
    """How much of it, and the error of the rest."""
    n = 0
    try:
        while n < len(content):
            n += f.write(content[n:n + 100000])
    except OSError as e:
        return n, e.errno
    return n, 0


@both_modes
def test_a_full_spool(make, telling, small_disk, server, write):
    """Writing fails when the local disk is full, and goes on when it no longer is."""
    content = content_of(3 * MB)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 * MB))
    there = server.make_dir(f"spool-{write}")
    mount = telling(server, write=write, path=f"/{there.name}", cache_dir=small_disk / "cache")
    with (mount.path / "file").open("wb", buffering=0) as f:
        n, error = written(f, content)
        assert n < len(content) and error == errno.ENOSPC
        os.fsync(f.fileno())
        assert (there / "file").read_bytes() == content[:n]
        ballast.unlink()
        assert written(f, content[n:]) == (len(content) - n, 0)
    sync(mount)
    assert (there / "file").read_bytes() == content


def test_what_close_told_of_is_kept(make, telling, small_disk, tmp_path):
    """After the last close nobody asks again: the log says which file has the bytes."""
    content = content_of(3 * MB)
    server = make.server(root=small_disk)
    server.put("ballast", bytes(2 * MB))
    mount = telling(server)
    (tmp_path / "new").write_bytes(content)
    done = run("cp", tmp_path / "new", mount.path / "file", check=False)
    assert done.returncode != 0 and "No space left on device" in done.stderr
    wait_until(lambda: "they are kept in" in mount.said.read_text(), 20, "the word of where they are")
    kept = re.search(r"they are kept in (\S+): copy that file", mount.said.read_text()).group(1)
    assert pathlib.Path(kept).read_bytes() == content
    mount.unmount()
    assert pathlib.Path(kept).read_bytes() == content
