"""TLS: the order of the commands, a protected data connection that resumes the session, and no
password in the clear."""

import hashlib
import socket
import ssl

import pytest
from drive import Drive, mounted
from fake_ftpd import Server
from fake_personas import PROFTPD, PUREFTPD, PYFTPDLIB, VSFTPD
from fake_tree import Tree

BIG = bytes(i * 7 % 251 for i in range(1 << 16)) * 256
FILES = {"/s": b"hello", "/d/a": b"1", "/b": BIG}


@pytest.fixture(params=["1.2", "1.3"])
def context(request, certificate):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*certificate)
    version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[request.param]
    made.minimum_version = made.maximum_version = version
    return made


@pytest.fixture
def trusting(certificate):
    return {"options": ["-s", "require", "-C", str(certificate[0])]}


def test_order_of_the_login(context, trusting):
    with mounted(PROFTPD, FILES, drive=trusting, tls=context) as (server, _):
        assert server.lines()[:6] == ["AUTH TLS", "USER ftpuser", "PASS secret", "PBSZ 0", "PROT P",
                                      "PWD"]


def test_one_command_in_a_record(context, trusting):
    """From the first command of each session on."""
    with mounted(PROFTPD, FILES, drive=trusting, tls=context) as (server, drive):
        drive.ok("open", 0, "/b", 0)
        drive.ok("statmany", "/d", *["a"] * 20)
        drive.ok("close", 0)
        assert len(server.sessions) > 1 and server.bursts == []


def test_every_data_connection_is_protected_and_resumed(context, trusting):
    with mounted(VSFTPD, FILES, drive=trusting, tls=context, tls_reuse=True) as (server, drive):
        assert drive.ok("read", "/s")["data"] == "hello"
        assert drive.names("/d") == [b"a"]
        drive.ok("write", "/n", "whole", 0, "*5000000")
        drive.ok("write", "/n", "append", 5000000, "abc")
        assert drive.ok("read", "/b")["sha256"] == hashlib.sha256(BIG).hexdigest()
        assert drive.names("/d") == [b"a"]
        pattern = (bytes(range(251)) * 20000)[:5000000]
        assert server.tree.read("/n") == pattern + b"abc"
        transfers = [t for s in server.sessions for t in s.transfers]
        assert len(transfers) >= 6
        assert all(t["tls"] and t["reused"] for t in transfers)


def test_a_cut_keeps_the_login(context, trusting):
    with mounted(PROFTPD, FILES, drive=trusting, tls=context) as (server, drive):
        for at in (0, 4000000):
            wanted = hashlib.sha256(BIG[at:at + 70000]).hexdigest()
            assert drive.ok("read", "/b", at, 70000)["sha256"] == wanted
        assert drive.ok("read", "/s")["data"] == "hello"
        assert not server.lost()


def test_many_commands_over_tls(context, trusting):
    names = [f"f{i}" for i in range(300)]
    files = {f"/d/{name}": b"1" for name in names}
    with mounted(VSFTPD, files, drive=trusting, tls=context) as (_, drive):
        entries = drive.ok("statmany", "/d", *names)["entries"]
        assert all(e["exact"] for e in entries)
        assert [len(flight) for flight in drive.said()] == [300]


def test_more_than_the_socket_takes(context, trusting):
    """The server reads nothing for a while: what did not fit is sent again as it was."""
    names = [f"{i:03}" + "x" * 240 for i in range(500)]
    with Server(Tree({f"/d/{name}": b"1" for name in names}), VSFTPD, tls=context) as server:
        server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        with Drive(server, **trusting) as drive:
            server.delay("MDTM", 0.5)
            entries = drive.ok("statmany", "/d", *names)["entries"]
            assert len(entries) == 500 and all(e["exact"] for e in entries)
            assert not server.lost()


def hellos_of(context):
    """Grows by one for each ClientHello that a server with this context reads."""
    seen = []

    def note(_conn, direction, _version, _content, kind, _data):
        if direction == "read" and getattr(kind, "name", "") == "CLIENT_HELLO":
            seen.append(kind)
    context._msg_callback = note
    return seen


