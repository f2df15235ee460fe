"""What one file is, what five hundred are, and what an upload has become."""

import pytest
from drive import mounted, verb
from fake_personas import IIS, INETUTILS, PROFTPD, PUREFTPD, PYFTPDLIB, VSFTPD, but
from fake_tree import Tree

T = 1546398245  # 2019-01-02 03:04:05 UTC
WANT_MODE = 1 | 4 | 8


def tree_of(names=("a",), size=3):
    tree = Tree()
    for i, name in enumerate(names):
        tree.put(f"/d/{name}", bytes(size), mtime=T + i)
    tree.put("/d/sub", None)
    return tree


@pytest.mark.parametrize("persona", [PROFTPD, PUREFTPD, PYFTPDLIB], ids=lambda p: p.name)
def test_mlst_is_one_command(persona):
    with mounted(persona, tree_of()) as (_, drive):
        entry = drive.ok("stat", "/d/a")["entry"]
        assert drive.said() == [["MLST /d/a"]]
        assert (entry["type"], entry["size"], entry["mtime"], entry["exact"]) == ("file", 3, T, True)
        assert drive.ok("stat", "/d/sub")["entry"]["type"] == "dir"


@pytest.mark.parametrize("persona", [VSFTPD, IIS, INETUTILS], ids=lambda p: p.name)
def test_without_mlst_it_is_one_flight(persona):
    with mounted(but(persona, home=b"/"), tree_of()) as (_, drive):
        entry = drive.ok("stat", "/d/a")["entry"]
        assert len(drive.said()) == 1
        assert {verb(line) for line in drive.said()[0]} <= {"SIZE", "MDTM", "CWD"}
        assert (entry["size"], entry["mtime"], entry["exact"]) == (3, T, True)
        assert drive.ok("stat", "/d/sub")["entry"]["type"] == "dir"
        assert drive.error("stat", "/d/nope") == "ENOENT"


def test_what_cannot_be_asked_is_not_asked():
    with mounted(VSFTPD, tree_of()) as (_, drive):
        assert drive.error("stat", "/d/a", WANT_MODE) == "EOPNOTSUPP"
        assert drive.said() == []


@pytest.mark.parametrize("persona", [PROFTPD, PUREFTPD, PYFTPDLIB], ids=lambda p: p.name)
def test_missing(persona):
    with mounted(persona, tree_of()) as (_, drive):
        assert drive.error("stat", "/d/nope") == "ENOENT"


def test_proftpd_answers_for_the_target_of_a_link():
    tree = tree_of()
    tree.put_link("/d/l", "a")
    with mounted(PROFTPD, tree) as (_, drive):
        answer = drive.do("stat", "/d/l", WANT_MODE | 16)
        assert answer["error"] == "EOPNOTSUPP" or answer["entry"]["type"] == "link"


def test_five_hundred_files_in_a_flight_or_two():
    names = [f"file-{i:03}" for i in range(500)]
    with mounted(VSFTPD, tree_of(names)) as (_, drive):
        entries = drive.ok("statmany", "/d", *names)["entries"]
        said = drive.said()
        asked = [line for flight in said for line in flight]
        assert [line for line in asked if verb(line) == "MDTM"] == [f"MDTM /d/{n}" for n in names]
        assert {verb(line) for line in asked} <= {"MDTM", "SIZE"}
        assert len(said) <= 3
        assert [e["mtime"] for e in entries] == [T + i for i in range(500)]
        assert all(e["exact"] for e in entries)


def test_listing_with_exact_times():
    names = [f"f{i}" for i in range(100)]
    with mounted(VSFTPD, tree_of(names)) as (_, drive):
        entries = drive.ok("statall", "/d")["entries"]
        got = {e["name"]: e["mtime"] for e in entries if e["type"] == "file"}
        assert got == {name: T + i for i, name in enumerate(names)}


def test_a_file_that_is_gone_is_left_alone():
    with mounted(VSFTPD, tree_of(["a", "b"])) as (_, drive):
        a, gone, b = drive.ok("statmany", "/d", "a", "gone", "b")["entries"]
        assert (a["mtime"], b["mtime"]) == (T, T + 1)
        assert "mtime" not in gone and "size" not in gone


def test_lost_in_the_middle_of_a_batch():
    names = [f"f{i}" for i in range(50)]
    with mounted(VSFTPD, tree_of(names)) as (server, drive):
        server.drop_at("MDTM", skip=20)
        assert drive.error("statmany", "/d", *names) == "ECONNRESET"
        assert drive.ok("statmany", "/d", *names)["entries"][49]["mtime"] == T + 49


