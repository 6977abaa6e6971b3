"""The design of a sweep: every run by name, the values that vary, and its config."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..config import toml
from ..config.config import Config
from ..config.load import config_from, takes_text
from ..config.tables import MOST_SAVED
from ..errors import InputError, shown
from ..utils.home import at_home
from ..utils.path_kinds import expect
from . import table
from .cost import Cost, cost
from .reader import DESIGN_SCHEMA
from .spec import LABELS, MOST_RUNS, REPLICATE, Sample, SweepFile, read

Row = dict[str, Any]  # key of a run, or label, name, replicate -> value as in a config

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
NO_KEYS = (*LABELS, REPLICATE)
MOST_SAID = 10  # faults of a design in a message
MOST_KEYS = 8  # keys of a run in a message


@dataclass(frozen=True)
class Design:
    """A sweep with all its runs.

    source   name of its origin, for messages
    base     tables of the config that its runs share, with absolute paths
    columns  keys that vary, in order; rows: for each run a value for each
    names    names of the runs
    times    times of the collected series, d (empty: the saved times of each run)
    fields   True if each run keeps its fields
    python   True if the base's model may be executed
    warnings numbers without the unit that they could have, once for each key
    groups   for each run the number of its group: runs of one group share compiled programs
    costs    for each group the cost of a run of it
    """

    source: str
    base: dict[str, Any]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    names: tuple[str, ...]
    interval: float | tuple[float, ...] | None = None
    fields: bool = False
    python: bool = False
    title: str = ""
    warnings: tuple[str, ...] = field(default=(), compare=False)
    groups: tuple[int, ...] = field(default=(), compare=False)
    costs: tuple[Cost, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def varied(self) -> tuple[str, ...]:
        """The columns that are keys of a run."""
        return tuple(c for c in self.columns if c not in NO_KEYS)

    @cached_property
    def hash(self) -> str:
        """The SHA-256 hash of everything that determines its runs."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def tables(self, index: int) -> dict[str, Any]:
        """The config of one run."""
        raw, row = deepcopy(self.base), self.rows[index]
        for key in self.varied:
            toml.put(raw, key, row[key], f"{self.source}: {key}")
        if not self.fields:
            raw.setdefault("output", {})["fields"] = []
        return raw

    def config(self, index: int) -> Config:
        """The config of one run. Raises InputError when it is no config."""
        try:
            return config_from(self.tables(index), self.source, self.python)
        except InputError as error:
            raise InputError(str(error).replace(f"{self.source}:", f"{self.told(index)}:")) from None

    def told(self, index: int) -> str:
        """The name of a run in a message: "sweep.toml, run 07 (section.seed = 2)"."""
        parts = [f"{k} = {shown(self.rows[index][k])}" for k in self.varied[:MOST_KEYS]]
        parts += [f"and {len(self.varied) - MOST_KEYS} more"] if len(self.varied) > MOST_KEYS else []
        return f"{self.source}, run {self.names[index]}" + (f" ({', '.join(parts)})" if parts else "")

    def as_json(self) -> dict[str, Any]:
        named = {
            "schema": DESIGN_SCHEMA,
            "title": self.title,
            "base": self.base,
            "columns": self.columns,
            "names": self.names,
        }
        return named | {
            "rows": [[r[c] for c in self.columns] for r in self.rows],
            "times": self.interval,
            "fields": self.fields,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any], source: str, python: bool) -> Design:
        rows = tuple(dict(zip(found["columns"], values, strict=True)) for values in found["rows"])
        times = tuple(found["times"]) if isinstance(found["times"], list) else found["times"]
        return cls(
            source,
            found["base"],
            tuple(found["columns"]),
            rows,
            tuple(found["names"]),
            times,
            found["fields"],
            python,
            found["title"],
        )


def of_rows(
    source: str, base: dict[str, Any], rows: Sequence[Row], title: str = "", allow_python: bool = False
) -> Design:
    """The design of rows that an analysis has made: one group, whose runs are checked when they begin.

    Raises InputError for a base that is no config.
    """
    config = config_from(deepcopy(base), source, allow_python)
    columns, groups, costs = tuple(rows[0]), (0,) * len(rows), (cost(config, config.problem()),)
    made = Design(source, base, columns, tuple(rows), _numbered(len(rows)), None, False, allow_python, title)
    return replace(made, groups=groups, costs=costs)


