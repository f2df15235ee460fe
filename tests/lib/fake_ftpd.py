"""fake_ftpd - an FTP server for tests: serves a Tree with a Persona, does what a script says, and
remembers every command line.

    with Server(Tree({"/a": b"x"}), PROFTPD) as server:
        server.reply("MLST", "421 Timeout.")      # the next MLST only
        ...
        assert server.dialogue() == [["MLST /a"]]

A flight is what arrived before the server answered any of it: the number of flights is the number
of round trips that the client waited for.  Runs in threads of the test, one per connection."""

import os
import select
import socket
import ssl
import struct
import threading
import time

from fake_personas import VSFTPD
from fake_session import Session
from fake_transfer import Gone
from fake_tree import Tree

# How long the server listens for more of a flight before it answers.  A client that is waiting for
# replies sends nothing, so that this costs time but never merges two flights.
QUIET = 0.005 * float(os.environ.get("FTPFS_TEST_SLOW", "1"))

# What libcurl sends while it logs in; and one PWD.
LOGIN = {b"USER", b"PASS", b"ACCT", b"AUTH", b"PBSZ", b"PROT"}


class Rule:
    """What happens to the next `count` commands of one kind, after `skip` of them."""

    def __init__(self, verb, what, arg=None, count=1, skip=0):
        self.verb, self.what, self.arg, self.count, self.skip = verb, what, arg, count, skip


