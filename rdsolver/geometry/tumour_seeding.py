"""The places where a tumour starts: nests at given or random places in marrow, or cells spread through it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import InputError
from ..utils import checks
from .section import Section
from .shapes import Point, ball, scattered, size


@dataclass(frozen=True)
class Nests:
    """The tumour at the start of a run.

    at       centres, one coordinate for each axis (z, y, x or y, x), um from the corner of the section
    count    number of further nests, at random places in marrow; the same seed gives the same places at any
             spacing
    radius   radius of a nest, um
    density  share of the marrow that tumour cells take in a nest, in (0, 1]
    spread   share of the marrow that tumour cells take outside nests, in [0, 1)
    """

    at: tuple[Point, ...] = ()
    count: int = 0
    radius: float = 60.0
    density: float = 0.5
    spread: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        place = partial(
            checks.several, one=partial(checks.number, unit="um"), what="a place, one number an axis"
        )
        checks.settle(
            self,
            at=checks.several("tumour.at", self.at, place, "a list of places, such as ((640.0, 640.0),)"),
            count=checks.whole("tumour.nests", self.count, 0, 10_000),
            radius=checks.number("tumour.radius", self.radius, "um", above=0),
            density=checks.number("tumour.density", self.density, above=0, most=1),
            spread=checks.number("tumour.spread", self.spread, least=0, most=1),
            seed=checks.whole("tumour.seed", self.seed),
        )
        if not self.at and not self.count and not self.spread:
            raise InputError(
                "tumour: it has no starting place. Give places (at), a number of nests (count) or a spread."
            )

    def describe(self) -> str:
        many = len(self.at) + self.count
        nests = (
            f"{many} nest{'s' if many > 1 else ''} of radius {self.radius:g} um, {self.density:.0%} of the"
            " marrow"
            if many
            else ""
        )
        return "; ".join(
            x for x in (nests, f"{self.spread:.2%} of the marrow elsewhere" if self.spread else "") if x
        )

    def planted(self, section: Section) -> np.ndarray:
        """The tumour fraction of every cell: the density times the marrow in it.

        Raises InputError for a nest smaller than a cell, outside the section or without marrow, or random
        nests for which there is no room.
        """
        grid = section.grid
        if (self.at or self.count) and self.radius < max(grid.spacing):
            raise InputError(
                f"tumour.radius = {self.radius:g} um is less than a cell, {max(grid.spacing):g} um. Make it"
                " larger."
            )
        centres = [self._checked(i, at, section) for i, at in enumerate(self.at)]
        centres += self._random(section, centres)
        filled = np.zeros(grid.shape)
        for centre in centres:
            filled = np.maximum(filled, ball(grid, centre, self.radius))
        share = self.spread + (self.density - self.spread) * filled
        return share * (1 - section.bone) * section.active

    def _checked(self, i: int, centre: Point, section: Section) -> Point:
        grid = section.grid
        where = " x ".join(f"{x:g}" for x in centre)
        if len(centre) != grid.ndim or not all(
            0 <= x <= edge for x, edge in zip(centre, size(grid), strict=True)
        ):
            box = " x ".join(f"{x:g}" for x in size(grid))
            raise InputError(
                f"tumour.at.{i} = {where} um is outside the section of {box} um ({', '.join(grid.axes)})."
            )
        if not (ball(grid, centre, self.radius) * (1 - section.bone) * section.active).any():
            raise InputError(
                f"tumour.at.{i} = {where} um lies in bone or outside the field of view: a nest needs marrow."
                " Move it."
            )
        return centre

    def _random(self, section: Section, taken: list[Point]) -> list[Point]:
        """Random centres in marrow, at least two radii apart."""

        def in_marrow(point: Point) -> bool:
            cell = tuple(int(x / h) for x, h in zip(point, section.grid.spacing, strict=True))
            return bool(section.active[cell]) and section.bone[cell] < 0.5

        found = scattered(section.grid, self.count, 2 * self.radius, self.seed, in_marrow, taken)
        if len(found) < self.count:
            raise InputError(
                f"tumour.nests = {self.count}: there is room for {len(found)} nests of radius {self.radius:g}"
                " um in the marrow, two radii apart. Plant fewer or smaller ones."
            )
        return found
