"""fake_session - what each FTP command does on one connection of the fake server.

Knows nothing of bytes on the control connection: say(), take_behind() and start_tls() are the subclass's."""

import calendar
import contextlib
import hashlib
import time
import zlib

from fake_transfer import Gone, Transfers, text_of
from fake_tree import Refused, facts, fold, stamp

BEFORE_LOGIN = {"USER", "PASS", "ACCT", "AUTH", "PBSZ", "PROT", "QUIT", "FEAT", "SYST", "NOOP"}

HASHES = {
    "CRC32": lambda data: f"{zlib.crc32(data):08x}",
    "MD5": lambda data: hashlib.md5(data).hexdigest(),
    "SHA-1": lambda data: hashlib.sha1(data).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "SHA-512": lambda data: hashlib.sha512(data).hexdigest(),
}


def seconds_of(digits):
    return calendar.timegm(time.strptime(digits.decode(), "%Y%m%d%H%M%S"))


# These take the server's lock only while they look at the tree: they wait for the peer.
TRANSFERS = {"RETR", "STOR", "APPE", "LIST", "MLSD", "PASV", "EPRT", "AUTH", "PASS"}


class Session(Transfers):
    def __init__(self, server):
        self.server = server
        self.user = None
        self.logged_in = False
        self.cwd = server.persona.home
        self.type = "A"
        self.rest = 0
        self.range_end = None
        self.protected = False
        self.passive = None       # listening socket of the data connection
        self.early = None         # a data connection accepted before its transfer (Twisted)
        self.calling = None       # where to connect to: what EPRT said
        self.hash = "SHA-1"       # what HASH computes
        self.moving = None        # source of RNFR
        self.copying = None
        self.transfers = []       # dicts: verb, path, tls, reused, bytes

    # -- one command ----------------------------------------------------------------------------

    def obey(self, verb, arg):
        persona = self.server.persona
        if persona.rest_forgets and verb not in ("REST", "RETR", "STOR", "APPE"):
            self.rest = 0
        if verb != "RNTO":
            moving, self.moving = self.moving, None
        else:
            moving = self.moving
        handler = getattr(self, "do_" + verb.lower(), None) if verb.isalnum() else None
        if handler is None or verb in persona.missing:
            self.say("502 Command not implemented.")
        elif not self.logged_in and verb not in BEFORE_LOGIN:
            self.say("530 Please login with USER and PASS.")
        else:
            try:
                with contextlib.nullcontext() if verb in TRANSFERS else self.server.lock:
                    self.moving = moving if verb == "RNTO" else self.moving
                    handler(arg)
            except Refused as refused:
                self.refuse(verb, refused.error, arg)

    def refuse(self, verb, error, path):
        self.say(self.server.persona.words(verb, error, text_of(path)))

    def at(self, arg):
        """The absolute path that an argument means."""
        return fold(arg if arg.startswith(b"/") else self.cwd + b"/" + arg)

    # -- login ------------------------------------------------------------------------------------

    def do_user(self, arg):
        self.user = text_of(arg)
        self.say("331 Please specify the password.")

    def do_pass(self, arg):
        server = self.server
        if self.over_limit():
            self.say(server.persona.many)
            raise Gone
        known = server.users.get(self.user) == text_of(arg)
        if not known and not (server.anonymous and self.user == "anonymous"):
            self.say("530 Login incorrect.")
        elif server.account is not None:
            self.say("332 Need account for login.")
        else:
            self.enter()

    def do_acct(self, arg):
        if text_of(arg) == self.server.account:
            self.enter()
        else:
            self.say("530 Login incorrect.")

    def enter(self):
        self.logged_in = True
        self.say("230 Login successful.")

    def do_auth(self, arg):
        if self.server.tls is None:
            self.say("502 Command not implemented.")
            return
        self.say("234 Proceed with negotiation.")
        self.start_tls()

    def do_pbsz(self, arg):
        self.say("200 PBSZ=0")

    def do_prot(self, arg):
        self.protected = arg.upper() == b"P"
        self.say("200 Protection set.")

    def do_quit(self, arg):
        self.say("221 Goodbye.")
        raise Gone

    def do_feat(self, arg):
        lines = "".join(f" {f}\r\n" for f in self.server.persona.features)
        self.say("211-Features:\r\n" + lines + "211 End")

    def do_syst(self, arg):
        self.say("215 " + self.server.persona.syst)

    def do_opts(self, arg):
        what, _, value = arg.partition(b" ")
        if what.upper() == b"HASH" and text_of(value).upper() not in HASHES:
            self.say("501 Unsupported algorithm")
            return
        if what.upper() == b"HASH":
            self.hash = text_of(value).upper()
        self.say("200 OPTS accepted.")

    def do_noop(self, arg):
        self.say("200 NOOP ok.")

    def do_allo(self, arg):
        self.say("202 No storage allocation necessary.")

    def do_type(self, arg):
        self.type = text_of(arg[:1]).upper()
        self.say(f"200 Type set to {self.type}.")

    # -- directories and names ------------------------------------------------------------------

    def do_pwd(self, arg):
        self.say('257 "' + text_of(self.cwd).replace('"', '""') + '" is the current directory')

    def do_cwd(self, arg):
        self.server.tree.enter(self.at(arg))
        self.cwd = self.at(arg)
        self.say("250 Directory successfully changed.")

    def do_cdup(self, arg):
        self.do_cwd(b"..")

    def do_mkd(self, arg):
        persona, tree = self.server.persona, self.server.tree
        there = tree.get(self.at(arg))
        if not (persona.mkd_says_yes and there and there.kind == "dir"):
            tree.mkdir(self.at(arg))
        self.say(f'257 "{text_of(self.at(arg))}" created')

    def do_rmd(self, arg):
        self.server.tree.rmdir(self.at(arg))
        self.say("250 Remove directory operation successful.")

    def do_dele(self, arg):
        tree = self.server.tree
        node = tree.find(self.at(arg))
        if self.server.persona.dele_takes_dirs and node.kind == "dir":
            tree.rmdir(self.at(arg))
        else:
            tree.remove(self.at(arg))
        self.say("250 Delete operation successful.")

    def do_rnfr(self, arg):
        if not self.server.persona.rnfr_blind:
            self.server.tree.find(self.at(arg))
        self.moving = self.at(arg)
        self.say("350 Ready for RNTO.")

    def do_rnto(self, arg):
        moving, self.moving = self.moving, None
        if moving is None:
            self.say("503 RNFR required first.")
            return
        if not self.server.persona.rename_over and self.server.tree.get(self.at(arg)):
            raise Refused("EEXIST")
        self.server.tree.rename(moving, self.at(arg))
        self.say("250 Rename successful.")

    # -- what is known of one name --------------------------------------------------------------

    def do_size(self, arg):
        node = self.server.tree.open_file(self.at(arg))
        if self.type == "A":
            self.say("550 SIZE not allowed in ASCII mode.")
        else:
            self.say(f"213 {node.size}")

    def do_mdtm(self, arg):
        first, _, rest = arg.partition(b" ")
        if self.server.persona.extra.get("mdtm_sets") and first.isdigit() and rest:
            self.server.tree.find(self.at(rest), True).mtime = seconds_of(first)
            self.say("213 File modification time set.")
            return
        self.say("213 " + stamp(self.server.tree.open_file(self.at(arg)).mtime))

    def do_mfmt(self, arg):
        when, _, path = arg.partition(b" ")
        node = self.server.tree.find(self.at(path), True)
        if node.kind == "dir" and self.server.persona.facts == "py":
            self.say("550 Not retrievable.")
            return
        node.mtime = seconds_of(when)
        self.say(f"213 Modify={text_of(when)}; {text_of(path)}")

    def do_mlst(self, arg):
        persona = self.server.persona
        node = self.server.tree.find(self.at(arg), persona.facts == "py")
        kind = None
        if persona.facts == "pro" and node.kind == "link":
            kind = self.server.tree.find(self.at(arg), True).kind
        shown = self.at(arg) if persona.facts in ("pro", "py") else arg
        line = facts(node, persona.facts, kind)
        self.say(f"250-Start of list for {text_of(arg)}\r\n {line} {text_of(shown)}\r\n"
                 "250 End of list")

    # -- hashes, as ProFTPD's mod_digest tells them --------------------------------------------------

    def has(self, feature):
        return any(f.split(" ")[0] == feature for f in self.server.persona.features)

    def digest(self, name, path):
        node = self.server.tree.open_file(self.at(path))
        return HASHES[name](bytes(node.data)), node.size

    def do_hash(self, arg):
        if not self.has("HASH"):
            self.say("502 Command not implemented.")
            return
        digest, size = self.digest(self.hash, arg)
        self.say(f"213-Computing {self.hash} digest\r\n"
                 f"213 {self.hash} 0-{size} {digest} {text_of(arg)}")

    def do_md5(self, arg):
        if not self.has("MD5"):
            self.say("502 Command not implemented.")
            return
        self.say(f"251 {text_of(arg)} {self.digest('MD5', arg)[0].upper()}")

    def tell_x(self, verb, name, arg):
        """One argument, in quotes or without a space."""
        quoted = arg.startswith(b'"') and arg.endswith(b'"') and len(arg) > 1
        if not self.has(verb):
            self.say("502 Command not implemented.")
        elif not quoted and b" " in arg:
            self.say("501 Invalid number of parameters")
        else:
            digest, _ = self.digest(name, arg[1:-1] if quoted else arg)
            self.say(f"250-Computing digest\r\n250 {digest.upper()}")

    def do_xcrc(self, arg):
        self.tell_x("XCRC", "CRC32", arg)

    def do_xmd5(self, arg):
        self.tell_x("XMD5", "MD5", arg)

    def do_xsha1(self, arg):
        self.tell_x("XSHA1", "SHA-1", arg)

    def do_xsha256(self, arg):
        self.tell_x("XSHA256", "SHA-256", arg)

    def do_xsha512(self, arg):
        self.tell_x("XSHA512", "SHA-512", arg)

    def do_site(self, arg):
        word, _, rest = arg.partition(b" ")
        what = word.decode("latin-1").lower()
        has = self.server.persona.extra
        needs = {"cpfr": "pair", "cpto": "pair"}.get(what, what)
        handler = getattr(self, "site_" + what, None)
        if handler is None or not has.get(needs):
            self.say("500 Unknown SITE command.")
        else:
            handler(rest)

    def site_chmod(self, arg):
        mode, _, path = arg.partition(b" ")
        self.server.tree.find(self.at(path), True).mode = int(mode, 8)
        self.say("200 SITE CHMOD command ok.")

    def site_utime(self, arg):
        first, _, path = arg.partition(b" ")
        if not first.isdigit():
            path, when = arg.rsplit(b" ", 4)[0], arg.rsplit(b" ", 4)[2]
        else:
            when = first.ljust(14, b"0")
        self.server.tree.find(self.at(path), True).mtime = seconds_of(when)
        self.say("200 SITE UTIME command successful")

    def site_symlink(self, arg):
        target, _, path = arg.rpartition(b" ")
        parent, name = self.server.tree.parent(self.at(path))
        if name in parent.children:
            raise Refused("EEXIST")
        self.server.tree.put_link(self.at(path), target)
        self.say("200 SITE SYMLINK command successful")

    def site_cpfr(self, arg):
        self.server.tree.open_file(self.at(arg))
        self.copying = self.at(arg)
        self.say("350 File or directory exists, ready for destination name")

    def site_cpto(self, arg):
        copying, self.copying = self.copying, None
        if copying is None:
            self.say("503 Bad sequence of commands")
            return
        self.copy(copying, self.at(arg))
        self.say("250 Copy successful")

    def site_copy(self, arg):
        words = arg.split()
        if len(words) != 2:
            self.say("500 'SITE COPY' not understood")
            return
        self.copy(*map(self.at, words))
        self.say("200 SITE COPY command successful")

    def copy(self, source, target):
        self.server.tree.create_file(target).data = bytearray(self.server.tree.open_file(source).data)

    def do_avbl(self, arg):
        if "avbl" in self.server.persona.extra:
            self.say(f"213 {self.server.persona.extra['avbl']}")
        else:
            self.say("500 AVBL not understood")
