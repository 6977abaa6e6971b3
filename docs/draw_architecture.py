"""Draw docs/architecture.svg from the imports of the package, and list its modules in docs/architecture.md.

    python docs/draw_architecture.py

A room is a folder of rdsolver/, or a module beside the folders. The first sentence of its docstring is what
the picture says of it. An arrow points from a room to one that it imports; an arrow that follows from others
is left out (a -> c where a -> b -> c), and the rooms that nearly every other one imports are drawn as the
ground. So the picture changes only when the rooms do. The list of modules has the first sentence of each
docstring. This needs the standard library alone, and executes no import.
"""

from __future__ import annotations

import ast
import re
from html import escape
from itertools import pairwise
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "rdsolver"
PICTURE, PAGE = (Path(__file__).with_name(f"architecture.{suffix}") for suffix in ("svg", "md"))
MODULES = re.compile(r"(?<=<!-- modules -->\n).*?(?=<!-- /modules -->)", re.DOTALL)
GROUND = ("utils", "units", "errors")
ENTRY = ("__init__", "__main__", "_version", "_moved")  # not rooms: they only start and name the package

WIDE, TALL, GAP, ROW = 236, 62, 24, 98  # of a box, between two, and from row to row
COLOURS = {
    "what a user runs": ("#e8eef9", "#3b5fa4", ("cli", "studies", "figures", "sweep", "runs", "config")),
    "one run in memory": ("#e7f4ec", "#2f7d4f", ("simulation", "problem", "timestepping", "parallel")),
    "biology, space, files": (
        "#fbf0e2",
        "#a8641c",
        ("models", "operators", "geometry", "images", "output"),
    ),
}


def rooms() -> dict[str, str]:
    """The name of every room, with the first sentence of its docstring."""
    found = {}
    for path in sorted(PACKAGE.iterdir()):
        source = path / "__init__.py" if path.is_dir() else path
        name = path.name.removesuffix(".py")
        if source.suffix == ".py" and source.exists() and name not in ENTRY:
            found[name] = sentence(source)
    return found


def sentence(source: Path) -> str:
    """The first sentence of the docstring of a module."""
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<! al)\. ", " ".join(text.split("\n\n")[0].split()))[0].rstrip(".")


def modules() -> str:
    """Every module of every room with the first sentence of its docstring, as Markdown."""
    found = []
    for room, about in rooms().items():
        folder = PACKAGE / room
        found += [f"### {room}", "", f"{about}.", ""]
        if not folder.is_dir():
            continue
        found += ["| module | what is in it |", "|---|---|"]
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(folder).with_suffix("")
            if name.name == "__init__":
                continue
            found.append(f"| `{name.as_posix()}` | {sentence(path).replace('|', '/')} |")
        found.append("")
    return "\n".join(found)


def arrows() -> set[tuple[str, str]]:
    """(room, room that it imports), from every import statement, also those for type checking."""
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for target in imported(node, parts[:-1]):
                if target[0] == PACKAGE.name and len(target) > 1:
                    found.add((parts[1], target[1]))
    names = rooms()
    return {(a, b) for a, b in found if a != b and a in names and b in names}


