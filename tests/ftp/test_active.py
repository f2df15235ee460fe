"""Data connections that the server opens: when it is asked, what it saves, and that nobody notices
where it does not work.

EPSV is refused in most of these, so that no connection is opened ahead and every one is asked for."""

import contextlib
import ssl

import pytest
from drive import mounted, verb
from fake_personas import AIOFTP, PROFTPD, PUREFTPD, PYFTPDLIB, TWISTED, VSFTPD, but

BIG = bytes(i * 7 % 251 for i in range(1 << 16)) * 64
FILES = {"/s": b"hello", "/t": b"world", "/d/a": b"1", "/b": BIG}
CALLERS = pytest.mark.parametrize("persona", [VSFTPD, PROFTPD, PUREFTPD], ids=lambda p: p.name)
ON = {"options": ("-A", "on")}


@contextlib.contextmanager
def cold(persona=VSFTPD, drive=None, **settings):
    """A server without EPSV, which the client knows."""
    with mounted(persona, FILES, drive=drive, **settings) as (server, client):
        server.no_epsv()
        if drive is None:
            client.ok("read", "/s")
        yield server, client


def words(flights):
    return [[verb(line) for line in flight] for flight in flights]


def ahead(drive, path):
    """Read as looking ahead does: the bytes' text, and what was said."""
    answer = drive.do("background", "read", path)
    while answer["error"] == "EAGAIN":  # the keeper has the session in hand: it would have to wait
        answer = drive.do("background", "read", path)
    assert answer["error"] is None, answer
    return answer["data"], words(drive.said())


def asked(server):
    return sum(verb(line) == "EPRT" for line in server.lines())


@CALLERS
def test_a_file_is_one_flight_once_it_was_seen_to_work(persona):
    with cold(persona) as (server, drive):
        assert ahead(drive, "/s") == ("hello", [["EPRT"], ["RETR"]])
        for _ in range(3):
            assert ahead(drive, "/t") == ("world", [["EPRT", "RETR"]])
        drive.ok("read", "/s")  # in the foreground too
        assert words(drive.said()) == [["EPRT", "RETR"]]
        assert drive.stat("calls") == 5 and drive.stat("calls_missed") == 0
        assert not server.lost()


@CALLERS
def test_a_listing_is_one_flight(persona):
    with cold(persona) as (server, drive):
        ahead(drive, "/s")
        assert drive.names("/d") == [b"a"]
        assert words(drive.said())[0][:2] == ["CWD", "EPRT"] and len(words(drive.said())[0]) == 3
        assert drive.error("list", "/none") == "ENOENT"
        assert drive.names("/d") == [b"a"] and ahead(drive, "/t")[0] == "world"
        assert not server.lost()


def test_the_foreground_does_not_try_it():
    with cold() as (server, drive):
        drive.ok("read", "/s")
        drive.names("/d")
        drive.ok("background", "list", "/d")
        assert asked(server) == 0


def test_an_open_connection_is_better():
    with mounted(VSFTPD, FILES) as (server, drive):
        ahead(drive, "/s")
        drive.ok("read", "/s")
        drive.ok("read", "/t")
        assert words(drive.said()) == [["RETR"]]
        assert asked(server) <= 2


def test_idle_sessions_get_an_open_connection():
    """Nobody sends EPSV behind a file that was looked ahead for; the keeper does, a moment later."""
    with mounted(VSFTPD, FILES) as (server, drive):
        ahead(drive, "/s")
        mark = server.mark()
        assert ahead(drive, "/s") == ("hello", [["RETR"]])
        server.wait_command("EPSV", mark)
        drive.ok("read", "/t")
        assert words(drive.said()) == [["RETR"]]


def test_from_the_middle_and_cut():
    with cold() as (server, drive):
        ahead(drive, "/s")
        assert drive.ok("read", "/b", 1000, 70000)["bytes"] == 70000
        assert words(drive.said()) == [["EPRT", "REST", "RETR"]]
        assert drive.ok("read", "/b", 5, 4)["data"] == BIG[5:9].decode("latin-1")
        assert ahead(drive, "/t")[0] == "world"
        assert not server.lost()


def test_refused():
    """The session goes on, and it is not tried again."""
    with mounted(VSFTPD, FILES, eprt="refuse") as (server, drive):
        assert ahead(drive, "/s") == ("hello", [["EPRT"], ["EPSV"], ["RETR"]])
        for _ in range(3):
            assert ahead(drive, "/t")[0] == "world"
        assert asked(server) == 1 and not server.lost()
        assert drive.stat("calls_missed") == 1


def test_425_to_the_first():
    with mounted(VSFTPD, FILES, eprt="425") as (server, drive):
        assert ahead(drive, "/s") == ("hello", [["EPRT"], ["RETR", "EPSV"], ["RETR"]])
        assert ahead(drive, "/t")[0] == "world"
        assert asked(server) == 1 and not server.lost()


@pytest.mark.parametrize("how", ["silent", "strangers"])
def test_silence_after_the_first(how):
    """The server may be trying to connect for a minute: its session is given up, soon."""
    with mounted(VSFTPD, FILES, eprt=how) as (server, drive):
        answer = drive.ok("background", "read", "/s")
        assert answer["data"] == "hello" and answer["ms"] < 2500
        assert ahead(drive, "/t")[0] == "world"
        assert drive.names("/d") == [b"a"]
        assert asked(server) == 1 and server.logins() == 2


