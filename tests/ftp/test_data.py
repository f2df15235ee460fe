"""Data connections and time: what is tried when one fails, and that nothing waits for ever."""

import pytest
from drive import SLOW, mounted
from fake_personas import PROFTPD, TWISTED, VSFTPD, but

FILES = {"/s": b"hello", "/d/a": b"1", "/b": bytes(16 << 20)}


def test_pasv_when_epsv_is_refused_and_its_address_is_ignored():
    with mounted(VSFTPD, FILES, pasv_address="10,1,2,3") as (server, drive):
        server.no_epsv()
        assert drive.ok("read", "/s")["data"] == "hello"
        assert drive.said()[0] == ["EPSV"] and drive.said()[1] == ["PASV"]
        assert drive.ok("read", "/s")["data"] == "hello"


@pytest.mark.parametrize("reply", ["229 Entering Extended Passive Mode (|||99999|)", "229 Ok",
                                   "200 EPSV"])
def test_garbage_in_the_reply_to_epsv(reply):
    with mounted(VSFTPD, FILES) as (server, drive):
        server.reply("EPSV", reply)
        assert drive.ok("read", "/s")["data"] == "hello"
        assert drive.names("/d") == [b"a"]


def test_epsv_to_a_port_where_nobody_listens():
    with mounted(VSFTPD, FILES) as (server, drive):
        server.reply("EPSV", "229 Entering Extended Passive Mode (|||1|)")
        drive.do("read", "/s")
        assert drive.ok("read", "/s")["data"] == "hello"


@pytest.mark.parametrize("words", [("read", "/s"), ("list", "/d"), ("write", "/n", "whole", 0, "x")],
                         ids=lambda w: w[0])
def test_expired_hot_connection_is_replaced_quietly(words):
    with mounted(VSFTPD, FILES) as (server, drive):
        drive.ok("read", "/s")
        server.wait_command("EPSV", drive.marked)
        server.expire_data()
        drive.ok(*words)
        assert server.logins() == 1


@pytest.mark.parametrize("verb, words", [("RETR", ("read", "/s")), ("LIST", ("list", "/d"))])
def test_425_on_a_hot_connection_is_repeated_once(verb, words):
    with mounted(VSFTPD, FILES) as (server, drive):
        drive.ok("read", "/s")
        server.reply(verb, "425 Failed to establish connection.")
        drive.ok(*words)
        assert not server.lost()


def test_425_to_an_upload_is_an_error_of_the_link():
    """The bytes are gone: only who has them can send them again."""
    with mounted(VSFTPD, FILES) as (server, drive):
        drive.ok("read", "/s")
        server.reply("STOR", "425 Failed to establish connection.")
        assert drive.error("write", "/n", "whole", 0, "x") in (None, "ECONNRESET")
        drive.ok("write", "/n", "whole", 0, "x")
        assert server.tree.read("/n") == b"x"


def test_425_on_a_fresh_connection_is_an_error():
    with mounted(VSFTPD, FILES) as (server, drive):
        server.reply("RETR", "425 Failed to establish connection.")
        assert drive.error("read", "/s") is not None
        assert drive.ok("read", "/s")["data"] == "hello"


@pytest.mark.parametrize("reply", ["425 Can't open passive connection.", "500 What?", "229 Hm"])
def test_epsv_sent_ahead_may_be_refused(reply):
    with mounted(VSFTPD, FILES) as (server, drive):
        server.reply("EPSV", reply, skip=1)
        assert drive.ok("read", "/s")["data"] == "hello"
        answer = drive.ok("read", "/s")
        assert answer["data"] == "hello" and answer["ms"] < 2000
        assert drive.ok("list", "/d")["ms"] < 2000
        assert not server.lost()


@pytest.mark.parametrize("verb, words", [
    ("MLST", ("stat", "/s")), ("MLSD", ("list", "/d")), ("RETR", ("read", "/s")),
    ("CWD", ("list", "/d")), ("EPSV", ("read", "/s")), ("DELE", ("remove", "/s")),
    ("STOR", ("write", "/n", "whole", 0, "x"))], ids=lambda v: v if isinstance(v, str) else v[0])
def test_mute_server_is_a_timeout(verb, words):
    with mounted(PROFTPD, FILES, drive={"timeout": 0.6}) as (server, drive):
        server.mute(verb)
        answer = drive.do(*words)
        assert answer["error"] == "ETIMEDOUT" and 500 <= answer["ms"] < 3000
        drive.ok("list", "/d")


def test_deadline_of_the_caller_is_shorter():
    with mounted(PROFTPD, FILES) as (server, drive):
        server.mute("MLST")
        answer = drive.do("within:300", "stat", "/s")
        assert answer["error"] == "ETIMEDOUT" and answer["ms"] < 2000


def test_data_that_stalls_is_a_timeout():
    with mounted(PROFTPD, FILES, drive={"timeout": 0.6}) as (server, drive):
        server.cut_data("RETR", 1000, "stall")
        answer = drive.do("read", "/b")
        assert answer["error"] == "ETIMEDOUT" and answer["ms"] < 3000
        assert drive.ok("read", "/s")["data"] == "hello"


def test_a_slow_server_is_not_a_dead_one():
    with mounted(PROFTPD, {"/f": bytes(50000)}, drive={"timeout": 0.6},
                 slow=(1000, 0.03)) as (_, drive):
        answer = drive.ok("read", "/f")
        assert answer["bytes"] == 50000 and answer["ms"] * SLOW > 1000


def test_delayed_reply_within_the_limit():
    with mounted(PROFTPD, FILES) as (server, drive):
        server.delay("MLST", 0.4)
        answer = drive.ok("stat", "/s")
        assert answer["ms"] * SLOW >= 400


def test_twisted_is_mute_until_the_data_connection_stands():
    with mounted(but(TWISTED), FILES) as (server, drive):
        assert drive.ok("read", "/s")["data"] == "hello"
        assert drive.ok("list", "/d")["ms"] < 2000
        assert "EPSV" not in sum(drive.said(), [])