@pytest.mark.parametrize("persona, ways", [
    (PROFTPD, ["SITE CHMOD 0600 /d/a", "MFMT 20010203040506 /d/a", "MLST /d/a"]),
    (VSFTPD, ["SITE CHMOD 0600 /d/a", "MDTM 20010203040506 /d/a", "SIZE /d/a", "MDTM /d/a"]),
], ids=["proftpd", "vsftpd"])
def test_settle_is_one_flight(persona, ways):
    with mounted(persona, tree_of()) as (server, drive):
        drive.ok("settle", "/d/a", "600", 981173106)  # the way to set a time is learned once
        entry = drive.ok("settle", "/d/a", "600", 981173106)["entry"]
        assert drive.said() == [ways]
        assert (entry["size"], entry["mtime"], entry["mode"]) == (3, 981173106, 0o600)
        node = server.tree.get("/d/a")
        assert (node.mtime, node.mode) == (981173106, 0o600)


def test_settle_without_wishes_only_asks():
    with mounted(VSFTPD, tree_of()) as (_, drive):
        entry = drive.ok("settle", "/d/a")["entry"]
        assert drive.said() == [["SIZE /d/a", "MDTM /d/a"]]
        assert (entry["size"], entry["mtime"]) == (3, T)


def test_settle_survives_a_refused_mode():
    with mounted(PROFTPD, tree_of()) as (server, drive):
        server.reply("SITE CHMOD", "550 /d/a: Operation not permitted")
        entry = drive.ok("settle", "/d/a", "600", T + 9)["entry"]
        assert entry["mtime"] == T + 9 and entry["size"] == 3
        assert entry.get("mode", 0o644) == 0o644


def test_settle_of_what_is_not_there():
    with mounted(PROFTPD, tree_of()) as (_, drive):
        assert drive.error("settle", "/d/nope") == "ENOENT"


@pytest.mark.parametrize("persona", [PROFTPD, PUREFTPD, PYFTPDLIB, VSFTPD], ids=lambda p: p.name)
def test_set_mtime(persona):
    with mounted(persona, tree_of()) as (server, drive):
        drive.ok("set_mtime", "/d/a", 981173106)
        assert server.tree.get("/d/a").mtime == 981173106
        drive.ok("set_mtime", "/d/a", 981173107)
        assert len(drive.said()) == 1 and len(drive.said()[0]) == 1
        assert drive.error("set_mtime", "/d/nope", 1) == "ENOENT"


def test_a_file_whose_time_is_not_ours_to_set_says_nothing_of_others():
    with mounted(VSFTPD, tree_of()) as (server, drive):
        server.reply("MDTM", "550 Could not set file modification time.")
        assert drive.error("set_mtime", "/d/a", 981173106) == "EPERM"
        drive.ok("set_mtime", "/d/a", 981173107)
        assert server.tree.get("/d/a").mtime == 981173107


def test_set_mtime_where_nothing_can():
    with mounted(but(INETUTILS, home=b"/"), tree_of()) as (server, drive):
        assert drive.error("set_mtime", "/d/a", 981173106) == "EOPNOTSUPP"
        assert server.tree.get("/d/a").mtime == T
        assert drive.error("set_mtime", "/d/a", 981173106) == "EOPNOTSUPP"
        assert drive.said() == []


@pytest.mark.parametrize("persona, told", [(PROFTPD, None), (PYFTPDLIB, None), (VSFTPD, "EAGAIN")],
                         ids=lambda p: getattr(p, "name", p))
def test_can_it_set_times(persona, told):
    with mounted(persona, tree_of()) as (_, drive):
        assert drive.error("can_set", "mtime") == told
        drive.ok("settle", "/d/a", "600", T + 9)
        drive.said()
        drive.ok("can_set", "mtime")
        drive.ok("can_set", "mode")
        assert drive.said() == []


def test_can_it_set_what_it_refused():
    persona = but(INETUTILS, home=b"/")
    with mounted(persona, tree_of()) as (server, drive):
        server.reply("SITE CHMOD", "500 'SITE CHMOD': command not understood.")
        assert drive.error("can_set", "mtime") == "EAGAIN"
        assert drive.error("can_set", "mode") == "EAGAIN"
        drive.ok("settle", "/d/a", "600", T + 9)
        assert drive.error("can_set", "mtime") == "EOPNOTSUPP"
        assert drive.error("can_set", "mode") == "EOPNOTSUPP"


def test_set_mode():
    with mounted(PROFTPD, tree_of()) as (server, drive):
        drive.ok("set_mode", "/d/a", "640")
        assert server.tree.get("/d/a").mode == 0o640
        assert drive.said() == [["SITE CHMOD 0640 /d/a"]]
