"""dialogues - counts what each operation says on the wire, and prints it as Markdown.

    /usr/bin/python3 tests/ftp/dialogues.py > docs/dialogues.md"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from drive import mounted  # noqa: E402
from fake_personas import PROFTPD, VSFTPD, but  # noqa: E402

HEAD = """# What each operation costs on the wire

Measured by `tests/ftp/dialogues.py` against the fake server, and checked by a test: a change of these
numbers is a change of the product. A *flight* is a group of commands that are sent without
waiting in between: one round trip. The EPSV that ftpfs sends when a transfer ends, so
that the next one finds its data connection open ("hot"), is not counted: nobody waits for it.
A batch of thousands may be shared by two sessions (`tests/ftp/test_batch.py`).

"""

SMALL = {f"/small/{i}": b"x" for i in range(3)}
MANY = {f"/many/file-{i:04}": b"x" for i in range(1000)}
BIG = {"/big": bytes(16 << 20)}

# On a server that has SITE CPFR.
COPIES = [("copy a file on the server", [], [("copy", "/small/1", "/copy")])]

# The server was seen to open data connections, and none is open.
SEEN = [("read", "/small/0"), ("list", "/")]
ACTIVE = [
    ("list a directory, the server opens the data connection", SEEN, [("list", "/small")]),
    ("read a small file, the server opens the data connection", SEEN, [("read", "/small/1")]),
]

# The server has HASH, and verify=hash asks for it.
HASHED = [
    ("write a small file, set mode and time, check size, time and hash",
     [("settle", "/small/0", "600", 1, "hash"), ("read", "/small/0")], [("store", "/new", "hash")]),
    ("set mode and time, check size, time and hash, the first time",
     [("settle", "/small/0", "600", 1)], [("settle", "/small/1", "644", 981173106, "hash")]),
    ("set mode and time, check size, time and hash", [("settle", "/small/0", "600", 1, "hash")],
     [("settle", "/small/1", "644", 981173106, "hash")]),
]

# The cut is minded in the background, and the next data connection opened: when who seeks comes late,
# there is less to say.
SEEK = "seek: cut a download, begin elsewhere"

# What is shown, what is done before (unseen), what is counted.
OPERATIONS = [
    ("list a directory, the first time", [], [("list", "/small")]),
    ("list a directory", [("list", "/")], [("list", "/small")]),
    ("`ls -l` of 1,000 files", [("list", "/")], [("statall", "/many")]),
    ("look at one file", [], [("stat", "/small/1")]),
    ("exact times of 500 files", [],
     [("statmany", "/many", *[f"file-{i:04}" for i in range(500)])]),
    ("read a small file, the first time", [], [("read", "/small/1")]),
    ("read a small file", [("read", "/small/0")], [("read", "/small/1")]),
    ("read from the middle", [("read", "/small/0")], [("read", "/big", 1000000, 100)]),
    (SEEK, [("read", "/big", 0, 100)], [("read", "/big", 9000000, 100)]),
    ("write a small file, the first time", [], [("write", "/new", "whole", 0, "x")]),
    ("write a small file", [("read", "/small/0")], [("write", "/new", "whole", 0, "x")]),
    ("write a small file, set mode and time, check size and time",
     [("settle", "/small/0", "600", 1), ("read", "/small/0")],
     [("store", "/new")]),
    ("replace a part of a file, the first time", [], [("probe", "/big")]),
    ("replace a part of a file", [("write", "/big", "patch", 1000000, "x")],
     [("write", "/big", "patch", 2000000, "y")]),
    ("append to a file", [("read", "/small/0")], [("write", "/small/1", "append", 1, "x")]),
    ("set mode and time, check size and time", [("settle", "/small/0", "600", 1)],
     [("settle", "/small/1", "644", 981173106)]),
    ("rename, also over a file", [], [("rename", "/small/1", "/small/2")]),
    ("make a directory", [], [("mkdir", "/new")]),
    ("remove a directory", [("mkdir", "/new")], [("rmdir", "/new")]),
    ("remove a file", [], [("remove", "/small/1")]),
    ("set the mode", [], [("set_mode", "/small/1", "600")]),
    ("set the time", [("set_mtime", "/small/1", 1)], [("set_mtime", "/small/1", 981173106)]),
]


def count(flights):
    return sum(len(flight) for flight in flights), len(flights)


def logins(persona):
    """Commands and flights of the first login, and of a further one."""
    with mounted(persona, BIG) as (server, drive):
        first = count(server.dialogue())
        drive.ok("open", 0, "/big", 0)
        mark = server.mark()
        drive.ok("stat", "/big")
        again = [f for f in server.dialogue(mark) if f[0].split(" ")[0] not in ("SIZE", "MLST")]
        drive.ok("close", 0)
    return first, count(again)


def store(drive, path, *hashed):
    """As a commit does it: what the end of the upload does not settle is settled afterwards."""
    answer = drive.ok("write", path, "whole", 0, "x", "644", 981173106, *hashed)
    said = drive.said()
    if "entry" not in answer:
        drive.ok("settle", path, "644", 981173106, *hashed)
        said += drive.said()
    return said


def probe(drive, path):
    """A patch, and before it what finds out whether there are any; how the data connections come about
    between one transfer and the next is a matter of chance."""
    drive.ok("write", path, "patch", 1000000, "x")
    own = [[line for line in flight if line.split(" ")[0] in ("STOR", "REST", "RETR", "DELE")]
           for flight in drive.said()]
    return [flight for flight in own if flight]


def measure(persona, before, words, options=()):
    with mounted(persona, {**SMALL, **MANY, **BIG}, {"options": options}) as (_, drive):
        for unseen in before:
            drive.ok(*unseen)
        said = []
        for operation in words:
            if operation[0] == "store":
                said += store(drive, *operation[1:])
            elif operation[0] == "probe":
                said += probe(drive, operation[1])
            else:
                drive.ok(*operation)
                said += drive.said()
    return count(said)


def costliest(*what):
    return max(measure(*what) for _ in range(4))


def without_epsv(persona):
    return but(persona, missing=persona.missing | {"EPSV"})


def that_copies(persona):
    return but(persona, extra={**persona.extra, "pair": True})


def with_hash(persona):
    return but(persona, features=persona.features + ("HASH SHA-1*;SHA-256;",))


def table():
    """The rows: what, (commands, flights) with MLSD, (commands, flights) without."""
    both = (PROFTPD, VSFTPD)
    first, again = zip(*[logins(persona) for persona in both])
    rows = [("log in, the first connection", *first), ("log in, each further connection", *again)]
    for what, before, words in OPERATIONS:
        cost = costliest if what == SEEK else measure
        rows.append((what, *[cost(persona, before, words) for persona in both]))
    for what, before, words in COPIES:
        rows.append((what, *[measure(that_copies(p), before, words) for p in both]))
    for what, before, words in HASHED:
        rows.append((what, *[measure(with_hash(p), before, words) for p in both]))
    for what, before, words in ACTIVE:
        rows.append((what, *[measure(without_epsv(p), before, words, ("-A", "on")) for p in both]))
    return rows


def markdown(rows):
    out = ["| operation | commands, flights (MLSD) | commands, flights (LIST) |", "|---|---|---|"]
    out += [f"| {what} | {a[0]:,}, {a[1]} | {b[0]:,}, {b[1]} |" for what, a, b in rows]
    return HEAD + "\n".join(out) + "\n"


if __name__ == "__main__":
    print(markdown(table()), end="")