def imported(node: ast.AST, package: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The dotted names that an import statement of a module of `package` names, as tuples of their parts."""
    match node:
        case ast.ImportFrom(module=module, names=names, level=level):
            base = package[: len(package) - level + 1] if level else ()
            base += tuple(module.split(".")) if module else ()
            return [(*base, alias.name) for alias in names]
        case ast.Import(names=names):
            return [tuple(alias.name.split(".")) for alias in names]
    return []


def reduced(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges of an acyclic graph that do not follow from others."""
    below: dict[str, set[str]] = {}
    for a, b in edges:
        below.setdefault(a, set()).add(b)

    def reach(a: str) -> set[str]:
        return {c for b in below.get(a, ()) for c in {b, *reach(b)}}

    return {(a, b) for a, b in edges if not any(b in reach(c) for c in below[a] if c != b)}


def ranks(names: list[str], edges: set[tuple[str, str]]) -> dict[str, int]:
    """The row of each room, from 0 at the bottom: one above the highest room that it imports."""
    rank: dict[str, int] = {}

    def of(a: str) -> int:
        if a not in rank:
            rank[a] = 1 + max((of(y) for x, y in edges if x == a), default=-1)
        return rank[a]

    for name in names:
        of(name)
    return rank


def layout(names: list[str], edges: set[tuple[str, str]]) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of rooms and of bends of long arrows, ordered so that few arrows cross; and the way of each arrow.

    The method of Sugiyama: an arrow over several rows bends once in each, and every row is sorted by the mean
    place of its neighbours, up and down until nothing changes for the better.
    """
    rank = ranks(names, edges)
    rows: list[list[str]] = [[] for _ in range(1 + max(rank.values()))]
    for name in names:
        rows[rank[name]].append(name)
    ways = []
    for a, b in sorted(edges):
        bends = [f"{a}>{b}@{r}" for r in range(rank[a] - 1, rank[b], -1)]
        for bend in bends:
            rows[int(bend.rpartition("@")[2])].append(bend)
        ways.append([a, *bends, b])
    links = [pair for way in ways for pair in pairwise(way)]

    best, fewest = [row[:] for row in rows], crossings(rows, links)
    for sweep in range(60):
        downward = sweep % 2 == 0
        order = range(len(rows) - 2, -1, -1) if downward else range(1, len(rows))
        for r in order:
            fixed = rows[r + 1] if downward else rows[r - 1]
            place = {name: (i + 0.5) / len(fixed) for i, name in enumerate(fixed)}
            near = {
                name: [place[q] for p in links for q in p if name in p and q in place] for name in rows[r]
            }
            here = {name: (i + 0.5) / len(rows[r]) for i, name in enumerate(rows[r])}
            rows[r].sort(
                key=lambda name, near=near, here=here: (
                    sum(near[name]) / len(near[name]) if near[name] else here[name]
                )
            )
        if (found := crossings(rows, links)) < fewest:
            best, fewest = [row[:] for row in rows], found
    return best, ways


def crossings(rows: list[list[str]], links: list[tuple[str, str]]) -> int:
    where = {name: (r, i) for r, row in enumerate(rows) for i, name in enumerate(row)}
    spans = [(where[a][0], where[a][1], where[b][1]) for a, b in links]
    return sum(
        r == s and (i - k) * (j - m) < 0 for n, (r, i, j) in enumerate(spans) for s, k, m in spans[n + 1 :]
    )


def places(rows: list[list[str]], ways: list[list[str]]) -> dict[str, float]:
    """The x of the middle of every box and bend: near its neighbours, in the order of its row."""
    wide = {name: GAP if "@" in name else WIDE + GAP for row in rows for name in row}
    near: dict[str, list[str]] = {name: [] for row in rows for name in row}
    for way in ways:
        for a, b in pairwise(way):
            near[a].append(b)
            near[b].append(a)
    x = {}
    for row in rows:
        left = -sum(wide[name] for name in row) / 2
        for name in row:
            x[name] = left + wide[name] / 2
            left += wide[name]
    for _ in range(200):
        for row in rows:
            for name in row:
                if near[name]:
                    x[name] += 0.5 * (sum(x[other] for other in near[name]) / len(near[name]) - x[name])
            apart(row, x, wide)
    return x


def apart(row: list[str], x: dict[str, float], wide: dict[str, float]) -> None:
    """Push the boxes of a row apart until none overlaps, without moving their common middle."""
    before = sum(x[name] for name in row)
    for a, b in pairwise(row):
        x[b] = max(x[b], x[a] + (wide[a] + wide[b]) / 2)
    shift = (before - sum(x[name] for name in row)) / len(row)
    for name in row:
        x[name] += shift


def lines(text: str, most: int) -> list[str]:
    """A text in lines of at most so many characters, at most two of them."""
    found = [""]
    for word in text.split():
        if found[-1] and len(found[-1]) + 1 + len(word) > most:
            found.append("")
        found[-1] = f"{found[-1]} {word}".strip()
    return found if len(found) < 3 else [found[0], f"{found[1]} ..."]


def box(x: float, y: float, name: str, text: str, wide: float = WIDE) -> list[str]:
    fill, line = next(
        ((fill, line) for fill, line, members in COLOURS.values() if name in members), ("#f0f0f0", "#777777")
    )
    return [
        f'<rect x="{x - wide / 2:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{TALL}" rx="7" fill="{fill}"'
        f' stroke="{line}" stroke-width="1.4"/>',
        f'<text x="{x:.0f}" y="{y + 20:.0f}" class="name" fill="{line}">{escape(name)}</text>',
        *(
            f'<text x="{x:.0f}" y="{y + 37 + 14 * i:.0f}" class="about">{escape(line)}</text>'
            for i, line in enumerate(lines(text, round(wide / 6.6)))
        ),
    ]


def curve(points: list[tuple[float, float]]) -> str:
    """A smooth way down through points, vertical at each."""
    path = f"M{points[0][0]:.0f},{points[0][1]:.0f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = (y1 - y0) * 0.5
        path += f" C{x0:.0f},{y0 + bend:.0f} {x1:.0f},{y1 - bend:.0f} {x1:.0f},{y1:.0f}"
    return f'<path d="{path}" class="arrow"/>'


def picture() -> str:
    about, edges = rooms(), arrows()
    names = [name for name in about if name not in GROUND]
    drawn = reduced({(a, b) for a, b in edges if a in names and b in names})
    rows, ways = layout(names, drawn)
    x = places(rows, ways)
    left = min(x[name] for name in names) - WIDE / 2 - GAP
    right = max(x[name] for name in names) + WIDE / 2 + GAP
    left, right = min(left, min(x.values()) - GAP), max(right, max(x.values()) + GAP)
    width, height = right - left, 84 + len(rows) * ROW + TALL + 34
    y = {name: 56 + (len(rows) - 1 - r) * ROW for r, row in enumerate(rows) for name in row}

    ends: dict[
        tuple[str, str], float
    ] = {}  # arrows leave and reach a box side by side, in the order they come
    for name in names:
        for side, neighbours in (
            ("out", [(x[way[1]], "".join(way)) for way in ways if way[0] == name]),
            ("in", [(x[way[-2]], "".join(way)) for way in ways if way[-1] == name]),
        ):
            for i, (_, key) in enumerate(sorted(neighbours)):
                ends[key, side] = (i + 1) / (len(neighbours) + 1) - 0.5
    body = []
    for way in ways:
        key = "".join(way)
        a, b = way[0], way[-1]
        points = [(x[a] - left + ends[key, "out"] * WIDE * 0.8, y[a] + TALL)]
        for bend in way[1:-1]:
            points += [(x[bend] - left, y[bend]), (x[bend] - left, y[bend] + TALL)]
        points.append((x[b] - left + ends[key, "in"] * WIDE * 0.8, y[b] - 5))
        body.append(curve(points))
    for name in names:
        body += box(x[name] - left, y[name], name, about[name])

    ground = [name for name in GROUND if name in about]
    base, part = 56 + len(rows) * ROW, (width - 2 * GAP) / len(ground)
    above = "imported by nearly every room above"
    body.append(f'<text x="{width / 2:.0f}" y="{base - 16:.0f}" class="about">{above}</text>')
    for i, name in enumerate(ground):
        body += box(GAP + (i + 0.5) * part, base, name, about[name], part - GAP / 2)
    key = GAP
    for title, (fill, line, _) in COLOURS.items():
        body.append(
            f'<rect x="{key}" y="18" width="14" height="14" rx="3" fill="{fill}" stroke="{line}"/>'
            f'<text x="{key + 21}" y="29.5" class="key">{title}</text>'
        )
        key += 44 + round(6.6 * len(title))
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
            f' width="{width:.0f}" height="{height:.0f}" role="img">',
            "<title>The rooms of rdsolver, and which imports which</title>",
            "<!-- made by docs/draw_architecture.py -->",
            "<style>",
            "text { font-family: system-ui, 'DejaVu Sans', sans-serif }",
            ".name { font-size: 15px; font-weight: 600; text-anchor: middle }",
            ".about { font-size: 11px; fill: #444444; text-anchor: middle }",
            ".key { font-size: 12px; fill: #444444 }",
            ".arrow { fill: none; stroke: #9aa3ad; stroke-width: 1.3; marker-end: url(#head) }",
            "</style>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7"'
            ' orient="auto"><path d="M0,0.6 L7,4 L0,7.4 z" fill="#9aa3ad"/></marker></defs>',
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
            *body,
            "</svg>",
            "",
        )
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(MODULES.sub(lambda _: modules(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
