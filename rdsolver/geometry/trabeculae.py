"""A generated trabecular section: plates and rods of a given BV/TV and thickness from a seeded random field.

Two independent Gaussian random fields f₁, f₂ (sums of plane waves, wavelengths in a narrow band about λ) make
the bone

    g(x) = f₁(x)² + (β f₂(x))² < level

With β = 0 the bone is a plate along f₁ = 0, which cuts the marrow in two; with β = 1 it is a rod along f₁ =
f₂ = 0. β = 0.2 gives plates with holes and rods between them: in 3D one connected bone in one connected
marrow, in 2D the branching and in places interrupted network of a histological section.

The waves depend on the seed alone and are evaluated at physical coordinates, and the level is the quantile of
g over a lattice that depends on the box alone: the geometry is the same at any grid spacing.

The wavelength follows from the requested thickness, T/λ = c φ^0.6 (1 - φ)^-q with φ = BV/TV: a fit, within 8
%, to the mean local thickness (largest inscribed sphere, volume-weighted: Hildebrand and Rüegsegger, J
Microsc 1997, 185:67) of fields 1 to 12 λ wide in 2D and 1 to 5 λ wide in 3D, φ from 0.03 to 0.8.
tests/geometry/test_trabeculae.py measures it again.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..errors import InputError
from .grid import Grid
from .section import Section

PERFORATION = 0.2  # β
WAVES = 128  # number of waves of each field
BAND = 0.2  # wave numbers lie within (1 ± BAND) 2π/λ
FIT = {2: (0.343, 0.70), 3: (0.322, 0.62)}  # c, q
SAMPLES = {2: 8, 3: 4}  # samples along each edge of a cell, for its bone fraction where the surface cuts it
LATTICE = {2: 32, 3: 8}  # points per trabecular thickness where the level is found ...
LATTICE_MAX = {2: 2048, 3: 160}  # ... and at most along an axis
BLOCK = 2**22  # samples evaluated at a time, which limits the memory

BONE_FRACTIONS = (0.02, 0.8)
BOX_MIN = 4  # least edge of the box, in thicknesses


def trabecular(grid: Grid, bone_fraction: float, trabecular_thickness: float, seed: int) -> Section:
    """Trabecular bone that fills the box of the grid (not periodic, whatever the boundary conditions).

    bone_fraction         BV/TV of the box, 0.02 to 0.8; met within 0.005
    trabecular_thickness  mean local thickness, um; at least 2 cells, at most a quarter of the box. Met within
                          12 % in a box much wider than λ, about 20 % at 2 λ (1280 um at BV/TV 0.25 and 120
                          um); a box narrower than λ holds one or two trabeculae, with 0.5 to 1.9 times the
                          requested thickness
    seed                  seed of the random field, an integer >= 0; the same seed gives the same bone
                          everywhere

    Raises InputError when a value is out of range, or when the grid cannot resolve the thickness.
    """
    _check(grid, bone_fraction, trabecular_thickness, seed)
    c, q = FIT[grid.ndim]
    wavelength = trabecular_thickness * (1 - bone_fraction) ** q / (c * bone_fraction**0.6)
    waves = _waves(seed, grid.ndim, wavelength)
    level = _level(grid, waves, bone_fraction, trabecular_thickness)
    record = {
        "kind": "trabecular",
        "bone_fraction": float(bone_fraction),
        "trabecular_thickness": float(trabecular_thickness),
        "seed": int(seed),
    }
    return Section(grid, _fractions(grid, waves, level), np.ones(grid.shape, bool), record)


def _waves(seed: int, ndim: int, wavelength: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The wave vectors (WAVES, 3), 1/um, and phases (WAVES,) of the two fields.

    Only uniform numbers are drawn, because NumPy keeps that stream of PCG64 the same from version to version.
    In 2D k_z = 0.
    """
    u = np.random.Generator(np.random.PCG64(seed)).random((2, 4, WAVES))
    fields = []
    for azimuth, height, length, phase in u:
        k = np.empty((WAVES, 3))
        k[:, 0] = 2 * height - 1 if ndim == 3 else 0.0  # uniform on the sphere, or on the circle
        k[:, 1] = np.sqrt(1 - k[:, 0] ** 2) * np.sin(2 * np.pi * azimuth)
        k[:, 2] = np.sqrt(1 - k[:, 0] ** 2) * np.cos(2 * np.pi * azimuth)
        k *= (2 * np.pi / wavelength * (1 + BAND * (2 * length - 1)))[:, None]
        fields.append((k, 2 * np.pi * phase))
    return fields


