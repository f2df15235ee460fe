"""Where the crash tests find what mount tests are made of, and what they say in the end."""

import pathlib
import signal
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1] / "mount")]

TALLIES = []


def pytest_sessionstart():
    """A time limit's SIGTERM is a Ctrl-C: servers and mounts are cleaned up after."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    for tally in TALLIES:
        terminalreporter.write_line("\n".join(f"crash: {line}" for line in tally.splitlines()))
