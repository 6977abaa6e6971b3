"""[[events]]: doses from an event table, a CSV file with the columns of NONMEM. Each row that gives a dose is
read as the [[dose]] that says the same.

A cell "." or an empty one is missing. What could be meant in two ways is refused.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from ..errors import InputError, shown
from ..models.bone.pharmacokinetics import Dose
from ..units import number
from ..utils.home import at_home
from ..utils.safe_toml import LONGEST
from . import messages
from .dose_table import DoseTable
from .messages import Fault
from .tables import Table

NUMBERS = ("TIME", "AMT", "RATE", "II", "ADDL", "SS", "EVID", "CMT")
READ = (*NUMBERS, "ID", "AGENT", "ROUTE")
WITHOUT_DOSE = ("DV", "MDV")
"""Columns of observations, of which nothing is said."""
OTHER_WORDS = {
    **dict.fromkeys(("DUR", "DURATION", "TINF", "D1", "R1"), "RATE"),
    **dict.fromkeys(("F1", "ALAG1"), "the parameters of the drug in model.parameters"),
    **dict.fromkeys(("#ID", "SUBJ", "SUBJID", "USUBJID"), "it the name ID"),
    "C": "only the rows that count",
    **dict.fromkeys(("DATE", "DAT1", "DAT2", "DAT3"), "TIME, in days or hours since the start of the run"),
    **dict.fromkeys(("UNIT", "UNITS", "AMTU", "DOSEU"), "one unit for the table: amount_unit"),
}
"""Columns that change doses and are not read, with what to give instead."""
ROUTES = {"CMT": {"1": "sc", "2": "iv"}, "ROUTE": {"sc": "sc", "iv": "iv"}}
COLUMNS = {
    "agent": "AGENT",
    "amount": "AMT",
    "at": "TIME",
    "duration": "AMT/RATE",
    "every": "II",
    "times": "ADDL",
}
"""The column in which a key of a [[dose]] stands."""
MOST = 10_000
"""The most doses of one row."""


class Row(NamedTuple):
    """A row that gives a dose: its line in the file, and the [[dose]] that it is."""

    line: int
    dose: DoseTable


class EventTable(Table):
    file: str
    """The CSV file, for example "events.csv". Its columns are TIME and AMT, CMT (1: sc, 2: iv) or ROUTE, and
    where needed ID, AGENT, RATE, II, ADDL, SS and EVID.
    """
    time_unit: str
    """The unit of TIME and II, and of time in RATE, for example "h"."""
    amount_unit: str
    """The unit of AMT, and of amounts in RATE: "mg/kg" for example, or "mg" with model.body_weight."""
    agent: str | None = None
    """The drug, where the file has no column AGENT."""
    id: int | str | None = None
    """The ID whose rows are read, where the file has several."""

    def faults(self) -> Iterator[Fault]:
        for key, allowed in (("time_unit", ("d",)), ("amount_unit", ("mg/kg", "mg"))):
            if not any(_converts(getattr(self, key), unit) for unit in allowed):
                yield (
                    key,
                    (
                        f"= {shown(getattr(self, key))} is no unit of {key.removesuffix('_unit')}. Give"
                        f" {' or '.join(allowed)}, or one that converts to it."
                    ),
                )
                return
        try:
            _ = self.content
        except InputError as error:
            yield "file", f"= {shown(Path(self.file).name)}: {error}"

    @cached_property
    def content(self) -> tuple[tuple[Row, ...], tuple[str, ...]]:
        """Its rows that give a dose, and the columns that are not read."""
        columns, lines = _lines(at_home(self.file))
        _check_columns(columns, self)
        chosen = _of_one_id(columns, lines, self.id)
        rows = [Row(n, dose) for n, cells in chosen if (dose := self._dose(n, cells)) is not None]
        if not rows:
            raise InputError("it gives no dose. Doses are rows with EVID = 1, or with AMT above 0.")
        return tuple(rows), tuple(c for c in columns if c not in (*READ, *WITHOUT_DOSE))

    def _dose(self, line: int, cells: Mapping[str, str]) -> DoseTable | None:
        """The dose of a row; None if it gives none."""
        found = {name: _number(line, name, cells[name]) for name in NUMBERS if cells.get(name)}
        amount, event = found.get("AMT", 0.0), found.get("EVID")
        if event is not None and event not in (0, 1, 2):
            why = "a reset (3, 4) is not possible here" if event in (3, 4) else "it is not known"
            raise InputError(f"line {line}: EVID = {event:g}: {why}. Allowed: 0 and 2, no dose; 1, a dose.")
        if event in (0, 2) or (event is None and amount == 0):
            asked = next((name for name in ("AMT", "RATE", "ADDL", "SS") if found.get(name)), None)
            if asked:
                what = "AMT above 0" if event is None else "EVID = 1"
                raise InputError(
                    f"line {line}: {asked} = {found[asked]:g} belongs to a dose, and this row is none. Give"
                    f" it {what}, or leave {asked} empty."
                )
            return None
        if "TIME" not in found or amount <= 0:
            name = "TIME" if amount > 0 else "AMT"
            raise InputError(
                f"line {line}: {name} = {cells[name] or '.'}, and a dose needs"
                f" {'a time' if amount > 0 else 'an amount above 0'}."
            )
        return self._as_table(line, cells, found)

    def _as_table(self, line: int, cells: Mapping[str, str], found: Mapping[str, float]) -> DoseTable:
        rate, more, steady = (found.get(name, 0.0) for name in ("RATE", "ADDL", "SS"))
        if rate < 0:
            raise InputError(
                f"line {line}: RATE = {rate:g}: the rate or duration of an infusion is a number here, not a"
                " parameter of a model (-1, -2). Give the rate in amount per time, or 0 for a dose at once."
            )
        if steady not in (0, 1):
            raise InputError(
                f"line {line}: SS = {steady:g}: a steady state that is added to another one (2) is not"
                " possible here. Allowed: 0, and 1, which replaces what there was."
            )
        if more < 0 or more % 1 or more >= MOST:
            raise InputError(f"line {line}: ADDL = {more:g} is not a whole number from 0 to {MOST - 1:,}.")
        if (more or steady) and found.get("II", 0.0) <= 0:
            asked = "ADDL" if more else "SS"
            raise InputError(f"line {line}: {asked} = {found[asked]:g} needs the interval II, above 0.")
        agent = cells.get("AGENT", self.agent)
        name = "CMT" if "CMT" in cells else "ROUTE"
        said = f"{found['CMT']:g}" if "CMT" in found else cells.get(name, "").lower()
        if not agent or said not in ROUTES[name]:
            column, allowed = (name, " or ".join(ROUTES[name])) if agent else ("AGENT", "the name of a drug")
            raise InputError(f"line {line}: {column} = {cells[column] or '.'}. Give {allowed}.")
        table: dict[str, Any] = {
            "agent": agent,
            "amount": f"{cells['AMT']} {self.amount_unit}",
            "route": ROUTES[name][said],
            "at": f"{cells['TIME']} {self.time_unit}",
        }
        if rate:
            table["duration"] = f"{found['AMT'] / rate!r} {self.time_unit}"
        if more or steady:
            table["every"], table["times"] = f"{cells['II']} {self.time_unit}", 1 + int(more)
            table["ss"] = bool(steady)
        try:
            return DoseTable.model_validate(table)
        except ValidationError as error:
            key, text = messages.faults(error.errors(), lambda loc: {})[0]
            raise InputError(f"line {line}: {COLUMNS.get(key, key)} {text}") from None


def read_events(
    file: str | Path,
    *,
    time_unit: str,
    amount_unit: str,
    agent: str | None = None,
    id: int | str | None = None,
    body_weight: float | None = None,
) -> tuple[Dose, ...]:
    """The doses of an event table, a CSV file with the columns of NONMEM (docs/configs.md).

    body_weight: kg, for amounts in mg; other arguments as the keys of [[events]]. Raises InputError for a
    file that cannot be read, or can be read in more than one way.
    """
    given = {"file": str(file), "time_unit": time_unit, "amount_unit": amount_unit, "agent": agent, "id": id}
    try:
        table = EventTable.model_validate(given)
    except ValidationError as error:
        found = messages.faults(error.errors(), lambda loc: {})
        raise InputError(messages.message("read_events", found, ())) from None
    rows, _ = table.content
    if body_weight is None and (row := next((r for r in rows if r.dose.whole), None)):
        raise InputError(f"read_events: line {row.line}: AMT {row.dose.needs_weight('body_weight=70')}")
    return tuple(dose for row in rows for dose in row.dose.doses(body_weight))


def _converts(unit: str, wanted: str) -> bool:
    try:
        return any(map(str.isalpha, unit)) and number(f"1 {unit}", wanted) > 0
    except ValueError:
        return False


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and the other lines with their numbers."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read(LONGEST + 1)
        if len(text) > LONGEST:
            raise InputError(f"it has more than {LONGEST:,} characters. Give fewer rows.")
        reader = csv.reader(StringIO(text, newline=""), strict=True)
        lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader]
    except UnicodeDecodeError:
        raise InputError(
            "it is not UTF-8 text. Save it as UTF-8; a spreadsheet calls this CSV UTF-8."
        ) from None
    except OSError as error:
        raise InputError(
            f"it cannot be read: {error.strerror or error}. The path starts at the folder of the config."
        ) from None
    except csv.Error as error:
        raise InputError(f"it is not CSV: {error}. Put quotes around cells that hold commas.") from None
    lines = [(n, line) for n, line in lines if any(line)]
    if not lines:
        raise InputError("it is empty. Its first line names the columns, and each further line is an event.")
    columns = [name.upper() for name in lines[0][1]]
    if wrong := next((each for each in lines if len(each[1]) != len(columns)), None):
        raise InputError(
            f"line {wrong[0]} has {len(wrong[1])} cells, and the first line names {len(columns)} columns. "
            "Separate cells by commas, and write decimals with a point."
        )
    return columns, [(n, ["" if cell == "." else cell for cell in line]) for n, line in lines[1:]]


def _check_columns(columns: Sequence[str], table: EventTable) -> None:
    for name in columns:
        if columns.count(name) > 1:
            raise InputError(f"it has two columns {name or 'without a name'}. Leave one of them out.")
        if not name:
            raise InputError("it has a column without a name. Its first line names the columns.")
        if name in OTHER_WORDS:
            raise InputError(
                f"its column {name} changes doses and is not read here. Give {OTHER_WORDS[name]}."
            )
    if missing := [name for name in ("TIME", "AMT") if name not in columns]:
        raise InputError(
            f"it has no column {missing[0]}. Its columns are {', '.join(columns)}; separate them by commas."
        )
    for one, other, given in (
        ("CMT", "a column ROUTE", "ROUTE" in columns),
        ("AGENT", "the key agent", table.agent is not None),
    ):
        if (one in columns) == given:
            both = "both" if given else "neither"
            raise InputError(f"it has {both} of a column {one} and {other}. Give one of them.")


def _of_one_id(
    columns: Sequence[str], lines: Sequence[tuple[int, list[str]]], wanted: int | str | None
) -> list[tuple[int, dict[str, str]]]:
    """The lines, cell by column, of the ID that is asked for."""
    rows = [(n, dict(zip(columns, line, strict=True))) for n, line in lines]
    there = list(dict.fromkeys(_plain(cells["ID"]) for _, cells in rows)) if "ID" in columns else []
    if wanted is None and len(there) > 1:
        raise InputError(
            f"it holds several ID, and a run is of one. Choose it, id = {there[0]}: {_few(there)}."
        )
    if wanted is None:
        return rows
    if _plain(str(wanted)) not in there:
        raise InputError(f"it has no ID {wanted}. There is: {_few(there) or 'no column ID; leave id out'}.")
    return [(n, cells) for n, cells in rows if _plain(cells["ID"]) == _plain(str(wanted))]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")


def _plain(text: str) -> str:
    """An ID as it is compared: 3, 3.0 and 3.00 are one."""
    try:
        return f"{float(text):.17g}"
    except ValueError:
        return text


def _number(line: int, column: str, cell: str) -> float:
    try:
        found = float(cell)
    except ValueError:
        found = float("nan")
    if not isfinite(found) or "_" in cell:
        raise InputError(
            f"line {line}: {column} = {shown(cell)} is not a number. Write decimals with a point, and a"
            ' missing value as ".".'
        )
    return found


def unread(names: Sequence[str]) -> str:
    """The warning about columns that are not read."""
    return f"has columns that are not read: {', '.join(names)}. No dose depends on them."
