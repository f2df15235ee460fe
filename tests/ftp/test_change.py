"""Names and directories: one command each, rename in one flight."""

import pytest
from drive import mounted
from fake_personas import AIOFTP, ALL, PROFTPD, PUREFTPD, VSFTPD, but

FILES = {"/d/a": b"old", "/d/b": b"target", "/d/sub/x": b"", "/d/empty": None}


def one_of(persona):
    return mounted(but(persona, home=b"/"), FILES)


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_one_command_each(persona):
    with one_of(persona) as (server, drive):
        drive.ok("mkdir", "/d/new")
        assert drive.said() == [["MKD /d/new"]]
        drive.ok("remove", "/d/a")
        assert drive.said() == [["DELE /d/a"]]
        drive.ok("rmdir", "/d/empty")
        assert drive.said() == [["RMD /d/empty"]]
        assert sorted(server.tree.get("/d").children) == [b"b", b"new", b"sub"]


@pytest.mark.parametrize("persona", [VSFTPD, PROFTPD, PUREFTPD], ids=lambda p: p.name)
def test_rename_is_one_flight_of_two(persona):
    with one_of(persona) as (server, drive):
        drive.ok("rename", "/d/a", "/d/c")
        assert drive.said() == [["RNFR /d/a", "RNTO /d/c"]]
        drive.ok("rename", "/d/c", "/d/b")
        assert drive.said() == [["RNFR /d/c", "RNTO /d/b"]]
        assert server.tree.read("/d/b") == b"old" and server.tree.get("/d/c") is None


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_rename_of_what_is_not_there(persona):
    with one_of(persona) as (server, drive):
        assert drive.error("rename", "/d/nope", "/d/c") == "ENOENT"
        assert drive.names("/d") == [b"a", b"b", b"empty", b"sub"]


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_rename_into_nowhere(persona):
    with one_of(persona) as (server, drive):
        assert drive.error("rename", "/d/a", "/nope/c") == "ENOENT"
        assert server.tree.read("/d/a") == b"old"


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_rename_that_must_not_replace(persona):
    with one_of(persona) as (server, drive):
        assert drive.error("rename", "/d/a", "/d/b", "keep") == "EEXIST"
        assert server.tree.read("/d/b") == b"target"
        drive.ok("rename", "/d/a", "/d/free", "keep")
        assert server.tree.read("/d/free") == b"old"


def test_rename_over_where_the_server_refuses():
    """Making way is the caller's: each step of it can be repeated after a lost connection."""
    with one_of(AIOFTP) as (server, drive):
        assert drive.error("rename", "/d/a", "/d/b") == "EEXIST"
        assert server.tree.read("/d/b") == b"target"
        assert server.tree.read("/d/a") == b"old"


def test_rename_over_that_a_mute_server_refuses():
    with one_of(VSFTPD) as (server, drive):
        server.reply("RNTO", "550 Rename failed.")
        assert drive.error("rename", "/d/a", "/d/b") == "EEXIST"
        server.reply("RNTO", "550 Rename failed.")
        assert drive.error("rename", "/d/a", "/d/free") == "EACCES"
        assert server.tree.read("/d/b") == b"target"
        assert server.tree.read("/d/a") == b"old"


def test_rename_keeps_the_dialogue_in_step_when_rnfr_is_refused():
    with one_of(VSFTPD) as (_, drive):
        for _ in range(3):
            assert drive.error("rename", "/d/nope", "/d/c") == "ENOENT"
            assert drive.ok("stat", "/d/a")["entry"]["size"] == 3


def test_symlink_and_copy():
    with one_of(PROFTPD) as (server, drive):
        drive.ok("list", "/")  # the session is in another directory then
        for target, absolute in (("a", "/d/a"), ("../d/./a", "/d/a"), ("..", "/"), ("/x", "/x")):
            drive.ok("symlink", target, "/d/l")
            assert drive.said() == [[f"SITE SYMLINK {absolute} /d/l"]]
            assert server.tree.get("/d/l").target == absolute.encode()
            drive.ok("remove", "/d/l")
        drive.ok("copy", "/d/a", "/d/copy")
        assert server.tree.read("/d/copy") == b"old"


def test_symlink_and_copy_where_there_is_none():
    with one_of(VSFTPD) as (_, drive):
        for words in (("symlink", "a", "/d/l"), ("copy", "/d/a", "/d/copy"), ("space",)):
            assert drive.error(*words) == "EOPNOTSUPP"
            assert drive.error(*words) == "EOPNOTSUPP"
            assert drive.said() == []


def test_space():
    persona = but(VSFTPD, features=(*VSFTPD.features, "AVBL"), missing=frozenset({"MLST", "MLSD"}),
                  extra={"avbl": 123456789})
    with mounted(persona) as (_, drive):
        assert drive.ok("space")["free"] == 123456789
        assert len(drive.said()) == 1
