"""The same refusal in the words of every server: the errno must not depend on who says it.

The mute ones (vsftpd) are resolved by looking."""

import pytest
from drive import mounted
from fake_personas import (AIOFTP, ALL, IIS, INETUTILS, PROFTPD, PUREFTPD, PYFTPDLIB, TWISTED,
                           VSFTPD, but)

FILES = {"/f": b"1", "/d/x": b"", "/empty": None, "/sealed/y": b"1"}

CASES = {
    "read missing": (("read", "/nope"), "ENOENT"),
    "read below missing": (("read", "/nope/x"), "ENOENT"),
    "read below a file": (("read", "/f/x"), "ENOTDIR"),
    "read a directory": (("read", "/d"), "EISDIR"),
    "list missing": (("list", "/nope"), "ENOENT"),
    "list a file": (("list", "/f"), "ENOTDIR"),
    "list sealed": (("list", "/sealed"), "EACCES"),
    "write below missing": (("write", "/nope/x", "whole", 0, "1"), "ENOENT"),
    "write below a file": (("write", "/f/x", "whole", 0, "1"), "ENOTDIR"),
    "write over a directory": (("write", "/d", "whole", 0, "1"), "EISDIR"),
    "mkdir existing file": (("mkdir", "/f"), "EEXIST"),
    "mkdir existing": (("mkdir", "/d"), "EEXIST"),
    "mkdir below missing": (("mkdir", "/nope/x"), "ENOENT"),
    "mkdir below a file": (("mkdir", "/f/x"), "ENOTDIR"),
    "rmdir missing": (("rmdir", "/nope"), "ENOENT"),
    "rmdir non-empty": (("rmdir", "/d"), "ENOTEMPTY"),
    "rmdir a file": (("rmdir", "/f"), "ENOTDIR"),
    "remove missing": (("remove", "/nope"), "ENOENT"),
    "remove a directory": (("remove", "/empty"), "EISDIR"),
    "rename missing": (("rename", "/nope", "/g"), "ENOENT"),
    "rename into missing": (("rename", "/f", "/nope/g"), "ENOENT"),
    "rename over a full directory": (("rename", "/empty", "/d"), "ENOTEMPTY"),
    "chmod missing": (("set_mode", "/nope", "600"), "ENOENT"),
}

# What cannot be told apart there, and what is as good.
ALSO = {
    # "path does not exists" is what it says below a file too.
    ("aioftp", "read below a file"): {"ENOENT"},
    ("aioftp", "write below a file"): {"ENOENT"},
    ("aioftp", "mkdir below a file"): {"ENOENT"},
    # its "path already exists"
    ("aioftp", "rename over a full directory"): {"EEXIST"},
    # 257: the caller has checked
    ("inetutils", "mkdir existing"): {None},
    ("inetutils", "remove a directory"): {None},
}
# "internal server error", "The parameter is incorrect.", "Access is denied.": POSIX allows both.
for server in ("twisted", "iis", "vsftpd"):
    ALSO[server, "rename over a full directory"] = {"EEXIST"}
for server in ("aioftp", "twisted", "iis"):
    ALSO[server, "chmod missing"] = {"EOPNOTSUPP"}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.replace(" ", "-"))
@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_errno(persona, case):
    words, want = CASES[case]
    with mounted(but(persona, home=b"/"), FILES) as (server, drive):
        server.tree.get("/sealed").sealed = True
        first = drive.error(*words)
        assert first in {want} | ALSO.get((persona.name, case), set())
        assert server.tree.read("/f") == b"1" and server.tree.read("/d/x") == b""
        # the session is in step, and knows where it is
        assert drive.ok("read", "/f")["data"] == "1"
        assert drive.names("/d") == [b"x"]
        assert not server.lost()


@pytest.mark.parametrize("persona", [PROFTPD, PUREFTPD, PYFTPDLIB, INETUTILS, VSFTPD, IIS, AIOFTP],
                         ids=lambda p: p.name)
@pytest.mark.parametrize("words", [("read", "/sealed/y"), ("write", "/sealed/n", "whole", 0, "1"),
                                   ("mkdir", "/sealed/n")], ids=lambda w: w[0])
def test_permission(persona, words):
    with mounted(but(persona, home=b"/"), FILES) as (server, drive):
        server.tree.get("/sealed").sealed = True
        assert drive.error(*words) == "EACCES"


def test_the_echoed_path_does_not_decide():
    tree = {"/Directory not empty": b"1", "/d/File exists/x": b""}
    with mounted(PROFTPD, tree) as (_, drive):
        assert drive.error("read", "/d/No space left on device") == "ENOENT"
        assert drive.error("rmdir", "/Directory not empty") == "ENOTDIR"
        assert drive.error("read", "/d/File exists") == "EISDIR"


@pytest.mark.parametrize("reply, error", [
    ("550 /f: Operation not permitted", "EPERM"), ("550 /f: Read-only file system", "EROFS"),
    ("550 /f: Permission denied", "EACCES"), ("552 Quota exceeded", "EDQUOT"),
    ("452 /f: No space left on device", "ENOSPC"), ("550 /f: File name too long", "ENAMETOOLONG"),
    ("550 /f: Too many levels of symbolic links", "ELOOP"), ("532 Need account", "EACCES")])
def test_words(reply, error):
    with mounted(PROFTPD, FILES) as (server, drive):
        server.reply("STOR", reply)
        assert drive.error("write", "/f", "whole", 0, "1") == error


@pytest.mark.parametrize("reply", ["550 RETR: something nobody has ever said", "450 Busy.", "553 Hm."])
def test_words_nobody_knows_are_still_an_error(reply):
    with mounted(TWISTED, FILES) as (server, drive):
        server.reply("RETR", reply)
        assert drive.error("read", "/f") is not None
        assert drive.ok("read", "/f")["data"] == "1"
