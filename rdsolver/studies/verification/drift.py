"""Tests of the monotone flux: a drifting density stays positive, and gets no new extrema.

The second holds in divergence-free flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ...geometry.grid import Grid
from ...models.verification import CARRIED
from ...operators.faces import lower
from ...operators.transport import (
    diffusion,
    drift,
    face_diffusion,
    fitted,
    open_faces,
    own_diffusion,
    own_drift,
)
from ...problem import ModelProblem
from ...simulation.time_loop import Simulation
from ...timestepping.registry import INTEGRATORS
from .bone_problems import dosed, small
from .replay import names, tight
from .results import Curve, Row, at_least, at_most, lowest, worst

Flow = tuple[np.ndarray, ...]  # velocity over spacing at the upper face of each cell; 0 on a closed border
GRIDS = (Grid((20, 24), (1.0, 2.0), thickness=1.0), Grid((9, 10, 8), (1.0, 2.0, 1.0)))


def _interior(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random values at the upper corners of cells, 0 on the border of the box, so that nothing crosses it."""
    out = rng.normal(size=shape)
    for a in range(len(shape)):
        end: list[slice | int] = [slice(None)] * len(shape)
        end[a] = -1
        out[tuple(end)] = 0
    return out


def _step(x: np.ndarray, axis: int) -> np.ndarray:
    """The difference of x and its lower neighbour; 0 beyond the border."""
    return np.diff(x, axis=axis, prepend=0)


def swirl(grid: Grid, rng: np.random.Generator) -> Flow:
    """A random flow, free of divergence in every cell: the discrete curl of a potential on cell edges."""
    if grid.ndim == 2:
        psi = _interior(grid.shape, rng)
        return _step(psi, 1), -_step(psi, 0)
    z, y, x = (_edges(grid.shape, a, rng) for a in range(3))
    return _step(x, 1) - _step(y, 2), _step(z, 2) - _step(x, 0), _step(y, 0) - _step(z, 1)


def _edges(shape: tuple[int, ...], along: int, rng: np.random.Generator) -> np.ndarray:
    """A potential along one axis, at the upper edges of cells across the two others."""
    out = rng.normal(size=shape)
    for a in range(3):
        if a != along:
            end: list[slice | int] = [slice(None)] * 3
            end[a] = -1
            out[tuple(end)] = 0
    return out


def any_flow(grid: Grid, rng: np.random.Generator) -> Flow:
    return tuple(_closed(rng.normal(size=grid.shape), a) for a in range(grid.ndim))


def _closed(v: np.ndarray, axis: int) -> np.ndarray:
    end: list[slice | int] = [slice(None)] * v.ndim
    end[axis] = -1
    v[tuple(end)] = 0
    return v


@partial(jax.jit, static_argnames="spacing")
def _explicit(
    flow: tuple[jax.Array, ...], u: jax.Array, mobility: jax.Array, spacing: tuple[float, ...]
) -> jax.Array:
    """One Euler step with the longest monotone dt."""
    wrap = (False,) * u.ndim
    v = tuple(lower(w, a, wrap) for a, w in enumerate(flow))
    c = fitted(face_diffusion(mobility, open_faces(jnp.ones_like(mobility), wrap), spacing, wrap), v)
    leaving = own_drift(v, wrap) + own_diffusion(c, wrap)
    return u + (diffusion(u, c, wrap) + drift(u, v, wrap)) / jnp.max(leaving)


def _around(u: np.ndarray, pick: Callable[..., np.ndarray]) -> np.ndarray:
    """The pick (np.minimum, np.maximum) of each cell and its face neighbours."""
    out = u
    for a in range(u.ndim):
        wide = np.pad(u, [(1, 1) if b == a else (0, 0) for b in range(u.ndim)], mode="edge")
        below, above = (np.take(wide, range(i, i + u.shape[a]), axis=a) for i in (0, 2))
        out = pick(out, pick(below, above))
    return out


def fluxes(quick: bool) -> Iterator[Row | Curve]:
    """One step of random densities (zeros among them), mobilities over six decades (zeros among them) and
    flows.
    """
    least, beyond = [], []
    for seed in range(8 if quick else 40):
        rng, grid = np.random.default_rng(seed), GRIDS[seed % 2]
        u = rng.random(grid.shape) * (rng.random(grid.shape) > 0.4)
        mobility = 10 ** rng.uniform(-4, 2, grid.shape) * (rng.random(grid.shape) > 0.1)
        least.append(float(_explicit(any_flow(grid, rng), u, mobility, grid.spacing).min()))
        new = np.asarray(_explicit(swirl(grid, rng), u, mobility, grid.spacing))
        beyond += [float((new - _around(u, np.maximum)).max()), float((_around(u, np.minimum) - new).max())]
    yield at_least("drift: lowest density after a step, any flow and mobility", -1e-15, lowest(least))
    yield at_most(
        "drift: new extrema in a step, divergence-free flows, share of the range", 1e-13, worst(beyond)
    )


def integrators(quick: bool) -> Iterator[Row | Curve]:
    """A block of density in a divergence-free flow (Peclet number of a cell up to 20), in whole runs at
    tolerance 1e-4.
    """
    grid, rng, tol = Grid((32, 32), (1.0, 1.0), thickness=1.0), np.random.default_rng(3), 1e-4
    y, x = np.meshgrid(np.arange(32), np.arange(32), indexing="ij")
    psi = np.sin(np.pi * (y + 1) / 32) * np.sin(np.pi * (x + 1) / 32) * 32 / np.pi
    flow = {"flow_0": _step(psi, 1), "flow_1": -_step(psi, 0)}
    block = ((abs(y - 10) < 5) & (abs(x - 16) < 5)).astype(float) * (0.5 + 0.5 * rng.random((32, 32)))
    for integrator in names():
        if INTEGRATORS[integrator].exponential:
            continue  # they do not support drift
        p = ModelProblem(
            CARRIED,
            grid,
            {"diffusivity": 0.05},
            {"c": block},
            20.0,
            arrays=flow,
            solver=tight(integrator, tol),
        )
        beyond, mass = [], []
        simulation = Simulation(p, attempts=1)
        for _ in simulation.steps():
            c = np.asarray(simulation.u["c"])
            beyond += [float(c.max() - block.max()), float(-c.min())]
            mass.append(abs(float(c.sum() / block.sum() - 1)))
        yield at_most(
            f"drift: new extrema in a run by {integrator}, over the tolerance", 1.0, worst(beyond) / tol
        )
        yield at_most(f"drift: mass in a run by {integrator}, relative error", 1e-12, worst(mass))


def osteoclasts(quick: bool) -> Iterator[Row | Curve]:
    """The lowest density of the bone model's osteoclasts over its tolerance, under a surge of RANKL, with
    chemotaxis ten times its default.
    """
    for integrator in ("tr-bdf2", "rkc2"):
        p = dosed(
            small(quick),
            end=1.0 if quick else 4.0,
            integrator=integrator,
            changed={"chemotaxis": 1e4},
            surge=10.0,
        )
        scale = p.parameters["osteoclast_scale"]
        simulation = Simulation(p, attempts=1)
        least = lowest(float(np.min(np.asarray(simulation.u["osteoclasts"]))) for _ in simulation.steps())
        yield at_least(
            f"drift: lowest osteoclasts by {integrator}, over tolerance x scale",
            -1.0,
            least / (p.solver.tolerance * scale),
        )


STUDIES = (fluxes, integrators, osteoclasts)