def test_eprt_that_is_not_answered():
    with mounted(VSFTPD, FILES) as (server, drive):
        server.mute("EPRT")
        answer = drive.ok("background", "read", "/s")
        assert answer["data"] == "hello" and answer["ms"] < 3500
        assert ahead(drive, "/t")[0] == "world"
        assert asked(server) == 1


@pytest.mark.parametrize("command", ["EPRT", "RETR"])
def test_the_first_costs_the_control_connection(command):
    with mounted(VSFTPD, FILES) as (server, drive):
        server.drop_at(command)
        assert drive.ok("background", "read", "/s")["data"] == "hello"
        assert ahead(drive, "/t")[0] == "world"
        assert asked(server) == 1 and server.logins() == 2


def test_only_the_server_may_call():
    with cold(eprt="stranger") as (server, drive):
        assert ahead(drive, "/s")[0] == "hello"
        assert ahead(drive, "/t")[0] == "world"
        assert drive.stat("calls") == 2 and not server.lost()


@pytest.mark.parametrize("how", ["refuse", "425"])
def test_a_later_miss_is_done_again_and_three_are_the_end(how):
    with cold() as (server, drive):
        ahead(drive, "/s")
        server.eprt = how
        for _ in range(2):
            assert ahead(drive, "/t") == ("world", [["EPRT", "RETR"], ["PASV"], ["RETR"]])
        server.eprt = "call"
        assert ahead(drive, "/t") == ("world", [["EPRT", "RETR"]])  # what was counted is forgiven
        server.eprt = how
        assert drive.names("/d") == [b"a"]
        drive.ok("read", "/s")
        assert ahead(drive, "/t")[0] == "world"
        before = asked(server)
        assert ahead(drive, "/s")[0] == "hello" and asked(server) == before
        assert not server.lost()


@pytest.mark.parametrize("operation", [("read", "/t"), ("background", "read", "/t")],
                         ids=lambda o: o[0])
def test_a_later_silence_costs_a_session_and_no_error(operation):
    with cold() as (server, drive):
        ahead(drive, "/s")
        server.eprt = "silent"
        answer = drive.ok(*operation)
        assert answer["data"] == "world" and answer["ms"] < 5000
        assert server.logins() == 2


def test_a_missing_file_says_nothing_about_it():
    with cold() as (server, drive):
        assert drive.error("background", "read", "/none") == "ENOENT"
        assert ahead(drive, "/s") == ("hello", [["EPRT"], ["RETR"]])
        assert drive.error("background", "read", "/none") == "ENOENT"
        assert ahead(drive, "/t") == ("world", [["EPRT", "RETR"]])
        assert drive.stat("calls_missed") == 0 and not server.lost()


def test_a_server_that_calls_at_once_is_not_asked_again():
    """pyftpdlib: its 200 comes when the connection stands, behind the 150 if RETR were sent too."""
    with mounted(PYFTPDLIB, FILES) as (server, drive):
        assert ahead(drive, "/s") == ("hello", [["EPRT"], ["EPSV"], ["RETR"]])
        assert ahead(drive, "/t")[0] == "world"
        assert asked(server) == 1 and not server.lost()


@pytest.mark.parametrize("persona, drive", [
    (AIOFTP, None), (TWISTED, None), (VSFTPD, {"conns": 3}), (VSFTPD, {"options": ("-A", "off")})],
    ids=["aioftp", "twisted", "small pool", "off"])
def test_never(persona, drive):
    with mounted(but(persona, home=b"/"), FILES, drive=drive) as (server, client):
        assert ahead(client, "/s")[0] == "hello"
        assert ahead(client, "/t")[0] == "world"
        assert asked(server) == 0


def test_on_tries_in_the_foreground():
    with mounted(VSFTPD, FILES, drive={**ON, "conns": 1}) as (server, drive):
        server.no_epsv()
        drive.ok("read", "/s")
        assert words(drive.said()) == [["EPRT"], ["RETR"]]
        drive.ok("write", "/n", "whole", 0, "x")
        assert drive.ok("read", "/n")["data"] == "x"
        assert words(drive.said()) == [["EPRT", "RETR"]]


def test_on_and_refused():
    with mounted(VSFTPD, FILES, drive=ON, eprt="refuse") as (server, drive):
        for _ in range(5):
            assert drive.ok("read", "/s")["data"] == "hello"
            assert drive.names("/d") == [b"a"]
        assert not server.lost()


def secure(certificate, *options):
    """What a server and a drive need for TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context, {"options": ("-s", "require", "-C", str(certificate[0]), *options)}


def test_over_tls_we_are_the_client_and_resume_the_session(certificate):
    context, drive = secure(certificate, "-A", "on")
    with mounted(VSFTPD, FILES, drive=drive, tls=context, tls_reuse=True) as (server, client):
        server.no_epsv()
        for _ in range(3):
            assert client.ok("read", "/b")["bytes"] == len(BIG)
        assert words(client.said()) == [["EPRT", "RETR"]]
        assert client.names("/d") == [b"a"]
        assert client.stat("calls") == 4
        assert all(t["tls"] and t["reused"] for s in server.sessions for t in s.transfers)


def test_over_tls_it_is_not_tried(certificate):
    context, drive = secure(certificate)
    with mounted(VSFTPD, FILES, drive=drive, tls=context) as (server, client):
        assert ahead(client, "/s")[0] == "hello"
        assert asked(server) == 0
