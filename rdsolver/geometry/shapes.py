"""Discs and balls in a section, at given places or at random ones that do not change with the spacing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .grid import Grid

Point = tuple[float, ...]  # um from the corner of the section, one for each axis (z, y, x or y, x)
TRIES = 10_000  # random places that are tried


def size(grid: Grid) -> list[float]:
    """The edge lengths of the section, um."""
    return [n * h for n, h in zip(grid.shape, grid.spacing, strict=True)]


def distance(grid: Grid, centre: Point) -> np.ndarray:
    """The distance from every cell's centre, um; across the ends of periodic axes."""
    total = np.zeros(grid.shape)
    for axis, (x, border) in enumerate(zip(centre, grid.borders, strict=True)):
        off = np.abs(grid.centres(axis) - grid.origin[axis] - x)
        if border == "periodic":
            off = np.minimum(off, grid.shape[axis] * grid.spacing[axis] - off)
        shape = [1] * grid.ndim
        shape[axis] = -1
        total = total + off.reshape(shape) ** 2
    return np.sqrt(total)


def ball(grid: Grid, centre: Point, radius: float) -> np.ndarray:
    """The fraction of each cell inside a ball (a disc in 2D), whose rim is one cell wide."""
    return np.clip((radius - distance(grid, centre)) / min(grid.spacing) + 0.5, 0, 1)


def scattered(
    grid: Grid,
    count: int,
    apart: float,
    seed: int,
    allowed: Callable[[Point], bool],
    taken: Sequence[Point] = (),
) -> list[Point]:
    """Up to `count` random points, at least `apart` (um) from each other and from those taken.

    There are fewer where there is no room. They are drawn as points, not as cells, so a finer grid has them
    at the same places.
    """
    rng, found = np.random.default_rng(seed), []
    box = np.array(size(grid))
    around = np.array([b == "periodic" for b in grid.borders])
    for _ in range(TRIES):
        if len(found) == count:
            break
        point = rng.random(grid.ndim) * box
        offs = [np.abs(point - np.array(other)) for other in (*taken, *found)]
        near = any(np.hypot.reduce(np.where(around, np.minimum(off, box - off), off)) < apart for off in offs)
        if not near and allowed(tuple(point.tolist())):
            found.append(tuple(point.tolist()))
    return found
