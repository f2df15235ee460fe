"""report - docs/performance.md and .svg, made of docs/performance.json and nothing else."""

import json
import shutil
import statistics
import sys

from benchmarks import chart, goals
from benchmarks.keys import key

WHO = ["ftpfs", "ftpfs-back", "ftpfs-direct", "rclone", "curlftpfs", "lftp", "curl"]

WHAT = {
    "list-wide": "`ls -l` of 10,000 files", "walk": "`find` over 611 directories",
    "copy-out": "`cp -r` of 1,000 files (16 MB) from the server", "grep-tree": "`grep -r` over the same tree",
    "tar-tree": "`tar` of the same tree", "read-big": "read 64 MiB", "rand-read": "50 random reads of 4 KiB",
    "write-big": "write 64 MiB", "copy-in": "`cp -r` of 200 files to the server",
    "rsync-in": "`rsync -rt` of the same files", "edit-mid": "4,000 bytes changed in the middle of 64 MiB",
    "ls-busy": "`ls` beside two big downloads and two uploads", "loop-read": "read 1 GiB",
    "loop-write": "write 1 GiB",
}
TASKS = list(WHAT)[:12]

HEAD = """# How fast it is

![Seconds of each task at a round trip of 20 ms]({svg})

Generated from [performance.json](performance.json) by `scripts/bench --report`; `make bench` measures anew and
replaces all three (root, about an hour; it goes on where it was broken off). `scripts/bench --accept`
measures only what the goals below name.

A figure is seconds of wall time until the far end has every byte, and the median where there were several
runs, with the fastest and the slowest in brackets. The runs of all contenders alternate. Each result is compared with
what was served or sent; *wrong* means that a contender ended without an error and the comparison failed. The
mounts are mounted anew for each run, with their default options (rclone with `--vfs-cache-mode writes`,
without which it cannot write at random, and `--vfs-write-back 0s`). `lftp` mirrors with `--parallel=8`, which are
as many connections as ftpfs uses. The server is vsftpd, and where TLS is on it demands that sessions are
reused. The link (`tests/net/wanlink.c`) delays each packet; it is a program on the same CPUs, and what it can carry at
most is what a single big transfer gets. Lossy links lose in both directions; the
congestion control of each end is named, since it decides more than the link does.
"""


def median(data, name, what="seconds"):
    runs = data["cells"].get(name, {}).get(what)
    return statistics.median(runs) if runs else None


def number(seconds):
    return f"{seconds:.3f}" if seconds < 0.1 else f"{seconds:.2f}" if seconds < 100 else f"{seconds:.0f}"


def figure(data, name):
    """Median (spread), or why there is none."""
    cell = data["cells"].get(name)
    if cell is None:
        return ""
    runs = cell.get("seconds")
    if not runs:
        failure = cell.get("failure", "")
        return failure if failure.startswith("over") else failure.partition(":")[0].lower() or "-"
    text = number(statistics.median(runs))
    if "trips" in cell:
        return f"{text}, {statistics.median(cell['trips']):.1f} round trips of the busy link"
    return f"{text} ({number(min(runs))}..{number(max(runs))})" if len(runs) > 1 else text


def times(a, b):
    """How many times as long a took as b."""
    return f"{a / b:.2f}" if a is not None and b else ""


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head, rows):
    return "\n".join([row(*head), row(*["---"] * len(head)), *[row(*r) for r in rows]]) + "\n"


def tasks_table(data, link, tls=False, tasks=None):
    """Seconds of all contenders that have any; then theirs as multiples of ours."""
    tasks = [t for t in tasks or TASKS if any(key(link, t, who, tls) in data["cells"] for who in WHO)]
    here = [who for who in WHO if any(key(link, t, who, tls) in data["cells"] for t in tasks)]
    others = here[1:]
    rows = []
    for task in tasks:
        ours = median(data, key(link, task, "ftpfs", tls))
        rows.append([WHAT[task], *[figure(data, key(link, task, who, tls)) for who in here],
                     *[times(median(data, key(link, task, who, tls)), ours) for who in others]])
    return table(["", *here, *[f"{who} / ftpfs" for who in others]], rows) if rows else ""


def goals_table(data):
    rows = [[text, f"{limit:.3f}", f"{ratio:.3f}" if ratio is not None else "-",
             "yes" if met else "**no**" if ratio is not None else "not measured"]
            for text, ratio, limit, met in goals.verdicts(data)]
    return table(["ftpfs takes, of what it is compared with", "at most", "measured", "met"], rows)


