"""The factors and measures of a sweep for figures: numbers and groups, with printed units and names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..sweep.reader import STATISTICS, Sweep
from . import style
from .timeseries import OBSERVABLES, Scale

USUAL = ("ntx", "osteoclast_number", "bone_volume_fraction")
SHOWN = ("min", "max", "end")  # statistics of an observable that is asked for without one
WORDS = {
    "end": "at the end",
    "min": "lowest",
    "max": "highest",
    "mean": "mean",
    "min_time": "day of lowest",
    "max_time": "day of highest",
}
PER_CENT = ("bone_volume_fraction", "tumour_burden")
MOST_GROUPS = 8
LEAST_RATIO = 8  # least ratio of highest to lowest for a logarithmic axis


@dataclass(frozen=True)
class Factor:
    """A factor: a key of the sweep that varies.

    label    name with unit
    values   one for each run
    levels   the distinct values, in order
    """

    key: str
    label: str
    values: np.ndarray
    unit: str = ""

    @property
    def is_number(self) -> bool:
        return self.values.dtype.kind in "if" and not self.key.endswith("seed")

    @property
    def levels(self) -> np.ndarray:
        """The distinct values: numbers by size, others in the order of the sweep."""
        levels, first = np.unique(self.values, return_index=True)
        return levels if self.is_number else levels[np.argsort(first)]

    @property
    def scale(self) -> str:
        """log if the values are spread evenly over decades, symlog if 0 is among them, otherwise linear."""
        levels = self.levels
        above = levels[levels > 0]
        if np.any(levels < 0) or len(above) < 3 or above[-1] < LEAST_RATIO * above[0]:
            return "linear"
        middle = [(np.median(x) - x[0]) / (x[-1] - x[0]) for x in (above, np.log(above))]
        if abs(middle[1] - 0.5) >= abs(middle[0] - 0.5):
            return "linear"
        return "log" if len(above) == len(levels) else "symlog"


@dataclass(frozen=True)
class Measure:
    """A number of each run: a statistic of an observable, in the printed unit and on the printed scale."""

    label: str
    values: np.ndarray
    scale: Scale


def factors(sweep: Sweep) -> list[Factor]:
    """The factors, numbers first.

    Of columns that vary together only one is kept: the label if it names texts or seeds, otherwise a number.
    """
    found: list[Factor] = []
    keys = list(sweep.varied)
    said = {key: _short(key) for key in keys}
    for key in keys:
        name = said[key] if list(said.values()).count(said[key]) == 1 else key
        unit = style.in_print(sweep.units.get(key, "1"), 0)[1]
        factor = Factor(key, style.with_unit(name, unit), sweep.columns[key], unit)
        same = next((k for k, other in enumerate(found) if _together(factor, other)), None)
        if same is None:
            found.append(factor)
        else:
            found[same] = _telling(found[same], factor)
    return sorted(found, key=lambda f: not f.is_number)


def _telling(one: Factor, other: Factor) -> Factor:
    """The one of two columns that vary together that represents both."""
    if "label" in (one.key, other.key):
        column, label = (other, one) if one.key == "label" else (one, other)
        return column if column.is_number else label
    texts = [f for f in (one, other) if f.values.dtype.kind not in "if" and len(f.levels) <= MOST_GROUPS]
    return (texts or [f for f in (one, other) if f.is_number] or [one])[0]


def _together(one: Factor, other: Factor) -> bool:
    """True if each level of one factor goes with one level of the other.

    Of two numbers, one must also rise or fall with the other (samples do neither).
    """
    pairs = np.unique(
        np.column_stack([np.unique(f.values, return_inverse=True)[1] for f in (one, other)]), axis=0
    )
    if not len(pairs) == len(one.levels) == len(other.levels):
        return False
    steps = np.diff(pairs[:, 1])
    return not (one.is_number and other.is_number) or bool((steps > 0).all() or (steps < 0).all())


def _short(key: str) -> str:
    if key.startswith("model.parameters."):
        return key.removeprefix("model.parameters.")  # as `rdsolver params` lists it
    return " ".join(p for p in key.split(".") if not p.isdigit()).replace("_", " ")


def level_text(sweep: Sweep, factor: Factor, level: object) -> str:
    """A level in a legend: "3 mg/kg", or a drug by its name."""
    if not factor.is_number:
        plasma = sweep.labels.get(f"plasma_{level}", "")
        return plasma.removesuffix(" in plasma") or str(level)
    return f"{level:g} {factor.unit}" if factor.unit else f"{factor.label} {level:g}"


def observables(sweep: Sweep, names: Sequence[str]) -> list[str]:
    """The observables asked for, without their statistic, or the usual ones.

    Raises InputError for one that no run has.
    """
    plain = list(dict.fromkeys(name.partition(".")[0] for name in names))
    if unknown := [name for name in plain if name not in sweep.observables]:
        raise InputError(
            f"--field {unknown[0]}: no run of {sweep.folder} has it. They have:"
            f" {', '.join(sweep.observables) or 'none'}."
        )
    return plain or [n for n in USUAL if n in sweep.observables] or list(sweep.observables)[:3]


def measures(sweep: Sweep, names: Sequence[str], each: Sequence[str] = SHOWN) -> list[Measure]:
    """The measures that a name stands for: "ntx.min" is one, "ntx" all in `each`.

    Raises InputError for a name that no run has.
    """
    asked = []
    for name in names or observables(sweep, ()):
        plain, _, statistic = name.partition(".")
        observables(sweep, [plain])
        if statistic and statistic not in STATISTICS:
            raise InputError(f"--field {name}: an observable has {', '.join(STATISTICS)}.")
        asked += [(plain, s) for s in ([statistic] if statistic else each)]
    return [measure(sweep, plain, statistic) for plain, statistic in asked]


def measure(sweep: Sweep, name: str, statistic: str) -> Measure:
    values = sweep.columns[f"{name}.{statistic}"]
    if statistic.endswith("_time"):
        return Measure(f"{label(sweep, name)[0]},\n{WORDS[statistic]} (d)", values, "zero")
    text, unit, factor = label(sweep, name)
    return Measure(
        f"{style.with_unit(text, unit)},\n{WORDS[statistic]}",
        factor * values,
        OBSERVABLES.get(name, ("", "", "close"))[2],
    )


def label(sweep: Sweep, name: str) -> tuple[str, str, float]:
    """The printed name, the unit, and the factor into that unit, of an observable."""
    text = OBSERVABLES[name][0].replace("\n", " ") if name in OBSERVABLES else sweep.labels.get(name, name)
    if name in PER_CENT:
        return text, "%", 100.0
    largest = np.nanmax(sweep.columns[f"{name}.max"], initial=0.0)
    factor, unit = style.in_print(sweep.units.get(name, "1"), float(largest))
    return text, unit, factor


def telling(sweep: Sweep, name: str) -> str:
    """The one of end, minimum and maximum that differs most between the runs."""
    spread = {
        s: float(np.ptp(v[np.isfinite(v)]))
        for s in ("end", "min", "max")
        if np.isfinite(v := sweep.columns[f"{name}.{s}"]).any()
    }
    return max(spread, key=spread.__getitem__, default="end")
