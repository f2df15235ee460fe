"""A mount that cannot be had says why in one line and ends with a number of its own."""

import ftplib
import os
import pathlib
import socket
import subprocess
import tarfile
import threading

import pytest

import world
from world import every_server, ftpfs, run


@pytest.fixture
def attempt(make):
    """attempt(url, **options) -> (exit code, the one line on stderr)."""
    at, cache = make.scratch(), make.cache()

    def go(url, mountpoint=at, **options):
        options.setdefault("cache_dir", cache)
        options.setdefault("connect_timeout", 5)
        done = ftpfs(url, mountpoint, **options)
        if done.returncode == 0:
            run("fusermount3", "-u", mountpoint)
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) <= 2, done.stderr
        return done.returncode, done.stderr
    return go


def test_it_mounts_at_all(attempt, server):
    assert attempt(server.url(), username=world.USER) == (0, "")


def test_cannot_resolve(attempt):
    code, why = attempt("ftp://no-such-host.invalid/", username="x")
    assert code == world.NO_HOST
    assert "no-such-host.invalid" in why


def test_cannot_connect(attempt):
    port = world.free_port()
    code, why = attempt(f"ftp://127.0.0.1:{port}/", username="x")
    assert code == world.NO_CONNECT
    assert f"127.0.0.1:{port}" in why
    assert "refused" in why.lower()


def test_connection_times_out(attempt):
    """A listener whose queue is full does not answer at all."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(0)
        port = s.getsockname()[1]
        fill = []
        for _ in range(4):
            c = socket.socket()
            c.setblocking(False)
            c.connect_ex(("127.0.0.1", port))
            fill.append(c)
        try:
            code, why = attempt(f"ftp://127.0.0.1:{port}/", username="x", connect_timeout=2)
        finally:
            for c in fill:
                c.close()
    assert code == world.NO_CONNECT
    assert str(port) in why


@every_server()
def test_login_refused(attempt, server):
    # some servers let a wrong password wait for seconds
    code, why = attempt(server.url(), username=world.USER, password="wrong", connect_timeout=30)
    assert code == world.REFUSED
    assert world.USER in why
    assert "wrong" not in why
    assert "530" in why


def test_the_servers_own_fault(make, attempt):
    """The best known one of vsftpd: the password was right."""
    server = make.server("vsftpd", extra="allow_writeable_chroot=NO")
    code, why = attempt(server.url(), username=world.USER)
    assert code == world.REFUSED
    assert "500 OOPS: vsftpd: refusing to run with writable root inside chroot()" in why
    assert "administrator" in why
    assert "password" not in why


@every_server()
def test_no_such_directory(attempt, server):
    code, why = attempt(server.url("/not/there"), username=world.USER)
    assert code == world.NO_DIR
    assert "/not/there" in why


@every_server()
def test_the_url_names_a_file(attempt, server):
    server.put("just-a-file", b"x")
    code, why = attempt(server.url("/just-a-file"), username=world.USER)
    assert code == world.NO_DIR
    assert "just-a-file" in why


def answering(greeting):
    """A port where something says `greeting` to whoever connects."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                peer.sendall(greeting)
    threading.Thread(target=serve, daemon=True).start()
    return listener


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
                                      b"HTTP/1.1 400 Bad Request\r\n\r\n<html></html>\r\n",
                                      b"\0\1\2\3garbage\r\n"])
def test_not_an_ftp_server(attempt, greeting):
    with answering(greeting) as listener:
        port = listener.getsockname()[1]
        code, why = attempt(f"ftp://127.0.0.1:{port}/", username="x")
    assert code == world.NOT_FTP
    assert f"127.0.0.1:{port}" in why


def enters(visitor, server):
    try:
        visitor.connect(server.address, server.port, 20)
        return True
    except ftplib.error_temp:
        return False


def test_too_many_connections(attempt, make):
    server = make.server("vsftpd", extra="max_clients=1")
    with ftplib.FTP() as other:
        # vsftpd counts whoever asked whether it is there until that one's process is buried
        world.wait_until(lambda: enters(other, server), 20, "the last visitor to leave")
        code, why = attempt(server.url(), username=world.USER)
    assert code == world.TOO_MANY
    assert "421" in why


@pytest.mark.parametrize("arguments", [["-o", "nonsense=1"], ["-o", "timeout=soon"], ["-Z"]])
def test_bad_options(arguments, tmp_path):
    done = run(world.FTPFS, *arguments, "ftp://127.0.0.1:1/", tmp_path, check=False)
    assert done.returncode == world.USAGE
    assert done.stderr.startswith("ftpfs:")


def test_a_bad_url(attempt):
    assert attempt("http://example.org/")[0] == world.USAGE


def test_no_arguments():
    assert run(world.FTPFS, check=False).returncode == world.USAGE


