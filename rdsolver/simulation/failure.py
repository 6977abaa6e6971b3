"""The place where a step failed: a field and a cell, found on the host once, after the last attempt."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..geometry.grid import Grid
from ..models.base import Field


def culprit(
    fields: tuple[Field, ...], grid: Grid, tried: Mapping[str, np.ndarray], slopes: Mapping[str, np.ndarray]
) -> str:
    """A description of the value that most likely made a step fail.

    It is the first value of the attempted state that is not finite; otherwise the density furthest below
    zero; otherwise the fastest change. Densities and slopes are in units of the field's scale, slopes
    relative to scale + |u|.
    """
    for f in fields:
        broken = ~np.isfinite(tried[f.name])
        if broken.any():
            return f"{f.name} became {tried[f.name][broken][0]:g} {_at(grid, broken)}"
    depth = {f.name: float(tried[f.name].min()) / f.scale for f in fields if not f.signed}
    lowest = min(depth, key=lambda k: depth[k], default="")
    if lowest and depth[lowest] < 0:
        least = tried[lowest].min()
        return f"{lowest} is lowest, {least:.3g} {_unit(fields, lowest)}, {_at(grid, tried[lowest] == least)}"
    rate = {f.name: np.abs(slopes[f.name]) / (f.scale + np.abs(tried[f.name])) for f in fields}
    fastest = max(rate, key=lambda k: float(rate[k].max()))
    most = rate[fastest].max()
    return (
        f"{fastest} changes fastest, {most:.3g} of its size per unit of time,"
        f" {_at(grid, rate[fastest] == most)}"
    )


def _unit(fields: tuple[Field, ...], name: str) -> str:
    return next(f.unit for f in fields if f.name == name)


def _at(grid: Grid, where: np.ndarray) -> str:
    """The first such cell, by index and place."""
    cell = np.unravel_index(int(np.argmax(where)), grid.shape)
    places = ", ".join(f"{a} {grid.centres(i)[cell[i]]:g}" for i, a in enumerate(grid.axes))
    more = int(where.sum()) - 1
    return f"in cell {tuple(int(i) for i in cell)} ({places} um)" + (f" and {more} more" if more else "")
