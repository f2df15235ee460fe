"""Uploads: 0 means that the server said yes, and its words decide what went wrong."""

import pytest
from drive import mounted
from fake_personas import (AIOFTP, ALL, IIS, INETUTILS, PROFTPD, PUREFTPD, PYFTPDLIB, TWISTED,
                           VSFTPD, but)

PATTERN = bytes(range(251))
FULL = [VSFTPD, PROFTPD, PUREFTPD, INETUTILS, PYFTPDLIB, AIOFTP]


def pattern(n):
    return (PATTERN * (n // 251 + 1))[:n]


def after_data(persona, files):
    return mounted(but(persona, home=b"/"), files)


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_new_replaced_empty_and_big(persona):
    with after_data(persona, {"/old": b"long old content"}) as (server, drive):
        drive.ok("write", "/new", "whole", 0, "abc")
        drive.ok("write", "/old", "whole", 0, "xyz")
        drive.ok("write", "/none", "whole", 0)
        drive.ok("write", "/big", "whole", 0, "*5000000")
        assert server.tree.read("/new") == b"abc"
        assert server.tree.read("/old") == b"xyz"
        assert server.tree.read("/none") == b""
        assert server.tree.read("/big") == pattern(5000000)


def test_dialogue():
    with mounted(VSFTPD) as (_, drive):
        drive.ok("write", "/new", "whole", 0, "abc")
        assert drive.said() == [["EPSV"], ["STOR /new"]]
        drive.ok("write", "/new", "append", 3, "def")
        assert drive.said() == [["APPE /new"]]


@pytest.mark.parametrize("persona", [p for p in ALL if p is not TWISTED], ids=lambda p: p.name)
def test_append(persona):
    with after_data(persona, {"/f": b"abc"}) as (server, drive):
        drive.ok("write", "/f", "append", 3, "def")
        assert server.tree.read("/f") == b"abcdef"


def test_append_where_there_is_none():
    with mounted(TWISTED, {"/f": b"abc"}) as (server, drive):
        assert drive.error("write", "/f", "append", 3, "def") == "EOPNOTSUPP"
        assert server.tree.read("/f") == b"abc"


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_refused(persona):
    with after_data(persona, {"/d/x": b"", "/f": b"1"}) as (server, drive):
        assert drive.error("write", "/d", "whole", 0, "abc") == "EISDIR"
        assert drive.error("write", "/nope/f", "whole", 0, "abc") == "ENOENT"
        assert drive.error("write", "/f/g", "whole", 0, "abc") in ("ENOTDIR", "ENOENT")
        drive.ok("write", "/f", "whole", 0, "abc")
        assert server.tree.read("/f") == b"abc"


def test_553_is_not_a_missing_file_when_the_directory_is_sealed():
    with mounted(VSFTPD, {"/d/x": b""}) as (server, drive):
        server.reply("STOR", "553 Could not create file.")
        assert drive.error("write", "/d/new", "whole", 0, "abc") == "EACCES"


@pytest.mark.parametrize("persona", [PROFTPD, INETUTILS, PUREFTPD], ids=lambda p: p.name)
def test_disk_full_in_the_middle(persona):
    with after_data(persona, {"/f": b""}) as (server, drive):
        server.disk_left = 100000
        error = drive.error("write", "/f", "whole", 0, "*30000000")
        assert error == "ENOSPC"
        server.disk_left = None
        drive.ok("write", "/f", "whole", 0, "*300")
        assert server.tree.read("/f") == pattern(300)


def test_quota():
    with mounted(PUREFTPD) as (server, drive):
        server.cut_data("STOR", 100000, "552 Quota exceeded")
        assert drive.error("write", "/f", "whole", 0, "*30000000") == "EDQUOT"


def test_a_226_is_needed():
    with mounted(VSFTPD) as (server, drive):
        server.drop_reply("STOR")
        answer = drive.do("write", "/f", "whole", 0, "abc")
        assert answer["error"] == "ECONNRESET" and answer["step"] == "finish"


def test_error_after_all_data_was_taken():
    with mounted(VSFTPD) as (server, drive):
        server.cut_data("STOR", 1, "451 Local error in processing.")
        assert drive.error("write", "/f", "whole", 0, "*1000") is not None
        drive.ok("write", "/g", "whole", 0, "*1000")


def test_lost_connection_is_not_a_refusal():
    with mounted(VSFTPD) as (server, drive):
        server.cut_data("STOR", 1 << 20, None)
        assert drive.error("write", "/f", "whole", 0, "*30000000") in ("ECONNRESET", "EPIPE")


STAMP = 981173106


def settled(drive, path, content="abc"):
    """Write and settle in one call: the entry, None where the server does not bear that."""
    return drive.ok("write", path, "whole", 0, content, "640", STAMP).get("entry")


def test_settling_travels_with_the_bytes():
    with mounted(VSFTPD) as (server, drive):
        settled(drive, "/first")  # learns how a time is set
        entry = settled(drive, "/new")
        assert drive.said() == [["STOR /new", "SITE CHMOD 0640 /new", "MDTM 20010203040506 /new",
                                 "SIZE /new", "MDTM /new"]]
        assert (entry["size"], entry["mtime"], entry["mode"]) == (3, STAMP, 0o640)
        for path in ("/first", "/new"):
            assert (server.tree.get(path).mtime, server.tree.get(path).mode) == (STAMP, 0o640)


def test_settling_a_big_one_costs_no_flight_either():
    with mounted(VSFTPD) as (_, drive):
        settled(drive, "/first")
        assert settled(drive, "/big", "*5000000")["size"] == 5000000
        assert len(drive.said()) == 1


@pytest.mark.parametrize("persona", [p for p in ALL if p is not VSFTPD], ids=lambda p: p.name)
def test_nobody_else_is_asked_behind_a_transfer(persona):
    with after_data(persona, {}) as (_, drive):
        assert settled(drive, "/new") is None
        assert [flight for flight in drive.said() if len(flight) > 1] == []


@pytest.mark.parametrize("what", ["553 Could not create file.", "425 Failed to establish connection."])
def test_a_refused_upload_keeps_the_dialogue_in_step(what):
    with mounted(VSFTPD, {"/d/old": b"old"}) as (server, drive):
        server.reply("STOR", what)
        answer = drive.do("write", "/d/old", "whole", 0, "abcd", "600", "-")
        assert answer["error"] and "entry" not in answer
        assert drive.ok("stat", "/d/old")["entry"]["size"] == 3
        assert settled(drive, "/d/old", "abcd")["size"] == 4


@pytest.mark.parametrize("what", ["451 Failure writing to local file.", "426 Failure reading."])
def test_a_failed_upload_keeps_the_dialogue_in_step(what):
    with mounted(VSFTPD, {"/d/old": b"old"}) as (server, drive):
        server.cut_data("STOR", 2, what)
        assert drive.do("write", "/d/new", "whole", 0, "abcd", "600", "-")["error"]
        assert drive.ok("stat", "/d/old")["entry"]["size"] == 3
        assert settled(drive, "/d/new", "abcd")["size"] == 4


def test_an_answer_out_of_turn_is_no_yes():
    """SIZE is only believed behind the 226."""
    with mounted(VSFTPD) as (server, drive):
        server.cut_data("STOR", 3, "213 3")
        answer = drive.do("write", "/f", "whole", 0, "abc", "600", "-")
        assert answer["error"] == "ECONNRESET" and "entry" not in answer
        assert settled(drive, "/f")["size"] == 3


def test_answers_that_are_lost_after_the_yes_are_asked_for_again():
    with mounted(VSFTPD) as (server, drive):
        server.drop_at("SIZE")
        assert settled(drive, "/f") is None
        assert drive.ok("settle", "/f")["entry"]["size"] == 3
        assert server.tree.get("/f").mode == 0o640


def test_settling_finds_the_way_to_set_a_time():
    with mounted(VSFTPD) as (server, drive):
        assert settled(drive, "/f")["mtime"] == STAMP
        assert server.tree.get("/f").mtime == STAMP


def test_uploads_side_by_side():
    """As many as there are connections but one, which is for commands."""
    with mounted(VSFTPD, drive={"conns": 5}) as (server, drive):
        server.gather("STOR", 4)
        for i in range(8):
            drive.start(str(i), "write", f"/{i}", "whole", 0, "*20000", "640", STAMP)
        assert [drive.finish(str(i))["error"] for i in range(8)] == [None] * 8
        assert all(server.tree.read(f"/{i}") == pattern(20000) for i in range(8))
        assert server.logins() <= 5  # the keeper may have logged the one for commands in
