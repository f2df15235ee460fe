"""chart - the seconds at 20 ms as bars on a logarithmic axis, in SVG.

On a ground of its own, so that it can be read on a light page and on a dark one."""

import math
import statistics
from xml.sax.saxutils import escape

from benchmarks.keys import key

LINK = "20 ms"
BARS = [("ftpfs", "#0b6fb8"), ("ftpfs-back", "#74add1"), ("rclone", "#e08214"), ("curlftpfs", "#8c6bb1"), ("lftp", "#5aae61"),
        ("curl", "#878787")]
TASKS = [("list-wide", "ls -l of 10,000 files"), ("walk", "find, 611 directories"),
         ("copy-out", "cp -r, 1,000 files out"), ("copy-in", "cp -r, 200 files in"),
         ("read-big", "read 64 MiB"), ("write-big", "write 64 MiB"), ("rand-read", "50 random reads"),
         ("edit-mid", "edit inside 64 MiB")]
WIDTH, LEFT, RIGHT, TOP = 880, 190, 800, 84
BAR, GAP = 13, 12
TICKS = (0.1, 1, 10, 100, 1000)


def rows(data):
    """(title, [(who, colour, seconds, failed)])"""
    for task, title in TASKS:
        bars = []
        for who, colour in BARS:
            cell = data["cells"].get(key(LINK, task, who))
            if cell:
                runs = cell.get("seconds")
                bars.append((who, colour, statistics.median(runs) if runs else None, cell.get("failure", "")))
        if bars:
            yield title, bars


def text(x, y, words, **how):
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in how.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(words)}</text>'


def rect(x, y, width, height, fill, **how):
    attributes = "".join(f' {name}="{value}"' for name, value in how.items())
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{attributes}/>'


def seconds_text(seconds):
    return f"{seconds:.0f} s" if seconds >= 100 else f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"


def frame(height, groups):
    """Ground, title, legend."""
    yield rect(0.5, 0.5, WIDTH - 1, height - 1, "#ffffff", stroke="#d0d7de", rx=6)
    yield text(20, 32, f"Seconds at a round trip of {LINK} (shorter is better; logarithmic)",
               font_size=17, font_weight="bold")
    x = LEFT
    for who, colour in BARS:
        if any(who == bar[0] for _, bars in groups for bar in bars):
            yield rect(x, 48, 12, 12, colour)
            yield text(x + 17, 58.5, who, font_size=13)
            x += 100


def axis(ticks, at, bottom):
    for tick in ticks:
        yield f'<path d="M{at(tick):.1f} {TOP - 8}V{bottom}" stroke="#e4e8ec"/>'
        yield text(at(tick), bottom + 16, f"{tick:g} s", font_size=12, text_anchor="middle", fill="#57606a")


def bars_of(bars, at, y):
    for who, colour, seconds, failure in bars:
        if seconds is None:
            words = failure if failure.startswith("over") else failure.partition(":")[0].lower()
            yield text(LEFT + 6, y + 10.5, f"{who}: {words}", font_size=11.5, fill="#57606a")
        else:
            yield rect(LEFT, y, at(seconds) - LEFT, BAR - 2, colour)
            weight = {"font_weight": "bold"} if who == "ftpfs" else {}
            yield text(at(seconds) + 6, y + 10, seconds_text(seconds), font_size=11.5, **weight)
        y += BAR


def svg(data):
    groups = list(rows(data))
    most = max((bar[2] or 0 for _, bars in groups for bar in bars), default=1)
    top = next((tick for tick in TICKS if tick >= most), TICKS[-1])
    least = math.log10(TICKS[0])

    def at(seconds):
        share = (math.log10(max(seconds, TICKS[0])) - least) / (math.log10(top) - least)
        return LEFT + share * (RIGHT - LEFT)

    bottom = TOP + sum(len(bars) * BAR + GAP for _, bars in groups)
    out = list(frame(bottom + 30, groups)) + list(axis([t for t in TICKS if t <= top], at, bottom))
    y = TOP
    for title, bars in groups:
        out.append(text(LEFT - 10, y + len(bars) * BAR / 2 + 4, title, font_size=13, text_anchor="end"))
        out += bars_of(bars, at, y)
        y += len(bars) * BAR + GAP
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 30}" width="{WIDTH}" '
            f'height="{bottom + 30}" font-family="Helvetica, Arial, sans-serif" fill="#1f2328">\n'
            + "\n".join(out) + "\n</svg>\n")
