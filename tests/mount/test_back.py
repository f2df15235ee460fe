"""write=back: what close promises, what waits for the server, and what the next mount does."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

import world
from world import FTPFS, run, same_tree, sync, wait_until


def back(make, server, cache, timeout=5, **options):
    return make.mount(server, write="back", cache_dir=cache, timeout=timeout, **options)


def kill(mount):
    os.kill(mount.pid, signal.SIGKILL)
    wait_until(lambda: not world.alive(mount.pid), 20, "ftpfs to be gone")
    run("fusermount3", "-uz", mount.path)


@pytest.mark.parametrize("kind", ["vsftpd", "proftpd"])
def test_rsync_twice(make, kind, tmp_path):
    server = make.server(kind)
    mount = back(make, server, make.cache())
    source = tmp_path / "source"
    for d in range(3):
        (source / f"d{d}").mkdir(parents=True)
        for f in range(20):
            file = source / f"d{d}" / f"f{f}"
            file.write_bytes(os.urandom(1000 * f))
            os.utime(file, (1500000000 + f, 1500000000 + f))
    run("rsync", "-a", f"{source}/", f"{mount.path}/")
    sync(mount)
    assert same_tree(source, server.root) == ""
    assert int(os.stat(server.root / "d1" / "f7").st_mtime) == 1500000007
    again = run("rsync", "-ai", f"{source}/", f"{mount.path}/")
    assert again.stdout == ""
    assert not [name for name in os.listdir(server.root) if name.startswith(".")]


def test_close_does_not_wait_and_the_next_mount_keeps_the_promise(make):
    server = make.server("vsftpd")
    cache = make.cache()
    mount = back(make, server, cache, timeout=1, umount_wait=1)
    assert os.listdir(mount.path) == []
    server.kill()
    begun = time.monotonic()
    for i in range(10):
        (mount.path / f"f{i}").write_bytes(b"content %d" % i)
    assert time.monotonic() - begun < 5 * world.SLOW
    assert (mount.path / "f3").read_bytes() == b"content 3"
    done = sync(mount, check=False)
    assert done.returncode == 11
    assert "10 files are not on the server yet" in done.stderr
    mount.unmount()
    server.start()
    mount = back(make, server, cache)
    assert (mount.path / "f3").read_bytes() == b"content 3"
    sync(mount)
    assert sorted(os.listdir(server.root)) == [f"f{i}" for i in range(10)]
    assert (server.root / "f7").read_bytes() == b"content 7"


def test_killed_and_mounted_again(make):
    server = make.server("vsftpd")
    cache = make.cache()
    server.put("old", b"old content")
    mount = back(make, server, cache)
    assert os.listdir(mount.path) == ["old"]
    server.kill()
    (mount.path / "new").write_bytes(b"new content")
    (mount.path / "tmp").write_bytes(b"better content")
    os.rename(mount.path / "tmp", mount.path / "other")
    kill(mount)
    server.start()
    mount = back(make, server, cache)
    sync(mount)
    assert sorted(os.listdir(server.root)) == ["new", "old", "other"]
    assert (server.root / "new").read_bytes() == b"new content"
    assert (server.root / "other").read_bytes() == b"better content"
    assert not [e for d in cache.iterdir() for e in d.iterdir() if e.name.startswith("spool-")]


def test_a_new_mount_takes_over_from_one_that_is_leaving(make):
    content = os.urandom(20 << 20)  # four seconds for it
    wan = make.wan(subnet=1 + os.getpid() % 250, rtt=5, rate=40)
    server = make.server("vsftpd", address=wan.address, netns=wan.netns)
    cache = make.cache()
    mount = back(make, server, cache)
    (mount.path / "file").write_bytes(content)
    run("fusermount3", "-u", mount.path)
    following = back(make, server, cache)
    assert not world.alive(mount.pid)
    assert len(list(cache.iterdir())) == 1
    stored = server.root / "file"
    assert not stored.exists() or stored.stat().st_size < len(content)
    assert (following.path / "file").read_bytes() == content
    sync(following)
    assert stored.read_bytes() == content
    assert os.listdir(server.root) == ["file"]


@pytest.fixture
def helper():
    """As `make install` has it; one that is there already is somebody's."""
    at = pathlib.Path("/sbin/umount.fuse.ftpfs")
    ours = not at.exists()
    if ours:
        at.symlink_to(FTPFS)
    yield at
    if ours:
        at.unlink()


def test_umount_waits(make, helper):
    assert helper.exists()
    server = make.server("vsftpd")
    mount = back(make, server, make.cache())
    for i in range(5):
        (mount.path / f"f{i}").write_bytes(os.urandom(200000))
    run("umount", mount.path)
    assert not os.path.ismount(mount.path)
    assert len(os.listdir(server.root)) == 5
    assert all(os.stat(server.root / f"f{i}").st_size == 200000 for i in range(5))


def test_sync_of_what_is_no_mount(tmp_path):
    done = run(FTPFS, "--sync", tmp_path, check=False)
    assert done.returncode == 8
    assert "is not a mount of ftpfs" in done.stderr


def test_fsync_waits_for_the_server(make):
    server = make.server("vsftpd")
    mount = back(make, server, make.cache())
    fd = os.open(mount.path / "file", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"content")
    os.fsync(fd)
    assert (server.root / "file").read_bytes() == b"content"
    os.close(fd)


def test_an_error_is_told_by_a_later_close(make):
    server = make.server("vsftpd")
    mount = back(make, server, make.cache())
    (mount.path / "file").write_bytes(b"content")
    sync(mount)
    os.chmod(server.root / "file", 0o444)
    os.chmod(server.root, 0o555)
    fd = os.open(mount.path / "file", os.O_WRONLY)
    os.write(fd, b"CONTENT")
    with pytest.raises(OSError):
        os.fsync(fd)
    os.chmod(server.root, 0o755)
    os.chmod(server.root / "file", 0o644)
    os.fsync(fd)
    os.close(fd)
    assert (server.root / "file").read_bytes() == b"CONTENT"
    assert subprocess.run([FTPFS, "--sync", mount.path], check=False).returncode == 0


@pytest.mark.parametrize("write", ["through", "back"])
def test_a_server_that_stores_no_times(make, tmp_path, write):
    """Who sets one is told, whatever has been stored yet; the bytes are there all the same."""
    server = make.server("vsftpd", extra="mdtm_write=NO")
    mount = make.mount(server, write=write, cache_dir=make.cache())
    source = tmp_path / "source"
    source.mkdir()
    for name in "abc":
        (source / name).write_text(name * 1000)
        os.utime(source / name, (1500000000, 1500000000))
    run("tar", "-C", source, "-cf", tmp_path / "tar", ".")
    for how, code in ((["cp", "-pr", source, "cp"], 1), (["rsync", "-a", f"{source}/", "rsync"], 23),
                      (["tar", "-C", "tar", "-xf", tmp_path / "tar"], 2)):
        (mount.path / how[0]).mkdir()
        done = run(*how, cwd=mount.path, check=False)
        assert done.returncode == code and "Operation not supported" in done.stderr
    for how in (["touch", "touched"], ["sh", "-c", "echo x > made; touch made"],
                ["cp", "--preserve=mode", source / "a", "copy"]):
        run(*how, cwd=mount.path)
    sync(mount)
    for copied in ("cp/source", "rsync", "tar"):
        assert same_tree(source, server.root / copied) == ""
