"""Geometric multigrid for one implicit group: several fields coupled in each cell, moving in one medium.

The system is, for fields i with diffusivities D_i in a medium with face coefficients c (transport.py),

    σ v_i - D_i div(c grad v_i) + div(w v_i) + h_i v_i + (-J v)_i = r_i

with σ = 1/(γ dt), w an optional upwind drift, h an optional exchange with values given at a border, and J the
pointwise Jacobian of the reaction. The smoother is weighted block Jacobi: the model's `Block` factors the
small system of a cell (σ + diagonals - J) once for each level, so that a smoothing only solves it for r + N
v, where N v is the inflow from the neighbours. Levels and transfers are in hierarchy.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from . import krylov
from .array_types import Cells, CoarserVector, Count, Float, Number, PerField, Sums
from .blocks import Block, Local, Vector
from .faces import Wrap, around, sides
from .hierarchy import Level, Shape, children_mean, hierarchy, interpolate, level
from .no_fusion import no_fusion, on_cpu
from .reductions import all_sums, spread

__all__ = ["Block", "Level", "Operator", "Shape", "Vector", "contraction", "hierarchy", "level", "solve"]

# weights of the two smoothings, by number of axes; tuned for the upper half of the spectrum
WEIGHTS = {2: (0.562, 1.390), 3: (0.569, 1.690)}
COARSEST_SWEEPS, COARSEST_BAND = (
    16,
    (0.02, 2.0),
)  # Chebyshev iteration; the near-constant mode needs the low end of the band


@partial(jax.tree_util.register_dataclass, data_fields=["sigma", "diffusivity", "block"], meta_fields=[])
@dataclass(frozen=True)
class Operator:
    """The part of the operator that is the same on every level."""

    sigma: Number
    diffusivity: PerField
    block: Block


@no_fusion()
def _factors(op: Operator, lv: Level) -> Any:
    return op.block.factor(lv.local, _diagonal(op, lv))


def _diagonal(op: Operator, lv: Level) -> Vector:
    """The diagonal of the operator without the reaction, for each field (1 in a cell outside the field of
    view).
    """
    active = lv.local["active"]
    base = jnp.where(active == 0, 1, op.sigma * active)
    own = sum(below + above for below, above in (sides(c, a) for a, c in enumerate(lv.c)))
    if lv.w is not None:
        for a, w in enumerate(lv.w):
            below, above = sides(w, a)
            base = base + jnp.maximum(above, 0) - jnp.minimum(below, 0)
    held = (0,) * len(op.diffusivity) if lv.held is None else lv.held
    return tuple(base + d * own + h for d, h in zip(op.diffusivity, held, strict=True))


def _moved(lv: Level, d: Number, x: Cells, wrap: Wrap, own: bool) -> Cells:
    """The net transport into each cell; own = False: only the inflow from its neighbours."""
    out = jnp.zeros((), x.dtype)
    for a, (below, above) in enumerate(around(x, wrap)):
        lower, upper = sides(lv.c[a], a)
        out = out + (upper * (above - x) - lower * (x - below) if own else upper * above + lower * below)
    out = d * out
    if lv.w is not None:
        for a, (below, above) in enumerate(around(x, wrap)):
            lower, upper = sides(lv.w[a], a)
            out = out + jnp.maximum(lower, 0) * below - jnp.minimum(upper, 0) * above
            if own:
                out = out - (jnp.maximum(upper, 0) - jnp.minimum(lower, 0)) * x
    return out


def apply(op: Operator, lv: Level, v: Vector, wrap: Wrap) -> Vector:
    """Apply the whole operator to v."""
    kept = _pointwise(op, lv.local, lv.held, v)
    return tuple(
        k - _moved(lv, d, x, wrap, own=True) for k, d, x in zip(kept, op.diffusivity, v, strict=True)
    )


def _pointwise(op: Operator, local: Local, held: Vector | None, v: Vector) -> Vector:
    """The part of the operator without fluxes between cells."""
    stored = op.sigma * local["active"]
    out = tuple(stored * x + m for x, m in zip(v, op.block.minus_jacobian(local, v), strict=True))
    return out if held is None else tuple(o + h * x for o, h, x in zip(out, held, v, strict=True))


def residual(op: Operator, lv: Level, v: Vector, r: Vector, wrap: Wrap) -> Vector:
    return tuple(b - a for a, b in zip(apply(op, lv, v, wrap), r, strict=True))


@no_fusion("wrap")
def _brought(op: Operator, lv: Level, v: Vector, r: Vector, wrap: Wrap) -> Vector:
    """r plus the inflow from the neighbours.

    This is compiled apart from the solution of the cells, in which every field would evaluate it again.
    """
    return tuple(b + _moved(lv, d, x, wrap, own=False) for b, d, x in zip(r, op.diffusivity, v, strict=True))


@no_fusion()
def _relaxed(op: Operator, lv: Level, v: Vector, right: Vector, weight: Number) -> Vector:
    return tuple(x + weight * (z - x) for x, z in zip(v, op.block.solve(lv.factors, right), strict=True))


def _smoothed(op: Operator, lv: Level, v: Vector, r: Vector, weight: Number, wrap: Wrap) -> Vector:
    """One block Jacobi smoothing: solve every cell with its neighbours held fixed."""
    return _relaxed(op, lv, v, _brought(op, lv, v, r, wrap), weight)


@no_fusion()
def _begun(op: Operator, lv: Level, r: Vector, weight: Number) -> Vector:
    """The first smoothing, from zero."""
    return tuple(weight * x for x in op.block.solve(lv.factors, r))


@no_fusion("wrap", "halved")
def _down(
    op: Operator, lv: Level, v: Vector, r: Vector, wrap: Wrap, halved: tuple[bool, ...]
) -> CoarserVector:
    return tuple(children_mean(x, halved) for x in residual(op, lv, v, r, wrap))


@no_fusion("wrap", "halved")
def _up(v: Vector, below: CoarserVector, wrap: Wrap, halved: tuple[bool, ...]) -> Vector:
    if on_cpu():
        return tuple(x + interpolate(b, x.shape, halved, wrap) for x, b in zip(v, below, strict=True))
    # all fields in one kernel
    more = interpolate(jnp.stack(below), (len(v), *v[0].shape), (False, *halved), (False, *wrap))
    return tuple(x + more[i] for i, x in enumerate(v))


def _add(v: Vector, weight: float | Number, x: Vector) -> Vector:
    return tuple(a + weight * b for a, b in zip(v, x, strict=True))


def _chebyshev(sweeps: int, band: tuple[float, float]) -> np.ndarray:
    """Rows (weight of the previous step, weight of the Jacobi step) of Chebyshev iteration over a band of
    eigenvalues.

    Saad 2003, Iterative Methods for Sparse Linear Systems, algorithm 12.1.
    """
    theta, delta = (band[1] + band[0]) / 2, (band[1] - band[0]) / 2
    rho = delta / theta
    rows = [(0.0, 1 / theta)]
    for _ in range(sweeps - 1):
        after = 1 / (2 * theta / delta - rho)
        rows.append((after * rho, 2 * after / delta))
        rho = after
    return np.array(rows)


def _coarsest(op: Operator, lv: Level, r: Vector, wrap: Wrap) -> Vector:
    table = jnp.asarray(_chebyshev(COARSEST_SWEEPS, COARSEST_BAND), r[0].dtype)

    def sweep(k: Count, state: tuple[Vector, Vector]) -> tuple[Vector, Vector]:
        v, step = state
        solved = op.block.solve(lv.factors, _brought(op, lv, v, r, wrap))
        step = tuple(table[k, 0] * p + table[k, 1] * (z - x) for p, z, x in zip(step, solved, v, strict=True))
        return _add(v, 1.0, step), step

    zero = tuple(jnp.zeros_like(x) for x in r)
    # Written out for a GPU: there a trip of a loop costs a condition, a counter and copies, and each of these
    # launches takes as long as the work on so small a level.
    return lax.fori_loop(0, COARSEST_SWEEPS, sweep, (zero, zero), unroll=not on_cpu())[0]


def v_cycle(op: Operator, levels: tuple[Level, ...], v: Vector | None, r: Vector, shape: Shape) -> Vector:
    """One V(2,2) cycle: improve v towards apply(v) = r. v = None starts from zero and saves a smoothing."""
    wrap, lv = shape.wrap, levels[0]
    if not shape.halved:
        more = _coarsest(op, lv, r if v is None else residual(op, lv, v, r, wrap), wrap)
        return more if v is None else _add(v, 1.0, more)
    halved, (first, second) = shape.halved[0], (jnp.asarray(w, r[0].dtype) for w in WEIGHTS[r[0].ndim])
    v = _begun(op, lv, r, first) if v is None else _smoothed(op, lv, v, r, first, wrap)
    v = _smoothed(op, lv, v, r, second, wrap)
    down, coarser = _down(op, lv, v, r, wrap, halved), shape.below()
    if shape.twice == 1:
        below = lax.fori_loop(
            0,
            2,
            lambda _, x: v_cycle(op, levels[1:], x, down, coarser),
            tuple(jnp.zeros_like(x) for x in down),
            unroll=not on_cpu(),
        )
    else:
        below = v_cycle(op, levels[1:], None, down, coarser)
    v = _up(v, below, wrap, halved)
    for weight in (first, second):
        v = _smoothed(op, lv, v, r, weight, wrap)
    return v


def _whole(op: Operator, lv: Level) -> tuple[Sums, Any]:
    """The number of active cells, and the factored system of the summed equations, in float64.

    The unknowns of that system are one constant for each field and pocket.
    """
    found = dict(zip(lv.local, all_sums(list(lv.local.values()), lv.pockets), strict=True))
    cells = found["active"]
    mean = {k: x / cells for k, x in found.items()}
    held = (
        (0.0,) * len(op.diffusivity)
        if lv.held is None
        else tuple(h / cells for h in all_sums(lv.held, lv.pockets))
    )
    return cells, op.block.factor(mean, tuple(op.sigma.astype(jnp.float64) + h for h in held))


def _closed(op: Operator, lv: Level, whole: tuple[Sums, Any], v: Vector, r_sums: PerField) -> Vector:
    """v plus a constant for each field and pocket, with which the equations summed over the pocket hold
    exactly.

    This is a Galerkin correction. r_sums: the summed right-hand sides *without* fluxes between cells. Those
    telescope, so only the rest is summed; in float32 their round-off would be visible.
    """
    active, (cells, factors) = lv.local["active"], whole
    found = all_sums(_pointwise(op, lv.local, lv.held, v), lv.pockets)
    missing = tuple((r - k) / cells for r, k in zip(r_sums, found, strict=True))
    constants = op.block.solve(factors, missing)
    return tuple(
        x + spread(k, lv.pockets).astype(x.dtype) * active for x, k in zip(v, constants, strict=True)
    )


Pair = Float[Array, "2"]
"""The size of the last cycle's correction, and its ratio to the one before."""


