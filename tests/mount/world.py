"""world - the things a mount test is made of: servers, mounts, links; each cleans up after itself."""

import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import time

import pytest

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = REPO / os.environ.get("BUILD", "build")
FTPFS = os.environ.get("FTPFS", str(BUILD / "ftpfs"))
WANLINK = os.environ.get("WANLINK", str(BUILD / "wanlink"))
SERVERS = REPO / "tests" / "servers"
XDG = os.environ.get("XDG_CACHE_HOME")
CACHE = pathlib.Path(os.environ.get("SERVER_CACHE") or
                     (f"{XDG}/ftpfs-test-servers" if XDG else REPO / "build" / "servers"))
CERTIFICATE = CACHE / "cert.pem"

KINDS = ["vsftpd", "proftpd", "pure-ftpd", "pyftpdlib"]
OWNER = 12021  # of served files: nobody on this machine, and not root
USER, PASSWORD = "ftpuser", "secret"
# More mount options of the tests whose `place` it is: FTPFS_TEST_OPTIONS="write=back", say.
OPTIONS = {name: value if is_given else None for name, is_given, value in
           (word.partition("=") for word in os.environ.get("FTPFS_TEST_OPTIONS", "").split())}
SLOW = float(os.environ.get("FTPFS_TEST_SLOW", "1"))  # how much slower a sanitized build may be

# What ftpfs ends with.
OK, USAGE, NO_HOST, NO_CONNECT, NO_TLS, REFUSED, NO_DIR, NOT_FTP, MOUNTPOINT, TOO_MANY = range(10)


def what_is_missing():
    """Why nothing can be mounted here, or None."""
    if os.geteuid() != 0:
        return "needs root: the servers run as somebody else"
    if not os.path.exists("/dev/fuse"):
        return "needs /dev/fuse"
    if not os.access(FTPFS, os.X_OK):
        return f"{FTPFS} is not built"
    return None


