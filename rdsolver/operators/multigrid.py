"""Geometric multigrid for one implicit group: several fields coupled in each cell, moving in one medium.

The system is, for fields i with diffusivities D_i in a medium with face coefficients c (transport.py),

    σ v_i - D_i div(c grad v_i) + div(w v_i) + (-J v)_i = r_i

with σ = 1/(γ dt), w an optional upwind drift, J the pointwise Jacobian of the reaction. The smoother is weighted block
Jacobi: the small system of a cell (σ + diagonals - J) is solved in closed form by the model's `Block`. Mean of children
down, linear interpolation up; a coarse face blends the mean of the fine faces on it with the series of faces between the
coarse centres; coefficients of the reaction are the mean of the children. Inactive cells
carry zero coefficients and zero faces; odd sizes are padded with inactive cells; an axis is coarsened only while its cells
are the finest, so that anisotropic cells become isotropic, and down to a single cell in a thin section.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .boundaries import Wrap, lower, upper
from .reductions import total
from .transport import Faces, diffusion, drift, own_diffusion, own_drift

Vector = tuple[Array, ...]  # one array a field of the group

WEIGHTS = {2: (0.562, 1.390), 3: (0.569, 1.690)}  # of the two smoothings; tuned for the upper half of the spectrum
COARSEST = {2: 8, 3: 6}  # no axis of the coarsest level has more cells
SERIES = 0.45  # 0: 0.39, 0.45: 0.29 a cycle at contrast 10; 1 diverges under masks and at contrast 100 (docs/numerics.md)
COARSEST_SWEEPS, COARSEST_BAND = 16, (0.02, 2.0)  # Chebyshev: the near-constant mode needs the low end


class Block(Protocol):
    """The pointwise part of a group: a pytree of numbers, acting with cell-wise coefficients `local`.

    `local["active"]` (1 inside the field of view) is always there; on coarser levels each coefficient is a mean.
    """

    def minus_jacobian(self, local: dict[str, Array], v: Vector) -> Vector:
        """-J v in each cell."""
        ...

    def solve(self, local: dict[str, Array], diagonal: Vector, r: Vector) -> Vector:
        """x with (diagonal - J) x = r in each cell; diagonal is positive."""
        ...


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["c", "own", "local", "w", "out"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Level:
    """c: face coefficients of the medium; own: their sum in each cell; w, out: the same of the drift (None: no drift)."""

    c: Faces
    own: Array
    local: dict[str, Array]
    w: Faces | None
    out: Array | None


@partial(jax.tree_util.register_dataclass, data_fields=["sigma", "diffusivity", "block"], meta_fields=[])
@dataclass(frozen=True)
class Operator:
    """What is the same on every level."""

    sigma: Array
    diffusivity: Vector
    block: Block


@dataclass(frozen=True)
class Shape:
    """The hierarchy, static: which axes wrap, and which axes are halved between one level and the next."""

    wrap: Wrap
    halved: tuple[tuple[bool, ...], ...]

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
        return Shape(wrap, tuple(halved))


def level(c: Faces, local: dict[str, Array], w: Faces | None, wrap: Wrap) -> Level:
    return Level(c, own_diffusion(c, wrap), local, w, None if w is None else own_drift(w, wrap))


def _padded(u: Array, axis: int, cells: int) -> Array:
    """With zeros at the upper end, up to so many cells."""
    config = [(0, 0, 0)] * u.ndim
    config[axis] = (0, cells - u.shape[axis], 0)
    return lax.pad(u, jnp.zeros((), u.dtype), config)


def _alternate(u: Array, axis: int, start: int) -> Array:
    return lax.slice_in_dim(u, start, u.shape[axis], stride=2, axis=axis)


def children_mean(u: Array, halved: tuple[bool, ...]) -> Array:
    for a, half in enumerate(halved):
        if half:
            u = _padded(u, a, u.shape[a] + u.shape[a] % 2)
            u = 0.5 * (_alternate(u, a, 0) + _alternate(u, a, 1))
    return u


def _coarse_faces(faces: Faces, halved: tuple[bool, ...], wrap: Wrap, power: int) -> Faces:
    """Mean of the fine faces on a coarse face; values carry 1/h^power along their own axis (2: diffusion, 1: drift).

    A coarse diffusion face lies between two coarse centres, with half a fine step through each of the inner faces: it is
    the blend SERIES of that series with the faces on it alone.
    """
    out = []
    for a, f in enumerate(faces):
        f = children_mean(f, tuple(half and b != a for b, half in enumerate(halved)))
        if halved[a]:
            on_it = _alternate(f, a, 1)
            if power == 2:
                inner = _padded(_alternate(f, a, 0), a, on_it.shape[a] + (not wrap[a]))
                below, above = lower(inner, a, wrap), upper(inner, a, wrap)
                closed = on_it * below * above == 0
                series = 1 / (0.5 / jnp.where(closed, 1, on_it) + 0.25 / jnp.where(closed, 1, below) + 0.25 / jnp.where(closed, 1, above))
                on_it = SERIES * jnp.where(closed, 0, series) + (1 - SERIES) * on_it
            f = on_it * 0.5**power
        out.append(f)
    return tuple(out)


def hierarchy(finest: Level, shape: Shape) -> tuple[Level, ...]:
    levels = [finest]
    for halved in shape.halved:
        fine = levels[-1]
        c = _coarse_faces(fine.c, halved, shape.wrap, 2)
        w = None if fine.w is None else _coarse_faces(fine.w, halved, shape.wrap, 1)
        local = {k: children_mean(v, halved) for k, v in fine.local.items()}
        levels.append(level(c, local, w, shape.wrap))
    return tuple(levels)


def interpolate(u: Array, cells: tuple[int, ...], halved: tuple[bool, ...], wrap: Wrap) -> Array:
    """Linear interpolation between coarse centres (weights 3/4, 1/4); constant beyond the last centre."""
    for a, half in enumerate(halved):
        if not half:
            continue
        last = u.shape[a] - 1
        if wrap[a]:
            below, above = jnp.roll(u, 1, a), jnp.roll(u, -1, a)
        else:
            below = lax.concatenate([lax.slice_in_dim(u, 0, 1, axis=a), lax.slice_in_dim(u, 0, last, axis=a)], a)
            above = lax.concatenate([lax.slice_in_dim(u, 1, last + 1, axis=a), lax.slice_in_dim(u, last, last + 1, axis=a)], a)
        even, odd = 0.75 * u + 0.25 * below, 0.75 * u + 0.25 * above
        u = jnp.stack([even, odd], axis=a + 1).reshape(*u.shape[:a], 2 * u.shape[a], *u.shape[a + 1 :])
        u = lax.slice_in_dim(u, 0, cells[a], axis=a)
    return u


def apply(op: Operator, lv: Level, v: Vector, wrap: Wrap) -> Vector:
    """The whole operator on v."""
    pointwise = op.block.minus_jacobian(lv.local, v)
    stored = op.sigma * lv.local["active"]
    out = tuple(stored * x + m - d * diffusion(x, lv.c, wrap) for x, m, d in zip(v, pointwise, op.diffusivity, strict=True))
    return out if lv.w is None else tuple(o - drift(x, lv.w, wrap) for o, x in zip(out, v, strict=True))


def _jacobi(op: Operator, lv: Level, r: Vector) -> Vector:
    """Block Jacobi: solve each cell with its neighbours held at zero (a cell outside the field of view: 1)."""
    active = lv.local["active"]
    base = jnp.where(active == 0, 1, op.sigma * active)
    if lv.out is not None:
        base = base + lv.out
    return op.block.solve(lv.local, tuple(base + d * lv.own for d in op.diffusivity), r)


def residual(op: Operator, lv: Level, v: Vector, r: Vector, wrap: Wrap) -> Vector:
    return tuple(b - a for a, b in zip(apply(op, lv, v, wrap), r, strict=True))


def _add(v: Vector, weight: float | Array, x: Vector) -> Vector:
    return tuple(a + weight * b for a, b in zip(v, x, strict=True))


def _coarsest(op: Operator, lv: Level, r: Vector, wrap: Wrap) -> Vector:
    """Chebyshev iteration on block Jacobi, eigenvalues taken in COARSEST_BAND."""
    low, high = COARSEST_BAND
    theta, delta = (high + low) / 2, (high - low) / 2
    dtype = r[0].dtype
    s1 = theta / delta
    x = _jacobi(op, lv, r)
    x = tuple(a / theta for a in x)

    def sweep(_: int, state: tuple[Vector, Vector, Array]) -> tuple[Vector, Vector, Array]:
        v, step, rho = state
        after = 1 / (2 * s1 - rho)
        z = _jacobi(op, lv, residual(op, lv, v, r, wrap))
        step = tuple(after * rho * p + 2 * after / delta * q for p, q in zip(step, z, strict=True))
        return _add(v, 1.0, step), step, after

    v, _, _ = lax.fori_loop(0, COARSEST_SWEEPS - 1, sweep, (x, x, jnp.asarray(1 / s1, dtype)))
    return v


def v_cycle(op: Operator, levels: tuple[Level, ...], r: Vector, shape: Shape) -> Vector:
    """One V(2,2) from a zero start: an approximate solution v of apply(v) = r."""
    wrap = shape.wrap
    if not shape.halved:
        return _coarsest(op, levels[0], r, wrap)
    lv, halved = levels[0], shape.halved[0]
    first, second = WEIGHTS[r[0].ndim]
    v = tuple(first * x for x in _jacobi(op, lv, r))
    v = _add(v, second, _jacobi(op, lv, residual(op, lv, v, r, wrap)))
    down = tuple(children_mean(x, halved) for x in residual(op, lv, v, r, wrap))
    below = v_cycle(op, levels[1:], down, Shape(wrap, shape.halved[1:]))
    v = _add(v, 1.0, tuple(interpolate(x, r[0].shape, halved, wrap) for x in below))
    for weight in (first, second):
        v = _add(v, weight, _jacobi(op, lv, residual(op, lv, v, r, wrap)))
    return v


def constant_correction(op: Operator, local: dict[str, Array], v: Vector, r_sums: Vector) -> Vector:
    """One constant a field that closes the budgets: after it the summed equations hold exactly (Galerkin).

    r_sums: the summed right-hand sides *without* fluxes. Fluxes telescope, so only local terms are summed; in float32
    their round-off would show. Sums are float64. Returns v plus the constants, inside the field of view.
    """
    cells = total(local["active"])
    mean = {k: total(c) / cells for k, c in local.items()}
    held = op.block.minus_jacobian(local, v)
    stored = op.sigma * local["active"]
    missing = tuple(r - total(stored * x + m) for r, x, m in zip(r_sums, v, held, strict=True))
    e = op.block.solve(mean, (op.sigma.astype(jnp.float64),) * len(v), tuple(m / cells for m in missing))
    return tuple(x + k.astype(x.dtype) * local["active"] for x, k in zip(v, e, strict=True))


def cycled(op: Operator, levels: tuple[Level, ...], v: Vector, r: Vector, r_sums: Vector, shape: Shape) -> Vector:
    """v after one more V-cycle and the constant correction."""
    active = levels[0].local["active"]
    step = v_cycle(op, levels, residual(op, levels[0], v, r, shape.wrap), shape)
    better = tuple(a + jnp.where(active == 0, 0, b) for a, b in zip(v, step, strict=True))
    return constant_correction(op, levels[0].local, better, r_sums)


def solve(
    op: Operator,
    levels: tuple[Level, ...],
    r: Vector,
    r_sums: Vector,
    shape: Shape,
    cycles: int,
    size: Callable[[Vector], Array],
) -> tuple[Vector, Array, Array]:
    """`cycles` V-cycles, each with the constant correction. Fixed work; one cycle is traced.

    size: the error norm of a correction. Returns the solution, the size of the last cycle's correction, and its
    ratio to the one before (the contraction seen; nan after a single cycle).
    """

    def cycle(_: int, state: tuple[Vector, Array, Array]) -> tuple[Vector, Array, Array]:
        v, last = state[:2]
        better = cycled(op, levels, v, r, r_sums, shape)
        now = size(tuple(b - a for a, b in zip(v, better, strict=True)))
        return better, now, now / last

    zero = tuple(jnp.zeros_like(x) for x in r)
    nan = jnp.asarray(jnp.nan, jnp.float64)
    return lax.fori_loop(0, cycles, cycle, (zero, nan, nan))


def contraction(op: Operator, levels: tuple[Level, ...], shape: Shape, cycles: int) -> list[float]:
    """Factors by which the residual falls in each of `cycles` V-cycles, with constant correction, from a random right-hand side.

    Of each field's residual relative to where it began, the worst field. For diagnosis, not for a step.
    """
    active = levels[0].local["active"]
    rng = np.random.default_rng(0)
    fields = len(op.diffusivity)
    r = tuple(jnp.asarray(rng.normal(size=active.shape), active.dtype) * active for _ in range(fields))
    sums = tuple(total(x) for x in r)

    @jax.jit
    def cycle(levels: tuple[Level, ...], v: Vector) -> tuple[Vector, Array]:
        v = cycled(op, levels, v, r, sums, shape)
        left = residual(op, levels[0], v, r, shape.wrap)
        return v, jnp.max(jnp.stack([jnp.linalg.norm(a) / jnp.linalg.norm(b) for a, b in zip(left, r, strict=True)]))

    v, sizes = tuple(jnp.zeros_like(x) for x in r), [1.0]
    for _ in range(cycles):
        v, size = cycle(levels, v)
        sizes.append(float(size))
    return [b / a for a, b in pairwise(sizes)]
