"""Listings: CWD first, never a path behind LIST, and no listing is believed that was cut."""

import time

import pytest
from drive import mounted, raw
from fake_personas import (AIOFTP, ALL, IIS, INETUTILS, PROFTPD, PUREFTPD, PYFTPDLIB, TWISTED,
                           VSFTPD, but)
from fake_tree import Tree

FILES = {"/d/a": b"1", "/d/.hidden": b"22", "/d/sub/x": b"", "/empty": None}


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_names_types_and_sizes(persona):
    with mounted(but(persona, home=b"/"), FILES) as (_, drive):
        entries = {e["name"]: e for e in drive.ok("list", "/d")["entries"]}
        assert sorted(entries) == [".hidden", "a", "sub"]
        assert entries["a"]["type"] == "file" and entries["a"]["size"] == 1
        assert entries["sub"]["type"] == "dir"
        assert drive.names("/empty") == []


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_no_path_ever_follows_the_verb(persona):
    with mounted(but(persona, home=b"/"), FILES) as (server, drive):
        drive.ok("list", "/d")
        drive.ok("list", "/d/sub")
        listed = [line for line in server.lines() if line.split(" ")[0] in ("LIST", "MLSD", "NLST")]
        assert set(listed) <= {"MLSD", "LIST -a", "LIST"} and len(listed) >= 2


@pytest.mark.parametrize("persona, verb", [(PROFTPD, "MLSD"), (VSFTPD, "LIST -a")],
                         ids=lambda p: getattr(p, "name", p))
def test_cwd_and_epsv_share_a_flight(persona, verb):
    with mounted(persona, {"/d/sub/x": b"", "/d/other/y": b""}) as (_, drive):
        drive.ok("list", "/d")
        assert drive.said() == [["CWD /d", "EPSV"], [verb]]
        drive.ok("list", "/d/sub")
        assert drive.said()[0] == ["CWD /d/sub", verb]  # on the connection opened ahead


@pytest.mark.parametrize("persona", [AIOFTP, TWISTED], ids=lambda p: p.name)
def test_one_command_at_a_time_where_pipelining_is_unsafe(persona):
    with mounted(persona, FILES) as (server, drive):
        drive.ok("list", "/d")
        drive.ok("list", "/d/sub")
        drive.ok("statall", "/d")
        drive.ok("rename", "/d/a", "/d/b")
        drive.ok("read", "/d/b")
        assert max(len(flight) for flight in server.dialogue()) == 1


def test_fall_back_to_list_without_options():
    with mounted(but(VSFTPD, list_a="no", hides_dots=False), FILES) as (_, drive):
        assert drive.names("/d") == [b".hidden", b"a", b"sub"]
        verbs = [line for flight in drive.said() for line in flight if line.startswith("LIST")]
        assert verbs == ["LIST -a", "LIST"]
        drive.ok("list", "/d")
        assert "LIST -a" not in sum(drive.said(), [])


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_missing_directory_though_list_would_say_226(persona):
    with mounted(but(persona, home=b"/"), FILES) as (_, drive):
        assert drive.error("list", "/nope") == "ENOENT"
        assert drive.error("list", "/nope") == "ENOENT"  # on a hot data connection as well
        assert drive.error("list", "/nope/below") == "ENOENT"
        assert drive.names("/d") == [b".hidden", b"a", b"sub"]


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_directory_that_is_a_file(persona):
    with mounted(but(persona, home=b"/"), FILES) as (_, drive):
        assert drive.error("list", "/d/a") == "ENOTDIR"


def test_truncated_listing_is_an_error():
    files = {f"/d/{i}": b"" for i in range(25)}
    with mounted(but(PUREFTPD, list_limit=20), files) as (_, drive):
        assert drive.error("list", "/d") == "EOVERFLOW"
        assert drive.names("/") == [b"d"]


@pytest.mark.parametrize("reply", ["426 Failure writing network stream.", "451 Read error."])
def test_broken_listing_is_an_error(reply):
    with mounted(VSFTPD, {f"/d/{i}": b"" for i in range(500)}) as (server, drive):
        server.cut_data("LIST", 1000, reply)
        assert drive.error("list", "/d") is not None
        assert len(drive.names("/d")) == 500


def test_closed_cleanly_in_the_middle_with_an_error_reply():
    with mounted(PROFTPD, FILES) as (server, drive):
        server.reply("MLSD", "450 Requested file action not taken.")
        assert drive.error("list", "/d") is not None
        assert len(drive.names("/d")) == 3


def test_aioftp_ends_mlsd_with_200():
    with mounted(AIOFTP, FILES) as (_, drive):
        assert len(drive.names("/d")) == 3


def test_dangerous_names_do_not_enter():
    tree = Tree(FILES)
    directory = tree.get("/d")
    for name in (b"../etc", b"x/y", b"..", b"in\rside"):
        directory.children[name] = tree.get("/d/a")
    with mounted(PYFTPDLIB, tree) as (_, drive):
        assert drive.names("/d") == [b".hidden", b"a", b"sub"]


def test_many_entries():
    with mounted(PROFTPD, {f"/d/{i:05}": b"" for i in range(10000)}) as (_, drive):
        assert len(drive.names("/d")) == 10000
        assert drive.said() == [["CWD /d", "EPSV"], ["MLSD"]]


@pytest.mark.parametrize("hours", [0, 5.5, -8])
def test_times_of_list_are_calibrated_against_mdtm(hours):
    recent = int(time.time()) - 86400 * 5
    recent -= recent % 60
    tree = Tree()
    tree.put("/d/a", b"1", mtime=recent)
    tree.put("/d/b", b"1", mtime=recent - 3600)
    tree.put("/d/old", b"1", mtime=recent - 86400 * 1000)
    with mounted(but(VSFTPD, zone=int(hours * 3600)), tree) as (server, drive):
        entries = {e["name"]: e for e in drive.ok("list", "/d")["entries"]}
        assert entries["a"]["mtime"] == recent and entries["b"]["mtime"] == recent - 3600
        assert not entries["a"]["exact"] and entries["a"]["slack"] == 60
        asked = [line for line in server.lines(drive.marked) if line.startswith("MDTM")]
        assert len(asked) == 1
        drive.ok("list", "/d")
        assert not [line for line in server.lines(drive.marked) if line.startswith("MDTM")]


def test_dos_listing():
    tree = Tree()
    when = int(time.time()) // 60 * 60 - 7200
    tree.put("/My Docs/read me.txt", b"hello", mtime=when)
    with mounted(IIS, tree) as (_, drive):
        assert drive.names("/") == [b"My Docs"]
        (entry,) = drive.ok("list", "/My Docs")["entries"]
        assert raw(entry["name"]) == b"read me.txt"
        assert (entry["type"], entry["size"], entry["mtime"]) == ("file", 5, when)


@pytest.mark.parametrize("persona", [VSFTPD, PROFTPD, PUREFTPD, INETUTILS], ids=lambda p: p.name)
def test_links_are_links(persona):
    tree = Tree({"/d/a": b"1"})
    tree.put_link("/d/l", "a")
    with mounted(but(persona, home=b"/"), tree) as (_, drive):
        entries = {e["name"]: e for e in drive.ok("list", "/d")["entries"]}
        assert entries["l"]["type"] == "link"
        assert drive.ok("readlink", "/d/l")["target"] == "a"
        assert drive.error("readlink", "/d/a") == "EINVAL"
