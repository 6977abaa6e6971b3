"""Order in space: manufactured solutions on boxes, with masks, and near a curved boundary.

0 = div(m grad u) - u + s, with s from a given u and a given mobility m. SciPy solves the discrete steady
state from the matrix of System.rates, so the result depends on the operators alone, and on neither multigrid
nor time steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import jax
import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import cg, splu

from ...geometry.boundary_conditions import Border
from ...geometry.grid import Grid
from ...models.verification import DECAY
from ...problem import ModelProblem, Solver
from ...simulation.scenario import scenario_of
from ...timestepping.system import System
from .results import Curve, Row, at_least, lowest, order, report, rms

ORDER = 1.9
CONTRASTS = (1.0, 10.0, 1000.0)
KINDS = ("no flux", "periodic", "value", "exchange", "flux", "value on a mask")
EXCHANGE = 3.0  # exchange of the Robin condition, length/time; D = 1 and lengths near 1


@dataclass(frozen=True)
class Wave:
    """The wave Π cos(k_a x_a + φ_a), from which solutions and mobilities are made."""

    k: tuple[float, ...]
    phase: float

    def __call__(self, x: Sequence[np.ndarray]) -> np.ndarray:
        return np.prod([np.cos(k * q + self.phase) for k, q in zip(self.k, x, strict=True)], axis=0)

    def slope(self, x: Sequence[np.ndarray], axis: int) -> np.ndarray:
        angles = [k * q + self.phase for k, q in zip(self.k, x, strict=True)]
        return -self.k[axis] * np.prod(
            [np.sin(t) if a == axis else np.cos(t) for a, t in enumerate(angles)], axis=0
        )


@dataclass(frozen=True)
class Manufactured:
    """u = 2 + wave, m = contrast^(wave/2), in a box with n cells per axis, each `spacing` long."""

    kind: str
    ndim: int
    stretch: tuple[float, ...]  # length of the box along each axis
    contrast: float

    @property
    def _waves(self) -> tuple[Wave, Wave]:
        turns = {"no flux": 1.0, "value on a mask": 1.0, "periodic": 2.0}.get(self.kind, 1.3)
        wave = Wave(
            tuple(turns * np.pi / s for s in self.stretch),
            {"no flux": 0.0, "value on a mask": 0.0}.get(self.kind, 0.6),
        )
        return wave, Wave(tuple((2 if self.kind == "periodic" else 1) * np.pi / s for s in self.stretch), 0.3)

    def exact(self, x: Sequence[np.ndarray]) -> np.ndarray:
        return 2 + self._waves[0](x)

    def mobility(self, x: Sequence[np.ndarray]) -> np.ndarray:
        return np.exp(np.log(self.contrast) / 2 * self._waves[1](x))

    def source(self, x: Sequence[np.ndarray]) -> np.ndarray:
        """The source u - div(m grad u) = u - m (lap u + grad ln m . grad u)."""
        wave, medium = self._waves
        steep = (
            sum(wave.slope(x, a) * medium.slope(x, a) for a in range(self.ndim)) * np.log(self.contrast) / 2
        )
        bend = -sum(k**2 for k in wave.k) * wave(x)
        return self.exact(x) - self.mobility(x) * (bend + steep)

    def entering(self, x: Sequence[np.ndarray], axis: int, outwards: int) -> np.ndarray:
        """The flux that enters through a face at x whose outward normal points along ±axis."""
        return outwards * self.mobility(x) * self._waves[0].slope(x, axis)

    def border(self, x: list[np.ndarray], along: int, outwards: int, **where: Any) -> Border:
        """The condition that holds at faces at x."""
        value, flux = self.exact(x), self.entering(x, along, outwards)
        if self.kind == "exchange":
            return Border("u", "exchange", value=value + flux / EXCHANGE, exchange=EXCHANGE, **where)
        return (
            Border("u", "flux", flux=flux, **where)
            if self.kind == "flux"
            else Border("u", "value", value=value, **where)
        )

    def problem(self, n: int) -> tuple[ModelProblem, np.ndarray, np.ndarray]:
        """(Problem, exact solution, solved cells); n must be divisible by 3 if there is a mask."""
        spacing = tuple(s / n for s in self.stretch)
        ends = ("periodic",) * self.ndim if self.kind == "periodic" else ()
        grid = Grid((n,) * self.ndim, spacing, borders=ends, thickness=1.0 if self.ndim == 2 else None)
        x = list(np.meshgrid(*(grid.centres(a) for a in range(self.ndim)), indexing="ij"))
        active, borders = np.ones(grid.shape, bool), []
        if self.kind in ("value", "exchange", "flux"):
            for a, (side, out) in product(range(self.ndim), (("low", -1), ("high", 1))):
                at = [
                    np.full_like(q, self.stretch[a] if out > 0 else 0.0) if b == a else q
                    for b, q in enumerate(x)
                ]
                borders.append(self.border(at, a, out, axis=grid.axes[a], side=side))
        elif self.kind == "value on a mask":
            hole = np.zeros(grid.shape, bool)
            hole[(slice(n // 3, 2 * n // 3),) * self.ndim] = True
            active = ~hole
            value = np.zeros(grid.shape)
            for a, out in product(range(self.ndim), (-1, 1)):
                beside = np.roll(hole, -out, a) & active  # one face each: a hole has no inner corners
                at = [q + out * spacing[a] / 2 if b == a else q for b, q in enumerate(x)]
                value[beside] = self.exact(at)[beside]
            borders.append(Border("u", "value", mask=hole, value=value))
        medium = None if self.contrast == 1 else self.mobility(x)
        return (
            _steady_problem(grid, self.source(x), active, medium, tuple(borders), loss=1.0),
            self.exact(x),
            active,
        )

    def error(self, n: int) -> float:
        problem, exact, active = self.problem(n)
        return rms((steady(problem) - exact)[active])


def _steady_problem(
    grid: Grid, source: np.ndarray, active: np.ndarray, medium, borders: tuple[Border, ...], loss: float
) -> ModelProblem:
    values = {"diffusivity": 1.0, "loss": loss}
    solver = Solver("tr-bdf2", 1e-6, "float64")
    return ModelProblem(
        DECAY,
        grid,
        values,
        {},
        1.0,
        active=active,
        medium=medium,
        arrays={"source": source},
        borders=borders,
        solver=solver,
    )


@partial(jax.jit, static_argnames="linear")
def _rates(system: System, v: jax.Array, linear: bool) -> jax.Array:
    zero = jax.numpy.zeros_like(v)

    def f(u: jax.Array) -> jax.Array:
        return system.rates(jax.numpy.zeros(()), {"u": u})["u"]

    return jax.jvp(f, (zero,), (v,))[1] if linear else f(v)


def matrix(system: System, shape: tuple[int, ...]) -> sparse.csc_matrix:
    """∂(rates)/∂u of one field, probed with every third cell at a time, so that neighbours stay apart.

    Sizes must be divisible by 3.
    """
    index = np.indices(shape)
    cells = np.arange(index[0].size).reshape(shape)
    rows, columns, entries = [], [], []
    for offset in product(range(3), repeat=len(shape)):
        probe = np.all([(i - o) % 3 == 0 for i, o in zip(index, offset, strict=True)], axis=0).astype(float)
        found = np.asarray(_rates(system, probe, linear=True))
        nearest = [(i + (o - i + 1) % 3 - 1) % n for i, o, n in zip(index, offset, shape, strict=True)]
        seen = found != 0
        rows.append(cells[seen])
        columns.append(cells[tuple(nearest)][seen])
        entries.append(found[seen])
    parts = (np.concatenate(x) for x in (entries, rows, columns))
    a, r, c = parts
    return sparse.csc_matrix((a, (r, c)), shape=(cells.size,) * 2)


def steady(problem: ModelProblem) -> np.ndarray:
    """The state in which the rates of DECAY vanish, 0 where nothing is solved."""
    system, shape = scenario_of(problem).between(0.0, problem.end), problem.grid.shape
    a = -matrix(system, shape)
    b = np.asarray(_rates(system, np.zeros(shape), linear=False)).ravel()
    a = a + sparse.diags((a.diagonal() == 0).astype(float), format="csc")
    if len(shape) == 2:
        return splu(a.tocsc()).solve(b).reshape(shape)
    found, failed = cg(a, b, rtol=1e-11, maxiter=20_000, M=sparse.diags(1 / a.diagonal()))
    return found.reshape(shape) if not failed else np.full(shape, np.nan)


# --- rows ---------------------------------------------------------------------------------------------------


def borders(quick: bool) -> Iterator[Row | Curve]:
    """The lowest order over the contrasts of D, per boundary condition, in 2D and 3D, cells 1 : 1 and 1 :
    4.
    """
    for ndim, stretch in ((2, (1.0, 1.0)), (2, (4.0, 1.0)), (3, (1.0,) * 3), (3, (4.0, 1.0, 1.0))):
        cells = "1 : 1" if max(stretch) == 1 else "1 : 4"
        sizes = ((24, 48, 96) if ndim == 2 else (12, 24, 36))[: 2 if quick else 3]
        for kind in KINDS:
            if quick and not _in_quick(ndim, stretch, kind):
                continue
            contrasts = CONTRASTS if not quick else (1000.0,) if ndim == 2 else (10.0,)
            orders = []
            for contrast in contrasts:
                errors = [Manufactured(kind, ndim, stretch, contrast).error(n) for n in sizes]
                orders.append(order([1 / n for n in sizes[-2:]], errors[-2:]))
                if (quick or cells == "1 : 1") and contrast == contrasts[-1]:
                    yield Curve(f"space {ndim}D", kind, [1 / n for n in sizes], errors)
            text = ", ".join(f"{c:g}" for c in contrasts)
            yield at_least(
                f"space: order, {ndim}D, {cells} cells, {kind}, D contrast {text}", ORDER, lowest(orders)
            )


def _in_quick(ndim: int, stretch: tuple[float, ...], kind: str) -> bool:
    """True for a case of the quick set: all conditions in 2D on 1 : 4 cells; in 3D the most complex one."""
    return (ndim == 2 and max(stretch) > 1) or (ndim == 3 and max(stretch) == 1 and kind == "exchange")


def curved(quick: bool) -> Iterator[Row | Curve]:
    """A disc (ball) of voxels: 0 on its rim, or a closed rim.

    The order is that of the staircase, and is reported without a bound.
    """
    for ndim, sizes in ((2, (24, 48, 72)),) if quick else ((2, (24, 36, 48, 72, 96)), (3, (12, 18, 24, 36))):
        for rim in ("value", "no flux"):
            errors = [
                float(np.mean([_disc(n, ndim, rim, offset / n) for offset in (0.0, 0.3, 0.5)])) for n in sizes
            ]
            name = "disc" if ndim == 2 else "ball"
            yield Curve(
                "space 2D" if ndim == 2 else "space 3D", f"{name}, {rim}", [1 / n for n in sizes], errors
            )
            yield report(
                f"space: order, voxelised {name}, {rim} on its rim",
                order([1 / n for n in sizes], errors),
                "staircase: 1 or more",
            )


def _disc(n: int, ndim: int, rim: str, offset: float) -> float:
    """The error inside a disc of radius 0.41 around `offset` from the centre of a unit box, decay length
    0.14.

    u = 1 - (r/R)² with value 0, u = 2 + cos(π r²/R²) with a closed rim.
    """
    grid = Grid((n,) * ndim, (1 / n,) * ndim, thickness=1.0 if ndim == 2 else None)
    x = np.meshgrid(*(grid.centres(a) - 0.5 - offset for a in range(ndim)), indexing="ij")
    q, radius, loss = np.sum(np.square(x), axis=0), 0.41, 50.0
    active = q < radius**2
    if rim == "value":
        exact = 1 - q / radius**2
        source = loss * exact + 2 * ndim / radius**2
        beyond = (Border("u", "value", mask=~active, value=0.0),)
    else:
        k = np.pi / radius**2
        exact = 2 + np.cos(k * q)
        source = loss * exact + 2 * ndim * k * np.sin(k * q) + 4 * k**2 * q * np.cos(k * q)
        beyond = ()
    return rms((steady(_steady_problem(grid, source * active, active, None, beyond, loss)) - exact)[active])


STUDIES = (borders, curved)