@dataclass(frozen=True)
class _Solver:
    """The data that all cycles of one solution use."""

    op: Operator
    levels: tuple[Level, ...]
    shape: Shape
    whole: tuple[Sums, Any]

    @staticmethod
    def of(op: Operator, levels: tuple[Level, ...], shape: Shape) -> _Solver:
        return _Solver(
            op, tuple(replace(lv, factors=_factors(op, lv)) for lv in levels), shape, _whole(op, levels[0])
        )

    def improved(self, v: Vector | None, r: Vector, r_sums: PerField) -> Vector:
        """One V-cycle and the constant correction."""
        found = v_cycle(self.op, self.levels, v, r, self.shape)
        inside = tuple(jnp.where(self.levels[0].local["active"] == 0, 0, x) for x in found)
        return self.closed(inside, r_sums)

    def closed(self, v: Vector, r_sums: PerField) -> Vector:
        return _closed(self.op, self.levels[0], self.whole, v, r_sums)

    def iterated(self, now: krylov.Progress, scales: PerField) -> krylov.Progress:
        """One iteration of conjugate residuals, preconditioned by `improved`."""
        return krylov.step(
            now,
            lambda v: apply(self.op, self.levels[0], v, self.shape.wrap),
            lambda r: self.improved(None, r, all_sums(r, self.levels[0].pockets)),
            scales,
        )


