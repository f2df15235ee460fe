"""Sessions that die, limits that are learned, callers that queue."""

import time

import pytest
from drive import mounted
from fake_personas import AIOFTP, PROFTPD, TWISTED, VSFTPD

FILES = {"/s": b"hello", "/d/a": b"1", "/b": bytes(16 << 20)}


@pytest.mark.parametrize("words", [
    ("read", "/s"), ("list", "/d"), ("stat", "/s"), ("rename", "/s", "/t"), ("remove", "/s"),
    ("mkdir", "/n"), ("write", "/n", "whole", 0, "x"), ("write", "/s", "append", 5, "x"),
    ("settle", "/s")], ids=lambda w: w[0] + w[-1] if w[0] == "write" else w[0])
def test_stale_421_is_not_taken_for_an_answer(words):
    with mounted(PROFTPD, FILES) as (server, drive):
        drive.ok("stat", "/s")
        server.stale_421("421 Idle timeout (3 seconds): closing control connection")
        drive.ok(*words)
        assert server.logins() == 2


def test_one_caller_needs_one_session():
    """The keeper looks after an idle session in between: that is no reason to log in again."""
    with mounted(VSFTPD, FILES) as (server, drive):
        for _ in range(20):
            drive.ok("read", "/b", 0, 1000)
            drive.ok("stat", "/s")
            drive.ok("read", "/s")
        assert server.logins() == 1


def test_reads_at_random_get_a_second_session_over_a_long_way_too():
    """There the file's version is looked at between every few of them."""
    with mounted(VSFTPD, FILES) as (server, drive):
        server.delay("EPSV", 0.05, count=100)
        for _ in range(3):
            for at in range(3):
                drive.ok("read", "/b", at << 20, 1000)
            drive.ok("stat", "/s")
        server.wait_alive(2)


def test_silent_close_while_idle():
    with mounted(TWISTED, FILES) as (server, drive):
        for session in server.alive():
            session.kick()
        assert drive.ok("read", "/s")["data"] == "hello"


def test_reset_while_idle():
    with mounted(VSFTPD, FILES) as (server, drive):
        drive.ok("read", "/s")
        for session in server.alive():
            session.reset()
        assert drive.ok("read", "/s")["data"] == "hello"


def test_every_idle_session_is_stale():
    with mounted(VSFTPD, FILES) as (server, drive):
        for i in range(3):
            drive.ok("open", i, "/b", 0)
        for i in range(3):
            drive.ok("close", i)
        assert len(server.alive()) >= 3
        server.stale_421()
        assert drive.ok("read", "/s")["data"] == "hello"


def test_421_as_the_answer_ends_the_session_not_the_mount():
    with mounted(PROFTPD, FILES) as (server, drive):
        server.reply("MLST", "421 Service not available, closing control connection.")
        assert drive.error("stat", "/s") == "ECONNRESET"
        drive.ok("stat", "/s")
        assert server.logins() == 2


@pytest.mark.parametrize("words, verb", [
    (("rename", "/s", "/t"), "RNTO"), (("remove", "/s"), "DELE"), (("mkdir", "/n"), "MKD"),
    (("set_mtime", "/s", 1000000000), "MDTM"), (("set_mode", "/s", 0o600), "SITE CHMOD"),
    (("write", "/n", "whole", 0, "x"), "STOR")], ids=lambda w: w[0] if isinstance(w, tuple) else w)
def test_a_child_that_died_is_a_lost_link_and_no_answer(words, verb):
    with mounted(VSFTPD, FILES) as (server, drive):
        drive.ok("stat", "/s")
        server.reply(verb, "500 OOPS: child died")
        assert drive.error(*words) == "ECONNRESET"
        drive.ok(*words)
        assert server.logins() == 2


def test_a_login_that_dies_is_a_lost_link_once_there_was_one():
    with mounted(VSFTPD, FILES) as (server, drive):
        server.reply("PASS", "500 OOPS: priv_sock_get_cmd", count=100)
        drive.ok("open", 0, "/b", 0)
        assert drive.error("read", "/s") == "ECONNREFUSED"
        drive.ok("close", 0)
        drive.ok("read", "/s")


