"""fake_tree - the files that the fake server serves, in memory, with names that are bytes.

Every operation raises Refused with the name of an errno; the personality turns it into words."""

import errno
import time


class Refused(Exception):
    """A filesystem refusal; `error` is the errno's name, "ENOENT"."""

    def __init__(self, error):
        super().__init__(error)
        self.error = error


class Node:
    def __init__(self, kind, data=b"", mtime=None, mode=None, target=b""):
        self.kind = kind  # "file", "dir", "link"
        self.data = bytearray(data)
        self.children = {}
        self.mtime = time.time() if mtime is None else mtime
        self.mode = mode if mode is not None else {"dir": 0o755, "link": 0o777}.get(kind, 0o644)
        self.target = target
        self.sealed = False  # nobody may open, enter or change it

    @property
    def size(self):
        return len(self.data) if self.kind == "file" else 4096


def as_bytes(text):
    return text.encode() if isinstance(text, str) else text


def parts_of(path):
    return [p for p in path.split(b"/") if p]


class Tree:
    """Paths are absolute bytes.  The caller serialises (the server has one lock)."""

    def __init__(self, files=None):
        self.root = Node("dir")
        for path, content in (files or {}).items():
            self.put(path, content)

    # -- what a test builds -------------------------------------------------------------------

    def put(self, path, content=b"", mtime=None, mode=None):
        """A file with its parents; content None makes a directory."""
        parts = parts_of(as_bytes(path))
        node = self.root
        for part in parts[:-1]:
            node = node.children.setdefault(part, Node("dir", mtime=mtime))
        kind = "dir" if content is None else "file"
        made = Node(kind, as_bytes(content or b""), mtime, mode)
        node.children[parts[-1]] = made
        return made

    def put_link(self, path, target):
        made = self.put(path)
        made.kind, made.mode, made.target = "link", 0o777, as_bytes(target)
        return made

    def get(self, path):
        """The node at path, or None."""
        try:
            return self.find(as_bytes(path))
        except Refused:
            return None

    def read(self, path):
        node = self.get(path)
        return None if node is None else bytes(node.data)

    # -- what the server does -----------------------------------------------------------------

    def find(self, path, follow=False, depth=0):
        node = self.root
        if depth > 8:
            raise Refused("ELOOP")
        parts = parts_of(path)
        for i, part in enumerate(parts):
            if node.kind != "dir":
                raise Refused("ENOTDIR")
            if len(part) > 255:
                raise Refused("ENAMETOOLONG")
            if node.sealed:
                raise Refused("EACCES")
            if part not in node.children:
                raise Refused("ENOENT")
            node = node.children[part]
            if node.kind == "link" and (follow or i < len(parts) - 1):
                base = b"/" + b"/".join(parts[:i])
                target = node.target if node.target.startswith(b"/") else base + b"/" + node.target
                node = self.find(fold(target), True, depth + 1)
        return node

    def parent(self, path):
        parts = parts_of(path)
        if not parts:
            raise Refused("EACCES")
        node = self.find(b"/" + b"/".join(parts[:-1]), True)
        if node.kind != "dir":
            raise Refused("ENOTDIR")
        if node.sealed:
            raise Refused("EACCES")
        if len(parts[-1]) > 255:
            raise Refused("ENAMETOOLONG")
        return node, parts[-1]

    def open_file(self, path):
        node = self.find(path, True)
        if node.kind == "dir":
            raise Refused("EISDIR")
        if node.sealed:
            raise Refused("EACCES")
        return node

    def create_file(self, path):
        """The file to write to, made when missing; not truncated."""
        parent, name = self.parent(path)
        if name in parent.children:
            return self.open_file(path)
        parent.children[name] = Node("file")
        return parent.children[name]

    def enter(self, path):
        node = self.find(path, True)
        if node.kind != "dir":
            raise Refused("ENOTDIR")
        if node.sealed:
            raise Refused("EACCES")
        return node

    def mkdir(self, path):
        parent, name = self.parent(path)
        if name in parent.children:
            raise Refused("EEXIST")
        parent.children[name] = Node("dir")

    def rmdir(self, path):
        parent, name = self.parent(path)
        node = self.find(path)
        if node.kind != "dir":
            raise Refused("ENOTDIR")
        if node.children:
            raise Refused("ENOTEMPTY")
        del parent.children[name]

    def remove(self, path):
        parent, name = self.parent(path)
        if self.find(path).kind == "dir":
            raise Refused("EISDIR")
        del parent.children[name]

    def rename(self, old, new):
        source, old_name = self.parent(old)
        node = self.find(old)
        target, new_name = self.parent(new)
        if (fold(new) + b"/").startswith(fold(old) + b"/") and fold(new) != fold(old):
            raise Refused("EINVAL")
        there = target.children.get(new_name)
        if there is not None and there is not node:
            if there.kind == "dir" and node.kind != "dir":
                raise Refused("EISDIR")
            if there.kind != "dir" and node.kind == "dir":
                raise Refused("ENOTDIR")
            if there.children:
                raise Refused("ENOTEMPTY")
        del source.children[old_name]
        target.children[new_name] = node