def tls_table(data):
    rows = []
    for task in TASKS:
        tls = key("20 ms", task, "ftpfs", True)
        if tls in data["cells"]:
            plain = key("20 ms", task, "ftpfs")
            rows.append([WHAT[task], figure(data, plain), figure(data, tls),
                         times(median(data, tls), median(data, plain))])
    return table(["ftpfs at 20 ms", "plain", "TLS", "TLS / plain"], rows)


def loopback_table(data):
    rows = []
    for task in ("loop-read", "loop-write"):
        for who in WHO:
            name = key("loopback", task, who)
            if median(data, name) is not None:
                rows.append([WHAT[task], who, figure(data, name), f"{1024 / median(data, name):.0f}",
                             f"{median(data, name, 'cpu'):.2f}"])
    return table(["", "", "seconds", "MiB/s", "CPU seconds"], rows)


def growth_tables(data):
    rows = [[f"{count:,}", figure(data, key("20 ms", f"list-{count}", "ftpfs")),
             figure(data, key("20 ms", f"list-{count}", "curl"))] for count in (100, 10000, 100000)]
    yield table(["`ls -l` of a directory of", "ftpfs", "curl's plain LIST"], rows)
    rows = [[size, *[figure(data, key("20 ms", f"{way}-{name}", who))
                     for way in ("read", "write") for who in ("ftpfs", "curl")]]
            for name, size in (("1M", "1 MiB"), ("16M", "16 MiB"), ("256M", "256 MiB"), ("2G", "2 GiB"))]
    yield table(["a file of", "ftpfs reads", "curl reads", "ftpfs writes", "curl writes"], rows)
    rows = []
    for count in (1, 2, 4, 8, 16):
        names = [key("20 ms", f"readers-{count}", who) for who in ("ftpfs", "rclone")]
        seconds = median(data, names[0])
        rows.append([count, *[figure(data, name) for name in names],
                     f"{count * 8 / seconds:.0f}" if seconds else ""])
    yield table(["files of 8 MiB read at once", "ftpfs", "rclone", "ftpfs, MiB/s"], rows)


def links(data):
    for name, link in data["links"].items():
        control = link["congestion"]
        yield (f"* *{name}*: congestion control of the server {control['server']}, "
               f"of the client {control['client']}"
               + (f"; measured apart, ftpfs at commit {link['commit']}" if "commit" in link else ""))


def markdown(data):
    about = data["machine"]
    out = [HEAD.format(svg="performance.svg"), "## Goals\n", goals_table(data)]
    out += ["## A link of 20 ms\n", tasks_table(data, "20 ms"), tls_table(data)]
    for link, title in (("0.2 ms", "A link of 0.2 ms"), ("100 ms", "A link of 100 ms"),
                        ("20 ms, 1 % loss", "20 ms and 1 % of packets lost"),
                        ("20 ms, 100 Mbit/s", "20 ms and 100 Mbit/s")):
        if link in data["links"]:
            out += [f"## {title}\n", tasks_table(data, link)]
    out += ["## No link: loopback\n", "The CPU seconds are those of the mount's daemon, or of the client. Each run "
            "begins when what was written before is on the disk, and in memory that was in use just before.\n",
            loopback_table(data), "## Growth\n", "All at 20 ms.\n", *growth_tables(data)]
    out += ["## What was measured\n",
            f"{about['date']}, {about['system']}, Linux {about['kernel']}, {about['cpus']} CPUs ({about['cpu']}); "
            f"ftpfs at commit {about['commit']}; "
            + ", ".join(f"{who} {version}" for who, version in about["versions"].items() if who != "ftpfs")
            + ". Client, link and server share these CPUs.\n", *links(data)]
    return "\n".join(out).rstrip() + "\n"


def main(repo, settings):
    """What the exit code should be."""
    source = settings.json or repo / "docs" / "performance.json"
    if settings.what == "publish":
        shutil.copy(settings.json or repo / "build" / "performance.json", repo / "docs" / "performance.json")
        source = repo / "docs" / "performance.json"
    data = json.loads(source.read_text())
    stale = False
    for path, text in ((repo / "docs" / "performance.md", markdown(data)),
                       (repo / "docs" / "performance.svg", chart.svg(data))):
        if not settings.check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale = True
            print(f"{path.relative_to(repo)} is not what scripts/bench --report makes", file=sys.stderr)
    return 1 if stale else 0
