"""Programs that save: what they wrote is on the server's disk, with write=through and write=back."""

import fcntl
import os
import random
import shutil
import sqlite3

import pytest

from test_tools import sample_tree
from world import in_modes, run, same_tree

pytestmark = in_modes("vsftpd:through", "vsftpd:back", "proftpd:through", "proftpd:back",
                      "pure-ftpd:through", "pyftpdlib:back")


def test_git(place, tmp_path):
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "safe.directory=*",
           "-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"]
    origin = tmp_path / "origin"
    sample_tree(origin)
    run(*git, "-C", origin, "init", "-q")
    run(*git, "-C", origin, "add", ".")
    run(*git, "-C", origin, "commit", "-q", "-m", "first")
    clone = place.here / "clone"
    run(*git, "clone", "-q", "--no-hardlinks", origin, clone, timeout=120)
    (clone / "new.txt").write_text("new\n")
    (clone / "a" / "file4").write_text("changed\n")
    run(*git, "-C", clone, "add", ".")
    run(*git, "-C", clone, "commit", "-q", "-m", "second")
    run(*git, "-C", clone, "gc", "-q", timeout=120)
    run(*git, "-C", clone, "fsck", "--strict")
    assert run(*git, "-C", clone, "status", "--porcelain").stdout == ""
    run(*git, "-C", place.there / "clone", "fsck", "--strict")
    assert run(*git, "-C", place.there / "clone", "log", "--format=%s").stdout == "second\nfirst\n"


def test_tar_both_ways(place, tmp_path):
    source = sample_tree(tmp_path / "source")
    archive = place.here / "a.tar.gz"
    run("tar", "-C", source, "-czf", archive, ".")
    run("gzip", "-t", place.there / "a.tar.gz")
    (place.here / "out").mkdir()
    run("tar", "-C", place.here / "out", "--no-same-owner", "-xzf", archive)
    assert same_tree(source, place.there / "out") == ""
    for path in source.rglob("file*"):
        theirs = place.there / "out" / path.relative_to(source)
        assert int(theirs.stat().st_mtime) == int(path.stat().st_mtime)


def test_unzip(place, tmp_path):
    source = sample_tree(tmp_path / "source")
    shutil.make_archive(tmp_path / "packed", "zip", source)
    shutil.copy(tmp_path / "packed.zip", place.here / "a.zip")
    run("unzip", "-q", place.here / "a.zip", "-d", place.here / "out")
    assert same_tree(source, place.there / "out") == ""
    run("unzip", "-tq", place.there / "a.zip")


def test_sqlite(place):
    with sqlite3.connect(place.here / "data.db", timeout=20) as db:
        db.execute("create table t (i integer primary key, v blob)")
        db.executemany("insert into t (v) values (?)", [(os.urandom(500),) for _ in range(500)])
        db.commit()
        db.execute("delete from t where i % 3 = 0")
        db.execute("update t set v = zeroblob(700) where i % 5 = 0")
        db.commit()
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    db.close()
    with sqlite3.connect(place.there / "data.db") as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        assert db.execute("select count(*) from t").fetchone() == (334,)
    db.close()
    assert not (place.there / "data.db-journal").exists()


def test_sqlite_write_ahead_log_or_an_honest_no(place):
    """Shared memory may be refused; what was committed may not be lost."""
    db = sqlite3.connect(place.here / "wal.db", timeout=20)
    mode = db.execute("pragma journal_mode=wal").fetchone()[0]
    assert mode in ("wal", "delete")
    db.execute("create table t (i)")
    db.executemany("insert into t values (?)", [(i,) for i in range(1000)])
    db.commit()
    db.close()
    db = sqlite3.connect(place.there / "wal.db")
    assert db.execute("select sum(i) from t").fetchone() == (499500,)
    db.close()


def test_sed_in_place(place):
    place.put("conf", b"colour = red\n" * 1000)
    run("sed", "-i", "s/red/blue/", place.here / "conf")
    assert (place.there / "conf").read_bytes() == b"colour = blue\n" * 1000
    assert os.listdir(place.there) == ["conf"]