def run(*argv, timeout=60, check=True, **how):
    """subprocess.run, with a time limit, no stdin, and stderr in the message when it fails."""
    done = subprocess.run([str(a) for a in argv], timeout=timeout * SLOW, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds * SLOW
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def content_of(size, seed=11):
    return random.Random(seed).randbytes(size)


def free_port():
    """Below those that the kernel hands out: while a server is down, a connection or another server must not
    get its port by chance."""
    while True:
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", random.randrange(10000, 32000)))
            return s.getsockname()[1]


# Starts and kills a server when told to.  A process of its own because this one may have files of the
# mount open: a fork would inherit them, its close(2) would flush them, and that waits for the server.
LAUNCHER = """
while read -r word; do
    case $word in
        start)
            setsid "$@" < /dev/null >> "$LOG" 2>&1 &
            echo $!
            ;;
        kill)
            kill -9 -- -$!
            wait
            echo gone
            ;;
    esac
done
kill -9 -- -$!
"""


class Server:
    """One FTP server of tests/servers on a directory of its own, `root`."""

    def __init__(self, kind, mode, scratch, *, root=None, extra="", address="127.0.0.1", netns=None):
        self.kind, self.mode = kind, mode
        self.address, self.netns = address, netns
        self.port = free_port()
        self.run_dir = scratch / "run"
        self.root = root or scratch / "served"
        self.log = scratch / "server.log"
        self.run_dir.mkdir()
        self.root.mkdir(exist_ok=True)
        scratch.chmod(0o755)
        os.chown(self.root, OWNER, OWNER)
        self.pid = None
        argv = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
        argv += [str(SERVERS / f"{kind}.sh"), str(self.root), str(self.port), mode]
        environment = {**os.environ, "RUN": str(self.run_dir), "EXTRA": extra, "ADDRESS": address,
                       "SERVER_CACHE": str(CACHE), "LOG": str(self.log)}
        self.launcher = subprocess.Popen(["bash", "-c", LAUNCHER, kind, *argv], env=environment,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def _tell(self, word):
        self.launcher.stdin.write(word + "\n")
        self.launcher.stdin.flush()
        return self.launcher.stdout.readline().strip()

    def start(self):
        self.pid = int(self._tell("start"))
        wait_until(self._answers, 90, f"{self.kind} to answer; {self.log} says why it does not")

    def _answers(self):
        assert alive(self.pid), f"{self.kind} ended: {self.log.read_text()}"
        try:
            with socket.create_connection((self.address, self.port), 2) as s:
                return self.mode == "implicit" or s.recv(4).startswith(b"220")
        except OSError:
            return False

    def kill(self):
        """At once, sessions and all, as a power cut would."""
        if self.pid:
            self._tell("kill")
            self.pid = None
            wait_until(self._is_silent, 20, f"{self.kind} to be gone")

    def close(self):
        self.kill()
        self.launcher.stdin.close()
        self.launcher.wait(20)
        self.launcher.stdout.close()

    def _is_silent(self):
        try:
            socket.create_connection((self.address, self.port), 2).close()
            return False
        except OSError:
            return True

    def restart(self):
        self.kill()
        self.start()

    def connections(self):
        """Control connections that are established now, seen from the server's end."""
        here = f":{self.port:04X}"
        table = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
        rows = [line.split() for line in table]
        return {row[2] for row in rows if row[1].endswith(here) and row[3] == "01"}

    def url(self, path="/"):
        return f"ftp://{self.address}:{self.port}{path}"

    def put(self, path, content=b"", mode=0o644, mtime=None):
        """A file in the served directory, behind the mount's back."""
        target = self.root / path
        for parent in reversed([target, *target.parents]):
            if self.root in parent.parents and parent != target and not parent.exists():
                parent.mkdir()
                os.chown(parent, OWNER, OWNER)
        target.write_bytes(content)
        os.chown(target, OWNER, OWNER)
        target.chmod(mode)
        if mtime:
            os.utime(target, (mtime, mtime))
        return target

    def make_dir(self, path):
        target = self.root / path
        target.mkdir(parents=True, exist_ok=True)
        os.chown(target, OWNER, OWNER)
        return target


def invocation(url, at, password, options):
    """The command line and the environment of ftpfs."""
    words = [key if value is None else f"{key}={value}" for key, value in options.items()]
    environment = {k: v for k, v in os.environ.items() if k != "FTPFS_PASSWORD"}
    if password is not None:
        environment["FTPFS_PASSWORD"] = password
    arguments = ["-o", ",".join(words)] if words else []
    return [FTPFS, *arguments, url, str(at)], environment


def ftpfs(url, at, *, password=PASSWORD, **options):
    """Runs ftpfs; options are those of -o, with '_' as they are and None for one without a value."""
    argv, environment = invocation(url, at, password, options)
    return run(*argv, env=environment, check=False)


def sync(mount, check=True):
    return run(FTPFS, "--sync", mount.path, check=check)


class Mount:
    """A mounted directory; `path` is where, `pid` who; what it logs goes to the file `said`, if any."""

    def __init__(self, server, at, cache, *, path="/", username=USER, password=PASSWORD, said=None,
                 **options):
        self.path, self.said, self.process = at, said, None
        self.write = options.get("write", "through")
        self.path.mkdir(exist_ok=True)
        options.setdefault("cache_dir", cache)
        if username:
            options["username"] = username
        if server.mode.startswith("tls"):
            options.setdefault("tls", "require")
            options.setdefault("cacert", CERTIFICATE)
        if said:
            self._stay(*invocation(server.url(path), at, password, options))
            return
        done = ftpfs(server.url(path), at, password=password, **options)
        assert done.returncode == 0, f"ftpfs ended with {done.returncode}: {done.stderr}"
        assert os.path.ismount(at), "ftpfs ended with 0 and nothing is mounted"
        self.pid = next(daemons(at), None)

    def _stay(self, argv, environment):
        with self.said.open("w") as log:
            self.process = subprocess.Popen([argv[0], "-f", *argv[1:]], env=environment, stderr=log,
                                            stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        wait_until(lambda: os.path.ismount(self.path), 30, "the mount")

    def unmount(self):
        if os.path.ismount(self.path):
            run("fusermount3", "-u", self.path, timeout=60)
        if self.pid:
            wait_until(lambda: not alive(self.pid), 60,
                       "ftpfs to end after it was unmounted")

    def discard(self):
        """Whatever happened, leave nothing behind."""
        done = subprocess.run(["fusermount3", "-u", str(self.path)], stderr=subprocess.DEVNULL,
                              timeout=60, check=False)
        if done.returncode != 0 and str(self.path) in pathlib.Path("/proc/mounts").read_text():
            subprocess.run(["fusermount3", "-uz", str(self.path)], timeout=20, check=False)
        end = time.monotonic() + 15 * SLOW
        while self.pid and alive(self.pid):
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                break
            time.sleep(0.02)
        if self.process:
            self.process.wait(20)


def alive(pid):
    """A zombie, which some inits take their time to bury, is not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def contained(pid):
    """All processes below pid."""
    children = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, queue = [], list(children.get(pid, []))
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found


def daemons(at):
    """Processes that run our ftpfs for this mount point."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                argv = (entry / "cmdline").read_bytes().split(b"\0")
                if argv[0] == FTPFS.encode() and str(at).encode() in argv:
                    yield int(entry.name)


class Wan:
    """A network namespace behind a link that can be slow, lossy, or cut.

    `congestion` is the far end's TCP congestion control, None for the system's own: under loss it
    decides more than the link does, BBR hardly minds what halves the rate of Reno.
    """

    CONTROL = "net.ipv4.tcp_congestion_control"

    def __init__(self, subnet=0, *, congestion=None, **settings):
        self.address = f"10.78.{subnet}.2"
        self.netns = f"ftpfs{os.getpid()}"
        name = f"wan{os.getpid() % 100000}"
        run("ip", "netns", "add", self.netns)
        words = [f"{key}={value}" for key, value in settings.items()]
        self.process = None
        try:
            self.process = subprocess.Popen(
                [WANLINK, "-", f"10.78.{subnet}.1/24", self.netns, f"{self.address}/24",
                 f"name={name}", *words], start_new_session=True,  # a Ctrl-C is not for the link
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            assert self.process.stdout.readline() == "up\n"
            if congestion:
                self._far("sysctl", "-qw", f"{self.CONTROL}={congestion}")
            self.congestion = self._far("sysctl", "-n", self.CONTROL).strip()
        except BaseException:
            self.close()
            raise

    def _far(self, *argv):
        return run("ip", "netns", "exec", self.netns, *argv).stdout

    def cut(self):
        self.process.send_signal(signal.SIGUSR1)

    def mend(self):
        self.process.send_signal(signal.SIGUSR2)

    def close(self):
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process.stdout.close()
        run("ip", "netns", "del", self.netns)


def same_tree(a, b):
    """Names, types and bytes below a and b agree; no output of diff means yes."""
    done = run("diff", "-r", "--no-dereference", a, b, check=False)
    return done.stdout + done.stderr


def in_modes(*which):
    """Parametrises `server` and `write`, by "kind:write".  Where FTPFS_TEST_SERVERS or the write= of
    FTPFS_TEST_OPTIONS is given, that is used instead."""
    pairs = [tuple(word.split(":")) for word in which]
    servers = os.environ.get("FTPFS_TEST_SERVERS", "").split()
    if servers:
        pairs = [(server, write) for server in servers for write in ("through", "back")]
    if "write" in OPTIONS:
        pairs = [(server, OPTIONS["write"]) for server in dict.fromkeys(p[0] for p in pairs)]
    return pytest.mark.parametrize("server, write", pairs, indirect=True)


def every_server(*modes, kinds=KINDS):
    """Parametrises `server`; FTPFS_TEST_SERVERS="netkit vsftpd:tls", say, chooses others."""
    names = os.environ.get("FTPFS_TEST_SERVERS", "").split()
    names = names or [f"{kind}:{mode}" for kind in kinds for mode in modes or ["plain"]]
    return pytest.mark.parametrize("server", names, indirect=True)
