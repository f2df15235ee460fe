"""Logging in: the order of the commands, what is learned, and what is said when it fails."""

import pytest
from drive import Drive, mounted
from fake_ftpd import Server
from fake_personas import AIOFTP, ALL, INETUTILS, PROFTPD, VSFTPD, but
from fake_tree import Tree


def test_user_then_pass_then_only_questions():
    with mounted(PROFTPD) as (server, _):
        said = server.dialogue()
    assert said[:3] == [["USER ftpuser"], ["PASS secret"], ["PWD"]]
    verbs = [line.split(" ")[0] for flight in said[3:] for line in flight]
    assert set(verbs) <= {"NOOP", "FEAT", "TYPE", "OPTS", "CWD"}
    assert verbs.count("TYPE") == 1 and verbs.count("FEAT") == 1


def test_account_is_sent_when_asked_for():
    with mounted(VSFTPD, drive={"options": ["-a", "billing"]}, account="billing") as (server, _):
        assert server.dialogue()[:3] == [["USER ftpuser"], ["PASS secret"], ["ACCT billing"]]


def test_without_a_user_it_is_anonymous():
    with mounted(VSFTPD, drive={"user": None, "password": None}, anonymous=True) as (server, _):
        assert server.lines()[0] == "USER anonymous"


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_every_server_can_be_mounted(persona):
    with mounted(persona, {"/home/ftpuser/here": b"1", "/there": b"2"}) as (_, drive):
        assert b"here" in drive.names("/") or b"there" in drive.names("/")


def round_trip(drive):
    line, = [line for line in drive.ok("describe")["text"].splitlines() if line.startswith("round_trip ")]
    return float(line.split()[1])


def test_how_far_the_server_is():
    with Server(Tree(), PROFTPD) as server:
        for verb in ("NOOP", "FEAT", "CWD"):
            server.delay(verb, 0.05, count=9)
        with Drive(server) as drive:
            assert 50 <= round_trip(drive) < 1000
    with mounted(PROFTPD) as (_, drive):
        assert 0 < round_trip(drive) < 50


def failed(server, **how):
    with Drive(server, **how) as drive:
        return drive.created


def test_wrong_password():
    with Server() as server:
        answer = failed(server, password="wrong")
        assert (answer["error"], answer["failure"]) == ("EACCES", "REFUSED")
        assert "Login incorrect" in answer["why"]
        assert server.lines().count("PASS wrong") == 1  # a second try may lock the account


@pytest.mark.parametrize("persona", [VSFTPD, PROFTPD], ids=lambda p: p.name)
def test_too_many_connections_is_not_a_bad_password(persona):
    with Server(Tree(), persona, limit=1) as server:
        with Drive(server) as first:
            assert first.created["error"] is None
            assert failed(server)["failure"] == "TOO_MANY"


def test_something_else_answers():
    with Server(greeting=b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as server:
        answer = failed(server)
        assert (answer["error"], answer["failure"]) == ("EPROTO", "NOT_FTP")


def test_nobody_answers():
    with Server() as server:
        port = server.port
    server.port = port
    answer = failed(server)
    assert (answer["error"], answer["failure"]) == ("ECONNREFUSED", "NO_CONNECT")


def test_directory_of_the_url():
    with mounted(VSFTPD, {"/pub/a": b"1"}, drive={"options": ["-d", "/pub"]}) as (_, drive):
        assert drive.names("/") == [b"a"]


def test_directory_relative_to_home():
    files = {"/home/ftpuser/work/a": b"1"}
    with mounted(INETUTILS, files, drive={"options": ["-d", "work"]}) as (_, drive):
        assert drive.names("/") == [b"a"]


def test_home_is_what_pwd_says():
    with mounted(INETUTILS, {"/home/ftpuser/a": b"1"}) as (_, drive):
        assert drive.names("/") == [b"a"]


@pytest.mark.parametrize("persona", [VSFTPD, PROFTPD], ids=lambda p: p.name)
def test_missing_directory_and_file(persona):
    with Server(Tree({"/file": b"x"}), persona) as server:
        assert failed(server, options=["-d", "/nope"])["failure"] == "NO_DIR"
        assert failed(server, options=["-d", "/file"])["failure"] == "NOT_A_DIR"


def test_feat_is_missing_but_mlst_is_tried():
    with mounted(AIOFTP, {"/a": b"xyz"}) as (server, drive):
        lines = server.lines()
        assert lines.count("FEAT") == 1
        assert sum(line.startswith("MLST") for line in lines) == 1
        drive.ok("list", "/")
        assert "MLSD" in server.lines()


def test_second_session_learns_nothing_anew():
    with mounted(VSFTPD, {"/big": bytes(4 << 20)}) as (server, drive):
        drive.ok("open", 0, "/big", 0)
        drive.ok("stat", "/big")
        lines = server.lines()
        assert lines.count("PASS secret") == 2
        assert lines.count("FEAT") == 1
        assert sum(line.startswith("MLST") for line in lines) <= 1
        drive.ok("close", 0)


def test_refused_feature_is_asked_for_once():
    persona = but(PROFTPD, missing=frozenset({"MLST", "MLSD"}))  # announced, but not there
    with mounted(persona, {"/d/a": b"1"}) as (server, drive):
        assert drive.names("/d") == [b"a"]
        mark = server.mark()
        assert drive.names("/d") == [b"a"]
        assert not [line for line in server.lines(mark) if line.startswith("ML")]


def test_refused_epsv_is_asked_for_once():
    with mounted(VSFTPD, {"/d/a": b"1"}) as (server, drive):
        server.no_epsv()
        drive.ok("list", "/d")
        assert "PASV" in server.lines(drive.marked)
        drive.ok("list", "/d")
        assert "EPSV" not in server.lines(drive.marked)


def test_refused_chmod_is_asked_for_once():
    persona = but(VSFTPD, extra={})
    with mounted(persona, {"/a": b"1"}) as (server, drive):
        assert drive.error("set_mode", "/a", "600") == "EOPNOTSUPP"
        assert drive.error("set_mode", "/a", "600") == "EOPNOTSUPP"
        assert drive.said() == []
