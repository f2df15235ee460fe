"""Names reach the wire as they are, or not at all."""

import pytest
from drive import mounted, raw
from fake_personas import INETUTILS, PROFTPD, VSFTPD, but
from fake_tree import Tree

ODD = [
    b"with space", b" leading", b"trailing ", b"two  spaces", b"-dash", b"-rf", b"--", b"a;b",
    b"semi; colon", b"arrow -> here", b"star*", b"what?", b"[x]", b"{a,b}", b"back\\slash", b"'quote'",
    b'"double"', b"%41", b"100%", b"%s%n", b"~root", b"$HOME", b"#hash", b"tab\there", b"\x01\x02",
    b"\x7f", "ümläut".encode(), "日本語".encode(), b"latin-\xe9", b"bad-\xc3\x28", b"...", b".hidden",
    b"...dots", b"=x=y", b"type=dir; name", b"File exists", b"Not a directory", b"x" * 255,
]


@pytest.mark.parametrize("persona", [VSFTPD, PROFTPD], ids=lambda p: p.name)
def test_odd_names_are_listed_and_reached(persona):
    tree = Tree({b"/d/" + name: b"content" for name in ODD})
    with mounted(persona, tree) as (server, drive):
        assert drive.names("/d") == sorted(ODD)
        for name in ODD:
            path = b"/d/" + name
            assert drive.ok("stat", path)["entry"]["size"] == 7
            assert drive.ok("read", path)["data"] == "content"
            line = b"RETR " + path
            assert line.decode("utf-8", "surrogateescape") in server.lines(drive.marked)


def test_odd_names_are_made_renamed_and_removed():
    with mounted(PROFTPD, {"/d/x": b"1"}) as (server, drive):
        for name in ODD:
            path = b"/d/" + name
            drive.ok("write", path, "whole", 0, "abc")
            drive.ok("rename", path, path[:-1] + b"Z")
            drive.ok("remove", path[:-1] + b"Z")
            drive.ok("mkdir", path)
            drive.ok("write", path + b"/in", "whole", 0, "abc")
            assert drive.names(path) == [b"in"]
            drive.ok("remove", path + b"/in")
            drive.ok("rmdir", path)
        assert list(server.tree.get("/d").children) == [b"x"]


@pytest.mark.parametrize("bad", [b"/d/a\rDELE /d/x", b"/d/a\nDELE /d/x", b"/d/a\r\nDELE /d/x", b"/d/\n"])
def test_no_line_end_reaches_the_wire(bad):
    with mounted(PROFTPD, {"/d/x": b"1"}) as (server, drive):
        for words in (("stat", bad), ("list", bad), ("read", bad), ("write", bad, "whole", 0, "x"),
                      ("mkdir", bad), ("rmdir", bad), ("remove", bad), ("rename", "/d/x", bad),
                      ("rename", bad, "/d/y"), ("set_mtime", bad, 1), ("set_mode", bad, "600"),
                      ("settle", bad), ("readlink", bad), ("symlink", "x", bad),
                      ("symlink", b"a\r\nDELE /d/x", "/d/l"), ("copy", "/d/x", bad),
                      ("statmany", "/d", bad[3:])):
            assert drive.do(*words)["error"] in ("EINVAL", "EOPNOTSUPP", "ENOENT"), words
            assert drive.said() == [], words
        assert server.tree.read("/d/x") == b"1"
        assert drive.names("/d") == [b"x"]


@pytest.mark.parametrize("path", ["d/x", "/d/../x", "/d/./x", "/d//x", ""])
def test_only_clean_absolute_paths(path):
    with mounted(PROFTPD, {"/d/x": b"1"}) as (_, drive):
        assert drive.error("stat", path) == "EINVAL"
        assert drive.said() == []


def test_too_long():
    with mounted(PROFTPD, {"/d/x": b"1"}) as (_, drive):
        assert drive.error("read", "/d/" + "y" * 256) == "ENAMETOOLONG"
        assert drive.error("read", "/d" * 2100) == "ENAMETOOLONG"


def deep(component, levels):
    return "".join(f"/{component}{i}" for i in range(levels))


DEEP = {
    "list": lambda drive, path: drive.names(path) == [b"b", b"file"],
    "read": lambda drive, path: drive.ok("read", path + "/file")["data"] == "content",
    "from": lambda drive, path: drive.ok("read", path + "/file", 3)["data"] == "tent",
    "stat": lambda drive, path: drive.ok("stat", path + "/file")["entry"]["size"] == 7,
    "stat dir": lambda drive, path: drive.ok("stat", path)["entry"]["type"] == "dir",
    "write": lambda drive, path: drive.ok("write", path + "/file", "whole", 0, "abc"),
    "rename": lambda drive, path: drive.ok("rename", path + "/b", path + "/file"),
    "rename up": lambda drive, path: drive.ok("rename", path + "/b", "/b"),
    "many": lambda drive, path: drive.ok("statmany", path, "b", "file"),
    "times": lambda drive, path: all(
        "mtime" in e for e in drive.ok("statall", path)["entries"]),
    "settle": lambda drive, path: drive.ok("settle", path + "/file", "600")["entry"]["size"] == 7,
    "remove": lambda drive, path: drive.ok("remove", path + "/b"),
    "mkdir": lambda drive, path: drive.ok("mkdir", path + "/new"),
    "missing": lambda drive, path: drive.error("read", path + "/nope") == "ENOENT",
    "missing dir": lambda drive, path: drive.error("list", path + "/nope") == "ENOENT",
    "twice": lambda drive, path: drive.ok("stat", path + "/b") and
        drive.ok("read", path + "/b")["data"] == "2" and drive.names("/") == [b"directory"],
}


@pytest.mark.parametrize("what", DEEP, ids=lambda w: w.replace(" ", "-"))
@pytest.mark.parametrize("persona, component, levels", [
    (but(INETUTILS, home=b"/"), "directory-" * 6, 20),
    (but(PROFTPD, line_max=2048), "directory-" * 20, 18)], ids=["inetutils", "proftpd"])
def test_lines_that_would_be_too_long_go_in_steps(persona, component, levels, what):
    path = "/directory" + deep(component, levels)
    with mounted(persona, {path + "/file": b"content", path + "/b": b"2"}) as (server, drive):
        assert DEEP[what](drive, path)
        assert max(len(line) for line in server.lines()) <= persona.line_max - 2
        assert drive.ok("read", path + "/file")["error"] is None
        assert not server.lost()


def test_utf8_names_in_answers_are_bytes():
    with mounted(VSFTPD, {"/d/ü": b"1"}) as (_, drive):
        (entry,) = drive.ok("list", "/d")["entries"]
        assert raw(entry["name"]) == "ü".encode()
