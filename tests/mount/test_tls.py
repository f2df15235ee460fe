"""Explicit TLS of each version: certificates are checked, data is protected, nothing is cut."""

import os
import random

import pytest

import world
from world import every_server, run, same_tree

VERSIONS = every_server("tls12", "tls13")


@VERSIONS
def test_what_is_written_is_there(place, tmp_path):
    """Many uploads: a truncated one is a matter of timing."""
    source = tmp_path / "source"
    source.mkdir()
    rng = random.Random(6)
    for number in range(25):
        (source / f"f{number}").write_bytes(rng.randbytes(rng.choice([0, 1, 4000, 300000, 1 << 20])))
    run("cp", "-r", source, place.here / "in")
    assert same_tree(source, place.there / "in") == ""
    run("cp", "-r", place.here / "in", tmp_path / "out")
    assert same_tree(source, tmp_path / "out") == ""


@VERSIONS
def test_reading_in_the_middle(place):
    content = random.Random(7).randbytes(8 << 20)
    place.put("file", content)
    rng = random.Random(8)
    fd = os.open(place.here / "file", os.O_RDONLY)
    try:
        for _ in range(20):
            at = rng.randrange(len(content))
            assert os.pread(fd, 5000, at) == content[at:at + 5000]
    finally:
        os.close(fd)


@VERSIONS
def test_rsync_again_transfers_nothing(place, tmp_path):
    (tmp_path / "source").mkdir()
    for number in range(50):
        (tmp_path / "source" / f"f{number}").write_bytes(b"x" * number)
    command = ["rsync", "-rt", "--omit-dir-times", "-i", f"{tmp_path}/source/", place.here / "copy"]
    assert run(*command).stdout != ""
    assert run(*command).stdout == ""


@pytest.mark.parametrize("server", ["vsftpd:tls"], indirect=True)
def test_a_certificate_that_nobody_signed(server, make):
    done = world.ftpfs(server.url(), make.scratch(), username=world.USER, tls="require",
                       cache_dir=make.cache())
    assert done.returncode == world.NO_TLS
    assert "certificate" in done.stderr.lower()
    assert len(done.stderr.strip().splitlines()) <= 2
    done = world.ftpfs(server.url(), make.scratch(), username=world.USER, tls="require",
                       cache_dir=make.cache(), cacert="/etc/passwd")
    assert done.returncode == world.USAGE
    assert "PEM" in done.stderr


@pytest.mark.parametrize("server", ["vsftpd:tls"], indirect=True)
def test_insecure_takes_any_certificate(server, make):
    server.put("tls-file", b"content")
    mount = make.mount(server, insecure=None, cacert="/dev/null")
    assert (mount.path / "tls-file").read_bytes() == b"content"


def test_a_server_without_tls(server, make):
    done = world.ftpfs(server.url(), make.scratch(), username=world.USER, tls="require",
                       cache_dir=make.cache())
    assert done.returncode == world.NO_TLS
    assert "encrypted" in done.stderr


@pytest.mark.parametrize("server", ["vsftpd:implicit", "proftpd:implicit"], indirect=True)
def test_implicit_tls(server, make):
    server.put("tls-file", b"content")
    at = make.scratch()
    done = world.ftpfs(server.url().replace("ftp://", "ftps://"), at, username=world.USER,
                       cacert=world.CERTIFICATE, cache_dir=make.cache())
    try:
        assert done.returncode == 0, done.stderr
        assert (at / "tls-file").read_bytes() == b"content"
    finally:
        run("fusermount3", "-u", at, check=False)