def _surface(
    waves: list[tuple[np.ndarray, np.ndarray]], z: float, y: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """The field g on the plane z, (y, x).

    cos(a + b) = cos a cos b - sin a sin b turns the sum of waves into a matrix product.
    """
    g = np.zeros((len(y), len(x)))
    for weight, (k, phase) in zip((1.0, PERFORATION), waves, strict=True):
        a = np.outer(y, k[:, 1]) + (z * k[:, 0] + phase)
        b = np.outer(x, k[:, 2])
        f = np.hstack([np.cos(a), -np.sin(a)]) @ np.hstack([np.cos(b), np.sin(b)]).T
        g += (2 / WAVES) * (weight * f) ** 2
    return g


def _points(grid: Grid, counts: list[int]) -> list[np.ndarray]:
    """The midpoints of `counts` equal parts of each axis of the box as z, y, x, um; in 2D the one plane z =
    0.
    """
    axes = [
        o + (np.arange(n) + 0.5) * (m * h / n)
        for o, n, m, h in zip(grid.origin, counts, grid.shape, grid.spacing, strict=True)
    ]
    return axes if grid.ndim == 3 else [np.zeros(1), *axes]


def _level(
    grid: Grid, waves: list[tuple[np.ndarray, np.ndarray]], bone_fraction: float, thickness: float
) -> float:
    """The value of g below which the given fraction of the box lies."""
    lengths = [n * h for n, h in zip(grid.shape, grid.spacing, strict=True)]
    # The small number keeps two grids on the same box, whose lengths differ by round-off, on the same
    # lattice.
    counts = [
        min(int(np.ceil(LATTICE[grid.ndim] * s / thickness - 1e-6)), LATTICE_MAX[grid.ndim]) for s in lengths
    ]
    z, y, x = _points(grid, counts)
    return float(np.quantile(np.stack([_surface(waves, zi, y, x) for zi in z]), bone_fraction))


def _fractions(grid: Grid, waves: list[tuple[np.ndarray, np.ndarray]], level: float) -> np.ndarray:
    """The part of each cell where g < level, by sampling: (z, y, x) or (y, x), in [0, 1]."""
    s = SAMPLES[grid.ndim]
    z, y, x = _points(grid, [n * s for n in grid.shape])
    ny, nx = grid.shape[-2:]
    rows = max(BLOCK // (s * len(x)), 1)
    cuts = [*range(0, ny, rows), ny]
    inside = np.zeros((len(z), ny, nx))
    for plane, zi in zip(inside, z, strict=True):
        for start, stop in pairwise(cuts):
            bone = _surface(waves, zi, y[start * s : stop * s], x) < level
            plane[start:stop] = bone.reshape(stop - start, s, nx, s).mean(axis=(1, 3))
    return inside.reshape(*grid.shape[:-2], -1, ny, nx).mean(axis=-3)


def _check(grid: Grid, bone_fraction: float, thickness: float, seed: int) -> None:
    low, high = BONE_FRACTIONS
    if not low <= bone_fraction <= high:
        raise InputError(
            f"section.bone_fraction is {bone_fraction:g}. A generated trabecular section has a BV/TV from"
            f' {low} to {high}: trabecular bone has 0.05 to 0.4. For a flat piece of bone use kind = "slab".'
        )
    coarsest = max(grid.spacing)
    if not thickness >= 2 * coarsest:
        raise InputError(
            f"section.trabecular_thickness is {thickness:g} um, and the cells are up to {coarsest:g} um wide."
            f" A trabecula needs at least 2 cells: make it {2 * coarsest:g} um or thicker, or section.spacing"
            f" {max(thickness, 0) / 2:g} um or finer."
        )
    shortest = min(n * h for n, h in zip(grid.shape, grid.spacing, strict=True))
    if not thickness * BOX_MIN <= shortest:
        raise InputError(
            f"section.trabecular_thickness is {thickness:g} um, and the shortest edge of the box is"
            f" {shortest:g} um. The box must hold at least {BOX_MIN} thicknesses: make section.size"
            f" {BOX_MIN * thickness:g} um or more on each axis, or the trabeculae {shortest / BOX_MIN:g} um"
            " or thinner."
        )
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(
            f"section.seed is {seed!r}. It must be a whole number from 0 on, for example seed = 1."
        )
