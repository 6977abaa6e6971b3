"""What XLA compiled for a GPU, read from the files that it dumps: launches, graphs, waits of the host, bytes.

A program is a sequence of thunks (a kernel, a copy, a loop, a command buffer that CUDA runs as one graph).
A loop whose number of trips the compiler does not know is driven by the host, which waits for the device once
a trip, unless the loop lies inside a graph. The bytes of a launch are those that its instruction reads and
writes: what a fusion only slices counts as the slice, what it updates in place as the update.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path

from .hlo import computations

_BYTES = {"pred": 1, "bf16": 2}  # all others have their bits in their name
_ARRAY = re.compile(r"\b(pred|bf16|[suf]\d+)\[([\d,]*)\]")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%([\w.\-]+) = (.*)$")
_THUNK = re.compile(r"^(\s*)(\d+): (k\w+)(.*)$")
_GRID = re.compile(r"grid: \[(\d+), (\d+), (\d+)\] threads: \[(\d+), (\d+), (\d+)\]")
_WARP = 32
_TRUE = "/branch_1_fun"  # in the path of what lax.cond does for True
LAUNCHED = {
    "kCopy", "kCubSort", "kCublasLtMatmul", "kCustomCall", "kCustomKernel", "kFft", "kGemm", "kKernel",
    "kMemset", "kMemset32BitValue", "kMemzero",
}  # fmt: skip


def size(types: str, element: int | None = None) -> int:
    """The bytes of all arrays in the text of a type, or of one element of a tuple."""
    found, arrays = 0, _ARRAY.findall(types)
    for kind, shape in arrays if element is None else arrays[element : element + 1]:
        each = _BYTES.get(kind) or int(kind[1:]) // 8
        found += each * prod(int(n) for n in shape.split(",") if n)
    return found


# --- the optimised HLO --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Instruction:
    root: bool
    types: str
    operation: str
    operands: tuple[str, ...]
    attributes: str


def _closed(text: str) -> int:
    """Where the bracket that opens the text is closed."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if not depth:
            return i
    raise ValueError(f"brackets in {text[:80]!r}")


def _instruction(root: bool, text: str) -> Instruction:
    end = _closed(text) + 1 if text.startswith("(") else text.index(" ")
    types, rest = text[:end], text[end + 1 :]
    operation, rest = rest[: rest.index("(")], rest[rest.index("(") :]
    close = _closed(rest)
    return Instruction(
        root, types, operation, tuple(re.findall(r"%([\w.\-]+(?:#\d+)?)", rest[:close])), rest[close + 1 :]
    )


def _read(computation: Mapping[str, Instruction], operand: str) -> int:
    """The bytes of an operand; "name#2" is an element of a tuple."""
    name, _, element = operand.partition("#")
    one = computation.get(name)
    return 0 if one is None else size(one.types, int(element) if element else None)


class Hlo:
    """The computations of a program, and its instructions by name."""

    def __init__(self, text: str) -> None:
        self.computations = {
            name: {m[2]: _instruction(bool(m[1]), m[3]) for m in map(_INSTRUCTION.match, lines) if m}
            for name, lines in computations(text)[0].items()
        }
        self._of = {name: one for one in self.computations.values() for name in one}

    def trips(self, loop: str) -> int | None:
        """The number of trips of a loop; None where the compiler does not know it."""
        if loop not in self._of:
            return None
        known = re.search(r'known_trip_count[^}]*?"n":\s*"(\d+)"', self._of[loop][loop].attributes)
        return int(known[1]) if known else None

    def path(self, loop: str) -> str:
        """The path of an instruction in the traced program, with the scopes that name its parts."""
        found = re.search(r'op_name="([^"]*)"', self._of[loop][loop].attributes) if loop in self._of else None
        return found[1] if found else ""

    def moved(self, name: str) -> int:
        """The bytes that an instruction reads and writes."""
        if name not in self._of:
            return 0
        computation = self._of[name]
        one = computation[name]
        called = re.search(r"calls=%?([\w.\-]+)", one.attributes) if one.operation == "fusion" else None
        if called is None:
            return size(one.types) + sum(_read(computation, o) for o in one.operands)
        return size(one.types) + sum(self._touched(self.computations[called[1]]))

    def _touched(self, body: dict[str, Instruction]) -> Iterator[int]:
        """The bytes that a fusion moves beside those of its result: what it reads, less where the result is
        an update in place.
        """
        users: dict[str, list[Instruction]] = {}
        for one in body.values():
            for operand in one.operands:
                users.setdefault(operand, []).append(one)
        for name, one in body.items():
            if one.operation == "parameter":
                used = users.get(name, [])
                if used and all(
                    u.operation == "dynamic-update-slice" and u.operands[0] == name for u in used
                ):
                    yield 0
                elif used and all(u.operation in ("slice", "dynamic-slice", "gather") for u in used):
                    yield min(size(one.types), sum(size(u.types) for u in used))
                else:
                    yield size(one.types)
            if one.root and one.operation == "dynamic-update-slice":
                yield size(body[one.operands[1]].types) - size(one.types)

    @property
    def scatters(self) -> int:
        """Scatters, which have no order of addition on a GPU where indices repeat."""
        return sum(one.operation == "scatter" for of in self.computations.values() for one in of.values())


