"""verify=hash and the attributes of xattr=on, with a server that tells hashes: ProFTPD's mod_digest."""

import ftplib
import hashlib
import os

import pytest
from world import PASSWORD, USER, content_of


@pytest.mark.parametrize("mode", ["plain", "tls13"])
def test_hash(make, mode):
    commands = make.scratch() / "commands"
    server = make.server("proftpd", mode, extra=f"LogFormat said \"%r\"\nExtendedLog {commands} ALL said\n")
    with ftplib.FTP() as ftp:
        ftp.connect(server.address, server.port, 10)
        ftp.login(USER, PASSWORD)
        if " HASH " not in ftp.sendcmd("FEAT"):
            pytest.skip("this ProFTPD has no mod_digest")
    here = make.mount(server, verify="hash", xattr="on").path
    content = {"small": b"abc", "big": content_of(5 << 20), "a name": b"", "small 2": b"x"}
    for name, data in content.items():
        (here / name).write_bytes(data)
    os.replace(here / "small 2", here / "small")
    content["small"] = content.pop("small 2")
    with (here / "big").open("ab") as f:
        f.write(b"appended")
    content["big"] += b"appended"
    for name, data in content.items():
        assert (server.root / name).read_bytes() == data
        digest = hashlib.sha256(data).hexdigest().encode()
        assert os.getxattr(here / name, "user.ftpfs.hash") == b"sha256:" + digest
        assert os.getxattr(here / name, "user.ftpfs.size") == str(len(data)).encode()
        assert os.getxattr(here / name, "user.ftpfs.state") == b"clean"
    with pytest.raises(OSError, match="not supported"):
        os.getxattr(here / "small", "security.capability")
    said = commands.read_text().splitlines()
    assert [line for line in said if line.startswith("OPTS HASH")]
    # Four were written, one of them by way of a temporary name; three were asked for above.
    assert len([line for line in said if line.startswith("HASH ")]) >= 7