class Server:
    def __init__(self, tree=None, persona=VSFTPD, **settings):
        self.tree = tree if tree is not None else Tree()
        self.persona = persona
        self.users = {"ftpuser": "secret"}
        self.anonymous = False
        self.account = None            # a string: PASS is answered by 332
        self.tls = None                # an ssl.SSLContext: AUTH TLS works
        self.implicit = False          # TLS from the first byte
        self.tls_reuse = False         # demand that data connections resume the session
        self.tls_goodbye = False       # before a download look for the client's close_notify
        self.greeting = None           # raw bytes instead of the persona's, then close
        self.limit = 0                 # connections at most; 0: no limit
        self.disk_left = None          # bytes until the disk is full
        self.pasv_address = None       # "10,1,2,3": what PASV says instead of the truth
        self.slow = None               # (bytes, seconds): pieces of a download and the pause between
        self.noise = None              # bytes instead of every listing
        self.eprt = None               # "call", "early", "refuse", "425", "silent", "stranger" (calls,
                                       # too), "strangers" (only); None: as the persona does
        self.patience = 5.0            # waiting for a data connection
        for key, value in settings.items():
            assert hasattr(self, key), key
            setattr(self, key, value)
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.rules = []
        self.cuts = []                 # (verb, bytes, reply or None)
        self.bursts = []               # TLS records with more than one command: some servers stall
        self.heard = []                # what listen_before() heard
        self.sessions = []             # every connection ever made
        self.log = []                  # (session, flight, line)
        self.stopping = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self.acceptor.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join(5)
        for session in list(self.sessions):
            session.kick()
        for session in list(self.sessions):
            session.thread.join(5)

    def _accept(self):
        while not self.stopping.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                link = Link(self, sock, len(self.sessions))
                self.sessions.append(link)
                self.changed.notify_all()
            link.thread.start()

    # -- the script: REPLY DELAY DROP MUTE ------------------------------------------------------

    def _rule(self, *args, **how):
        with self.lock:
            self.rules.append(Rule(*args, **how))

    def reply(self, verb, text, count=1, skip=0):
        """Say `text` ("550 No.") instead of carrying the command out."""
        self._rule(verb, "reply", text, count=count, skip=skip)

    def delay(self, verb, seconds, count=1, skip=0):
        self._rule(verb, "delay", seconds, count=count, skip=skip)

    def drop_at(self, verb, count=1, skip=0):
        """Close the connection instead of carrying the command out."""
        self._rule(verb, "drop", count=count, skip=skip)

    def drop_reply(self, verb, count=1, skip=0):
        """Carry the command out, then close the connection instead of answering."""
        self._rule(verb, "swallow", count=count, skip=skip)

    def gather(self, verb, n):
        """Carry the next n commands out only when all of them have come, on n connections."""
        self._rule(verb, "gather", threading.Barrier(n, timeout=5), count=n)

    def listen_before(self, verb, seconds):
        """Before the next command of this kind is carried out: does the client speak on its data
        connection, though no transfer has been answered?  The answers are in `heard`."""
        self._rule(verb, "listen", seconds)

    def mute(self, verb, count=1, skip=0):
        """Never answer, and keep the connection."""
        self._rule(verb, "mute", count=count, skip=skip)

    def cut_data(self, verb, after, reply="426 Connection closed; transfer aborted."):
        """Break the next data connection of `verb` after so many bytes; reply None: control too;
        reply "stall": stop there and say nothing more."""
        with self.lock:
            self.cuts.append((verb, after, reply))

    def no_epsv(self, text="500 EPSV not understood."):
        self.reply("EPSV", text, count=1 << 30)

    def stale_421(self, text="421 Timeout."):
        """What an idle time-out does: a 421 and a FIN on every open connection."""
        for session in self.alive():
            session.stale(text)

    def expire_data(self):
        """Forget every data connection that nobody has used yet."""
        for session in self.alive():
            session.expire_data()

    def take_rule(self, verb, full):
        """What the script says about this command, if anything."""
        with self.lock:
            for rule in self.rules:
                if rule.verb not in (verb, full, "*"):
                    continue
                if rule.skip > 0:
                    rule.skip -= 1
                    continue
                rule.count -= 1
                if rule.count <= 0:
                    self.rules.remove(rule)
                return rule
        return None

    def take_cut(self, verb):
        with self.lock:
            for cut in self.cuts:
                if cut[0] == verb:
                    self.cuts.remove(cut)
                    return cut
        return None

    # -- what happened ------------------------------------------------------------------------

    def record(self, session, flight, line):
        with self.changed:
            self.log.append((session, flight, line))
            self.changed.notify_all()

    def mark(self):
        """A point in the dialogue, for dialogue(since)."""
        with self.lock:
            return len(self.log)

    def lines(self, since=0):
        with self.lock:
            return [line.decode("utf-8", "surrogateescape") for _, _, line in self.log[since:]]

    def dialogue(self, since=0, until=None):
        """Flights, each a list of command lines, of all sessions in order of arrival."""
        flights, last = [], None
        with self.lock:
            for session, flight, line in self.log[since:until]:
                if (session, flight) != last:
                    flights.append([])
                last = (session, flight)
                flights[-1].append(line.decode("utf-8", "surrogateescape"))
        return flights

    def wait_for(self, condition, seconds=5.0):
        """Wait until condition(self) is true: what it was, or fail."""
        end = time.monotonic() + seconds
        with self.changed:
            while not condition(self):
                left = end - time.monotonic()
                assert left > 0, f"waited in vain; the dialogue: {self.dialogue()}"
                self.changed.wait(left)

    def catch_up(self, sent, seconds=0.5):
        """Wait until as many commands have arrived as the client has sent after its logins.  A
        connection that broke may have swallowed some."""
        end = time.monotonic() + seconds
        with self.changed:
            while self.after_login() < sent and time.monotonic() < end:
                self.changed.wait(0.05)

    def after_login(self):
        said = [line.split(b" ")[0] for _, _, line in self.log]
        login = sum(word in LOGIN for word in said)
        return len(said) - login - sum(s.logged_in for s in self.sessions)  # one PWD each

    def wait_command(self, verb, since=0, seconds=5.0):
        self.wait_for(lambda s: any(v.split(" ")[0] == verb for v in s.lines(since)), seconds)

    def logins(self):
        return sum(line.startswith("PASS ") for line in self.lines())

    def lost(self):
        """Sessions that were logged in and are gone."""
        with self.lock:
            return [s for s in self.sessions if s.logged_in and not s.open]

    def alive(self):
        with self.lock:
            return [s for s in self.sessions if s.open]

    def wait_alive(self, n, seconds=5.0):
        self.wait_for(lambda s: len(s.alive()) == n, seconds)