# --- the sequence of thunks ---------------------------------------------------------------------------------


@dataclass
class Thunk:
    """part: "condition" or "body" of the loop, or the branch of the conditional, that it stands in."""

    number: int
    kind: str
    text: str
    depth: int
    part: str = ""
    children: list[Thunk] = field(default_factory=list)


def thunks(text: str) -> list[Thunk]:
    """The tree of thunks, which the dump shows by indentation."""
    top = Thunk(-1, "", "", -1)
    open_, part = [top], ""
    for line in text.splitlines():
        found = _THUNK.match(line)
        if not found:
            word = line.strip().rstrip(":")
            part = word if word in ("condition", "body") or "branch" in word else part
            continue
        new = Thunk(int(found[2]), found[3], found[4], len(found[1]))
        while open_[-1].depth >= new.depth:
            open_.pop()
        if open_[-1].kind in ("kWhile", "kConditional"):
            new.part = part
        open_[-1].children.append(new)
        open_.append(new)
    return top.children


@dataclass(frozen=True)
class Launch:
    """times: how often it happens in one call of the program; graph: inside a command buffer."""

    kind: str
    instruction: str
    times: int
    graph: bool
    threads: int
    bytes: int


@dataclass
class Program:
    """A compiled program. graphs: launches of command buffers; waits: of the host for the device."""

    launches: list[Launch] = field(default_factory=list)
    graphs: int = 0
    waits: int = 0
    scatters: int = 0
    unknown: list[str] = field(default_factory=list)

    def count(self, **wanted: object) -> int:
        return sum(x.times for x in self.launches if all(getattr(x, k) == v for k, v in wanted.items()))

    def without(self, other: Program) -> Program:
        """What the program does beside `other`, which is the same with fewer trips of its loops."""
        pairs = zip(self.launches, other.launches, strict=True)
        rest = [replace(x, times=x.times - y.times) for x, y in pairs]
        return replace(self, launches=rest, waits=self.waits - other.waits)

    @property
    def of_one_warp(self) -> int:
        return sum(x.times for x in self.launches if x.kind != "kCopy" and x.threads <= _WARP)

    @property
    def bytes(self) -> int:
        return sum(x.times * x.bytes for x in self.launches)

    @property
    def kinds(self) -> dict[str, int]:
        found = Counter[str]()
        for x in self.launches:
            found[x.kind] += x.times
        return dict(found)


def read(folder: Path, trips: Mapping[str, int] | None = None) -> Program:
    """The program whose dump lies in a folder.

    trips: numbers of trips of the loops that the compiler does not know, by a part of the path of the loop in
    the traced program (the last that fits; default: one trip)
    """
    (before,) = folder.glob("*.thunk_sequence.txt")
    after = before.with_name(before.name.replace("sequence.txt", "sequence_after_thunk_passes.txt"))
    sequence = (
        after if after.exists() else before
    ).read_text()  # where the passes change nothing, there is none
    described = before.with_name(before.name.replace("sequence.txt", "metadata.txt")).read_text()
    names = {}
    for block in described.split("thunk_metadata {")[1:]:
        number = re.search(r"thunk_id: (\d+)", block)
        name = re.search(r'profile_annotation: "([^"]*)"', block)
        if number and name:
            names[int(number[1])] = name[1]
    (optimised,) = folder.glob("*gpu_after_optimizations.txt")
    hlo = Hlo(optimised.read_text())
    found = Program(scatters=hlo.scatters)
    _walk(thunks(sequence), hlo, names, trips or {}, 1, False, found)
    return found


def _walk(
    tree: list[Thunk],
    hlo: Hlo,
    names: dict[int, str],
    trips: Mapping[str, int],
    times: int,
    graph: bool,
    found: Program,
) -> None:
    for one in tree:
        if one.kind == "kWhile":
            name = names.get(one.number, "")
            known = hlo.trips(name)
            path = hlo.path(name)
            here = max((scope for scope in trips if scope in path), key=path.rindex, default=None)
            count = known if known is not None else (1 if here is None else trips[here])
            if known is None:
                found.unknown.append(name if here is None else here)
                found.waits += 0 if graph else times * (count + 1)
                condition = [c for c in one.children if c.part == "condition"]
                _walk(condition, hlo, names, trips, times * (count + 1), graph, found)
            body = [c for c in one.children if c.part != "condition"]
            _walk(body, hlo, names, trips, times * count, graph, found)
        elif one.kind == "kConditional":  # what lax.cond does for False, as usual
            found.waits += 0 if graph else times
            rare = {c.part for c in one.children if _TRUE in hlo.path(names.get(c.number, ""))}
            usual = next((c.part for c in one.children if c.part not in rare), None)
            for c in one.children:
                _walk([c], hlo, names, trips, times * (c.part == usual), graph, found)
        elif one.kind == "kCommandBuffer":
            found.graphs += times
            _walk(one.children, hlo, names, trips, times, True, found)
        elif one.kind in LAUNCHED:
            grid = _GRID.search(one.text)
            threads = prod(map(int, grid.groups())) if grid else 0
            name = names.get(one.number, "?")
            found.launches.append(Launch(one.kind, name, times, graph, threads, hlo.moved(name)))
        else:
            _walk(one.children, hlo, names, trips, times, graph, found)