@pytest.mark.parametrize("backupcopy", ["yes", "no", "auto"])
def test_vim_save(place, backupcopy):
    place.put("text", b"one\ntwo\n")
    run("vim.tiny", "-u", "NONE", "-es", "-c", f"set backupcopy={backupcopy}", "-c", "%s/two/2/",
        "-c", "wq", place.here / "text", env={**os.environ, "TERM": "dumb"})
    assert (place.there / "text").read_bytes() == b"one\n2\n"
    assert os.listdir(place.there) == ["text"]


class Office:
    """LibreOffice 7.4 (Debian 12) on a mount of ftpfs, by its system calls that change something,
    as strace saw them while a document was opened and stored by way of UNO."""

    def __init__(self, document):
        self.document = document
        self.lock = document.with_name(f".~lock.{document.name}#")
        self.number = 0

    def open(self):
        self.held = os.open(self.document, os.O_RDWR)
        fcntl.lockf(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.take_lock()

    def take_lock(self):
        with pytest.raises(FileNotFoundError):
            os.open(self.lock, os.O_RDONLY)
        fd = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        assert os.pread(fd, 4096, 0) == b""
        os.pwrite(fd, b",root,host,25.11.2026 21:06,file:///home/x;", 0)
        os.close(fd)

    def drop_lock(self):
        assert self.lock.read_bytes().startswith(b",root,host,")
        self.lock.unlink()

    def store(self, content, over, backup):
        """over: by a rename, or (a link, or nothing of that name yet) by a copy."""
        self.copy_to(backup)
        os.close(self.held)
        self.drop_lock()
        self.number += 1
        temporary = self.document.with_name(f"lu36427{self.number}v4r.tmp")
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        fd = os.open(temporary, os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.take_lock()
        self.write_pieces(fd, content)
        os.fsync(fd)
        os.close(fd)
        if over == "rename":
            self.rename(temporary)
        else:
            self.copy(temporary)
        self.held = os.open(self.document, os.O_RDWR)
        fcntl.lockf(self.held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fsync(self.held)
        assert os.pread(self.held, len(content) + 1, 0) == content

    def write_pieces(self, fd, content):
        """A buffer of 32 KiB that is written out up to the page that is read next."""
        at = 0
        while at < len(content):
            size = 4096 if at % 65536 == 0 else 31742
            assert os.pread(fd, 4096, at) == b""
            at += os.pwrite(fd, content[at:at + size], at)

    def rename(self, temporary):
        with pytest.raises(FileExistsError):
            os.open(self.document, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        os.rename(temporary, self.document)
        os.chown(self.document, -1, self.document.stat().st_gid)
        os.chmod(self.document, 0o644)

    def copy(self, temporary):
        content = temporary.read_bytes()
        os.close(self.emptied())
        fd = self.emptied()
        for at in range(0, len(content), 32768):
            os.pwrite(fd, content[at:at + 32768], at)
        os.close(fd)
        temporary.unlink()

    def emptied(self):
        with pytest.raises(FileExistsError):
            os.open(self.document, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        fd = os.open(self.document, os.O_RDWR)
        os.ftruncate(fd, 0)
        return fd

    def copy_to(self, backup):
        """Tools, Options, Load/Save: always create backup copy."""
        if backup.exists():
            backup.unlink()
        content = self.document.read_bytes()
        fd = os.open(backup, os.O_WRONLY | os.O_CREAT, 0o644)
        for at in range(0, len(content), 32767):
            os.write(fd, content[at:at + 32767])
        os.close(fd)

    def close(self):
        os.close(self.held)
        self.drop_lock()


@pytest.mark.parametrize("over", ["rename", "copy"])
def test_libreoffice(place, over):
    versions = [random.Random(n).randbytes(8373 + 46000 * n) for n in range(3)]
    place.put("text.odt", versions[0])
    (place.here / "backup").mkdir()
    office = Office(place.here / "text.odt")
    office.open()
    for number in (1, 2):
        office.store(versions[number], over, place.here / "backup" / "text.bak")
        assert (place.there / "text.odt").read_bytes() == versions[number]
        assert (place.there / "backup" / "text.bak").read_bytes() == versions[number - 1]
    office.close()
    assert sorted(os.listdir(place.there)) == ["backup", "text.odt"]
    assert os.listdir(place.there / "backup") == ["text.bak"]
