"""Data connections that the server opens: on real servers, and where they cannot get through."""

import random

import pytest

import world
from world import run, same_tree

FILES = 60


def fill(server):
    rng = random.Random(11)
    for number in range(FILES):
        server.put(f"many/f{number:03}", rng.randbytes(rng.randint(1, 60000)))


def copies(server, to):
    """Copies all, in the order that is looked ahead for, and compares."""
    def work(path):
        run("cp", "-r", path / "many", to)
        assert same_tree(server.root / "many", to) == ""
    return work


@pytest.mark.parametrize("kind", ["vsftpd", "proftpd", "pure-ftpd"])
def test_it_is_found_out_and_used(make, account, tmp_path, kind):
    server = make.server(kind)
    fill(server)
    said = account(server, copies(server, tmp_path / "out"))
    assert said["EPRT"] == "yes" and said["calls_missed"] == "0"
    assert int(said["calls"]) > FILES // 4


@pytest.mark.parametrize("mode", ["tls12", "tls13"])
@pytest.mark.parametrize("kind", ["vsftpd", "proftpd"])
def test_over_tls_when_told_to(make, account, tmp_path, kind, mode):
    """These two demand that the data connection resumes the control connection's session."""
    server = make.server(kind, mode)
    fill(server)
    said = account(server, copies(server, tmp_path / "out"), active="on")
    assert said["EPRT"] == "yes" and int(said["calls"]) > FILES // 4


def test_pyftpdlib_is_asked_once(make, account, tmp_path):
    server = make.server("pyftpdlib")
    fill(server)
    said = account(server, copies(server, tmp_path / "out"))
    assert said["EPRT"] == "no" and said["calls"] == "0"


@pytest.mark.parametrize("kind, extra", [
    ("vsftpd", "port_enable=NO"), ("proftpd", "<Limit EPRT>\nDenyAll\n</Limit>")],
    ids=["vsftpd", "proftpd"])
def test_a_server_that_forbids_it(make, account, tmp_path, kind, extra):
    server = make.server(kind, extra=extra)
    fill(server)
    said = account(server, copies(server, tmp_path / "out"))
    assert said["EPRT"] == "no" and said["calls"] == "0"


def test_a_firewall_swallows_the_call(make, account, tmp_path):
    """Nothing comes, nothing is refused: vsftpd tries for a minute, and nobody waits for it."""
    wan = make.wan(rtt=5)
    server = make.server(extra="connect_from_port_20=YES", address=wan.address, netns=wan.netns)
    fill(server)
    # What comes from port 20 goes round in circles at the far end and is dropped there.
    for words in (["link", "set", "lo", "up"],
                  ["rule", "add", "ipproto", "tcp", "sport", "20", "table", "99"],
                  ["route", "add", "default", "dev", "lo", "table", "99"]):
        run("ip", "-n", wan.netns, *words)
    said = account(server, copies(server, tmp_path / "out"))
    assert said["EPRT"] == "no" and said["calls"] == "0" and said["calls_missed"] == "1"