class Link(Session):
    """The wire under one Session: bytes to command lines, replies to bytes."""

    def __init__(self, server, sock, number):
        super().__init__(server)
        self.sock = sock
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self.open = True
        self.flight = 0
        self.buffer = b""
        self.lines = []        # of the flight that is being answered
        self.held = None       # replies that are kept back to be sent out of order
        self.swallowing = False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            if self.server.implicit:
                self.start_tls()
            if self.greet():
                while self.one_flight():
                    pass
        except (Gone, OSError, ssl.SSLError, threading.BrokenBarrierError):
            pass
        finally:
            self.close_data()
            self.sock.close()
            with self.server.changed:
                self.open = False
                self.server.changed.notify_all()

    def greet(self):
        if self.server.greeting is not None:
            self.sock.sendall(self.server.greeting)
            return False
        if self.over_limit() and self.server.persona.many.startswith("421"):
            self.say(self.server.persona.many)
            return False
        self.say(self.server.persona.greeting)
        return True

    def over_limit(self):
        return 0 < self.server.limit < len(self.server.alive())

    def one_flight(self):
        lines = self.lines = self.next_flight()
        if not lines:
            return False
        self.flight += 1
        for line in lines:
            self.server.record(self.number, self.flight, line)
        if not self.server.persona.reorders or len(lines) == 1:
            for line in lines:
                self.obey_line(line)
            return True
        self.held = []
        for line in lines:
            self.obey_line(line)
        held, self.held = self.held, None
        for text in reversed(held):
            self.say(text)
        return True

    def take_behind(self):
        """What was sent while a transfer ran, without waiting for its final reply, is of its flight."""
        if self.held is None and self.readable(0):
            self.buffer += self.sock.recv(1 << 16)
            behind = self.complete_lines()
            for line in behind:
                self.server.record(self.number, self.flight, line)
            self.lines += behind

    def next_flight(self):
        """Every line that comes before the peer goes quiet."""
        quiet = None
        while quiet is None or self.readable(QUIET):
            piece = self.sock.recv(1 << 16)
            if not piece:
                return self.complete_lines() if quiet else []
            self.buffer += piece
            if isinstance(self.sock, ssl.SSLSocket) and piece.count(b"\n") > 1:
                self.server.bursts.append(piece)
            quiet = b"\n" in self.buffer or None
        return self.complete_lines()

    def complete_lines(self):
        whole, end, self.buffer = self.buffer.rpartition(b"\n")
        return [line.removesuffix(b"\r") for line in whole.split(b"\n")] if end else []

    def readable(self, seconds):
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return True
        return bool(select.select([self.sock], [], [], seconds)[0])

    def obey_line(self, line):
        """Run one line; a server with a small buffer runs a long one in pieces."""
        size = self.server.persona.line_max
        while size and len(line) > size:
            self.obey_scripted(line[:size])
            line = line[size:]
        self.obey_scripted(line)

    def obey_scripted(self, line):
        verb, _, arg = line.partition(b" ")
        verb = verb.decode("latin-1").upper()
        full = verb + " " + arg.split(b" ")[0].decode("latin-1").upper()
        rule = self.server.take_rule(verb, full)
        what = rule.what if rule else None
        if what == "mute":
            return
        if what == "drop":
            raise Gone
        if what == "reply":
            if verb in ("RETR", "STOR", "APPE", "LIST", "MLSD"):
                self.forget_data()
            self.say(rule.arg)
            return
        if what == "delay":
            self.server.stopping.wait(rule.arg)
        if what == "gather":
            rule.arg.wait()
        if what == "listen":
            self.server.heard.append(self.is_spoken_to(rule.arg))
        self.swallowing = what == "swallow"
        self.obey(verb, arg)
        if self.swallowing:
            raise Gone

    def say(self, text):
        if self.swallowing and text[0] != "1":
            return
        if self.held is not None:
            self.held.append(text)
            return
        self.sock.sendall(text.encode("utf-8", "surrogateescape") + b"\r\n")

    def start_tls(self):
        assert not self.buffer
        self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)

    # -- from other threads ---------------------------------------------------------------------

    def stale(self, text):
        self.sock.sendall(text.encode() + b"\r\n")
        self.kick()

    def kick(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.expire_data()

    def reset(self):
        """Close with a RST, as a crashed NAT box does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.kick()
