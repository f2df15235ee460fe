"""Fixtures of the mount tests: a real kernel, real servers, and nothing left behind."""

import functools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

import world


def pytest_sessionstart():
    """A time limit's SIGTERM is a Ctrl-C: servers and mounts are cleaned up after."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    missing = world.what_is_missing()
    if missing:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=missing))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Under CI=true nothing may be left out; teardown learns whether the test failed."""
    report = (yield).get_result()
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    item.failed = getattr(item, "failed", False) or report.failed


@pytest.fixture(scope="session")
def top():
    """A scratch directory that servers running as somebody else can reach into."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="ftpfs-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Factory:
    """Makes things in scratch directories and undoes them in reverse order."""

    def __init__(self, top, prefix):
        self.top, self.prefix = top, prefix
        self.made = []
        self.logs = []

    def scratch(self):
        path = self.top / f"{self.prefix}{len(list(self.top.iterdir()))}"
        path.mkdir()
        return path

    def cache(self):
        """A cache_dir that is not there yet: ftpfs makes it, for itself alone."""
        return self.scratch() / "cache"

    def server(self, kind="vsftpd", mode="plain", **how):
        server = world.Server(kind, mode, self.scratch(), **how)
        self.made.append(server.close)
        self.logs.append(server.log)
        return server

    def mount(self, server, **options):
        at = self.scratch()
        mount = world.Mount(server, at / "mnt", at / "cache", **options)
        self.made.append(mount.discard)
        return mount

    def wan(self, **settings):
        wan = world.Wan(**settings)
        self.made.append(wan.close)
        return wan

    def undo(self):
        while self.made:
            self.made.pop()()


@pytest.fixture(scope="session")
def lasting(top):
    """Servers that many tests share, each in a directory of its own."""
    factory = Factory(top, "s")
    factory.running = {}
    yield factory
    factory.undo()


@pytest.fixture
def make(top, request):
    """make.server(...), make.mount(...), make.wan(...): for one test."""
    factory = Factory(top, "t")
    yield factory
    factory.undo()
    if getattr(request.node, "failed", False):
        for log in factory.logs:
            print(f"--- {log}\n{log.read_text(errors='replace')[-4000:]}")


@pytest.fixture
def account(make):
    """account(server, work, **options): mounts, calls work(path), unmounts: the mount's counters."""
    running = []

    def mounted(server, work, **options):
        at = make.scratch() / "mnt"
        at.mkdir()
        if server.mode != "plain":
            options.update(tls="require", cacert=world.CERTIFICATE)
        options.update(username=world.USER, cache_dir=make.cache(), log="info")
        process = subprocess.Popen(
            [world.FTPFS, "-f", "-o", ",".join(f"{k}={v}" for k, v in options.items()),
             server.url(), str(at)],
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            env={**os.environ, "FTPFS_PASSWORD": world.PASSWORD})
        running.append((process, at))
        world.wait_until(lambda: os.path.ismount(at), 30, "the mount")
        work(at)
        world.run("fusermount3", "-u", at)
        lines = process.communicate(timeout=60 * world.SLOW)[1].splitlines()
        return dict(line.removeprefix("ftpfs: ").rsplit(" ", 1) for line in lines if " " in line)

    yield mounted
    for process, at in running:
        if process.poll() is None:
            subprocess.run(["fusermount3", "-uz", str(at)], stderr=subprocess.DEVNULL, check=False)
            process.kill()
            process.communicate()


@pytest.fixture
def small_disk(make):
    """A directory with room for 4 MB."""
    path = make.scratch() / "disk"
    path.mkdir()
    world.run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", path)
    yield path
    world.run("umount", "-l", path)


@pytest.fixture
def server(request, lasting):
    """A running server of request.param ("kind" or "kind:mode"), default vsftpd."""
    kind, _, mode = getattr(request, "param", "vsftpd").partition(":")
    mode = mode or "plain"
    if (kind, mode) not in lasting.running:
        lasting.running[kind, mode] = lasting.server(kind, mode)
    return lasting.running[kind, mode]


class Place:
    """A fresh directory: `here` in the mount, `there` on the server's own disk.

    Mounted when `here` is first asked for: what a test puts there before that is seen at once, not
    when a listing grows old."""

    def __init__(self, server, there, mount, write=None):
        self.server, self.write = server, write
        self._there, self._mount = there, mount

    @property
    def there(self):
        """With write=back the server's disk is worth a look when everything has been sent."""
        if self.write == "back" and "mount" in vars(self):
            world.run(world.FTPFS, "--sync", self.mount.path)
        return self._there

    @functools.cached_property
    def mount(self):
        return self._mount()

    @functools.cached_property
    def here(self):
        return self.mount.path

    def put(self, name, *rest, **how):
        return self.server.put(self.there.relative_to(self.server.root) / name, *rest, **how)


@pytest.fixture
def write(request):
    """The write= of `place`."""
    return getattr(request, "param", world.OPTIONS.get("write", "through"))


@pytest.fixture
def place(server, make, write):
    name = f"d{len(list(server.root.iterdir()))}"
    options = {**world.OPTIONS, "write": write}
    return Place(server, server.make_dir(name),
                 lambda: make.mount(server, path=f"/{name}", **options), write)


@pytest.fixture
def quick_place(server, lasting):
    """As `place`, on a mount that lives on from test to test; the directory was made through it."""
    mount = lasting.running.get(server)
    if mount is None or not os.path.ismount(mount.path):
        mount = lasting.running[server] = lasting.mount(server)
    name = f"q{len(list(server.root.iterdir()))}"
    (mount.path / name).mkdir()
    place = Place(server, server.root / name, lambda: mount)
    place.here = mount.path / name
    return place