def solve(
    op: Operator,
    levels: tuple[Level, ...],
    r: Vector,
    r_sums: PerField,
    shape: Shape,
    cycles: int | np.int32 | Count,
    size: Callable[[Vector], Number],
    scales: PerField | None = None,
) -> tuple[Vector, Number, Number]:
    """Run `cycles` V-cycles, each followed by the constant correction.

    The work depends on `cycles` alone, and only one cycle is traced.

    r_sums  the right-hand sides without fluxes between cells, summed (reductions.sums)
    size    the error norm of a correction
    scales  typical size of each equation; if given, every cycle is an iteration of conjugate residuals with
            the V-cycle as preconditioner (krylov.py), for contrasts and masks on which V-cycles alone are
            slow

    Returns the solution, the size of the last cycle's correction, and its ratio to the one before (the
    observed contraction; nan after a single cycle).
    """
    solver = _Solver.of(op, levels, shape)

    def watched(before: Vector, after: Vector, seen: Pair) -> Pair:
        now = size(tuple(b - a for a, b in zip(before, after, strict=True)))
        return jnp.stack([now, now / seen[0]])

    def cycle(_: Count, state: tuple[Vector, Pair]) -> tuple[Vector, Pair]:
        v, seen = state
        better = solver.improved(v, r, r_sums)
        return better, watched(v, better, seen)

    def iteration(_: Count, state: tuple[krylov.Progress, Pair]) -> tuple[krylov.Progress, Pair]:
        now, seen = state
        after = solver.iterated(now, scales or ())
        return after, watched(now.v, after.v, seen)

    none = jnp.full(2, jnp.nan)
    if scales is None:
        # zeros for each field: a GPU would copy one array of zeros for every field
        v, seen = lax.fori_loop(0, cycles, cycle, (tuple(0 * x for x in r), none))
    else:
        found, seen = lax.fori_loop(0, cycles, iteration, (krylov.begin(r), none))
        v = solver.closed(found.v, r_sums)
    return v, seen[0], seen[1]


