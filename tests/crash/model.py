"""model - what may be on the server after the operations that a log tells of.

A world is {name: content}.  Every operation that was told 0 makes one world of each; one that failed, or
was never told anything, makes two: it has happened, or not.  What is on the server must be one of them.
"""

import errno

from workload import Operation


CONFLICT = ".ftpfs-conflict-"


class Wrong(Exception):
    """What no promise allows."""


def key_of(content):
    return len(content), hash(content)


class Model:
    def __init__(self, seed, start):
        self.seed = seed
        self.worlds = [dict(start)]
        self.ever = {(name, content) for name, content in start.items()}
        self.history = [f"at first: {', '.join(f'{n} {len(c)}' for n, c in sorted(start.items()))}"]

    def replay(self, log):
        """The lines of a writer's log; its last operation may lack its verdict."""
        verdicts = {}
        for line in log.splitlines():
            word, number, *rest = line.split()
            steps = verdicts.setdefault(int(number), [])
            if word != "begin":
                steps.append(int(rest[0]) if rest else 0)
        for number, told in sorted(verdicts.items()):
            self.operation(number, told)
        return self

    def operation(self, number, told):
        op = Operation(self.seed, number)
        names = [str(word) if word is None or word == 0 else errno.errorcode.get(word, str(word))
                 for word in told]
        self.history.append(f"{number:3} {op} -> {' '.join(names) or 'never told'}")
        for index, step in enumerate(op.steps):
            verdict = told[index] if index < len(told) else None
            self.step(op, step, verdict)
            if verdict != 0:
                # what follows was not promised, and may have been written all the same
                for rest in op.steps[index + 1:]:
                    self.step(op, rest, None)
                break

    def step(self, op, step, verdict):
        after = {}
        for world in self.worlds:
            for one in self.outcomes(op, step, verdict, world):
                after[tuple(sorted((n, key_of(c)) for n, c in one.items()))] = one
                self.ever.update(one.items())
        if not after:
            raise Wrong(f"{op}: {'done' if not verdict else errno.errorcode[verdict]}, which cannot be\n" +
                        "\n".join(f"    {line}" for line in self.history))
        self.worlds = list(after.values())

    def outcomes(self, op, step, verdict, world):
        old = world.get(op.path)
        possible = old is not None or op.makes_name()
        if not possible:
            return [] if verdict == 0 else [world]
        if verdict == errno.ENOENT:
            return []
        done = self.after(op, step, world, old)
        return [done] if verdict == 0 else [world, done]

    @staticmethod
    def after(op, step, world, old):
        done = dict(world)
        if op.kind == "rename":
            done[op.to] = old
        if op.kind in ("rename", "unlink"):
            del done[op.path]
        else:
            done[op.path] = step(old)
        return done

    def drop_copies(self, found):
        """What is beside a file because nobody could say that it was not wanted any more: a rename over a name that
        was promised and not stored was done by the server, and then we were killed."""
        for name in [name for name in found if CONFLICT in name]:
            if (name.partition(CONFLICT)[0], found[name]) not in self.ever:
                raise Wrong(f"{name}: never was that ({len(found[name])} bytes)")
            del found[name]

    def check(self, found):
        """Wrong: it is none of the worlds."""
        if found not in self.worlds:
            raise Wrong(self.why_not(found))

    def why_not(self, found):
        lines = []
        for name in sorted({*found, *(n for world in self.worlds for n in world)}):
            content = found.get(name)
            wanted = {key_of(w[name]) if name in w else None: w.get(name) for w in self.worlds}
            if content not in wanted.values():
                lines.append(f"{name}: {self.compare(content, wanted.values())}\n" + "\n".join(
                    f"    {line}" for line in self.history if f" {name}" in line))
        seen = ", ".join(f"{name} {len(content)}" for name, content in sorted(found.items()))
        return "\n".join(lines) or f"each file may be so, but not all of them together: {seen}\n" + "\n".join(
            f"    {line}" for line in self.history)

    @staticmethod
    def compare(content, wanted):
        def say(c):
            return "absent" if c is None else f"{len(c)} bytes"

        def same(c):
            n = 0
            while n < min(len(c), len(content)) and c[n:n + 512] == content[n:n + 512]:
                n += 512
            return f" (the same up to about {n})"

        text = [say(c) + (same(c) if content is not None and c is not None else "") for c in wanted]
        return f"the server has it {say(content)}, allowed: {'; '.join(text)}"
