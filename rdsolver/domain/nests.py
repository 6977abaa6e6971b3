"""Where a tumour begins: nests at given places or at random in marrow, or cells spread through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .grid import Grid
from .section import Section

TRIES = 10_000  # of a random place for a nest


@dataclass(frozen=True)
class Nests:
    """The tumour at the start of a run.

    at       centres, one coordinate an axis (z, y, x or y, x), um from the corner of the section
    count    further nests, at random places in marrow; seed: the same seed gives the same places, at any spacing
    radius   of a nest, um
    density  share of the marrow that tumour cells take in a nest, in (0, 1]
    spread   the same outside nests, in [0, 1)
    """

    at: tuple[tuple[float, ...], ...] = ()
    count: int = 0
    radius: float = 60.0
    density: float = 0.5
    spread: float = 0.0
    seed: int = 1

    def describe(self) -> str:
        many = len(self.at) + self.count
        nests = f"{many} nest{'s' if many > 1 else ''} of radius {self.radius:g} um, {self.density:.0%} of the marrow" if many else ""
        return "; ".join(x for x in (nests, f"{self.spread:.2%} of the marrow elsewhere" if self.spread else "") if x)

    def planted(self, section: Section) -> np.ndarray:
        """T of every cell, fraction of its volume: density times the marrow in it.

        Raises InputError for a centre outside the section, a nest without marrow, or random nests for which there is no room.
        """
        grid = section.grid
        centres = [self._checked(i, at, section) for i, at in enumerate(self.at)]
        centres += self._random(section, centres)
        filled = np.zeros(grid.shape)
        for centre in centres:
            filled = np.maximum(filled, self._nest(centre, grid))
        share = self.spread + (self.density - self.spread) * filled
        return share * (1 - section.bone) * section.active

    def _nest(self, centre: tuple[float, ...], grid: Grid) -> np.ndarray:
        """Share of each cell inside a nest, its rim one cell wide."""
        return np.clip((self.radius - _distance(centre, grid)) / min(grid.spacing) + 0.5, 0, 1)

    def _checked(self, i: int, centre: tuple[float, ...], section: Section) -> tuple[float, ...]:
        grid = section.grid
        box = [n * h for n, h in zip(grid.shape, grid.spacing, strict=True)]
        where = " x ".join(f"{x:g}" for x in centre)
        if len(centre) != grid.ndim or not all(0 <= x <= size for x, size in zip(centre, box, strict=True)):
            size = " x ".join(f"{x:g}" for x in box)
            raise InputError(f"tumour.at.{i} = {where} um is no place in the section of {size} um ({', '.join(grid.axes)}).")
        if not (self._nest(centre, grid) * (1 - section.bone) * section.active).any():
            raise InputError(f"tumour.at.{i} = {where} um lies in bone or outside the field of view: a nest needs marrow. Move it.")
        return centre

    def _random(self, section: Section, taken: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
        """Centres in marrow, two radii apart; drawn as points, so that a finer grid has them at the same places."""
        grid, rng, found = section.grid, np.random.default_rng(self.seed), []
        box = np.array([n * h for n, h in zip(grid.shape, grid.spacing, strict=True)])
        for _ in range(TRIES):
            if len(found) == self.count:
                return found
            point = rng.random(grid.ndim) * box
            cell = tuple((point / grid.spacing).astype(int))
            near = any(np.hypot.reduce(point - np.array(other)) < 2 * self.radius for other in (*taken, *found))
            if section.active[cell] and section.bone[cell] < 0.5 and not near:
                found.append(tuple(point.tolist()))
        if len(found) == self.count:
            return found
        raise InputError(
            f"tumour.nests = {self.count}: there is room for {len(found)} nests of radius {self.radius:g} um in the marrow, "
            "two radii apart. Plant fewer or smaller ones."
        )


def _distance(centre: tuple[float, ...], grid: Grid) -> np.ndarray:
    """From every cell's centre, um; around the ends of periodic axes."""
    total = np.zeros(grid.shape)
    for axis, (x, border) in enumerate(zip(centre, grid.borders, strict=True)):
        off = np.abs(grid.centres(axis) - grid.origin[axis] - x)
        if border == "periodic":
            off = np.minimum(off, grid.shape[axis] * grid.spacing[axis] - off)
        shape = [1] * grid.ndim
        shape[axis] = -1
        total = total + off.reshape(shape) ** 2
    return np.sqrt(total)
