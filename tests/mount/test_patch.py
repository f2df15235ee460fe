"""An edit in the middle of a big file goes into the server's file, where that keeps the rest."""

import os
import random

import pytest

KEEPS = [("vsftpd", "plain"), ("vsftpd", "tls13"), ("proftpd", "plain"), ("proftpd", "tls13"),
         ("pyftpdlib", "plain")]
SIZE = 8 << 20


def edits(server, changes):
    """For each change writes its parts (at, text), then an fsync, and looks at the server's disk."""
    content = bytearray(random.Random(12).randbytes(SIZE))
    server.make_dir("d")
    server.put("d/file", bytes(content))

    def work(path):
        with (path / "d" / "file").open("r+b", buffering=0) as f:
            for parts in changes:
                for at, text in parts:
                    f.seek(at)
                    f.write(text)
                    content[at:at + len(text)] = text
                os.fsync(f.fileno())
                assert (server.root / "d" / "file").read_bytes() == content
                assert f.seek(0, os.SEEK_END) == len(content)
        assert os.listdir(server.root / "d") == ["file"]
        assert (path / "d" / "file").read_bytes() == content
    return work


CHANGES = [[(SIZE // 2 + 1, b"HELLO" * 800)],
           [(SIZE - 100, b"the end grows" * 100)],
           [(1000, b"x"), (SIZE + 1200, b"and again")]]  # one begins where the file ends


@pytest.mark.parametrize("kind, mode", KEEPS)
def test_a_part_is_replaced(make, account, kind, mode):
    server = make.server(kind, mode)
    said = account(server, edits(server, CHANGES))
    assert said["REST+STOR"] == "yes"
    assert int(said["bytes_out"]) < 10000


@pytest.mark.parametrize("kind, extra", [("pure-ftpd", ""), ("proftpd", "<Directory />\nAllowStoreRestart off\n</Directory>")],
                         ids=["truncates", "refuses"])
def test_the_safe_way_elsewhere(make, account, kind, extra):
    server = make.server(kind, extra=extra)
    said = account(server, edits(server, CHANGES[:1]))
    assert said["REST+STOR"] == "no"
    assert int(said["bytes_out"]) >= SIZE


def test_off(make, account):
    server = make.server()
    said = account(server, edits(server, CHANGES[:1]), inplace="off")
    assert int(said["bytes_out"]) >= SIZE


@pytest.mark.parametrize("option", [{"atomic": "on"}, {"inplace": "off"}], ids=["atomic", "not in place"])
def test_in_a_copy_that_the_server_makes(make, account, option):
    server = make.server("proftpd")
    said = account(server, edits(server, CHANGES), **option)
    assert said["REST+STOR"] == "yes"
    assert int(said["bytes_out"]) < 20000
