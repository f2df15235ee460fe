"""A file is copied by the server itself: SITE CPFR and CPTO, or SITE COPY, and no data connection."""

import time

import pytest
from drive import SLOW, mounted
from fake_personas import ALL, PROFTPD, VSFTPD, but

FILES = {"/d/a": b"bytes", "/d/two words": b"words", "/d/e ": b"blank", "/d/e": b"another"}
PAIR = [["SITE CPFR /d/a"], ["SITE CPTO /d/copy"]]
ONE = but(PROFTPD, extra={"copy": True})  # FEAT says SITE COPY, and there is no CPFR


def one_of(persona, **settings):
    return mounted(but(persona, home=b"/"), FILES, **settings)


def copy(drive, source="/d/a"):
    return drive.error("copy", source, "/d/copy")


def test_by_the_pair_one_after_the_other():
    with one_of(PROFTPD) as (server, drive):
        assert copy(drive) is None
        assert drive.said() == PAIR
        assert copy(drive, "/d/two words") is None
        assert server.tree.read("/d/copy") == b"words"


def test_a_refused_source_is_not_followed_by_a_target():
    with one_of(PROFTPD) as (server, drive):
        assert copy(drive, "/d/nope") == "ENOENT"
        assert drive.said() == [["SITE CPFR /d/nope"]]
        assert server.tree.get("/d/copy") is None


def test_by_one_command():
    with one_of(ONE) as (server, drive):
        assert copy(drive) is None
        assert drive.said() == [["SITE CPFR /d/a"], ["SITE COPY /d/a /d/copy"]]
        assert copy(drive) is None
        assert drive.said() == [["SITE COPY /d/a /d/copy"]]
        assert server.tree.read("/d/copy") == b"bytes"
        assert copy(drive, "/d/two words") == "EOPNOTSUPP"
        assert drive.said() == []


@pytest.mark.parametrize("persona", [p for p in ALL if "pair" not in p.extra], ids=lambda p: p.name)
def test_who_cannot_is_asked_once(persona):
    with one_of(persona) as (_, drive):
        assert copy(drive) == "EOPNOTSUPP"
        assert drive.said() == [["SITE CPFR /d/a"]]
        assert copy(drive) == "EOPNOTSUPP"
        assert drive.said() == []


@pytest.mark.parametrize("answer", ["501 Not for you.", "502 No.", "503 No.", "530 Not allowed."])
def test_a_command_that_is_closed_to_us_is_not_repeated(answer):
    with one_of(VSFTPD) as (server, drive):
        server.reply("SITE CPFR", answer)
        assert copy(drive) == "EOPNOTSUPP"
        assert copy(drive) == "EOPNOTSUPP"
        assert drive.said() == []


def test_a_file_that_is_closed_to_us_says_nothing_about_others():
    with one_of(PROFTPD) as (server, drive):
        server.reply("SITE CPFR", "550 /d/a: Permission denied")
        assert copy(drive) == "EACCES"
        server.reply("SITE CPTO", "452 CPTO: No space left on device")
        assert copy(drive) == "ENOSPC"
        assert copy(drive) is None


def test_a_blank_at_the_end_would_be_another_file():
    with one_of(PROFTPD) as (_, drive):
        assert copy(drive, "/d/e ") == "EOPNOTSUPP"
        assert drive.said() == []


@pytest.mark.parametrize("verb, there", [("SITE CPFR", None), ("SITE CPTO", b"bytes")])
def test_a_lost_reply_is_an_error_and_nothing_is_repeated(verb, there):
    with one_of(PROFTPD) as (server, drive):
        server.drop_reply(verb)
        assert copy(drive) == "ECONNRESET"
        assert server.tree.read("/d/copy") == there
        assert sum(line.startswith("SITE CPTO") for line in server.lines()) == (there is not None)


def slow_copy(grows):
    """A copy that takes four times as long as a server may be silent."""
    with one_of(PROFTPD, drive={"timeout": 0.5}) as (server, drive):
        server.delay("SITE CPTO", 2 * SLOW)
        drive.start("t", "copy", "/d/a", "/d/copy")
        server.wait_for(lambda s: any(line.startswith("SITE CPTO") for line in s.lines()))
        end = time.monotonic() + 2 * SLOW
        with server.lock:
            server.tree.create_file(b"/d/copy")
        while grows and time.monotonic() < end:
            with server.lock:
                server.tree.get(b"/d/copy").data += b"more"
            time.sleep(0.1)
        return drive.finish("t")["error"]


def test_a_copy_that_grows_is_waited_for():
    assert slow_copy(True) is None


def test_one_that_does_not_is_given_up():
    assert slow_copy(False) == "ETIMEDOUT"
