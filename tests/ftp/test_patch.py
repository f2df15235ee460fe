"""REST + STOR: parts of a file are replaced only where a file of our own was seen to keep the rest."""

import re

import pytest
from drive import mounted, verb
from fake_personas import (AIOFTP, IIS, INETUTILS, PROFTPD, PUREFTPD, PYFTPDLIB, TWISTED, VSFTPD,
                           but)

DIGITS = b"0123456789"
TEMP = re.compile(r"/d/\.ftpfs-[0-9a-f]{16}$")
PROBE = ["STOR", "REST", "STOR", "RETR", "DELE"]


def patched(persona, **settings):
    return mounted(but(persona, home=b"/"), {"/d/f": DIGITS, "/d/g": DIGITS}, **settings)


def patch(drive, text="abc", path="/d/f"):
    return drive.error("write", path, "patch", 3, text)


def said(drive):
    """Without what opens data connections and logs in."""
    flat = [line for flight in drive.said() for line in flight]
    return [line for line in flat if verb(line) in ("STOR", "REST", "RETR", "DELE", "APPE", "SIZE")]


@pytest.mark.parametrize("persona", [VSFTPD, PROFTPD, PYFTPDLIB, AIOFTP, INETUTILS, IIS],
                         ids=lambda p: p.name)
def test_found_out_once(persona):
    with patched(persona) as (server, drive):
        assert patch(drive) is None
        probe = said(drive)
        assert [verb(line) for line in probe[:5]] == PROBE
        assert all(TEMP.search(line) for line in probe[:5] if verb(line) != "REST")
        assert probe[5:] == ["REST 3", "STOR /d/f"]
        assert patch(drive, "xyz", "/d/g") is None
        assert said(drive) == ["REST 3", "STOR /d/g"]
        assert server.tree.read("/d/f") == b"012abc6789"
        assert server.tree.read("/d/g") == b"012xyz6789"
        assert drive.names("/d") == [b"f", b"g"]


@pytest.mark.parametrize("persona, commands", [
    (PUREFTPD, PROBE),
    (but(VSFTPD, patch="ignores"), PROBE),
    (but(PROFTPD, patch="refuses"), ["STOR", "REST", "STOR", "DELE"]),
    (TWISTED, ["STOR", "REST", "DELE"]),
], ids=["truncates", "ignores", "refuses", "no REST"])
def test_never_where_the_rest_would_go(persona, commands):
    with patched(persona) as (server, drive):
        assert patch(drive) == "EOPNOTSUPP"
        assert [verb(line) for line in said(drive) if verb(line) != "SIZE"] == commands
        assert patch(drive) == "EOPNOTSUPP"
        assert said(drive) == []
        assert server.tree.read("/d/f") == DIGITS
        assert drive.names("/d") == [b"f", b"g"]


def test_a_stor_waits_for_the_350():
    with patched(VSFTPD) as (server, drive):
        assert patch(drive) is None
        server.reply("REST", "500 What?")
        assert patch(drive, "xyz") == "EOPNOTSUPP"
        assert [verb(line) for line in said(drive)] == ["REST"]
        assert server.tree.read("/d/f") == b"012abc6789"


def test_at_0_a_stor_begins_anew():
    with patched(VSFTPD) as (server, drive):
        assert drive.error("write", "/d/f", "patch", 0, "abc") == "EOPNOTSUPP"
        assert said(drive) == []


def test_a_rest_whose_stor_was_refused_is_undone():
    with patched(VSFTPD) as (server, drive):
        assert patch(drive) is None
        server.reply("STOR", "553 Could not create file.")
        server.reply("SIZE", "213 10")
        assert patch(drive) == "EACCES"
        drive.ok("write", "/d/g", "whole", 0, "new")
        assert server.tree.read("/d/g") == b"new"


@pytest.mark.parametrize("what, answer", [
    ("STOR", "553 Could not create file: Permission denied."),
    ("RETR", "550 Permission denied."),
], ids=["no file can be made", "none can be read"])
def test_a_probe_that_fails_for_reasons_of_its_own_is_repeated(what, answer):
    with patched(VSFTPD) as (server, drive):
        server.reply(what, answer)
        assert patch(drive) == "EOPNOTSUPP"
        assert server.tree.read("/d/f") == DIGITS
        assert drive.names("/d") == [b"f", b"g"]
        assert patch(drive) is None
        assert server.tree.read("/d/f") == b"012abc6789"


@pytest.mark.parametrize("verb, skip", [("STOR", 0), ("REST", 0), ("STOR", 1), ("RETR", 0)])
def test_a_link_that_breaks_during_the_probe_leaves_nothing(verb, skip):
    with patched(VSFTPD) as (server, drive):
        server.drop_reply(verb, skip=skip)
        assert patch(drive) in ("ECONNRESET", "EPIPE")
        assert drive.names("/d") == [b"f", b"g"]
        assert patch(drive) is None
        assert server.tree.read("/d/f") == b"012abc6789"


def test_a_disk_that_is_full_says_nothing_about_patches():
    with patched(PROFTPD) as (server, drive):
        server.reply("STOR", "452 No space left on device", skip=1)
        assert patch(drive) == "ENOSPC"
        assert patch(drive) is None
