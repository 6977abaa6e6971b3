"""A bone section (2D) or block (3D): the grid, the bone on it, and the field of view."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import InputError
from ..utils import checks
from .grid import Grid
from .shapes import ball, scattered, size


@dataclass(frozen=True)
class Section:
    """The bone, the field of view and a record of how they were made, on a grid.

    grid    the cells
    bone    mineralised bone fraction of each cell, in [0, 1], float64, shape of the grid
    active  True inside the field of view; nothing lives or flows outside it
    record  record of how it was made (generator and seed, or file, SHA-256, voxel, threshold ...): written to
            the output
    bare    True if it may hold no bone: a place for models other than bone's
    """

    grid: Grid
    bone: np.ndarray
    active: np.ndarray
    record: dict[str, Any] = field(default_factory=dict)
    bare: bool = False

    def __post_init__(self) -> None:
        checks.kind("section.grid", self.grid, Grid, "a Grid")
        bone, active = np.asarray(self.bone), np.asarray(self.active)
        if bone.dtype.kind not in "biuf":
            raise InputError(
                f"section: the bone array holds {bone.dtype}, but fractions from 0 to 1 are needed."
            )
        if active.dtype != bool:
            raise InputError(
                f"section: the field of view holds {active.dtype}, but True and False are needed. Give it"
                " as mask > 0."
            )
        checks.settle(self, bone=bone.astype(np.float64, copy=False), active=active)
        if self.bone.shape != self.grid.shape or self.active.shape != self.grid.shape:
            raise InputError(
                f"section: the bone array has shape {self.bone.shape} and the field of view"
                f" {self.active.shape}, the grid {self.grid.shape}. All three must agree."
            )
        if not np.all(np.isfinite(self.bone)) or self.bone.min() < 0 or self.bone.max() > 1:
            finite = self.bone[np.isfinite(self.bone)]
            span = f"{finite.min():g} to {finite.max():g}" if finite.size else "none"
            raise InputError(
                f"section: bone fractions must be finite and between 0 and 1, found {span} with "
                f"{np.count_nonzero(~np.isfinite(self.bone))} cells not finite."
            )
        if not self.active.any():
            raise InputError("section: the field of view is empty, so there is nothing to solve on.")
        if not self.bare and not 0 < self.bone_volume_fraction < 1:
            what = "no bone" if self.bone_volume_fraction == 0 else "bone everywhere and no marrow"
            raise InputError(
                f"section: there is {what} inside the field of view (BV/TV {self.bone_volume_fraction:g}). "
                "The model needs a bone surface: check the threshold rule, the crop and the field of view."
            )

    @property
    def of_file(self) -> bool:
        """True if an image file is needed to make the section again."""
        return "file" in self.record

    @property
    def bone_volume_fraction(self) -> float:
        """BV/TV over the field of view."""
        return float(self.bone[self.active].mean())

    def describe(self) -> str:
        g = self.grid
        size = " x ".join(str(n) for n in g.shape)
        spacing = f"{g.spacing[0]:g}" if len(set(g.spacing)) == 1 else " x ".join(f"{h:g}" for h in g.spacing)
        thick = f", {g.thickness:g} um thick" if g.thickness is not None else ""
        view = "" if self.active.all() else f", field of view {self.active.mean():.0%}"
        share = "target tissue" if self.record.get("kind") == "rings" else "BV/TV"
        return (
            f"{size}, {spacing} um{thick}, {share} {self.bone_volume_fraction:.3f}{view}{self._threshold()}"
        )

    def _threshold(self) -> str:
        """The grey value above which a voxel is bone, and the scale of that value."""
        value, scale = self.record.get("threshold", {}).get("value"), self.record.get("grey_values", {})
        if value is None or not scale:
            return ""
        unit = f" {scale['unit']}" if "unit" in scale else ""
        told = (
            f"calibrated: {scale['offset']:g} + {scale['slope']:g} x stored"
            if "slope" in scale
            else "grey values as stored"
        )
        return f", threshold {value:g}{unit} ({told})"


def coarsened(section: Section, times: int) -> Section:
    """The section with groups of `times` cells along each axis merged by volume averages within the field of
    view.

    Along a short axis fewer cells are merged, so that two are left. Cells left over at the far ends are
    dropped. A cell of which less than half is in the field of view is outside.

    times: 1 or more. Raises InputError when no bone surface is left, or where it would change the period of a
    periodic section.
    """
    if times == 1:
        return section
    grid = section.grid
    along = [min(times, max(n // 2, 1)) for n in grid.shape]
    for n, k, ends in zip(grid.shape, along, grid.borders, strict=True):
        if ends == "periodic" and n % k:
            raise InputError(
                f"section.coarsen = {times} does not divide the {n} cells of a periodic section. Give a"
                " number that does."
            )
    shape = tuple(n // k for n, k in zip(grid.shape, along, strict=True))

    def mean(a: np.ndarray) -> np.ndarray:
        kept = a[tuple(slice(0, n * k) for n, k in zip(shape, along, strict=True))]
        blocks = kept.reshape([x for pair in zip(shape, along, strict=True) for x in pair])
        return blocks.mean(axis=tuple(range(1, 2 * len(shape), 2)))

    inside = mean(section.active.astype(float))
    bone = np.divide(mean(section.bone * section.active), inside, out=np.zeros(shape), where=inside > 0)
    wide = replace(grid, shape=shape, spacing=tuple(h * k for h, k in zip(grid.spacing, along, strict=True)))
    return Section(
        wide, np.clip(bone, 0, 1), inside >= 0.5, section.record | {"coarsened": times}, section.bare
    )


def slab(grid: Grid, axis: int = -1, thickness: float | None = None) -> Section:
    """A flat slab of bone at the low end of an axis, for tests and for resorption fronts.

    thickness: thickness of the slab, um (default: half the box). A cell cut by the surface gets the cut
    fraction.
    """
    axis %= grid.ndim
    length = grid.shape[axis] * grid.spacing[axis]
    t = length / 2 if thickness is None else thickness
    low = np.arange(grid.shape[axis]) * grid.spacing[axis]
    fraction = np.clip((t - low) / grid.spacing[axis], 0.0, 1.0)
    shape = [1] * grid.ndim
    shape[axis] = -1
    bone = np.broadcast_to(fraction.reshape(shape), grid.shape).copy()
    return Section(
        grid, bone, np.ones(grid.shape, bool), {"kind": "slab", "thickness": t, "axis": grid.axes[axis]}
    )


def rings(grid: Grid, radius: float, wall: float, count: int = 1, seed: int = 1) -> Section:
    """Round target tissue other than bone: cross-sections of vessels and ducts, or nodules where the wall is
    the radius; balls in 3D.

    radius  outer radius, um; wall: thickness, um. A single ring is centred; several are placed at random, 2.5
            radii apart, entirely inside the section.

    Raises InputError when there is no room for so many.
    """
    edges = size(grid)
    if wall < max(grid.spacing):
        raise InputError(
            f"section.wall = {wall:g} um is less than a cell, {max(grid.spacing):g} um. Make it thicker, or"
            " the spacing finer."
        )
    if count == 1:
        centres = [tuple(e / 2 for e in edges)]
    else:
        centres = scattered(
            grid,
            count,
            2.5 * radius,
            seed,
            lambda at: all(radius <= x <= e - radius for x, e in zip(at, edges, strict=True)),
        )
    if len(centres) < count or 2 * radius > min(edges):
        found = len(centres) if 2 * radius <= min(edges) else 0
        raise InputError(
            f"section: there is room for {found} of {count} rings of radius {radius:g} um. Take fewer,"
            " smaller ones, or a larger box."
        )
    share = np.zeros(grid.shape)
    for centre in centres:
        share = np.maximum(
            share, ball(grid, centre, radius) - (ball(grid, centre, radius - wall) if wall < radius else 0)
        )
    record = {"kind": "rings", "radius": radius, "wall": wall, "count": count, "seed": seed}
    return Section(grid, share, np.ones(grid.shape, bool), record)