def contraction(
    op: Operator,
    levels: tuple[Level, ...],
    shape: Shape,
    cycles: int,
    scales: PerField | None = None,
    r: Vector | None = None,
) -> list[float]:
    """Factors by which the residual falls in each of `cycles` V-cycles.

    The residual is that of each field relative to its start, for the worst field. This is for diagnosis, not
    for a step. scales: as for `solve`; r: the right-hand side (default: random).
    """
    active = levels[0].local["active"]
    rng = np.random.default_rng(0)
    units = (1.0,) * len(op.diffusivity) if scales is None else scales
    right = (
        tuple(jnp.asarray(rng.normal(size=active.shape), active.dtype) * active * s for s in units)
        if r is None
        else r
    )

    @jax.jit
    def cycle(
        op: Operator, levels: tuple[Level, ...], now: krylov.Progress
    ) -> tuple[krylov.Progress, Number]:
        solver = _Solver.of(op, levels, shape)
        if scales is None:
            now = replace(now, v=solver.improved(now.v, right, all_sums(right, levels[0].pockets)))
        else:
            now = solver.iterated(now, scales)
        left = residual(op, levels[0], now.v, right, shape.wrap)
        return now, jnp.max(
            jnp.stack([jnp.linalg.norm(a) / jnp.linalg.norm(b) for a, b in zip(left, right, strict=True)])
        )

    now, sizes = krylov.begin(right), [1.0]
    for _ in range(cycles):
        now, size = cycle(op, levels, now)
        sizes.append(float(size))
    return [b / a for a, b in pairwise(sizes)]
