"""Fusions and copies in the body of a loop that XLA compiled, from the optimised HLO."""

from __future__ import annotations

import re
from collections.abc import Iterator

CALLED = re.compile(r"(?:to_apply|body|condition|calls)=(%?[\w.\-]+)|branch_computations=\{([^}]*)\}")
HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{\s*$")


def computations(text: str) -> tuple[dict[str, list[str]], str]:
    """The lines of every computation by its name, and the entry's name."""
    found, current, entry = {}, None, ""
    for line in re.sub(r"/\*.*?\*/", "", text).splitlines():
        head = HEAD.match(line)
        if head and not line.startswith(" "):
            current = found.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif current is not None:
            current.append(line)
    return found, entry


def _operation(line: str) -> str:
    found = re.search(r"= (?:\([^=]*?\)|\S+) ([\w\-]+)\(", line)
    return found[1] if found else ""


def _reached(found: dict[str, list[str]], start: str) -> Iterator[str]:
    """The lines executed from a computation on: calls and loops are followed, fusions are one operation."""
    seen, todo = set(), [start]
    while todo:
        name = todo.pop()
        if name in seen or name not in found:
            continue
        seen.add(name)
        for line in found[name]:
            yield line
            operation = _operation(line)
            if operation in ("while", "call", "conditional", "async-start"):
                todo += [
                    n.strip(" %")
                    for one, several in CALLED.findall(line)
                    for n in (one or several).split(",")
                ]


def counts(text: str) -> dict[str, int]:
    """The numbers of fusions and copies in the program's loop bodies (in the whole program if there is no
    loop).

    Each is counted where it is written: an inner loop's body once, whatever its trip count.
    """
    found, entry = computations(text)
    bodies = [
        re.search(r"body=%?([\w.\-]+)", line)
        for line in _reached(found, entry)
        if _operation(line) == "while"
    ]
    starts = [b[1] for b in bodies if b] or [entry]
    lines = {id(line): line for start in starts for line in _reached(found, start)}
    operations = [_operation(line) for line in lines.values()]
    return {name: sum(o == name for o in operations) for name in ("fusion", "copy")}
