"""What proves an upload under verify=hash: the server's hash, by the best command that it names."""

import hashlib
import zlib

import pytest
from drive import mounted
from fake_personas import PROFTPD, VSFTPD, but

DIGEST = "HASH CRC32;MD5;SHA-1*;SHA-256;SHA-512;"
X = ("MD5", "XCRC", "XMD5", "XSHA", "XSHA1", "XSHA256", "XSHA512")


def with_features(*features, persona=PROFTPD):
    return but(persona, features=(*persona.features, *features))


def of(name, data):
    if name == "crc32":
        return f"crc32:{zlib.crc32(data):08x}"
    return f"{name}:{hashlib.new(name, data).hexdigest()}"


def told(drive, path="/f"):
    return drive.ok("settle", path, "-", "-", "hash").get("hash")


@pytest.mark.parametrize("features, kind, line", [
    ((DIGEST, *X), "sha256", "OPTS HASH SHA-256, HASH /f"),
    (("HASH SHA-512;MD5*", "XMD5"), "sha512", "OPTS HASH SHA-512, HASH /f"),
    (("HASH CRC32*", "XMD5"), "md5", "XMD5 /f"),
    (X, "sha256", "XSHA256 /f"),
    (("XSHA512", "XSHA1"), "sha512", "XSHA512 /f"),
    (("XSHA1", "XMD5"), "sha1", "XSHA1 /f"),
    (("XCRC", "XMD5"), "md5", "XMD5 /f"),
    (("MD5", "XCRC"), "md5", "MD5 /f"),
    (("XCRC",), "crc32", "XCRC /f"),
])
def test_best_one_in_the_flight_of_the_size(features, kind, line):
    with mounted(with_features(*features), {"/f": b"abc"}) as (_, drive):
        assert told(drive) == of(kind, b"abc")
        assert drive.said() == [["MLST /f", *line.split(", ")]]


def test_behind_everything_else():
    with mounted(with_features(DIGEST)) as (server, drive):
        drive.ok("write", "/f", "whole", 0, "*300000")
        answer = drive.ok("settle", "/f", "640", 981173106, "hash")
        assert drive.said() == [["SITE CHMOD 0640 /f", "MFMT 20010203040506 /f", "MLST /f",
                                 "OPTS HASH SHA-256", "HASH /f"]]
        assert answer["hash"] == of("sha256", server.tree.read("/f"))
        assert (answer["entry"]["size"], answer["entry"]["mtime"]) == (300000, 981173106)


def test_in_the_flight_of_the_bytes():
    with mounted(with_features("XMD5", persona=VSFTPD)) as (_, drive):
        drive.ok("write", "/first", "whole", 0, "x", "-", "-", "hash")
        answer = drive.ok("write", "/f", "whole", 0, "abc", "-", "-", "hash")
        assert drive.said() == [["STOR /f", "SIZE /f", "MDTM /f", "XMD5 /f"]]
        assert answer["hash"] == of("md5", b"abc")


def test_a_session_is_set_to_it_in_the_flight_of_its_first():
    with mounted(with_features(DIGEST), {"/f": b"abc"}, {"conns": 1}) as (server, drive):
        drive.ok("settle", "/f", "-", "-")
        assert not [line for line in server.lines() if "HASH" in line]
        assert told(drive) == of("sha256", b"abc")
        assert drive.said() == [["MLST /f", "OPTS HASH SHA-256", "HASH /f"]]
        assert told(drive) == of("sha256", b"abc")
        assert drive.said() == [["MLST /f", "HASH /f"]]
        server.drop_at("MLST")
        assert drive.error("settle", "/f", "-", "-", "hash") == "ECONNRESET"
        assert told(drive) == of("sha256", b"abc")
        assert drive.said()[-1] == ["MLST /f", "OPTS HASH SHA-256", "HASH /f"]


def test_where_no_hash_is_asked_for_no_session_is_set_to_it():
    with mounted(with_features(DIGEST), {"/f": b"abc"}) as (server, drive):
        drive.ok("open", 0, "/f", 0)
        drive.ok("open", 1, "/f", 0)
        drive.ok("write", "/g", "whole", 0, "x")
        drive.ok("settle", "/g", "640", 981173106)
        assert server.logins() > 1
        assert not [line for line in server.lines() if "HASH" in line]


