"""workload - what a round does to a directory: every operation follows from (seed, number) alone.

As a program, `workload.py SEED DIRECTORY LOG OPERATIONS`, it is the writer: it does them, straight through
the system calls, and notes in LOG when each begins and what each of its steps ended with.  A step that was
told 0 is a promise.  The verifier (model.py) makes the same operations again from the seed.
"""

import errno
import os
import random
import sys

NAMES = [f"{directory}{name}" for directory in ("", "d/") for name in ("a", "b", "c", "e")]
CHUNK = 48 << 10
# Sizes that go different ways: below one window, several, and so large that the upload follows the writer.
SIZES = [0, 1, 700, 9000, 20000, 70000, 200000]
LARGE = [1 << 20, 3 << 20]
FAILURES_MAX = 5  # each one doubles what may be on the server

GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.ESTALE)  # the mount itself


class Operation:
    """What is done to `path`; `to` is a rename's other name.

    `steps` are what is promised one after the other: each a function from the old content (None: no such
    file) to the new one.
    """

    def __init__(self, seed, number):
        rng = random.Random(seed * 100003 + number)
        self.kind = rng.choices(["create", "append", "edit", "truncate", "rename", "unlink"],
                                [30, 20, 20, 8, 17, 5])[0]
        self.path, self.to = rng.sample(NAMES, 2)
        size = rng.choice(LARGE if rng.random() < 0.06 else SIZES)
        self.at = rng.choice([0, 100, 8191, 50000])
        self.size = size
        self.data = rng.randbytes(size)
        self.more = rng.randbytes(rng.choice([0, 5000, 60000])) if rng.random() < 0.25 else None
        self.steps = [getattr(self, "after_" + self.kind)]
        if self.more is not None and self.kind in ("create", "append"):
            self.steps.append(lambda old: (old or b"") + self.more)

    def after_create(self, old):
        return self.data

    def after_append(self, old):
        return (old or b"") + self.data

    def after_edit(self, old):
        old = old or b""
        if not self.data:
            return old
        return old[:self.at].ljust(self.at, b"\0") + self.data + old[self.at + self.size:]

    def after_truncate(self, old):
        return old[:self.size].ljust(self.size, b"\0")

    def after_rename(self, old):
        return None

    after_unlink = after_rename

    def makes_name(self):
        """Else a name that is not there is ENOENT."""
        return self.kind in ("create", "append", "edit")

    def __str__(self):
        what = f"{self.kind} {self.path}"
        if self.kind == "rename":
            return f"{what} to {self.to}"
        if self.kind == "unlink":
            return what
        where = f" at {self.at}" if self.kind == "edit" else ""
        more = f", fsync, {len(self.more)} more" if len(self.steps) > 1 else ""
        return f"{what}: {self.size} bytes{where}{more}"


def write_all(fd, data):
    for at in range(0, len(data), CHUNK):
        part = data[at:at + CHUNK]
        if os.write(fd, part) != len(part):
            raise OSError(errno.EIO, "short write")


def write_file(op, path, step_done):
    flags = {"create": os.O_TRUNC, "append": os.O_APPEND, "edit": 0}[op.kind]
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    try:
        if op.kind == "edit":
            os.lseek(fd, op.at, os.SEEK_SET)
        write_all(fd, op.data)
        if len(op.steps) > 1:
            os.fsync(fd)
            step_done()
            write_all(fd, op.more)
    except BaseException:
        try:
            os.close(fd)
        except OSError:
            pass
        raise
    os.close(fd)


def carry_out(op, directory, step_done):
    path = os.path.join(directory, op.path)
    if op.kind == "rename":
        os.rename(path, os.path.join(directory, op.to))
    elif op.kind == "unlink":
        os.unlink(path)
    elif op.kind == "truncate":
        os.truncate(path, op.size)
    else:
        write_file(op, path, step_done)
    step_done()


def main(seed, directory, log, operations):
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    failures = 0
    for number in range(operations):
        op = Operation(seed, number)
        os.write(fd, b"begin %d\n" % number)
        try:
            carry_out(op, directory, lambda n=number: os.write(fd, b"ok %d\n" % n))
        except OSError as e:
            os.write(fd, b"error %d %d\n" % (number, e.errno))
            if e.errno in GONE:
                return
            failures += e.errno != errno.ENOENT
            if failures == FAILURES_MAX:
                return


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
