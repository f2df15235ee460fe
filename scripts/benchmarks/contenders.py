"""contenders - who races: how each mounts, is called, and is got rid of."""

import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import tempfile
import time

import world

from benchmarks.course import sh

MOUNTS = ["ftpfs", "ftpfs-back", "ftpfs-direct", "rclone", "curlftpfs"]
CLIENTS = ["lftp", "curl"]
ALL = MOUNTS + CLIENTS


def installed():
    return [who for who in ALL if who == "ftpfs" or shutil.which(who)]


def program(who):
    """ftpfs-back is ftpfs with write=back, ftpfs-direct with direct_io."""
    return who.partition("-")[0]


def mount_ftpfs(t, **options):
    tls = {"tls": "require", "cacert": world.CERTIFICATE} if t.tls else {}
    done = world.ftpfs(t.server.url(), t.mnt, username=world.USER,
                       cache_dir=t.course.scratch / "cache", **tls, **options)
    if done.returncode != 0:
        raise OSError(done.stderr.strip())


def mount_ftpfs_back(t):
    mount_ftpfs(t, write="back")


def mount_ftpfs_direct(t):
    mount_ftpfs(t, direct_io=None)


def mount_rclone(t):
    secret = sh(["rclone", "obscure", world.PASSWORD], 10).strip()
    tls = ",explicit_tls=true,no_check_certificate=true" if t.tls else ""
    cache = tempfile.mkdtemp(dir=t.course.scratch)
    remote = f":ftp,host={t.server.address},port={t.server.port},user={world.USER}{tls}:/"
    sh(["rclone", "mount", remote, t.mnt, "--vfs-cache-mode", "writes", "--vfs-write-back", "0s",
        "--daemon", "--cache-dir", cache], 60, stdout=subprocess.DEVNULL,
       env={**os.environ, "RCLONE_CONFIG": f"{cache}/rclone.conf", "RCLONE_FTP_PASS": secret})


def mount_curlftpfs(t):
    tls = ",ssl,no_verify_peer,no_verify_hostname" if t.tls else ""
    sh(["curlftpfs", "-o", f"user={world.USER}:{world.PASSWORD},utf8{tls}", t.server.url(), t.mnt], 60)


MOUNT = {"ftpfs": mount_ftpfs, "ftpfs-back": mount_ftpfs_back, "ftpfs-direct": mount_ftpfs_direct,
         "rclone": mount_rclone, "curlftpfs": mount_curlftpfs}


def daemon_of(who, at):
    """The process that serves the mount point `at`, or None."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.path.basename(argv[0]) == program(who).encode() and str(at).encode() in argv:
                return int(entry.name)
    return None


def cpu_of(pid):
    """User and system seconds that the process has used so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def mount(t):
    """The daemon's pid."""
    MOUNT[t.who](t)
    world.wait_until(lambda: os.path.ismount(t.mnt), 20, "the mount")
    return daemon_of(t.who, t.mnt)


def unmount(who, at):
    """Whatever happened; and wait for the daemon, which would disturb who comes next."""
    pid = daemon_of(who, at)
    for _ in range(3):
        done = subprocess.run(["fusermount3", "-u", str(at)], stderr=subprocess.DEVNULL,
                              timeout=120, check=False)
        if done.returncode == 0 or not os.path.ismount(at):
            break
        time.sleep(0.5)
    else:
        subprocess.run(["umount", "-l", str(at)], stderr=subprocess.DEVNULL, check=False)
    end = time.monotonic() + 15
    while pid and world.alive(pid):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.02)


def lftp(t, command):
    tls = f"set ssl:ca-file {world.CERTIFICATE}; " if t.tls else "set ftp:ssl-allow no; "
    return ["lftp", "-u", f"{world.USER},{world.PASSWORD}", "-p", t.server.port, "-e",
            f"{tls}{command}; quit", t.server.address]


def curl(t, path, *arguments):
    tls = ["--ssl-reqd", "--cacert", world.CERTIFICATE] if t.tls else []
    return ["curl", "-sS", *tls, *arguments, "-u", f"{world.USER}:{world.PASSWORD}", t.server.url(path)]


VERSION = {"ftpfs": [world.FTPFS, "-V"], "rclone": ["rclone", "version"], "lftp": ["lftp", "--version"],
           "curl": ["curl", "--version"], "curlftpfs": ["curlftpfs", "--version"]}


def versions():
    found = {who: first_number(VERSION[who]) for who in installed()}
    # it answers into its standard input, and its libraries are unpacked beside it
    root = world.CACHE / "root"
    libraries = f"{root}/usr/lib/{platform.machine()}-linux-gnu:{root}/lib/{platform.machine()}-linux-gnu"
    found["vsftpd"] = first_number(["env", f"LD_LIBRARY_PATH={libraries}", "sh", "-c", "exec $0 -v 0>&1",
                                    root / "usr/sbin/vsftpd"])
    return found


def first_number(argv):
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
    number = re.search(r"\d+(\.\d+)+\S*", done.stdout)
    return number.group() if number else "?"