def fold(path):
    """Absolute, without '.', '..' and doubled slashes."""
    out = []
    for part in parts_of(path):
        if part == b"..":
            del out[-1:]
        elif part != b".":
            out.append(part)
    return b"/" + b"/".join(out)


def strerror(name):
    return {
        "ENOENT": "No such file or directory",
        "ENOTDIR": "Not a directory",
        "EISDIR": "Is a directory",
        "EEXIST": "File exists",
        "ENOTEMPTY": "Directory not empty",
        "EACCES": "Permission denied",
        "ENAMETOOLONG": "File name too long",
        "ELOOP": "Too many levels of symbolic links",
        "EINVAL": "Invalid argument",
        "ENOSPC": "No space left on device",
    }.get(name, errno.errorcode.get(0, name))


# -- how a node is printed ----------------------------------------------------------------------


def stamp(mtime):
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(mtime))


def mode_text(node):
    bits = "".join(
        ch if node.mode >> (8 - i) & 1 else "-" for i, ch in enumerate("rwxrwxrwx")
    )
    return {"dir": "d", "link": "l"}.get(node.kind, "-") + bits


def unix_line(name, node, zone):
    """One line of `ls -l`; `zone` seconds are what the server's local time is ahead of UTC."""
    local = time.gmtime(node.mtime + zone)
    recent = abs(time.time() - node.mtime) < 180 * 86400
    date = time.strftime("%b %d %H:%M" if recent else "%b %d  %Y", local)
    line = f"{mode_text(node)}    1 1000     1000     {node.size:8d} {date} ".encode() + name
    return line + (b" -> " + node.target if node.kind == "link" else b"")


def dos_line(name, node, zone):
    date = time.strftime("%m-%d-%y  %I:%M%p", time.gmtime(node.mtime + zone))
    what = "       <DIR>         " if node.kind == "dir" else f"{node.size:20d} "
    return f"{date} {what}".encode() + name


def facts(node, style, kind=None):
    """The facts of MLSD and MLST, up to the space.  Styles: "pro", "pure", "py", "aio"."""
    kind = kind or node.kind
    if style == "aio":
        return f"Size={node.size};Create={stamp(node.mtime)};Modify={stamp(node.mtime)};Type={kind};"
    what = {"pro": "OS.unix=symlink", "pure": "OS.unix=slink:"}.get(style, "file") \
        if kind == "link" else kind
    size = "sizd" if style == "pure" and kind in ("dir", "cdir", "pdir") else "size"
    mode = f"0o{node.mode:o}" if style == "py" else f"0{node.mode:o}"
    perm = "perm=adfrw;" if style in ("pro", "py") else ""
    return f"type={what};{size}={node.size};modify={stamp(node.mtime)};{perm}UNIX.mode={mode};"
