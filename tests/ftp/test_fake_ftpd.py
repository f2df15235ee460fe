"""The instrument itself: what the fake server counts, and that its script is obeyed."""

import ftplib
import io

import pytest
from fake_ftpd import Server
from fake_personas import ALL, AIOFTP, VSFTPD
from fake_tree import Tree


def client(server):
    made = ftplib.FTP()
    made.connect("127.0.0.1", server.port, timeout=5)
    made.login("ftpuser", "secret")
    return made


@pytest.mark.parametrize("persona", ALL, ids=lambda p: p.name)
def test_another_client_can_use_it(persona):
    with Server(Tree({"/a": b"one\ntwo\n"}), persona) as server:
        ftp = client(server)
        ftp.storbinary("STOR /b", io.BytesIO(b"x" * 100000))
        assert server.tree.read("/b") == b"x" * 100000
        got = io.BytesIO()
        ftp.retrbinary("RETR /a", got.write)
        assert got.getvalue() == b"one\ntwo\n"
        with pytest.raises(ftplib.error_perm):
            ftp.delete("/nope")
        ftp.quit()


def test_a_flight_is_what_came_before_the_first_answer():
    with Server(Tree(), VSFTPD) as server:
        ftp = client(server)
        mark = server.mark()
        ftp.sock.sendall(b"NOOP\r\nPWD\r\n")
        assert [ftp.getresp()[:3] for _ in range(2)] == ["200", "257"]
        ftp.voidcmd("NOOP")
        assert server.dialogue(mark) == [["NOOP", "PWD"], ["NOOP"]]
        ftp.close()


def test_aioftp_answers_a_flight_out_of_order():
    with Server(Tree(), AIOFTP) as server:
        ftp = client(server)
        ftp.sock.sendall(b"TYPE I\r\nPWD\r\n")
        assert [ftp.getresp()[:3] for _ in range(2)] == ["257", "200"]
        ftp.close()


def test_rules_are_used_up_in_order():
    with Server(Tree(), VSFTPD) as server:
        ftp = client(server)
        server.reply("NOOP", "500 first", skip=1)
        server.reply("PWD", "550 every", count=2)
        assert ftp.voidcmd("NOOP")[:3] == "200"
        with pytest.raises(ftplib.error_perm, match="500 first"):
            ftp.voidcmd("NOOP")
        assert ftp.voidcmd("NOOP")[:3] == "200"
        for _ in range(2):
            with pytest.raises(ftplib.error_perm, match="550 every"):
                ftp.pwd()
        assert ftp.pwd() == "/"
        server.drop_at("NOOP")
        with pytest.raises(EOFError):
            ftp.voidcmd("NOOP")
        ftp.close()
