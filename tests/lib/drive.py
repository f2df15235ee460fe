"""drive - runs build/ftpdrive against a fake server: one method call, one answer."""

import contextlib
import json
import os
import pathlib
import queue
import subprocess
import threading

from fake_ftpd import Server
from fake_tree import Tree

REPO = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("FTPDRIVE", str(REPO / os.environ.get("BUILD", "build") / "ftpdrive"))

# A sanitized build takes its time: limits grow by this, and measured times shrink.
SLOW = float(os.environ.get("FTPFS_TEST_SLOW", "1"))


def quote(word):
    """A word of the script: percent-encoded bytes."""
    raw = word if isinstance(word, bytes) else str(word).encode()
    return "".join(chr(c) if 0x20 < c < 0x7F and c != 0x25 else f"%{c:02x}" for c in raw)


def raw(text):
    """The bytes behind a string of an answer."""
    return text.encode("latin-1")


class Drive:
    """One mount's worth of remote_ftp.  `created` is the answer to the login."""

    def __init__(self, server, user="ftpuser", password="secret", conns=4, timeout=8.0, options=()):
        argv = [PROGRAM, "-n", str(conns), "-t", str(int(timeout * SLOW * 1000)), "-c", "8000"]
        argv += ["-u", user] if user is not None else []
        argv += ["-p", password] if password is not None else []
        self.server = server
        self.process = subprocess.Popen(
            [*argv, *options, "127.0.0.1", str(server.port)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env={**os.environ, "HOME": "/nonexistent"})
        self.answers = queue.Queue()
        self.tagged = {}
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.created = self._next()
        self.ended = self.marked = server.mark()

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            answer["ms"] = answer.get("ms", 0) / SLOW
            self.answers.put(answer)
        self.answers.put(None)

    def _next(self, seconds=30):
        answer = self.answers.get(timeout=seconds * SLOW)
        assert answer is not None, f"ftpdrive ended with {self.process.wait(10)}"
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.process.stdin.close()
            code = self.process.wait(15 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("ftpdrive does not end") from None
        self.reader.join(5)
        self.process.stdout.close()
        assert code == (1 if self.created["error"] else 0), f"ftpdrive ended with {code}"

    def start(self, tag, *words):
        """Run an operation in a thread of its own; collect it with finish(tag)."""
        self._write("@" + tag, *words)

    def finish(self, tag, seconds=30):
        while tag not in self.tagged:
            answer = self._next(seconds)
            self.tagged[answer["tag"]] = answer
        return self.tagged.pop(tag)

    def _write(self, *words):
        self.process.stdin.write(" ".join(quote(w) for w in words) + "\n")
        self.process.stdin.flush()

    def do(self, *words):
        """Run one operation: its answer.  said() is then the dialogue of this operation."""
        self.marked = self.server.mark()
        self._write(*words)
        while True:
            answer = self._next()
            if "tag" not in answer:
                break
            self.tagged[answer["tag"]] = answer
        self.server.catch_up(answer["sent"])
        self.ended = self.server.mark()
        return answer

    def ok(self, *words):
        answer = self.do(*words)
        assert answer["error"] is None, (answer, self.server.dialogue(self.marked))
        return answer

    def error(self, *words):
        """The errno's name, or None."""
        return self.do(*words)["error"]

    def names(self, directory):
        """Sorted names of a directory, as bytes."""
        return sorted(raw(e["name"]) for e in self.ok("list", directory)["entries"])

    def said(self):
        """Flights of the last operation, without an EPSV for the next transfer: nobody waits for it."""
        flights = [list(f) for f in self.server.dialogue(self.marked, self.ended)]
        places = [(f, i) for f, flight in enumerate(flights) for i in range(len(flight))]
        for f, i in reversed(places):
            if verb(flights[f][i]) in TRANSFERS:
                break
            if flights[f][i] == "EPSV":
                del flights[f][i]
                break
        return [flight for flight in flights if flight]

    def stat(self, name):
        return self.ok("stats")[name]


TRANSFERS = {"RETR", "STOR", "APPE", "LIST", "MLSD", "NLST"}


def verb(line):
    return line.split(" ")[0]


@contextlib.contextmanager
def mounted(persona, files=None, drive=None, **settings):
    """A fake server with these files, and a Drive that has logged in to it."""
    tree = files if isinstance(files, Tree) else Tree(files)
    with Server(tree, persona, **settings) as server:
        with Drive(server, **(drive or {})) as client:
            assert client.created["error"] is None, client.created
            yield server, client
