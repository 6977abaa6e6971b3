"""The levels of a multigrid hierarchy: the coefficients on each level, and the transfers between levels.

Values are restricted as the mean of the children, and prolonged by linear interpolation. A coarse face blends
the mean of the fine faces on it with the series of faces between the coarse centres; coefficients of the
reaction are the mean of the children. Inactive cells have zero coefficients and zero faces; odd sizes are
padded with inactive cells. An axis is coarsened only while its cells are the finest, so that anisotropic
cells become isotropic, and down to a single cell in a thin section.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .array_types import Cells, Coarser, FaceValues
from .blocks import Local, Vector
from .faces import Wrap, lower, part, upper, widened, with_ends
from .no_fusion import no_fusion, on_cpu
from .reductions import Pockets
from .transport import Faces

COARSEST = {2: 8, 3: 6}  # no axis of the coarsest level has more cells
# weight of the series in a coarse face: at contrast 10 a cycle contracts by 0.39 with 0 and by 0.29 with
# 0.45; with 1 it diverges under masks and at contrast 100 (docs/numerics.md)
SERIES = 0.45
# a level with this many times fewer cells than the finest is visited twice in a cycle: this improves the
# contraction on the bone model from 0.44 to 0.33
CHEAP = 8
# factor of the children's mean of `held`: 0.5 is right beside a flat side, 1 around a small hole
# (docs/numerics.md)
HELD = 0.7


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["c", "local", "w", "held", "pockets", "factors"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Level:
    """One grid of the hierarchy; face arrays hold both ends of their axis, with face k below cell k.

    c        face coefficients of the medium, 1/um²
    local    cell-wise coefficients of the block
    w        drift velocity at the faces divided by the spacing, 1/d (None: no drift)
    held     for each field, exchange of a cell with a value given at a border, 1/d (None: no such border)
    pockets  on the finest level, regions between which nothing passes (None: one region)
    factors  the cell block, ready to be solved (Block.factor)
    """

    c: Faces
    local: Local
    w: Faces | None
    held: Vector | None
    pockets: Pockets | None = None
    factors: Any = None


@dataclass(frozen=True)
class Shape:
    """The static shape of the hierarchy: the axes that wrap, and the axes that are halved from each level to
    the next.
    """

    wrap: Wrap
    halved: tuple[tuple[bool, ...], ...]
    twice: int = 0  # index of the level that is solved by two cycles instead of one; 0: none

    @staticmethod
    def of(cells: tuple[int, ...], spacing: tuple[float, ...], wrap: Wrap) -> Shape:
        n, h, halved = list(cells), list(spacing), []
        while max(n) > COARSEST[len(cells)]:
            can = [k > 1 and not (w and k % 2) for k, w in zip(n, wrap, strict=True)]
            if not any(can):
                break
            finest = min(x for x, c in zip(h, can, strict=True) if c)
            now = tuple(c and x < 1.5 * finest for x, c in zip(h, can, strict=True))
            halved.append(now)
            n = [(k + 1) // 2 if half else k for k, half in zip(n, now, strict=True)]
            h = [2 * x if half else x for x, half in zip(h, now, strict=True)]
        fewer = np.cumprod([2 ** sum(now) for now in halved])
        return Shape(
            wrap,
            tuple(halved),
            1 + int(np.searchsorted(fewer, CHEAP)) if halved and fewer[-1] >= CHEAP else 0,
        )

    def below(self) -> Shape:
        """The hierarchy without its finest level."""
        return Shape(self.wrap, self.halved[1:], max(self.twice - 1, 0))


def level(
    c: Faces,
    local: Local,
    w: Faces | None,
    wrap: Wrap,
    held: Vector | None = None,
    pockets: Pockets | None = None,
) -> Level:
    """The finest level, from the faces between cells (faces.py)."""
    return Level(_with_ends(c, wrap), local, None if w is None else _with_ends(w, wrap), held, pockets)


def _with_ends(faces: Faces, wrap: Wrap) -> Faces:
    """Convert the faces between cells to those below and above every cell: n + 1 along their axis."""
    return tuple(with_ends(f, a, wrap) for a, f in enumerate(faces))


def _between(faces: FaceValues, axis: int, wrap: Wrap) -> FaceValues:
    """Convert n + 1 faces back to the faces between cells."""
    return part(faces, axis, 1, faces.shape[axis] - (not wrap[axis]))


def _alternate(u: Array, axis: int, start: int) -> Array:
    return lax.slice_in_dim(u, start, u.shape[axis], stride=2, axis=axis)


def children_mean(u: Cells, halved: tuple[bool, ...]) -> Coarser:
    for a, half in enumerate(halved):
        if half:
            u = widened(u, a, 0, u.shape[a] % 2)
            u = 0.5 * (_alternate(u, a, 0) + _alternate(u, a, 1))
    return u


def _coarse_faces(faces: Faces, halved: tuple[bool, ...], wrap: Wrap, power: int) -> Faces:
    """The mean of the fine faces on a coarse face.

    Values are multiplied by 1/h^power along their own axis (2: diffusion, 1: drift). A coarse diffusion face
    lies between two coarse centres, with half a fine step through each of the inner faces: its coefficient is
    the blend SERIES of that series with the faces on it alone.
    """
    out = []
    for a, f in enumerate(faces):
        f = children_mean(_between(f, a, wrap), tuple(half and b != a for b, half in enumerate(halved)))
        if halved[a]:
            on_it = _alternate(f, a, 1)
            if power == 2:
                inner = _alternate(f, a, 0)
                inner = widened(inner, a, 0, on_it.shape[a] + (not wrap[a]) - inner.shape[a])
                below, above = lower(inner, a, wrap), upper(inner, a, wrap)
                closed = on_it * below * above == 0
                series = 1 / (
                    0.5 / jnp.where(closed, 1, on_it)
                    + 0.25 / jnp.where(closed, 1, below)
                    + 0.25 / jnp.where(closed, 1, above)
                )
                on_it = SERIES * jnp.where(closed, 0, series) + (1 - SERIES) * on_it
            f = on_it * 0.5**power
        out.append(f)
    return _with_ends(tuple(out), wrap)


@no_fusion("halved", "wrap")
def _coarser(fine: Level, halved: tuple[bool, ...], wrap: Wrap) -> Level:
    c = _coarse_faces(fine.c, halved, wrap, 2)
    w = None if fine.w is None else _coarse_faces(fine.w, halved, wrap, 1)
    local = {k: children_mean(v, halved) for k, v in fine.local.items()}
    held = None if fine.held is None else tuple(HELD * children_mean(h, halved) for h in fine.held)
    return Level(c, local, w, held)


def hierarchy(finest: Level, shape: Shape) -> tuple[Level, ...]:
    levels = [finest]
    for halved in shape.halved:
        levels.append(_coarser(levels[-1], halved, shape.wrap))
    return tuple(levels)


def interpolate(u: Coarser, cells: tuple[int, ...], halved: tuple[bool, ...], wrap: Wrap) -> Cells:
    """Linear interpolation between coarse centres (weights 3/4, 1/4); constant beyond the last centre.

    The contiguous axis is interpolated first, while the array is small, because interleaving that axis is
    slow on a CPU.
    """
    for a in reversed(range(u.ndim)):
        if halved[a]:
            below, above = _beside(u, a, wrap[a])
            u = part(_alternating(0.75 * u + 0.25 * below, 0.75 * u + 0.25 * above, a), a, 0, cells[a])
    return u


def _beside(u: Array, a: int, wraps: bool) -> tuple[Array, Array]:
    """The cells below and above each cell along axis a; a cell itself at a closed end."""
    if wraps:
        return jnp.roll(u, 1, a), jnp.roll(u, -1, a)
    last = u.shape[a] - 1
    below, above = part(u, a, 0, last), part(u, a, 1, last + 1)
    lowest, highest = part(u, a, 0, 1), part(u, a, last, last + 1)
    if on_cpu():
        return lax.concatenate([lowest, below], a), lax.concatenate([above, highest], a)
    # The same numbers. A GPU concatenates by a kernel of its own for each field; sums of padded arrays are
    # part of the kernel that reads them.
    return (
        widened(lowest, a, 0, last) + widened(below, a, 1, 0),
        widened(above, a, 0, 1) + widened(highest, a, last, 0),
    )


def _alternating(even: Array, odd: Array, a: int) -> Array:
    """The entries of two arrays in turn along axis a."""
    if on_cpu():
        shape = *even.shape[:a], 2 * even.shape[a], *even.shape[a + 1 :]
        return jnp.stack([even, odd], axis=a + 1).reshape(shape)
    apart = [[(0, 0, 0)] * even.ndim for _ in range(2)]
    apart[0][a], apart[1][a] = (0, 1, 1), (1, 0, 1)
    zero = jnp.zeros((), even.dtype)
    return lax.pad(even, zero, apart[0]) + lax.pad(odd, zero, apart[1])
