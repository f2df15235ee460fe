"""Each operation's errno is that of the same operation on a local disk."""

import contextlib
import errno
import os

import pytest

from world import every_server



@contextlib.contextmanager
def closing(fd):
    try:
        yield fd
    finally:
        os.close(fd)


def opened(path, flags):
    with closing(os.open(path, flags, 0o644)):
        pass


def read_one(path):
    with closing(os.open(path, os.O_RDONLY)) as fd:
        os.read(fd, 1)


def prepare(at):
    """What every case finds: a file, an empty directory, a full one."""
    (at / "file").write_text("file")
    (at / "other").write_text("other")
    for name in ("empty", "empty2", "full", "full2"):
        (at / name).mkdir()
    (at / "full" / "x").write_text("x")
    (at / "full2" / "x").write_text("x")


NAME_256 = "n" * 256
CASES = {
    "stat of a missing file": lambda d: os.stat(f"{d}/nope"),
    "stat below a file": lambda d: os.stat(f"{d}/file/x"),
    "stat in a missing directory": lambda d: os.stat(f"{d}/nope/x"),
    "stat of a name too long": lambda d: os.stat(f"{d}/{NAME_256}"),
    "stat of a file with a slash": lambda d: os.stat(f"{d}/file/"),
    "open of a missing file": lambda d: opened(f"{d}/nope", os.O_RDONLY),
    "open for writing of a missing file": lambda d: opened(f"{d}/nope", os.O_WRONLY),
    "open of a directory for writing": lambda d: opened(f"{d}/empty", os.O_WRONLY),
    "open below a file": lambda d: opened(f"{d}/file/x", os.O_RDONLY),
    "open of a file as a directory": lambda d: opened(f"{d}/file", os.O_RDONLY | os.O_DIRECTORY),
    "read of a directory": lambda d: read_one(f"{d}/empty"),
    "create exclusively what exists": lambda d: opened(f"{d}/file",
                                                       os.O_CREAT | os.O_EXCL | os.O_WRONLY),
    "create exclusively over a directory": lambda d: opened(f"{d}/empty",
                                                            os.O_CREAT | os.O_EXCL | os.O_WRONLY),
    "create over a directory": lambda d: opened(f"{d}/empty", os.O_CREAT | os.O_WRONLY),
    "create in a missing directory": lambda d: opened(f"{d}/nope/x", os.O_CREAT | os.O_WRONLY),
    "create below a file": lambda d: opened(f"{d}/file/x", os.O_CREAT | os.O_WRONLY),
    "create a name too long": lambda d: opened(f"{d}/{NAME_256}", os.O_CREAT | os.O_WRONLY),
    "create exclusively": lambda d: opened(f"{d}/new", os.O_CREAT | os.O_EXCL | os.O_WRONLY),
    "open what exists with O_CREAT": lambda d: opened(f"{d}/file", os.O_CREAT | os.O_RDWR),
    "mkdir": lambda d: os.mkdir(f"{d}/new"),
    "mkdir of a directory": lambda d: os.mkdir(f"{d}/empty"),
    "mkdir of a file": lambda d: os.mkdir(f"{d}/file"),
    "mkdir in a missing directory": lambda d: os.mkdir(f"{d}/nope/x"),
    "mkdir below a file": lambda d: os.mkdir(f"{d}/file/x"),
    "mkdir of a name too long": lambda d: os.mkdir(f"{d}/{NAME_256}"),
    "rmdir": lambda d: os.rmdir(f"{d}/empty"),
    "rmdir of a full directory": lambda d: os.rmdir(f"{d}/full"),
    "rmdir of a file": lambda d: os.rmdir(f"{d}/file"),
    "rmdir of nothing": lambda d: os.rmdir(f"{d}/nope"),
    "rmdir below a file": lambda d: os.rmdir(f"{d}/file/x"),
    "unlink": lambda d: os.unlink(f"{d}/file"),
    "unlink of an empty directory": lambda d: os.unlink(f"{d}/empty"),
    "unlink of a full directory": lambda d: os.unlink(f"{d}/full"),
    "unlink of nothing": lambda d: os.unlink(f"{d}/nope"),
    "unlink below a file": lambda d: os.unlink(f"{d}/file/x"),
    "rename to a new name": lambda d: os.rename(f"{d}/file", f"{d}/new"),
    "rename over a file": lambda d: os.rename(f"{d}/file", f"{d}/other"),
    "rename to itself": lambda d: os.rename(f"{d}/file", f"{d}/file"),
    "rename of nothing": lambda d: os.rename(f"{d}/nope", f"{d}/new"),
    "rename into a missing directory": lambda d: os.rename(f"{d}/file", f"{d}/nope/x"),
    "rename below a file": lambda d: os.rename(f"{d}/file", f"{d}/other/x"),
    "rename from below a file": lambda d: os.rename(f"{d}/file/x", f"{d}/new"),
    "rename of a directory over a file": lambda d: os.rename(f"{d}/empty", f"{d}/file"),
    "rename of a file over a directory": lambda d: os.rename(f"{d}/file", f"{d}/empty"),
    "rename over an empty directory": lambda d: os.rename(f"{d}/full", f"{d}/empty"),
    "rename over a full directory": lambda d: os.rename(f"{d}/empty", f"{d}/full"),
    "rename of full over full": lambda d: os.rename(f"{d}/full", f"{d}/full2"),
    "rename into itself": lambda d: os.rename(f"{d}/full", f"{d}/full/in"),
    "rename to a name too long": lambda d: os.rename(f"{d}/file", f"{d}/{NAME_256}"),
    "rename into another directory": lambda d: os.rename(f"{d}/file", f"{d}/empty/file"),
    "readlink of a file": lambda d: os.readlink(f"{d}/file"),
    "readlink of a directory": lambda d: os.readlink(f"{d}/empty"),
    "readlink of nothing": lambda d: os.readlink(f"{d}/nope"),
    "listdir of a file": lambda d: os.listdir(f"{d}/file"),
    "listdir of nothing": lambda d: os.listdir(f"{d}/nope"),
    "truncate of a directory": lambda d: os.truncate(f"{d}/empty", 0),
    "truncate of nothing": lambda d: os.truncate(f"{d}/nope", 0),
    "truncate to a negative size": lambda d: os.truncate(f"{d}/file", -1),
    "truncate": lambda d: os.truncate(f"{d}/file", 2),
    "chdir to a file": lambda d: os.chdir(f"{d}/file"),
    "utime of nothing": lambda d: os.utime(f"{d}/nope", (1, 1)),
    "utime": lambda d: os.utime(f"{d}/file", (1500000000, 1500000000)),
    "chmod of nothing": lambda d: os.chmod(f"{d}/nope", 0o644),
    "write to what is open for reading": lambda d: write_wrongly(f"{d}/file"),
    "symlink over a file": lambda d: os.symlink("other", f"{d}/file"),
}

