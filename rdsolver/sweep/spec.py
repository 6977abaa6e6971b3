"""The file of a sweep: the keys that vary and their values, read as strictly as a config."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError

from ..config import messages, toml
from ..config.bare_numbers import bare_in
from ..config.messages import Fault
from ..config.tables import Quantity, Table
from ..errors import InputError, shown
from ..units import number, split_unit

MOST_RUNS = 1_000_000
LABELS = ("label", "name")
"""The columns that are not keys of a run: free text for figures, and the name of the run."""
REPLICATE = "replicate"
"""The column that replicates add."""


class Between(Table):
    """The range of a sampled value."""

    between: list[Any] = Field(min_length=2, max_length=2)
    """Lowest and highest, of one dimension, for example ["0.03 nM", "10 nM"]; samples are in the unit of the
    first.
    """
    scale: Literal["linear", "log", "integer"] = "linear"
    """How the samples are spread; integer: whole numbers, both ends included."""

    def faults(self) -> Iterator[Fault]:
        try:
            low, high, unit = self.bounds()
        except ValueError as error:
            yield "between", str(error)
            return
        if not low < high:
            yield (
                "between",
                f"= {shown(self.between)} is not in order. Give the lower bound first, then a higher one.",
            )
        elif self.scale == "log" and low <= 0:
            yield (
                "between",
                (
                    f"= {shown(self.between)} does not lie above 0, and the scale is log. Move it, or give"
                    ' scale = "linear".'
                ),
            )
        elif self.scale == "integer" and (unit or low % 1 or high % 1):
            yield (
                "between",
                (
                    f"= {shown(self.between)} are not whole numbers, and the scale is integer. Give 1 and 9,"
                    " or another scale."
                ),
            )

    def bounds(self) -> tuple[float, float, str]:
        """(Lowest, highest, unit of both). Raises ValueError for a value that is no number, or for two
        dimensions.
        """
        (low, unit), (high, other) = map(split_unit, self.between)
        if bool(unit) != bool(other):
            raise ValueError(f"= {shown(self.between)} has a unit in one place. Give it in both, or in none.")
        return low, number(self.between[1], unit) if unit else high, unit

    def value(self, share: float) -> Any:
        """The value at a share in [0, 1) of the range, as in a config."""
        low, high, unit = self.bounds()
        if self.scale == "integer":
            return int(low) + int(share * (high - low + 1))
        found = low * (high / low) ** share if self.scale == "log" else low + share * (high - low)
        return f"{found!r} {unit}" if unit else found


class Sample(Table):
    """[sample]: points between bounds, or the rows of a table."""

    method: Literal["sobol", "latin_hypercube", "uniform"] = "sobol"
    """How the points are drawn (scipy.stats.qmc)."""
    n: Annotated[int | None, Field(ge=1, le=MOST_RUNS)] = None
    """Number of samples; for sobol a power of 2."""
    table: str | None = None
    """A CSV file instead of points: one column for each key, one row for each run."""
    keys: dict[str, Between] = Field(default_factory=dict)
    """Every other key is one of the run, for example "dose.0.amount" = { between = ["1 mg/kg", "10 mg/kg"],
    scale = "log" }.
    """

    def faults(self) -> Iterator[Fault]:
        if self.table is not None and (self.keys or self.n is not None):
            yield "table", "is given, and points between bounds too. Give one of them."
        elif self.table is None and self.n is None:
            yield "n", "is missing: say how many samples there are, for example n = 256."
        elif self.table is None and not self.keys:
            yield (
                "",
                'names no key to vary. Add one: "dose.0.amount" = { between = ["1 mg/kg", "10 mg/kg"] }.',
            )
        elif self.method == "sobol" and self.n and self.n & (self.n - 1):
            less = 1 << self.n.bit_length() - 1
            yield (
                "n",
                (
                    f"= {self.n} is not a power of 2, and Sobol points are balanced only then. Give {less} or"
                    f" {2 * less}."
                ),
            )


class Keep(Table):
    """[keep]: the results that are collected of each run."""

    times: Annotated[float | list[float] | None, Quantity("d", least=0, many=True)] = None
    """Times of the collected series: an interval such as "0.5 d", or a list (default: those of the base)."""
    fields: bool = False
    """True to keep the fields of each run at its saved times too, as its own config says."""

    _bare: tuple[Fault, ...] = PrivateAttr(())

    @property
    def bare(self) -> tuple[Fault, ...]:
        """The keys of numbers that lack their unit."""
        return self._bare

    def faults(self) -> Iterator[Fault]:
        if self.times == []:
            yield "times", '= [] holds no time. Give at least one, or an interval such as "0.5 d".'
        elif self.times == 0:
            yield "times", '= 0 is not an interval. Give one above 0, such as "0.5 d", or a list of times.'


class SweepFile(Table):
    """The whole file."""

    title: str = ""
    """Title of the sweep, for figures."""
    base: str
    """The config that the runs share; what varies is set in it."""
    replicates: Annotated[int, Field(ge=1, le=MOST_RUNS)] = 1
    """How often each combination is run, each time with other seeds: those of replicate 2 are the same in
    every combination.
    """
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Seed of the samples and of the seeds of replicates."""
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    """[grid]: lists of values; every combination is run."""
    together: dict[str, list[Any]] = Field(default_factory=dict)
    """[together]: lists of one length that move together; label and name may be among them."""
    sample: Sample | None = None
    """[sample]: points between bounds, or a table."""
    keep: Keep = Keep()
    """[keep]: the results that are collected."""

    def faults(self) -> Iterator[Fault]:
        for table, lists in (("grid", self.grid), ("together", self.together)):
            for key, values in lists.items():
                if not values:
                    yield f"{table}.{key}", "= [] names no value. Give at least one, or leave the key out."
                elif any(isinstance(v, dict) for v in values):
                    yield (
                        f"{table}.{key}",
                        "holds a table. Vary the keys in it one by one, with the dots in their names.",
                    )
        lengths = {key: len(values) for key, values in self.together.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{key} {n}" for key, n in lengths.items())
            yield (
                "together",
                f"holds lists of different lengths ({told}), and they vary together. Give them equal"
                " lengths.",
            )
        tables: dict[str, dict[str, Any]] = {
            "grid": self.grid,
            "together": self.together,
            "sample": self.sample.keys if self.sample else {},
        }
        for table, keys in tables.items():
            for key in LABELS if table != "together" else ():
                if key in keys:
                    yield f"{table}.{key}", "is not a key of a run. It belongs in [together] or in a table."
        seen: dict[str, str] = {}
        for table, keys in tables.items():
            for key in keys:
                yield from ((f"{table}.{key}", text) for text in clash(key, seen))
                seen[key] = f"[{table}]"


def clash(key: str, seen: Mapping[str, str]) -> Iterator[str]:
    """The faults of a key that is varied already, or that lies inside one that is, or holds one."""
    inside = next((k for k in seen if f"{k}.".startswith(f"{key}.") or f"{key}.".startswith(f"{k}.")), None)
    if inside:
        yield f"is varied in {seen[inside]} already{'' if inside == key else f', as {inside}'}. Vary it once."
    if key == REPLICATE:
        yield "is not a key of a run. Give replicates = 3 above the tables: each combination with 3 seeds."


def read(path: Path) -> SweepFile:
    """The content of a sweep file. Raises InputError with one paragraph for each fault."""
    raw = toml.parse(path)
    for table in ("grid", "together"):
        if isinstance(raw.get(table), dict):
            raw[table] = dict(_flat(raw[table], bool))
    if isinstance(sample := raw.get("sample"), dict):
        own = {k: sample.pop(k) for k in ("method", "n", "table") if k in sample}
        raw["sample"] = own | {
            "keys": dict(_flat(sample, lambda table: all(isinstance(v, dict) for v in table.values())))
        }
    try:
        file = SweepFile.model_validate(raw)
    except ValidationError as error:
        found = [
            [s.replace("sample.keys.", "sample.") for s in fault]
            for fault in messages.faults(error.errors(), _keys_at)
        ]
        raise InputError(messages.message(str(path), ((key, text) for key, text in found), ())) from None
    file.keep._bare = tuple(bare_in(file.keep, raw.get("keep", {})))
    return file


def _flat(
    tables: dict[str, Any], goes_on: Callable[[dict[str, Any]], bool], before: str = ""
) -> Iterator[tuple[str, Any]]:
    """The values by dotted key, also where the dots are outside quotes and TOML makes tables of them.

    goes_on: a function that is True for such a table.
    """
    for key, value in tables.items():
        if isinstance(value, dict) and value and goes_on(value):
            yield from _flat(value, goes_on, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _keys_at(loc: tuple[Any, ...]) -> dict[str, str]:
    tables: dict[tuple[Any, ...], type[Table]] = {(): SweepFile, ("sample",): Sample, ("keep",): Keep}
    table = tables.get(loc, Between if loc[:2] == ("sample", "keys") and len(loc) == 3 else None)
    return (
        {name: f.description or "" for name, f in table.model_fields.items() if name != "keys"}
        if table
        else {}
    )
