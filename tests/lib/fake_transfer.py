"""fake_transfer - the commands of the fake server that need a data connection, and that connection."""

import select
import socket
import ssl
import struct
import time

from fake_tree import Refused, dos_line, facts, unix_line


UPLOADS = {"STOR", "APPE"}


class Gone(Exception):
    """This connection ends here."""


def text_of(path):
    return path.decode("utf-8", "surrogateescape")


class Transfers:
    """Mixed into Session, whose type, rest and cwd it uses."""

    def listen(self):
        self.close_data()
        self.passive = socket.create_server(("127.0.0.1", 0))
        self.passive.settimeout(self.server.patience)
        return self.passive.getsockname()[1]

    def do_epsv(self, arg):
        self.say(f"229 Entering Extended Passive Mode (|||{self.listen()}|)")

    def do_pasv(self, arg):
        port = self.listen()
        address = self.server.pasv_address or "127,0,0,1"
        self.say(f"227 Entering Passive Mode ({address},{port >> 8},{port & 255}).")
        if self.server.persona.mute_after_pasv:
            self.early = self.accept()

    def do_eprt(self, arg):
        _, _, host, port, _ = arg.decode().split("|")
        how = self.server.eprt or self.server.persona.eprt
        self.close_data()
        if how == "refuse":
            self.say("500 Illegal EPRT command.")
            return
        self.calling = (host, int(port))
        if how == "early":
            self.early = self.call()
        self.say("200 EPRT command successful.")

    def call(self):
        """Connect to where EPRT said."""
        at, self.calling = self.calling, None
        how = self.server.eprt or self.server.persona.eprt
        if how == "silent":
            self.server.stopping.wait()
            raise Gone
        if how == "425":
            return None
        if how in ("stranger", "strangers"):
            with socket.create_connection(at, source_address=("127.0.0.2", 0)) as stranger:
                stranger.sendall(b"evil")
        if how == "strangers":
            self.server.stopping.wait()
            raise Gone
        return socket.create_connection(at)

    def accept(self):
        try:
            return self.passive.accept()[0]
        except (OSError, AttributeError):
            return None

    def is_spoken_to(self, seconds):
        self.early = self.early or self.accept()
        return bool(self.early and select.select([self.early], [], [], seconds)[0])

    def expire_data(self):
        """Any thread: the passive socket and what waits on it are gone."""
        passive = self.passive
        self.passive = self.calling = None
        if passive:
            passive.close()

    forget_data = expire_data

    def close_data(self):
        self.expire_data()
        if self.early:
            self.early.close()
            self.early = None

    def do_rest(self, arg):
        self.rest = int(arg)
        self.say(f"350 Restart position accepted ({self.rest}).")

    def do_rang(self, arg):
        first, _, last = arg.partition(b" ")
        self.rest, self.range_end = int(first), int(last) + 1
        if self.range_end <= self.rest:
            self.rest, self.range_end = 0, None
        self.say("350 Restarting")

    def take_rest(self):
        at, self.rest = self.rest, 0
        return at

    def transfer(self, verb, path, opening, carry):
        """The one shape of every transfer: 150, data, final reply.  carry(sock) returns that."""
        data = self.early or (self.accept() if self.passive else None) or (
            self.call() if self.calling else None)
        self.early = None
        self.expire_data()
        if data is None:
            self.say("425 Use PORT or PASV first.")
            return
        try:
            self.say(opening)
            entry = {"verb": verb, "path": path, "tls": self.protected, "reused": None, "bytes": 0}
            self.transfers.append(entry)
            if self.protected:
                data = self.server.tls.wrap_socket(data, server_side=True,
                                                   suppress_ragged_eofs=False)
                entry["reused"] = data.session_reused
                if self.server.tls_reuse and not data.session_reused:
                    self.say("522 SSL connection failed: session reuse required")
                    return
            final = carry(data, entry)
        except (ssl.SSLError, ConnectionError) as error:
            final = self.on_broken_data(verb, error)
        finally:
            data.close()
        if final is None:
            raise Gone
        if verb in UPLOADS:
            self.take_behind()
        self.say(final)

    def on_broken_data(self, verb, error):
        persona = self.server.persona
        return (persona.cut or None) if verb in ("RETR", "LIST", "MLSD") else persona.aborted_says

    def send(self, verb, data, entry, content):
        """Send content, or what the script leaves of it; the final reply."""
        if self.protected and self.server.tls_goodbye:
            data.settimeout(2)
            entry["goodbye"] = data.recv(1) == b""
            data.settimeout(None)
        cut = self.server.take_cut(verb)
        if cut:
            content = content[:cut[1]]
        piece, pause = self.server.slow or (1 << 16, 0)
        for at in range(0, len(content), piece):
            data.sendall(content[at:at + piece])
            entry["bytes"] = min(at + piece, len(content))
            if pause:
                self.server.stopping.wait(pause)
        if cut:
            return self.broken(data, cut[2])
        self.end_data(data)
        return "226 Transfer complete."

    def broken(self, data, reply):
        if reply == "stall":
            self.server.stopping.wait()
            return None
        data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        data.close()
        return reply

    def end_data(self, data):
        if isinstance(data, ssl.SSLSocket):
            try:
                data.settimeout(5)
                data.unwrap()
            except (ssl.SSLError, OSError):
                pass

    # -- transfers ------------------------------------------------------------------------------

    def do_retr(self, arg):
        persona = self.server.persona
        at, end = self.take_rest(), self.range_end
        self.range_end = None
        try:
            with self.server.lock:
                content = bytes(self.server.tree.open_file(self.at(arg)).data)
        except Refused:
            if persona.refuse_closes_pasv:
                self.expire_data()
            raise
        if at > len(content) and persona.rest_beyond != 226:
            self.say(f"{persona.rest_beyond} Restart offset {at} is too large for a file of size "
                     f"{len(content)}.")
            return
        if self.type == "A":
            content = content.replace(b"\n", b"\r\n")
        self.transfer("RETR", self.at(arg),
                      f"150 Opening BINARY mode data connection ({len(content)} bytes).",
                      lambda data, entry: self.send("RETR", data, entry, content[at:end]))

    def do_stor(self, arg, append=False):
        persona = self.server.persona
        verb = "APPE" if append else "STOR"
        if persona.patch == "refuses" and self.rest and not append:
            self.say(f"451 {text_of(arg)}: Append/Restart not permitted, try again")
            return
        if persona.patch == "ignores" and not append:
            self.rest = 0
        try:
            with self.server.lock:
                node = self.server.tree.create_file(self.at(arg))
        except Refused:
            if persona.refuse_closes_pasv:
                self.expire_data()
            raise
        at = len(node.data) if append else self.take_rest()
        if at == 0 or (persona.patch == "truncates" and not append):
            del node.data[at:]
        self.transfer(verb, self.at(arg), "150 Ok to send data.",
                      lambda data, entry: self.receive(verb, data, entry, node, at, arg))

    def do_appe(self, arg):
        self.do_stor(arg, append=True)

    def receive(self, verb, data, entry, node, at, arg):
        server = self.server
        cut = server.take_cut(verb)
        while True:
            if cut and entry["bytes"] >= cut[1]:
                return self.broken(data, cut[2])
            piece = data.recv(1 << 16)
            if not piece:
                break
            with server.lock:
                if server.disk_left is not None:
                    piece = piece[:max(server.disk_left, 0)]
                    server.disk_left -= len(piece)
                node.data.extend(bytes(max(at - len(node.data), 0)))
                node.data[at:at + len(piece)] = piece
                node.mtime = time.time()
            at += len(piece)
            entry["bytes"] += len(piece)
            if server.disk_left is not None and server.disk_left <= 0:
                self.broken(data, None)
                return server.persona.words(verb, "ENOSPC", text_of(arg))
        self.end_data(data)
        return "226 Transfer complete."

    def do_list(self, arg):
        persona = self.server.persona
        flags, path = (arg.split(b" ", 1) + [b""])[:2] if arg.startswith(b"-") else (b"", arg)
        refused = flags and (persona.list_a == "no" or (persona.list_a == "bare" and path))
        if refused:
            self.say(f"550 {text_of(arg)}: No such file or directory.")
            return
        everything = not persona.hides_dots or (flags and persona.list_a == "yes")
        content = self.listing(self.at(path), everything, bool(flags) and persona.list_a == "yes")
        self.send_listing("LIST", content)

    def listing(self, path, everything, dots):
        """The lines of LIST; a missing directory looks empty on most servers."""
        persona, tree = self.server.persona, self.server.tree
        line = dos_line if persona.listing == "dos" else unix_line
        with self.server.lock:
            node = tree.get(path)
            if node is None and persona.list_missing == "refuse":
                raise Refused("ENOENT")
            found = node.children if node and node.kind == "dir" else {}
            named = sorted(found.items())
            if dots and node and persona.dot_entries:
                named = [(b".", node), (b"..", node)] + named
            out = [line(name, child, persona.zone) for name, child in named
                   if everything or not name.startswith(b".")]
        if persona.extra.get("total") and out:
            out.insert(0, b"total %d" % (4 * len(out)))
        return out

    def do_mlsd(self, arg):
        persona, tree = self.server.persona, self.server.tree
        with self.server.lock:
            node = tree.find(self.at(arg), True)
            if node.kind == "file" and persona.facts != "aio":
                raise Refused("ENOTDIR")
            if node.sealed:
                raise Refused("EACCES")
            lines = [facts(child, persona.facts).encode() + b" " + name
                     for name, child in sorted(node.children.items())]
            if persona.dot_entries:
                lines[:0] = [facts(node, persona.facts, kind).encode() + b" " + name
                             for kind, name in (("cdir", b"."), ("pdir", b".."))]
        self.send_listing("MLSD", lines)

    def send_listing(self, verb, lines):
        persona = self.server.persona
        cut = bool(persona.list_limit) and len(lines) > persona.list_limit
        content = b"".join(line + b"\r\n" for line in lines[:persona.list_limit or None])
        content = content if self.server.noise is None else self.server.noise

        def carry(data, entry):
            final = self.send(verb, data, entry, content)
            if not final or not final.startswith("226"):
                return final
            if cut:
                return f"226 Output truncated to {persona.list_limit} matches"
            return f"{persona.mlsd_final if verb == 'MLSD' else 226} Directory send OK."

        self.transfer(verb, self.cwd, "150 Here comes the directory listing.", carry)