def test_help_and_version():
    told = run(world.FTPFS, "-h").stdout
    for option in ("username=", "tls=", "dcache_timeout=", "max_conns=", "cache_dir=", "prefetch="):
        assert option in told
    assert run(world.FTPFS, "-V").stdout.startswith("ftpfs ")


def test_the_mount_point(attempt, server, tmp_path):
    full, plain = tmp_path / "full", tmp_path / "plain"
    full.mkdir()
    (full / "x").touch()
    plain.touch()
    for wrong in (tmp_path / "missing", plain, full):
        code, why = attempt(server.url(), mountpoint=wrong, username=world.USER)
        assert code == world.MOUNTPOINT
        assert str(wrong) in why


def test_a_dead_mount_point(attempt, make, server):
    mount = make.mount(server)
    os.kill(mount.pid, 9)
    world.wait_until(lambda: is_dead(mount.path), 20, "the mount to be dead")
    code, why = attempt(server.url(), mountpoint=mount.path, username=world.USER)
    assert code == world.MOUNTPOINT
    assert "fusermount3 -u" in why


def is_dead(path):
    try:
        os.statvfs(path)  # never out of the kernel's cache
        return False
    except OSError:
        return True


# What people do with it: fetch a release from a public archive.

@pytest.fixture
def archive(server, tmp_path):
    inside = tmp_path / "bugzilla" / "README"
    inside.parent.mkdir()
    inside.write_text("bugs\n" * 1000)
    (inside.parent / "noise").write_bytes(os.urandom(2 << 20))
    with tarfile.open(tmp_path / "archive.tar.gz", "w:gz") as t:
        t.add(inside.parent, "bugzilla")
    content = (tmp_path / "archive.tar.gz").read_bytes()
    for directory in ("pub", "pub/mozilla", "pub/mozilla/webtools"):
        server.make_dir(directory)
    server.put("pub/mozilla/webtools/bugzilla-LATEST.tar.gz", content)
    server.put("pub/mozilla/webtools/private.tar.gz", content, mode=0o000)
    return content


@every_server()
def test_an_anonymous_download(server, make, archive, tmp_path):
    mount = make.mount(server, path="/pub/mozilla/webtools", username=None, password=None)
    assert "bugzilla-LATEST.tar.gz" in os.listdir(mount.path)
    run("cp", mount.path / "bugzilla-LATEST.tar.gz", tmp_path / "copy.tar.gz")
    assert (tmp_path / "copy.tar.gz").read_bytes() == archive
    with tarfile.open(mount.path / "bugzilla-LATEST.tar.gz") as t:
        assert set(t.getnames()) == {"bugzilla", "bugzilla/README", "bugzilla/noise"}


@every_server()
def test_what_anonymous_may_not_read(server, make, archive, tmp_path):
    mount = make.mount(server, path="/pub/mozilla/webtools", username=None, password=None)
    done = run("cp", mount.path / "private.tar.gz", tmp_path / "copy", check=False)
    assert done.returncode != 0
    assert "Permission denied" in done.stderr
    assert not (tmp_path / "copy").exists() or (tmp_path / "copy").stat().st_size == 0
    assert "bugzilla-LATEST.tar.gz" in os.listdir(mount.path)


@every_server()
def test_anonymous_may_not_write(server, make, archive):
    mount = make.mount(server, path="/pub/mozilla/webtools", username=None, password=None)
    with pytest.raises(OSError):
        (mount.path / "mine").write_text("x")
    with pytest.raises(OSError):
        (mount.path / "bugzilla-LATEST.tar.gz").unlink()
    assert not (server.root / "pub/mozilla/webtools/mine").exists()


def test_the_four_failures_differ(server, attempt, make, archive):
    connect = attempt(f"ftp://127.0.0.1:{world.free_port()}/pub", password=None)
    login = attempt(server.url("/pub"), username="nobody-here", password="x")
    directory = attempt(server.url("/pub/none"), password=None)
    assert [connect[0], login[0], directory[0]] == [world.NO_CONNECT, world.REFUSED, world.NO_DIR]
    assert len({connect[1], login[1], directory[1]}) == 3
    mount = make.mount(server, path="/pub/mozilla/webtools", username=None, password=None)
    with pytest.raises(PermissionError):
        (mount.path / "private.tar.gz").read_bytes()


def test_an_interrupted_start(make):
    """Ctrl-C while connecting: ends at once, nothing mounted."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        at = make.scratch()
        process = subprocess.Popen(
            [world.FTPFS, "-f", "-o", f"username=x,cache_dir={make.cache()}",
             f"ftp://127.0.0.1:{mute.getsockname()[1]}/", str(at)],
            env={**os.environ, "FTPFS_PASSWORD": "x"}, stderr=subprocess.PIPE)
        mute.accept()[0].setblocking(True)
        process.send_signal(2)
        try:
            process.wait(10 * world.SLOW)
        finally:
            process.kill()
            process.wait(10)
    assert process.returncode != 0
    assert str(at) not in pathlib.Path("/proc/mounts").read_text()
