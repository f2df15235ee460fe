"""A long batch is shared with a second session: who is asked what, and what is lost with whom."""

import contextlib

import pytest
from drive import Drive
from fake_ftpd import Server
from fake_personas import VSFTPD
from fake_tree import Tree

T = 1546398245  # 2019-01-02 03:04:05 UTC
NAMES = [f"{i:04}-" + 200 * "x" for i in range(1500)]
WINDOW = 305  # of their MDTMs in 64 KiB
EARLY, LATE = 150, 1350  # asked on the first session, on the second


def tree_of(directory="/d"):
    tree = Tree()
    for i, name in enumerate(NAMES):
        tree.put(f"{directory}/{name}", b"", mtime=T + i)
    return tree


@contextlib.contextmanager
def served(sessions=2, tree=None, prepare=lambda server: None, **drive):
    """A server, and a client with so many idle sessions."""
    with Server(tree or tree_of(), VSFTPD) as server:
        prepare(server)
        with Drive(server, **drive) as client:
            server.gather("MDTM", sessions)
            for i in range(sessions):
                client.start(f"{i}", "stat", f"/d/{NAMES[i]}")
            for i in range(sessions):
                client.finish(f"{i}")
            client.marked = server.mark()
            yield server, client


def asked(server, since):
    """The files that each session was asked for, in order."""
    got = {}
    with server.lock:
        for session, _, line in server.log[since:]:
            if line.startswith(b"MDTM "):
                got.setdefault(session, []).append(line.decode().rpartition("/")[2])
    return got


def check(entries, names=tuple(NAMES)):
    assert [e["mtime"] for e in entries] == [T + NAMES.index(name) for name in names]
    assert all(e["exact"] for e in entries)


def full(number):
    """The fake server's rule for one file."""
    return f"MDTM /d/{NAMES[number]}".upper()


def test_an_idle_session_takes_the_other_end():
    with served() as (server, drive):
        check(drive.ok("statmany", "/d", *NAMES)["entries"])
        front, back = sorted(asked(server, drive.marked).values())
        assert len(front) >= WINDOW and len(back) >= WINDOW
        assert front + back[::-1] == NAMES  # each once
        assert server.logins() == 2


def test_a_short_one_stays_on_one_session():
    names = NAMES[:WINDOW + 400]
    with served() as (server, drive):
        check(drive.ok("statmany", "/d", *names)["entries"], names)
        assert list(asked(server, drive.marked).values()) == [names]


def test_where_a_login_takes_less_than_the_rest_one_is_made():
    with served(1) as (server, drive):
        server.delay("MDTM", 0.0005, count=len(NAMES))
        check(drive.ok("statmany", "/d", *NAMES)["entries"])
        front, back = sorted(asked(server, drive.marked).values())
        assert front + back[::-1] == NAMES
        assert server.logins() == 2


def test_where_a_login_takes_longer_none_is_made():
    with served(1, prepare=lambda server: server.delay("PASS", 2)) as (server, drive):
        check(drive.ok("statmany", "/d", *NAMES)["entries"])
        assert list(asked(server, drive.marked).values()) == [NAMES]
        assert server.logins() == 1


def test_one_connection_is_enough():
    with served(1, conns=1) as (server, drive):
        server.delay("MDTM", 0.0005, count=len(NAMES))
        check(drive.ok("statmany", "/d", *NAMES)["entries"])
        assert len(server.sessions) == 1


@pytest.mark.parametrize("how", ["closed", "silent"])
def test_what_the_second_session_owed_is_asked_on_the_first(how):
    with served(timeout=1.5) as (server, drive):
        if how == "closed":
            server.drop_at(full(LATE))
        else:
            server.delay(full(LATE), 30)
        check(drive.ok("statmany", "/d", *NAMES)["entries"])
        first = min(asked(server, drive.marked).values())
        assert sorted(first) == NAMES[:len(first)] and NAMES[LATE] in first
        assert server.logins() == 2


def test_when_the_first_session_is_lost_the_batch_is():
    with served() as (server, drive):
        server.drop_at(full(EARLY))
        server.delay(full(-1), 2)  # what the second one was asked is answered later
        assert drive.error("statmany", "/d", *NAMES) == "ECONNRESET"
        check(drive.ok("statmany", "/d", *NAMES)["entries"])


def test_who_comes_meanwhile_gets_the_second_session():
    with served() as (server, drive):
        server.delay("MDTM", 0.0005, count=len(NAMES))
        drive.start("batch", "statmany", "/d", *NAMES)
        server.wait_for(lambda s: len(asked(s, 0)) == 2 and len(s.log) > 2 * WINDOW)
        (second,) = [who for who, names in asked(server, 0).items() if names[-1] > NAMES[LATE - WINDOW]]
        drive.ok("mkdir", "/new")
        assert [who for who, _, line in server.log if line == b"MKD /new"] == [second]
        assert len(asked(server, 0)[second]) < len(NAMES) / 2
        check(drive.finish("batch")["entries"])
        assert server.logins() == 2


def test_a_path_that_is_entered_step_by_step_is_of_one_session():
    directory = "/d" + 10 * ("/" + 210 * "y")
    tree = tree_of(directory)
    for name in NAMES[:2]:
        tree.put(f"/d/{name}", b"")
    with served(tree=tree) as (server, drive):
        check(drive.ok("statmany", directory, *NAMES)["entries"])
        assert list(asked(server, drive.marked).values()) == [NAMES]
