"""Names that are hard to say in FTP, on each server, byte for byte on its disk."""

import contextlib
import errno
import os

import pytest

from world import every_server


NAMES = {
    "space": b"with some spaces",
    "double space": b"two  spaces",
    "leading space": b" leading",
    "trailing space": b"trailing ",
    "dash": b"-l",
    "dash name": b"-rf x",
    "utf8": "Grüße-日本語-🙂".encode(),
    "combining": "e\u0301".encode(),
    "brackets": b"[abc]",
    "star": b"a*b",
    "question": b"what?",
    "braces": b"{a,b}",
    "percent": b"100%41",
    "hash": b"#hash",
    "semicolon": b"type=dir; x",
    "quote": b'say "hi"',
    "apostrophe": b"it's",
    "backslash": b"back\\slash",
    "tilde": b"~root",
    "dollar": b"$HOME",
    "arrow": b"a -> b",
    "dots": b"...",
    "hidden": b".hidden",
    "long": b"n" * 255,
    "latin1": b"caf\xe9",
}

# What a server cannot store at all, and what ftpfs then says: (server, name, what was tried).
IMPOSSIBLE = {
    ("pure-ftpd", "backslash"): "553 Prohibited file name",
    ("pure-ftpd", "trailing space"): "a trailing space becomes an underscore",
    ("pyftpdlib", "latin1"): "names are UTF-8 or nothing",
}
# proftpd makes files of these names, but no directories: 550 Invalid directory name.
NO_DIRECTORY = {("proftpd", "star")}


def cases():
    return pytest.mark.parametrize("label", NAMES)


def possible(place, label):
    return (place.server.kind, label) not in IMPOSSIBLE


def listing(path):
    return os.listdir(os.fsencode(path))


@every_server()
@cases()
def test_a_file_of_this_name(quick_place, label):
    place, name = quick_place, NAMES[label]
    here, there = os.fsencode(place.here), os.fsencode(place.there)
    if not possible(place, label):
        try:
            with open(here + b"/" + name, "wb") as f:
                f.write(b"content")
        except OSError as e:
            assert e.errno in (errno.EACCES, errno.EINVAL, errno.EPERM, errno.EIO, errno.EILSEQ)
        else:
            # what was accepted can be had again, under whatever name the server gave it
            assert [open(here + b"/" + n, "rb").read() for n in listing(place.here)] == [b"content"]
        return
    with open(here + b"/" + name, "wb") as f:
        f.write(b"content")
    assert listing(place.there) == [name]
    assert open(there + b"/" + name, "rb").read() == b"content"
    assert listing(place.here) == [name]
    assert os.stat(here + b"/" + name).st_size == 7
    os.rename(here + b"/" + name, here + b"/plain")
    assert listing(place.there) == [b"plain"]
    os.rename(here + b"/plain", here + b"/" + name)
    assert listing(place.there) == [name]
    with open(here + b"/" + name, "ab") as f:
        f.write(b" more")
    assert open(there + b"/" + name, "rb").read() == b"content more"
    os.unlink(here + b"/" + name)
    assert listing(place.there) == []


@every_server()
@cases()
def test_a_directory_of_this_name(quick_place, make, label):
    place, name = quick_place, NAMES[label]
    here, there = os.fsencode(place.here), os.fsencode(place.there)
    if (place.server.kind, label) in NO_DIRECTORY:
        with pytest.raises(OSError):
            os.mkdir(here + b"/" + name)
        assert listing(place.there) == []
        return
    if not possible(place, label):
        with contextlib.suppress(OSError):
            os.mkdir(here + b"/" + name)
        # the server may have said yes to another name: the next listing tells
        fresh = make.mount(place.server, path=f"/{place.there.name}")
        assert listing(fresh.path) == listing(place.there)
        return
    os.mkdir(here + b"/" + name)
    with open(here + b"/" + name + b"/inside", "wb") as f:
        f.write(b"deep")
    assert open(there + b"/" + name + b"/inside", "rb").read() == b"deep"
    assert os.listdir(here + b"/" + name) == [b"inside"]
    assert os.listdir(here) == [name]
    os.unlink(here + b"/" + name + b"/inside")
    os.rmdir(here + b"/" + name)
    assert listing(place.there) == []


@every_server()
def test_what_the_server_has_can_be_read(place):
    """The files were there before anybody asked: the names come from a listing."""
    names = {name for label, name in NAMES.items() if possible(place, label)}
    for name in names:
        path = os.fsencode(place.there) + b"/" + name
        with open(path, "wb") as f:
            f.write(b"this is " + name)
        os.chmod(path, 0o644)
    assert set(listing(place.here)) == names
    for name in names:
        with open(os.fsencode(place.here) + b"/" + name, "rb") as f:
            assert f.read() == b"this is " + name


@pytest.mark.parametrize("name", [b"carriage\rreturn", b"line\nfeed", b"x\r\nDELE victim"])
def test_a_line_end_never_reaches_the_wire(place, name):
    place.put("victim", b"alive")
    for attempt in (lambda p: open(p, "wb"), os.mkdir, lambda p: os.rename(
            os.fsencode(place.here) + b"/victim", p)):
        with pytest.raises(OSError) as e:
            attempt(os.fsencode(place.here) + b"/" + name)
        assert e.value.errno == errno.EINVAL
    assert listing(place.there) == [b"victim"]
    assert (place.there / "victim").read_bytes() == b"alive"


def test_a_deep_path(place):
    deep = place.here
    for level in range(20):
        deep = deep / f"{level:02d}-a-directory-with-a-fairly-long-name"
        deep.mkdir()
    (deep / "leaf").write_text("down here")
    assert (place.there / (deep / "leaf").relative_to(place.here)).read_text() == "down here"
    assert (deep / "leaf").read_text() == "down here"
