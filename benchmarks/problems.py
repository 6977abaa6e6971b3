"""W1 and W2, the problems that every peer solves: binding of a ligand to a decoy in a no-flux box.

They are defined in plain NumPy.

    dL/dt = 30 ∇²L + s_L - b - 2e-4 L        b = 1e-3 L O - 1e-4 X
    dO/dt = 25 ∇²O + s_O - b - 1e-4 O
    dX/dt = 18 ∇²X       + b - 1e-4 X        (um, s, nM)

Cells of 10 um; s_L = 2e-3 within 0.2 box of the point at 0.35 box on every axis, s_O = 1e-3 within 0.25 box
of 0.65 box; all fields start at 0. W2 is W1 with about 30 % of the box impermeable: generated trabeculae
(seed 1), in which there are no fields and through whose faces nothing passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rdsolver.geometry.grid import Grid
from rdsolver.geometry.trabeculae import trabecular

FIELDS = ("L", "O", "X")
DIFFUSIVITY = (30.0, 25.0, 18.0)  # um2/s
KON, KOFF = 1e-3, 1e-4  # 1/(nM s), 1/s
LOSS = (2e-4, 1e-4, 1e-4)  # 1/s
SPACING = 10.0  # um
MARKS = (600.0, 21600.0)  # s; times at which errors are computed, the first inside the transient
BALLS = ((2e-3, 0.2, 0.35), (1e-3, 0.25, 0.65))  # for L and O: source nM/s, radius and centre over the box
IMPERMEABLE, THICKNESS, SEED = 0.3, 120.0, 1  # for W2: share, trabecular thickness (um), seed


@dataclass(frozen=True)
class Case:
    """One problem on one grid; states are arrays (3, z, y, x) or (3, y, x) in the order of FIELDS."""

    kind: str
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.shape[-1]}" + ("-3d" if len(self.shape) == 3 else "")

    @property
    def grid(self) -> Grid:
        return Grid(
            self.shape, (SPACING,) * len(self.shape), thickness=SPACING if len(self.shape) == 2 else None
        )

    @cached_property
    def active(self) -> np.ndarray:
        """True in the cells that have fields."""
        if self.kind == "w1":
            return np.ones(self.shape, bool)
        thickness = max(2 * SPACING, min(THICKNESS, SPACING * min(self.shape) / 5))
        return trabecular(self.grid, IMPERMEABLE, thickness, SEED).bone < 0.5

    @cached_property
    def sources(self) -> np.ndarray:
        """The source s of each field, nM/s, 0 in impermeable cells."""
        at = np.meshgrid(*((np.arange(n) + 0.5) / n for n in self.shape), indexing="ij")
        out = np.zeros((len(FIELDS), *self.shape))
        for i, (rate, radius, centre) in enumerate(BALLS):
            out[i] = rate * (sum((x - centre) ** 2 for x in at) <= radius**2) * self.active
        return out

    def rates(self, u: np.ndarray) -> np.ndarray:
        """du/dt in the simplest form, with which the tests compare every peer's own right-hand side."""
        binding = KON * u[0] * u[1] - KOFF * u[2]
        out = np.empty_like(u)
        for i, sign in enumerate((-1, -1, 1)):
            out[i] = (
                DIFFUSIVITY[i] * self._laplacian(u[i])
                + self.sources[i]
                + (sign * binding - LOSS[i] * u[i]) * self.active
            )
        return out

    def _laplacian(self, u: np.ndarray) -> np.ndarray:
        out = np.zeros_like(u)
        for axis, n in enumerate(u.shape):
            low, high = (np.take(u, np.arange(*ends), axis) for ends in ((0, n - 1), (1, n)))
            open_ = np.take(self.active, np.arange(n - 1), axis) & np.take(self.active, np.arange(1, n), axis)
            flux = (high - low) * open_ / SPACING**2
            ends = [(0, 0)] * u.ndim
            ends[axis] = (1, 1)
            out += np.diff(np.pad(flux, ends), axis=axis)
        return out

    def error(self, u: np.ndarray, want: np.ndarray) -> float:
        """The relative L2 error over all fields and active cells."""
        return float(np.linalg.norm((u - want)[:, self.active]) / np.linalg.norm(want[:, self.active]))


def case(name: str) -> Case:
    """The case of a name: w1-256 (2D), w2-64-3d (3D). Raises ValueError for any other form."""
    found = re.fullmatch(r"(w[12])-(\d+)(-3d)?", name)
    if not found:
        raise ValueError(
            f'case "{name}" is not known: w1-N or w2-N for N x N cells, w1-N-3d or w2-N-3d for N x N x N'
        )
    return Case(found[1], (int(found[2]),) * (3 if found[3] else 2))