@pytest.mark.parametrize("persona", [VSFTPD, PROFTPD], ids=lambda p: p.name)
def test_the_limit_is_learned_and_callers_queue(persona):
    with mounted(persona, FILES, drive={"conns": 6}, limit=2, slow=(4096, 0.005)) as (server, drive):
        tags = [f"t{i}" for i in range(5)]
        for tag in tags:
            drive.start(tag, "read", "/b", 0, 20000)
        for tag in tags:
            answer = drive.finish(tag)
            assert answer["error"] is None and answer["bytes"] == 20000
        made = len(server.sessions)
        for tag in tags:
            drive.start(tag, "read", "/b", 0, 20000)
        for tag in tags:
            assert drive.finish(tag)["error"] is None
        assert len(server.sessions) - made <= 1  # the limit is known now


def test_a_long_transfer_leaves_a_connection_for_metadata():
    with mounted(VSFTPD, FILES, drive={"conns": 2}) as (server, drive):
        drive.ok("open", 0, "/b", 0)
        drive.start("second", "read", "/b", 0, 1000)
        assert drive.ok("list", "/d")["ms"] < 2000
        drive.ok("close", 0)
        assert drive.finish("second")["error"] is None


@pytest.mark.parametrize("words", [("read", "/b", 0, 1000), ("write", "/n", "whole", 0, "x")],
                         ids=lambda w: w[0])
def test_streams_that_nobody_reads_from_make_way(words):
    with mounted(VSFTPD, FILES, drive={"conns": 4}) as (server, drive):
        for i in range(3):
            drive.ok("open", i, "/b", 0)
            drive.ok("pull", i, 1000)
            drive.ok("park", i)
        assert drive.ok(*words)["ms"] < 1500
        assert drive.ok("list", "/d")["ms"] < 1000
        # The one that had been idle for longest: its reader opens it again.
        assert drive.error("pull", 0, 1000) == "ESTALE"
        for i in range(1, 3):
            assert drive.ok("pull", i, 1000)["bytes"] == 1000
        for i in range(3):
            drive.ok("close", i)
        assert len(server.alive()) <= 4


def test_a_stream_that_is_read_all_the_time_makes_way_in_the_end():
    with mounted(VSFTPD, FILES, drive={"conns": 2}) as (_, drive):
        drive.ok("open", 0, "/b", 0)
        drive.start("second", "read", "/b", 0, 1000)
        end = time.monotonic() + 20
        while (answer := drive.do("pull", 0, 1000))["error"] is None:
            assert time.monotonic() < end
            drive.ok("park", 0)
        assert answer["error"] == "ESTALE"
        assert drive.finish("second")["bytes"] == 1000
        drive.ok("close", 0)


def test_one_connection_is_enough():
    with mounted(VSFTPD, FILES, drive={"conns": 1}) as (server, drive):
        drive.ok("open", 0, "/b", 0)
        assert drive.ok("pull", 0, 1000)["bytes"] == 1000
        drive.ok("park", 0)
        assert drive.ok("list", "/d")["ms"] < 2000  # takes the parked one's session
        assert drive.error("pull", 0, 1000) == "ESTALE"
        drive.ok("close", 0)
        assert len(server.sessions) == 1
        assert drive.ok("read", "/s")["data"] == "hello"


def test_a_parked_stream_goes_on_when_nobody_took_it():
    with mounted(VSFTPD, {"/b": bytes(i % 251 for i in range(1 << 20)) * 16}) as (_, drive):
        drive.ok("open", 0, "/b", 0)
        first = drive.ok("pull", 0, 1000)
        drive.ok("park", 0)
        rest = drive.ok("pull", 0)
        assert first["bytes"] + rest["bytes"] == 16 << 20
        drive.ok("close", 0)


def test_waiting_for_a_connection_ends_at_the_deadline():
    with mounted(VSFTPD, FILES, drive={"conns": 1}) as (_, drive):
        drive.ok("open", 0, "/b", 0)
        answer = drive.do("within:300", "stat", "/s")
        assert answer["error"] == "ETIMEDOUT" and answer["ms"] < 2000
        drive.ok("close", 0)
        drive.ok("stat", "/s")