def load(path: str | Path, overrides: Sequence[str] = (), allow_python: bool = False) -> Design:
    """The design of a sweep file; overrides: values set in its base. Nothing is computed.

    Raises InputError with one paragraph for each fault, in the file or in the config of any run.
    """
    path = at_home(path)
    expect(path, "sweep file")
    file = read(path)
    base_path = path.parent / at_home(file.base)
    if not base_path.is_file():
        raise InputError(
            f'{path}: base = "{file.base}": there is no such file. The path starts at the folder of the'
            " sweep."
        )
    base = toml.read(base_path, overrides, takes_text)
    config = config_from(deepcopy(base), str(base_path), allow_python)
    rows = list(_rows(path, file))
    columns = list(rows[0])
    if file.replicates > 1:
        rows, columns = _replicated(path, file, config, rows, columns)
    design = Design(
        str(path),
        base,
        tuple(c for c in columns if c != "name"),
        tuple({k: v for k, v in r.items() if k != "name"} for r in rows),
        _names(path, rows, file.replicates),
        tuple(file.keep.times) if isinstance(file.keep.times, list) else file.keep.times,
        file.keep.fields,
        allow_python,
        file.title or config.title,
    )
    groups, costs, bare = _check(design)
    told = [(str(path if _varies(design, key) else base_path), key, text) for key, text in bare.items()]
    told += [(str(path), f"keep.{key}", text) for key, text in file.keep.bare]
    return replace(
        design, groups=groups, costs=costs, warnings=tuple(f"{at}: {key} {text}" for at, key, text in told)
    )


def _varies(design: Design, key: str) -> bool:
    return any(f"{key}.".startswith(f"{k}.") or f"{k}.".startswith(f"{key}.") for k in design.varied)


def _rows(path: Path, file: SweepFile) -> Iterator[Row]:
    """The rows of every combination: the first key varies slowest, samples fastest."""
    grid = [[(key, v) for v in values] for key, values in file.grid.items()]
    together = [
        dict(zip(file.together, values, strict=True)) for values in zip(*file.together.values(), strict=True)
    ] or [{}]
    taken = dict.fromkeys(file.grid, "[grid]") | dict.fromkeys(file.together, "[together]")
    samples = list(_samples(path, file.sample, file.seed, taken)) if file.sample else [{}]
    count = prod(map(len, grid)) * len(together) * len(samples) * file.replicates
    if count > MOST_RUNS:  # checked before they are made
        raise InputError(
            f"{path}: it makes {count:,} runs, and at most {MOST_RUNS:,} can be. Vary less, or use [sample]"
            " instead of [grid]."
        )
    for values in product(*grid):
        for moved, sample in product(together, samples):
            yield _placed(path, dict(values) | moved | sample)


def _placed(path: Path, row: Row) -> Row:
    """A row with absolute paths; they are relative to the folder of the sweep."""
    return {k: toml.absolute(k, v, path.parent.absolute()) for k, v in row.items()}


def _samples(path: Path, sample: Sample, seed: int, taken: Row) -> Iterator[Row]:
    if sample.table is not None:
        yield from table.rows(path, sample.table, taken)
        return
    from scipy.stats import qmc

    kinds = {"sobol": qmc.Sobol, "latin_hypercube": qmc.LatinHypercube}
    rng, size = np.random.default_rng(seed), (sample.n or 0, len(sample.keys))
    points = (
        rng.random(size)
        if sample.method == "uniform"
        else kinds[sample.method](size[1], rng=rng).random(size[0])
    )
    for point in points:
        yield {
            key: between.value(float(x)) for (key, between), x in zip(sample.keys.items(), point, strict=True)
        }


