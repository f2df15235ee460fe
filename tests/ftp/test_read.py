"""Downloads: how many commands, what survives a cut, and what is believed."""

import hashlib

import pytest
from drive import mounted
from fake_personas import (AIOFTP, ALL, INETUTILS, PROFTPD, PUREFTPD, PYFTPDLIB, TWISTED, VSFTPD,
                           but)

BIG = bytes(i * 7 % 251 for i in range(1 << 16)) * 256  # 16 MiB: more than any socket buffer
SMALL = b"hello, world\r\n"
CUTTERS = [p for p in ALL if p.cut]


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_whole_file_byte_for_byte(persona):
    with mounted(but(persona, home=b"/"), {"/s": SMALL, "/b": BIG, "/empty": b""}) as (_, drive):
        assert drive.ok("read", "/s")["data"] == SMALL.decode()
        assert drive.ok("read", "/b")["sha256"] == sha(BIG)
        assert drive.ok("read", "/empty")["bytes"] == 0
        assert drive.ok("read", "/s")["data"] == SMALL.decode()


@pytest.mark.parametrize("persona", [VSFTPD, PROFTPD, PUREFTPD], ids=lambda p: p.name)
def test_small_file_is_one_flight_on_a_hot_connection(persona):
    with mounted(persona, {"/s": SMALL}) as (_, drive):
        drive.ok("read", "/s")
        assert drive.said() == [["EPSV"], ["RETR /s"]]
        drive.ok("read", "/s")
        assert drive.said() == [["RETR /s"]]
        assert drive.stat("hot_used") >= 1


@pytest.mark.parametrize("persona", [p for p in ALL if p is not TWISTED], ids=lambda p: p.name)
def test_from_the_middle(persona):
    with mounted(but(persona, home=b"/"), {"/b": BIG}) as (server, drive):
        assert drive.ok("read", "/b", 1000000)["sha256"] == sha(BIG[1000000:])
        lines = server.lines(drive.marked)
        assert lines[lines.index("RETR /b") - 1] == "REST 1000000"  # nothing in between


def test_twisted_has_no_rest():
    with mounted(TWISTED, {"/b": BIG}) as (_, drive):
        answer = drive.do("read", "/b", 1000000, 100)
        if answer["error"] is None:  # read from the start and thrown away
            assert answer["sha256"] == sha(BIG[1000000:1000100])
        else:
            assert answer["error"] == "EOPNOTSUPP"
        assert drive.ok("read", "/b")["sha256"] == sha(BIG)


@pytest.mark.parametrize("persona", [p for p in ALL if p is not TWISTED], ids=lambda p: p.name)
def test_beyond_the_end(persona):
    with mounted(but(persona, home=b"/"), {"/s": SMALL}) as (_, drive):
        assert drive.ok("read", "/s", 1000)["bytes"] == 0
        assert drive.ok("read", "/s", len(SMALL))["bytes"] == 0
        assert drive.ok("read", "/s")["data"] == SMALL.decode()


@pytest.mark.parametrize("persona", CUTTERS, ids=lambda p: p.name)
def test_a_cut_keeps_the_login(persona):
    with mounted(but(persona, home=b"/"), {"/b": BIG, "/s": SMALL}) as (server, drive):
        for at in (0, 5000000, 100):
            answer = drive.ok("read", "/b", at, 70000) if at == 0 or "REST" not in \
                persona.missing else drive.ok("read", "/b", 0, 70000)
            start = at if "REST" not in persona.missing else 0
            assert answer["sha256"] == sha(BIG[start:start + 70000])
            assert "ABOR" not in server.lines(drive.marked)
        assert drive.ok("read", "/s")["data"] == SMALL.decode()
        assert drive.names("/") == [b"b", b"s"]
        assert not server.lost()


def test_a_cut_on_aioftp_loses_the_login_and_nothing_else():
    with mounted(AIOFTP, {"/b": BIG, "/s": SMALL}) as (_, drive):
        assert drive.ok("read", "/b", 0, 70000)["sha256"] == sha(BIG[:70000])
        assert drive.ok("read", "/s")["data"] == SMALL.decode()
        assert drive.ok("read", "/b", 9, 70000)["sha256"] == sha(BIG[9:70009])


def test_pure_counts_replies_not_codes():
    """The final reply to a cut RETR is a second 150; the next transfer must not take it for its own."""
    with mounted(PUREFTPD, {"/b": BIG, "/s": SMALL}) as (server, drive):
        for _ in range(5):
            drive.ok("read", "/b", 0, 1000)
            assert drive.ok("stat", "/s")["entry"]["size"] == len(SMALL)
            assert drive.ok("read", "/s")["data"] == SMALL.decode()
        assert not server.lost()


@pytest.mark.parametrize("reply", ["426 Connection closed; transfer aborted.", "451 Read error."])
def test_an_end_is_believed_only_with_a_226(reply):
    with mounted(VSFTPD, {"/b": BIG}) as (server, drive):
        server.cut_data("RETR", 3 << 20, reply)
        assert drive.error("read", "/b") is not None
        assert drive.ok("read", "/b")["sha256"] == sha(BIG)


def test_clean_close_but_no_226():
    with mounted(VSFTPD, {"/s": SMALL}) as (server, drive):
        server.drop_reply("RETR")
        assert drive.error("read", "/s") is not None
        assert drive.ok("read", "/s")["data"] == SMALL.decode()


def test_rest_that_is_not_used_is_undone():
    with mounted(VSFTPD, {"/s": SMALL, "/d/x": b""}) as (server, drive):
        assert drive.error("read", "/nope", 5) == "ENOENT"
        assert drive.ok("read", "/s")["data"] == SMALL.decode()
        drive.do("read", "/nope", 5)
        drive.ok("write", "/new", "whole", 0, "abc")
        assert server.tree.read("/new") == b"abc"
        drive.do("read", "/nope", 5)
        assert drive.names("/d") == [b"x"]


def test_refused_rest_is_no_licence_to_read_from_the_start():
    with mounted(VSFTPD, {"/s": SMALL}) as (server, drive):
        server.reply("REST", "501 Invalid REST.")
        answer = drive.do("read", "/s", 7)
        assert answer["error"] is not None or answer["data"] == SMALL[7:].decode()


def test_inetutils_forgets_rest_on_any_other_command():
    with mounted(but(INETUTILS, home=b"/"), {"/b": BIG}) as (_, drive):
        for at in (10, 20):
            assert drive.ok("read", "/b", at, 1000)["sha256"] == sha(BIG[at:at + 1000])


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_what_cannot_be_read(persona):
    files = {"/d/x": b"", "/f": b"1"}
    with mounted(but(persona, home=b"/"), files) as (_, drive):
        assert drive.error("read", "/nope") == "ENOENT"
        assert drive.error("read", "/d") == "EISDIR"
        assert drive.error("read", "/f/below") in ("ENOTDIR", "ENOENT")
        assert drive.ok("read", "/f")["data"] == "1"


def test_pyftpdlib_style_cut_in_small_pieces():
    with mounted(PYFTPDLIB, {"/b": BIG}, slow=(1 << 16, 0.001)) as (server, drive):
        for i in range(4):
            drive.ok("read", "/b", i * 4096, 4096)
        assert not server.lost()