# Where a server's rules differ from a disk's, and nothing can be done about it.
ELSEWHERE = {}


def write_wrongly(path):
    with closing(os.open(path, os.O_RDONLY)) as fd:
        os.write(fd, b"x")


def outcome(operation, directory):
    try:
        operation(directory)
        return "OK"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e.errno))


def shape(directory):
    """Every path below, and what files hold."""
    return {str(p.relative_to(directory)): p.read_bytes() if p.is_file() else None
            for p in sorted(directory.rglob("*"))}


@every_server()
def test_parity_with_a_local_disk(place, tmp_path):
    """One mount for all cases: each gets a directory of its own, here and on the local disk."""
    differences = []
    for number, (name, operation) in enumerate(CASES.items()):
        local, here = tmp_path / str(number), place.here / str(number)
        for directory in (local, here):
            directory.mkdir()
            prepare(directory)
        want, got = outcome(operation, local), outcome(operation, here)
        if got != ELSEWHERE.get((place.server.kind, name), want):
            differences.append(f"{name}: {got}, a disk says {want}")
        elif shape(local) != shape(place.there / str(number)):
            differences.append(f"{name}: {got} as on a disk, but the server now has "
                               f"{sorted(shape(place.there / str(number)))}")
    assert differences == []


@every_server()
def test_what_changed_behind_the_mount(place, make, tmp_path):
    """With nothing cached the answers are the server's of now."""
    mount = make.mount(place.server, path=f"/{place.there.name}", dcache_timeout=0)
    assert not (mount.path / "late").exists()
    place.put("late", b"1")
    assert (mount.path / "late").read_bytes() == b"1"
    (place.there / "late").unlink()
    with pytest.raises(FileNotFoundError):
        (mount.path / "late").open()
    with pytest.raises(FileNotFoundError):
        os.unlink(mount.path / "late")
