"""Selection of fields, saved times and positions by the names that a user gives them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .reader import Run


def fields(run: Run, names: Sequence[str], otherwise: Sequence[str] = ()) -> list[str]:
    """The fields asked for, without repetition; without names `otherwise`, or all.

    Raises InputError for a field that was not saved, when none was saved, or when no saved cell is in the
    field of view.
    """
    if not len(run):
        raise InputError(
            f"{run.file.filename} kept no fields (output.fields = []). plot --kind timeseries and export --to"
            " csv have what it measured."
        )
    if not run.active.any():
        raise InputError(
            f"{run.file.filename}: no saved cell lies within the field of view: there is nothing to show."
        )
    for name in names:
        if name not in run:
            raise InputError(
                f"--field {name}: {run.file.filename} did not save it. Saved: {', '.join(run) or 'none'}."
            )
    return list(dict.fromkeys(names or otherwise or run))


def observables(run: Run, names: Sequence[str]) -> list[str]:
    """The observables asked for, without repetition; without names all.

    Raises InputError for one that the run does not have.
    """
    known = [name for name in run.series if name != "time"]
    for name in names:
        if name not in known:
            raise InputError(
                f"--field {name}: {run.file.filename} has no such observable. It has: {', '.join(known)}."
            )
    return list(dict.fromkeys(names or known))


def times(run: Run, days: Sequence[float]) -> list[int]:
    """The indices of the saved times nearest to the given days, ascending, without repetition; without days
    all.

    Raises InputError when no time was saved, or when a day lies outside the saved times.
    """
    saved = run.times
    if not len(saved):
        raise InputError(f"{run.file.filename} holds no saved time: there is nothing to show.")
    slack = 1e-6 * max(abs(float(saved[-1])), 1.0)
    for day in days:
        if not saved[0] - slack <= day <= saved[-1] + slack:
            raise InputError(
                f"--time {day:g} d: {run.file.filename} was saved from {saved[0]:g} to {saved[-1]:g} d."
            )
    return sorted({int(np.abs(saved - day).argmin()) for day in days}) if days else list(range(len(saved)))


def centre(run: Run, place: Sequence[float] | None) -> tuple[float, ...]:
    """A place (um, in the order of the axes), or, without one, that of the tumour or the lesion, or else the
    middle.

    The place of the tumour is the mean place of its cells at the last saved time; that of the lesion is the
    mean place of the bone lost since the start. Raises InputError for a place outside the saved cells.
    """
    lengths = [n * h for n, h in zip(run.shape, run.spacing, strict=True)]
    if place is not None:
        inside = len(place) == len(lengths) and all(
            a <= p <= a + n for p, a, n in zip(place, run.origin, lengths, strict=True)
        )
        if not inside:
            spans = ", ".join(
                f"{axis} {a:g} to {a + n:g}" for axis, a, n in zip(run.axes, run.origin, lengths, strict=True)
            )
            raise InputError(
                f"--at {','.join(f'{p:g}' for p in place)}: outside the saved cells. Give um within {spans}."
            )
        return tuple(place)
    weight = _tumour(run) if "tumour" in run else _lost(run)
    if weight is None or not weight.sum() > 0:
        return tuple(a + n / 2 for a, n in zip(run.origin, lengths, strict=True))
    grids = np.meshgrid(*(run.centres(axis) for axis in run.axes), indexing="ij")
    return tuple(float((weight * g).sum() / weight.sum()) for g in grids)


def nearest_cell(run: Run, place: Sequence[float]) -> tuple[int, ...]:
    """The saved cell at a position (um)."""
    return tuple(int(np.abs(run.centres(axis) - p).argmin()) for axis, p in zip(run.axes, place, strict=True))


def _tumour(run: Run) -> np.ndarray | None:
    return np.nan_to_num(run["tumour"][-1]) if len(run.times) else None


def _lost(run: Run) -> np.ndarray | None:
    """The loss of bone in the cells that lost more than half of their volume since the first saved time."""
    if "bone" not in run or not len(run.times):
        return None
    lost = np.nan_to_num(run["bone"][0] - run["bone"][-1])
    return np.where(lost > 0.5, lost, 0.0)
