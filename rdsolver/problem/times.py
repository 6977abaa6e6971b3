"""The times of a run: when a model says that its rates jump, and which times count as the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, file_of, traced
from ..utils.instants import Instants
from .changes import Change, in_force

if TYPE_CHECKING:
    from ..models.bone.component import Component
    from ..models.pointwise import ReactionDiffusion

MOST_BREAKS = 100_000
"""The largest number of times at which the rates of a model jump; more is a mistake."""


def breaks_of(
    model: ReactionDiffusion | Component, values: Mapping[str, float], changes: tuple[Change, ...]
) -> tuple[float, ...]:
    """The times at which a model declares that its rates may jump, d, increasing; including those that follow
    from changes of its parameters.

    Raises InputError when its declaration is no list of such times.
    """
    if not callable(model.breaks):
        return _times(model.name, model.breaks)
    found: set[float] = set()
    for t in (-1.0, *(t for c in changes for t in (c.start, c.end))):
        try:
            times = model.breaks(in_force(values, changes, t))
        except Exception as error:
            raise InputError(
                f"the break times of {model.name} fail. {traced(error, file_of(model.breaks))}"
            ) from error
        found |= {*_times(model.name, times)}
    return tuple(sorted(found))


def _times(name: str, given: Any) -> tuple[float, ...]:
    try:
        times = np.asarray(given, float)
    except (TypeError, ValueError):
        times = np.asarray(np.nan)
    if times.ndim != 1 or np.isnan(times).any() or len(times) > MOST_BREAKS:
        raise InputError(
            f"the break times of {name} are {given!r:.200}. They must be a list of times in its unit, at most"
            f" {MOST_BREAKS:,} of them."
        )
    return tuple(float(t) for t in np.unique(times))


def at_instants(
    end: float,
    changes: Sequence[Change],
    save: Sequence[float],
    breaks: Sequence[float],
    doses: Sequence[float] = (),
) -> tuple[Instants, dict[str, Any]]:
    """The instants of a run, from all its times; and its changes, saved times and break times moved to them.

    Raises InputError for a change that begins and ends at the same instant.
    """
    ends = [t for c in changes for t in (c.start, c.end)]
    instant = Instants(end, [*ends, *save, *breaks, *doses])
    moved = tuple(replace(c, start=instant(c.start), end=instant(c.end)) for c in changes)
    for c, given in zip(moved, changes, strict=True):
        if c.start == c.end:
            raise InputError(
                f"the change of {c.parameter} begins at {given.start!r} and ends at {given.end!r}, "
                f"which is one instant of a run of {end:g}. Let it last longer, or leave it out."
            )
    saved, declared = (tuple(sorted({instant(t) for t in times})) for times in (save, breaks))
    return instant, {"changes": moved, "save": saved, "breaks": declared}
