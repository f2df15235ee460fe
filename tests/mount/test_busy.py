"""`ls` beside big transfers: a listing never waits for one, nor for more than it would alone."""

import os
import pathlib
import subprocess
import sys

import pytest

import world

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from fake_ftpd import Server  # noqa: E402
from fake_personas import PROFTPD, VSFTPD  # noqa: E402
from fake_tree import Tree  # noqa: E402

BIG = bytes(16 << 20)  # more than any socket buffer holds
UNDER_WAY = 1 << 20
FILES = {"/one": BIG, "/two": BIG, "/up/old": b"", "/unseen/a": b"a", "/unseen/b": b"b"}


class Movers:
    """Two downloads and two uploads that stop in the middle and stay there."""

    def __init__(self, server, at, source):
        self.server = server
        for verb in ("RETR", "STOR"):
            for _ in range(2):
                server.cut_data(verb, UNDER_WAY, "stall")
        source.write_bytes(BIG)
        moves = [["cat", at / "one"], ["cat", at / "two"],
                 ["cp", source, at / "up" / "three"], ["cp", source, at / "up" / "four"]]
        self.processes = [subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL) for argv in moves]

    def under_way(self):
        moved = [transfer["verb"] for session in self.server.alive()
                 for transfer in session.transfers if transfer["bytes"] >= UNDER_WAY]
        return moved.count("RETR") == 2 and moved.count("STOR") == 2

    def end(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(30)


def ready(session):
    """Its login is over: it has been used, or has been got ready to be."""
    return session.transfers or session.passive


def round_trips(server, since, directory):
    """What the session that listed it waited for: each flight, its login, each connection made."""
    with server.lock:
        said = [(session, flight, line.decode()) for session, flight, line in server.log[since:]]
    places = [i for i, (_, _, line) in enumerate(said) if line == f"CWD {directory}"]
    assert len(places) == 1, said
    who = said[places[0]][0]
    end = next(i for i, (session, _, line) in enumerate(said)
               if session == who and line.split(" ")[0] in ("LIST", "MLSD"))
    mine = [(flight, line) for session, flight, line in said[:end + 1] if session == who]
    connections = sum(line.split(" ")[0] in ("EPSV", "USER") for _, line in mine)
    return len({flight for flight, _ in mine}) + connections


@pytest.mark.parametrize("persona", [VSFTPD, PROFTPD], ids=lambda p: p.name)
def test_ls_beside_four_big_transfers(persona, tmp_path):
    at = tmp_path / "mnt"
    at.mkdir()
    with Server(Tree(FILES), persona) as server:
        done = world.ftpfs(f"ftp://127.0.0.1:{server.port}/", at, username=world.USER,
                           cache_dir=tmp_path / "cache", umount_wait=1, timeout=5)
        assert done.returncode == 0, done.stderr
        movers = None
        try:
            movers = Movers(server, at, tmp_path / "source")
            world.wait_until(movers.under_way, 30, "four transfers in the middle")
            world.wait_until(lambda: len(server.alive()) > 4 and all(map(ready, server.alive())), 30,
                             "one more login, for whoever looks around")
            mark = server.mark()
            assert sorted(os.listdir(at / "unseen")) == ["a", "b"]
            assert movers.under_way()
            assert round_trips(server, mark, "/unseen") <= 3
        finally:
            subprocess.run(["fusermount3", "-uz", str(at)], check=False)
            if movers:
                movers.end()


@pytest.mark.parametrize("write", ["through", "back"])
def test_more_files_being_written_than_connections(make, write):
    """Their uploads follow the writers; whoever closes a file finds a connection all the same."""
    server = make.server("vsftpd")
    mount = make.mount(server, write=write, max_conns=3)
    content = os.urandom(2 << 20)
    files = [(mount.path / f"f{i}").open("wb", buffering=0) for i in range(6)]
    for f in files:
        f.write(content)
    for f in reversed(files):
        f.close()
    world.run(world.FTPFS, "--sync", mount.path)
    assert all((server.root / f"f{i}").read_bytes() == content for i in range(6))
    assert len(os.listdir(server.root)) == 6
