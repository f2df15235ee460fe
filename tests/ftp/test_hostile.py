"""Servers that say too much, too little, or something else."""

import pytest
from drive import mounted
from fake_personas import PROFTPD, VSFTPD

FILES = {"/s": b"hello", "/d/a": b"1"}
FLOOD = "550-" + "x" * (3 << 20)


@pytest.mark.parametrize("reply", [FLOOD, "garbage", "999 what", "", "25", "250-never ends\r\n more"],
                         ids=["flood", "garbage", "999", "empty", "25", "endless"])
def test_what_is_no_reply_ends_the_session_not_the_mount(reply):
    with mounted(PROFTPD, FILES, drive={"timeout": 0.8}) as (server, drive):
        server.reply("MLST", reply)
        assert drive.error("stat", "/s") is not None
        assert drive.ok("stat", "/s")["entry"]["size"] == 5
        assert drive.ok("read", "/s")["data"] == "hello"


def test_two_replies_to_one_command_shift_nothing():
    with mounted(PROFTPD, FILES) as (server, drive):
        server.reply("MLST", "550 /s: No such file or directory\r\n550 I said no.")
        assert drive.error("stat", "/s") == "ENOENT"
        assert drive.ok("stat", "/s")["entry"]["size"] == 5
        assert drive.error("remove", "/nope") == "ENOENT"
        assert drive.names("/d") == [b"a"]


def test_mlst_that_answers_without_facts():
    with mounted(PROFTPD, FILES) as (server, drive):
        server.reply("MLST", "250 End")
        assert drive.error("stat", "/s") == "EOPNOTSUPP"


def test_numbers_that_are_none():
    with mounted(VSFTPD, FILES) as (server, drive):
        server.reply("SIZE", "213 99999999999999999999999")
        server.reply("MDTM", "213 yesterday")
        answer = drive.do("stat", "/s")
        assert "size" not in answer.get("entry", {}) and "mtime" not in answer.get("entry", {})


def test_a_listing_of_noise_is_not_an_empty_directory():
    with mounted(PROFTPD, FILES) as (server, drive):
        noise = b"<html>\r\n<body>\r\n"
        server.noise = noise
        assert drive.error("list", "/d") == "EPROTO"
        server.noise = None
        assert drive.names("/d") == [b"a"]


def test_more_bytes_than_size_said():
    with mounted(VSFTPD, FILES) as (server, drive):
        server.reply("SIZE", "213 2")
        drive.do("stat", "/s")
        assert drive.ok("read", "/s")["data"] == "hello"


def test_the_terminal_is_safe_from_the_server(capfd):
    with mounted(PROFTPD, FILES, drive={"options": ["-v"]}) as (server, drive):
        server.reply("MLST", "550 \x1b]0;owned\x07 no")
        drive.do("stat", "/s")
    said = capfd.readouterr().err
    assert "owned" in said and "\x1b" not in said and "secret" not in said