def test_the_group_that_the_server_wants_is_offered_first(context, trusting):
    """Only the control connection is asked for another one."""
    context.set_ecdh_curve("prime256v1")
    hellos = hellos_of(context)
    with mounted(VSFTPD, FILES, drive=trusting, tls=context, tls_reuse=True) as (_, drive):
        before = len(hellos)
        assert before == (2 if context.maximum_version == ssl.TLSVersion.TLSv1_3 else 1)
        drive.ok("read", "/s")
        drive.ok("write", "/n", "whole", 0, "abc")
        assert drive.names("/d") == [b"a"]
        assert len(hellos) == before + 3


@pytest.mark.parametrize("persona, early", [(VSFTPD, True), (PROFTPD, True), (PUREFTPD, True),
                                            (PYFTPDLIB, False)])
def test_hello_in_the_flight_of_the_transfer(context, trusting, persona, early):
    """Also behind CWD or REST, where the server leaves the data connection alone until then."""
    with mounted(persona, FILES, drive=trusting, tls=context) as (server, drive):
        drive.ok("read", "/s")
        server.listen_before("REST", 2 if early else 0.3)
        wanted = hashlib.sha256(BIG[4000000:4070000]).hexdigest()
        assert drive.ok("read", "/b", 4000000, 70000)["sha256"] == wanted
        drive.ok("read", "/s")
        server.listen_before("CWD", 2 if early else 0.3)
        assert drive.names("/d") == [b"a"]
        assert server.heard == [early, early]


def test_goodbye_ahead_of_a_download(context, trusting):
    """vsftpd waits for it before it ends one."""
    with mounted(VSFTPD, FILES, drive=trusting, tls=context, tls_goodbye=True) as (server, drive):
        assert drive.ok("read", "/b")["sha256"] == hashlib.sha256(BIG).hexdigest()
        assert drive.ok("read", "/b", 100, 5) and drive.ok("read", "/s")["data"] == "hello"
        assert drive.names("/d") == [b"a"]
        drive.ok("write", "/n", "whole", 0, "abc")
        transfers = [t for s in server.sessions for t in s.transfers]
        assert all(t["goodbye"] for t in transfers if t["verb"] != "STOR")
        assert server.tree.read("/n") == b"abc"
        assert not server.lost()


def test_refused_stor_over_tls_is_a_refusal(context, trusting):
    with mounted(PROFTPD, FILES, drive=trusting, tls=context) as (_, drive):
        assert drive.error("write", "/nope/x", "whole", 0, "1") == "ENOENT"
        assert drive.error("write", "/d", "whole", 0, "1") == "EISDIR"
        assert drive.error("read", "/nope") == "ENOENT"
        assert drive.error("list", "/nope") == "ENOENT"
        assert drive.ok("read", "/s")["data"] == "hello"


def test_implicit(context, certificate):
    options = {"options": ["-i", "-s", "require", "-C", str(certificate[0])]}
    with mounted(VSFTPD, FILES, drive=options, tls=context, implicit=True) as (server, drive):
        assert drive.ok("read", "/s")["data"] == "hello"
        assert "AUTH TLS" not in server.lines()
        assert all(t["tls"] for s in server.sessions for t in s.transfers)


def test_unknown_certificate(context):
    with Server(Tree(FILES), VSFTPD, tls=context) as server:
        with Drive(server, options=["-s", "require"]) as drive:
            assert drive.created["failure"] == "BAD_CERT"
        assert "PASS secret" not in server.lines()


def test_unknown_certificate_accepted_when_told_to(context):
    with mounted(VSFTPD, FILES, drive={"options": ["-s", "require", "-k"]}, tls=context) as (_, drive):
        assert drive.ok("read", "/s")["data"] == "hello"


def test_required_but_not_there():
    with Server(Tree(FILES), VSFTPD) as server:
        with Drive(server, options=["-s", "require"]) as drive:
            assert drive.created["failure"] == "NO_TLS"
        assert "PASS secret" not in server.lines()


def test_tried_but_not_there():
    with mounted(VSFTPD, FILES, drive={"options": ["-s", "try"]}) as (server, drive):
        assert drive.ok("read", "/s")["data"] == "hello"


def test_never_in_the_clear_once_it_was_there(context, certificate):
    options = {"options": ["-s", "try", "-C", str(certificate[0])]}
    with mounted(VSFTPD, FILES, drive=options, tls=context) as (server, drive):
        drive.ok("read", "/s")
        passwords = server.logins()
        server.reply("AUTH", "502 Command not implemented.", count=100)
        for session in server.alive():
            session.kick()
        assert drive.error("read", "/s") is not None
        assert server.logins() == passwords