def _replicated(
    path: Path, file: SweepFile, config: Config, rows: list[Row], columns: list[str]
) -> tuple[list[Row], list[str]]:
    """Each row once for each replicate, with its own seeds for the section, the tumour and a random start."""
    seeds = [key for key in config.seeds if key not in columns]
    if not seeds:
        raise InputError(
            f"{path}: replicates = {file.replicates}, and nothing in {file.base} is drawn at"
            f" random{' beyond what is varied already' if config.seeds else ''}. Leave replicates out, or"
            " take a generated section."
        )
    drawn = np.random.default_rng([file.seed, 1]).integers(2**31, size=(file.replicates, len(seeds))).tolist()
    made = [
        row | {REPLICATE: r + 1} | dict(zip(seeds, drawn[r], strict=True))
        for row in rows
        for r in range(file.replicates)
    ]
    return made, [*columns, REPLICATE, *seeds]


def _names(path: Path, rows: Sequence[Row], replicates: int) -> tuple[str, ...]:
    """The names given in the table, or numbers."""
    if "name" not in rows[0]:
        return _numbered(len(rows))
    names = tuple(f"{r['name']}-{r['replicate']}" if replicates > 1 else str(r["name"]) for r in rows)
    if bad := next((n for n in names if not NAME.fullmatch(n)), None):
        raise InputError(
            f"{path}: name = {bad!r} cannot name a folder. Allowed: up to 80 letters, digits, dots, hyphens"
            " and underscores."
        )
    if len({n.lower() for n in names}) < len(names):
        seen: set[str] = set()
        twice = next(n for n in names if n.lower() in seen or seen.add(n.lower()))
        raise InputError(
            f"{path}: two runs are named {twice!r}, and each needs its own folder. Give each a different"
            " name, or leave name out."
        )
    return names


def _numbered(count: int) -> tuple[str, ...]:
    width = len(str(count - 1))
    return tuple(f"{i:0{width}d}" for i in range(count))


def _check(design: Design) -> tuple[tuple[int, ...], tuple[Cost, ...], dict[str, str]]:
    """Check every config; report all faults together, and those that many runs share only once.

    Return the groups, the cost of a run of each, and the keys of numbers without a unit, with the text about
    the first of them.
    """
    # common part of messages -> the first of them, its run, and their number
    found: dict[str, tuple[str, int, int]] = {}
    shapes: dict[str, int] = {}  # shape of a config -> the first run that has it
    groups: list[int] = []
    bare: dict[str, str] = {}
    for i in range(len(design)):
        try:
            config = design.config(i)
            groups.append(shapes.setdefault(config.shape, i))
            texts = list(_late(design, config))
            for key, said in config.bare:
                bare.setdefault(key, said)
        except InputError as error:
            texts = str(error).replace(design.told(i), "").split("\n\n")
        for text in texts:
            alike = text
            for key in design.varied:
                alike = alike.replace(f"{key} = {shown(design.rows[i][key])}", key)
            first, begun, count = found.get(alike, (text, i, 0))
            found[alike] = first, begun, count + 1
    if found:
        many = {n: f" (and {n - 1} more run{'s' * (n > 2)})" for _, _, n in found.values() if n > 1}
        told = [f"{design.told(i)}{text}{many.get(n, '')}" for text, i, n in list(found.values())[:MOST_SAID]]
        more = [f"... and {len(found) - MOST_SAID} more"] if len(found) > MOST_SAID else []
        raise InputError("\n\n".join(told + more))
    numbers = {first: n for n, first in enumerate(shapes.values())}
    configs = (config_from(design.tables(i), design.told(i), design.python) for i in shapes.values())
    # this raises for a section that cannot be made
    costs = tuple(cost(config, config.problem()) for config in configs)
    return tuple(numbers[first] for first in groups), costs, bare


def _late(design: Design, config: Config) -> Iterator[str]:
    """The faults of keep.times that do not fit into a run."""
    times, end = design.interval, config.time.end
    if isinstance(times, float) and times < end / MOST_SAVED:
        yield (
            f": keep.times = {times:g} d is too short an interval for {end:g} d: at most {MOST_SAVED:,}"
            " times. Give a longer one."
        )
    if late := [t for t in (times if isinstance(times, tuple) else [times or 0.0]) if t > end]:
        yield f": keep.times holds {late[0]:g} d, after the end of the run ({end:g} d). Give times within it."