@pytest.mark.parametrize("refusal", ["501 Not that one.", "500 What?"])
def test_a_session_that_refuses_it_leaves_another_hash_which_is_noticed(refusal):
    with mounted(with_features(DIGEST), {"/f": b"abc"}, {"conns": 1}) as (server, drive):
        server.reply("OPTS", refusal)
        assert told(drive) == "none:"
        assert len([line for line in server.lines() if line.startswith("OPTS HASH")]) == 1
        assert told(drive) is None


def test_nobody_else_is_asked():
    with mounted(PROFTPD, {"/f": b"abc"}) as (server, drive):
        assert told(drive) is None
        assert drive.said() == [["MLST /f"]]
        assert not [line for line in server.lines() if "HASH" in line]


@pytest.mark.parametrize("refusal", ["500 What?", "502 Not here.", "504 No."])
def test_a_command_that_is_refused_is_not_used_again(refusal):
    with mounted(with_features(DIGEST, "XSHA256", "XMD5"), {"/f": b"abc"}) as (server, drive):
        server.reply("HASH", refusal)
        assert told(drive) == "none:"
        assert told(drive) == of("sha256", b"abc")
        assert drive.said() == [["MLST /f", "XSHA256 /f"]]
        server.reply("XSHA256", refusal)
        assert told(drive) == "none:"
        assert told(drive) == of("md5", b"abc")
        server.reply("XMD5", refusal)
        assert told(drive) == "none:"
        assert told(drive) is None
        assert drive.said() == [["MLST /f"]]


def test_a_file_that_is_refused_says_nothing_about_others():
    with mounted(with_features(DIGEST), {"/f": b"abc"}) as (server, drive):
        server.reply("HASH", "550 /f: too big")
        assert told(drive) == "none:"
        assert told(drive) == of("sha256", b"abc")


@pytest.mark.parametrize("answer", ["213 SHA-1 0-3 a9993e364706816aba3e25717850c26c9cd0d89d /f",
                                    "213 SHA-256 1-3 " + 64 * "0" + " /f", "213 3", "250 Done."])
def test_an_answer_that_is_not_the_hash_is_none(answer):
    with mounted(with_features(DIGEST), {"/f": b"abc"}) as (server, drive):
        server.reply("HASH", answer)
        assert told(drive) == "none:"
        assert told(drive) is None


@pytest.mark.parametrize("features", [(DIGEST,), X, ("MD5",)], ids=["HASH", "X", "MD5"])
@pytest.mark.parametrize("name", ["/a b", "/ü [1] {2}", "/d e/-f"])
def test_names(features, name):
    with mounted(with_features(*features), {name: b"abc"}) as (_, drive):
        assert told(drive, name).partition(":")[2] in (of("sha256", b"abc") + of("md5", b"abc"))


@pytest.mark.parametrize("name", ['/"a" b', "/a\\b"])
def test_names_that_only_some_commands_can_take(name):
    with mounted(with_features(*X), {name: b"abc"}) as (_, drive):
        assert told(drive, name) == "none:"
        assert len(drive.said()[0]) == 1
    with mounted(with_features(DIGEST), {name: b"abc"}) as (_, drive):
        assert told(drive, name) == of("sha256", b"abc")


def test_a_server_that_computes_for_long_is_waited_for():
    files = {"/small": b"x", "/big": bytes(24 << 20)}
    with mounted(with_features(DIGEST), files, {"timeout": 1}) as (server, drive):
        server.delay("HASH", 2.5)
        assert drive.error("settle", "/small", "-", "-", "hash") == "ETIMEDOUT"
        server.delay("HASH", 2.5)
        assert drive.ok("settle", "/big", "-", "-", "hash", 24 << 20)["hash"] == \
            of("sha256", bytes(24 << 20))


def test_a_missing_file():
    with mounted(with_features(DIGEST)) as (_, drive):
        assert drive.error("settle", "/f", "-", "-", "hash") == "ENOENT"