def test_looking_ahead_never_waits():
    with mounted(VSFTPD, FILES, drive={"conns": 1}) as (_, drive):
        drive.ok("open", 0, "/b", 0)
        answer = drive.do("background", "list", "/d")
        assert answer["error"] == "EAGAIN" and answer["ms"] < 500
        drive.ok("close", 0)


def test_what_lasts_in_the_background_leaves_a_connection():
    with mounted(VSFTPD, FILES, drive={"conns": 6}) as (server, drive):
        for i in range(5):
            # EAGAIN while the keeper logs in the one that is left to others.
            errors = (drive.error("lasting", "open", i, "/b", 0) for _ in range(10000))
            assert next(error for error in errors if error != "EAGAIN") is None
        server.wait_alive(6)
        assert drive.error("lasting", "open", 5, "/b", 0) == "EAGAIN"
        assert drive.ok("list", "/d")["ms"] < 2000
        for i in range(5):
            assert drive.ok("lasting", "pull", i, 1000)["bytes"] == 1000
            drive.ok("close", i)
        assert len(server.sessions) == 6


def test_what_lasts_in_the_background_ends_for_one_who_waits():
    with mounted(VSFTPD, FILES, drive={"conns": 3}) as (server, drive):
        for i in range(2):
            drive.ok("lasting", "open", i, "/b", 0)
        drive.ok("open", 2, "/b", 0)
        drive.start("ls", "list", "/d")
        errors = (drive.error("lasting", "pull", 0, 1000) for _ in range(10000))
        assert next(filter(None, errors)) == "ESTALE"
        assert drive.finish("ls")["error"] is None
        assert drive.ok("lasting", "pull", 1, 1000)["bytes"] == 1000  # one for one
        for i in range(3):
            drive.ok("close", i)
        assert drive.ok("read", "/s")["data"] == "hello"
        assert len(server.sessions) == 3


def test_idle_sessions_are_kept_alive():
    with mounted(VSFTPD, FILES) as (server, drive):
        mark = server.mark()
        drive.ok("advance", 40000)
        server.wait_command("NOOP", mark)
        assert drive.ok("read", "/s")["data"] == "hello"
        assert server.logins() == 1


def test_idle_sessions_without_noop_are_kept_alive_by_pwd():
    with mounted(AIOFTP, FILES) as (server, drive):
        mark = server.mark()
        drive.ok("advance", 40000)
        server.wait_command("PWD", mark)
        assert drive.ok("read", "/s")["data"] == "hello"


def test_the_reserve_logs_in_beside_the_transfers():
    with mounted(VSFTPD, FILES, drive={"conns": 8}) as (server, drive):
        drive.ok("open", 0, "/b", 0)
        server.delay("PASS", 3)
        drive.start("second", "read", "/b", 0, 1000)
        server.wait_alive(3, 2.5)
        assert drive.finish("second")["error"] is None
        drive.ok("close", 0)


def test_the_reserve_beside_transfers_stays_ready():
    """However long they take, whoever looks around finds a data connection open."""
    with mounted(VSFTPD, FILES, drive={"conns": 8}) as (server, drive):
        drive.ok("list", "/")
        drive.ok("open", 0, "/b", 0)
        drive.ok("open", 1, "/b", 0)
        for connections in (4, 5, 6):  # one for each use, and the reserve's, made anew in time
            end = time.monotonic() + 5
            while drive.stat("data_connections") < connections:
                assert time.monotonic() < end
                time.sleep(0.01)
            if connections < 6:
                drive.ok("advance", 35000)
        drive.ok("list", "/d")
        assert server.lines(drive.marked)[:2] == ["CWD /d", "LIST -a"]
        drive.ok("close", 0)
        drive.ok("close", 1)


def test_a_forgotten_data_connection_is_not_kept():
    with mounted(VSFTPD, FILES) as (server, drive):
        drive.ok("read", "/s")
        end = time.monotonic() + 5
        while drive.stat("data_connections") < 2:  # the one opened ahead
            assert time.monotonic() < end
        drive.ok("advance", 45000)
        server.wait_command("NOOP", drive.marked)
        drive.ok("read", "/s")
        assert "EPSV" in server.lines(drive.marked)[:2]
