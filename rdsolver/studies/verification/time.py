"""Order in time, and error against tolerance, of every integrator.

They are compared with a known solution and with independent integrators of SciPy: BDF on System.rates of a
small bone section, with JAX's Jacobian and a sparse LU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp
from scipy.sparse import csc_matrix

from ...geometry.grid import Grid
from ...models.verification import DRIVEN, STIFF, driven
from ...problem import ModelProblem
from ...simulation.time_loop import Simulation
from ...timestepping.registry import INTEGRATORS
from ...timestepping.system import Fields, System
from .bone_problems import dosed, small
from .replay import State, arrays, distance, loaded, names, replay, saved, tight
from .results import Curve, Row, at_least, at_most, order, report, worst

ORDER = 0.95  # least order over the integrator's own, with fixed steps
SLOPE = 0.8  # least slope of error against tolerance, over p/(p+1)
EARLY = 0.1  # d; a dose on day 0 has just begun to act


def slope(name: str) -> float:
    """The least slope of error against tolerance: 0.8 p/(p+1)."""
    p = INTEGRATORS[name].load().error_order
    return SLOPE * p / (p + 1)


def _steps(end: float, n: int) -> list[float]:
    return [end / n] * n


# --- a stiff problem with a known solution ------------------------------------------------------------------

# relaxation rates; the solution changes at a rate of 3, and diffusion across a cell has a rate of 800
STIFF_BY = {"diffusion": 1.0, "reaction": 1e4}


def stiff_problem(integrator: str, tolerance: float, rate: float) -> tuple[ModelProblem, np.ndarray]:
    """(Problem, mode) of STIFF on 16 x 24 cells, to t = 1."""
    grid, d = Grid((16, 24), (1.0, 1.0), thickness=1.0), 100.0
    y, x = np.meshgrid(grid.centres(0), grid.centres(1), indexing="ij")
    mode = np.cos(np.pi * y / 16) * np.cos(np.pi * x / 24)
    decay = 4 * d * (np.sin(np.pi / 32) ** 2 + np.sin(np.pi / 48) ** 2)
    values = {"diffusivity": d, "stiffness": rate, "frequency": 3.0, "decay": decay}
    start = {"u": 1 + 0.5 * mode}
    return (
        ModelProblem(
            STIFF,
            grid,
            values,
            start,
            1.0,
            (1.0,),
            arrays={"mode": mode},
            solver=tight(integrator, tolerance),
        ),
        mode,
    )


def _off(u: Any, mode: np.ndarray) -> float:
    """The largest error at t = 1."""
    return float(np.abs(np.asarray(u) - (1 + 0.5 * np.cos(3.0) * mode)).max())


def stiff_order(quick: bool) -> Iterator[Row | Curve]:
    """The order with fixed steps that resolve neither diffusion nor relaxation.

    Exponential integrators solve diffusion exactly, but not the reaction.
    """
    # a wide range, because the remainder of a relaxation in rkc2 changes sign with the number of stages
    counts = (8, 16, 32, 64, 128, 256)
    for (by, rate), name in product(STIFF_BY.items(), names()):
        if by == "reaction" and INTEGRATORS[name].exponential:
            continue
        problem, mode = stiff_problem(name, 1e-3, rate)
        simulation = Simulation(problem)
        system, u = simulation.system_at_start(), simulation.u
        integrator = loaded(name, system)
        errors = [_off(replay(integrator, system, u, _steps(1.0, n), 1e-3)[-1].u["u"], mode) for n in counts]
        steps = [1 / n for n in counts]
        yield at_least(
            f"time: order of {name}, manufactured, stiff by {by}",
            ORDER * integrator.order,
            order(steps, errors),
        )
        yield Curve(f"time, steps, {by}", name, steps, errors)


def stiff_tolerance(quick: bool) -> Iterator[Row | Curve]:
    """The error at the end over four decades of tolerance."""
    tolerances = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    for (by, rate), name in product(STIFF_BY.items(), names()):
        if by == "reaction" and INTEGRATORS[name].exponential:
            continue
        errors = []
        for tolerance in tolerances:
            problem, mode = stiff_problem(name, tolerance, rate)
            errors.append(_off(saved(problem)[-1][1]["u"], mode))
        text = f"time: error against tolerance, {name}, manufactured, stiff by {by}, 4 decades, slope"
        yield at_least(text, slope(name), order(tolerances, errors))
        yield Curve("time, tolerance", f"{name}, stiff by {by}", tolerances, errors)


# --- rates that follow time ---------------------------------------------------------------------------------

SOURCES: dict[str, tuple[dict[str, float], float | None]] = {
    "day and night": ({"day": 1.0}, None),
    "a pulse of 1/100 of the run, its break times declared": ({"pulse": 5.0}, None),
    "a pulse of 1/100 of the run, longest_step a quarter of it": ({"pulse": 5.0, "undeclared": 1.0}, 0.15),
    "the plasma curve of a dose": ({"dose": 1.0}, None),
}
"""The driving terms, and the longest step that is asked for."""


def driven_by_time(quick: bool) -> Iterator[Row | Curve]:
    """The error of du/dt = s(t) - d u over 60 d, at sixteen times, with the default tolerance.

    It is compared with SciPy's DOP853 from jump to jump.
    """
    end, grid = 60.0, Grid((8, 8), (10.0, 10.0), thickness=10.0)
    times = tuple(np.linspace(0, end, 17)[1:] - 1.37)
    none = dict.fromkeys(("day", "pulse", "dose", "undeclared"), 0.0)
    none |= {"on": 23.3, "off": 23.9, "given": 7.0, "loss": 0.1, "diffusivity": 100.0}
    for text, (what, longest) in SOURCES.items():
        p = none | what
        exact = _driven(p, times)
        for name in names():
            solver = replace(tight(name, 1e-3), longest_step=longest)
            problem = ModelProblem(DRIVEN, grid, p, {}, end, times, solver=solver)
            off = [float(np.abs(u["u"] - exact[t]).max()) / max(exact.values()) for t, u in saved(problem)]
            yield at_most(f"time: driven by {text}, {name}, relative error", 1e-2, worst(off))


def _driven(p: dict[str, float], times: Sequence[float]) -> dict[float, float]:
    """The solution at these times."""
    out, y, begin = {}, 0.0, 0.0
    for end in sorted({*times, p["on"], p["off"], p["given"]}):
        inside = (begin + end) / 2  # the pulse is on or off over the whole interval
        pulse = p["pulse"] * (p["on"] < inside < p["off"])

        def rate(t: float, y: np.ndarray, pulse: float = pulse) -> np.ndarray:
            return driven(t, p | {"pulse": 0.0}, np) + pulse - p["loss"] * y

        found: Any = solve_ivp(rate, (begin, end), [y], method="DOP853", rtol=1e-10, atol=1e-12, max_step=0.1)
        y, begin = float(found.y[0, -1]), end
        out[end] = y
    return {t: out[t] for t in times}


# --- the bone model -----------------------------------------------------------------------------------------


@partial(jax.jit, static_argnames="back")
def _rates(system: System, t: jax.Array, flat: jax.Array, back: Callable[[jax.Array], Fields]) -> jax.Array:
    return ravel_pytree(system.rates(t, back(flat)))[0]


_jacobian = partial(jax.jit, static_argnames="back")(jax.jacfwd(_rates, 2))


def independent(system: System, t: float, u: Fields, times: Sequence[float], rtol: float) -> list[State]:
    """The states at these times by SciPy's BDF of order 1 to 5, with a sparse LU."""
    flat, back = ravel_pytree(u)
    scale = ravel_pytree({k: jnp.full_like(v, system.scale[k]) for k, v in u.items()})[0]

    def rates(t: float, x: np.ndarray) -> np.ndarray:
        return np.asarray(_rates(system, t, x, back))

    def jacobian(t: float, x: np.ndarray) -> csc_matrix:
        return csc_matrix(np.asarray(_jacobian(system, t, x, back)))

    atol = 1e-2 * rtol * np.asarray(scale)
    # an attempted step may leave the domain of a power; a shorter one is then taken
    with np.errstate(invalid="ignore"):
        found: Any = solve_ivp(
            rates, (t, times[-1]), np.asarray(flat), "BDF", times, rtol=rtol, atol=atol, jac=jacobian
        )
    return [arrays(back(jnp.asarray(x))) for x in found.y.T]


def bone(quick: bool) -> Iterator[Row | Curve]:
    """The errors after a dose on day 0.

    Fixed steps from day 2 to day 4; error against tolerance inside the transient and after four days.
    """
    place, times = small(quick), (EARLY, 2.0, 4.0)
    simulation = Simulation(dosed(place))
    system, scale = simulation.system_at_start(), {f.name: f.scale for f in simulation.fields}
    early, middle, end = independent(system, 0.0, simulation.u, times, 1e-8 if quick else 1e-10)
    begin = {k: jnp.asarray(v) for k, v in middle.items()}
    tolerances = (1e-2, 1e-3, 1e-4, 1e-5) if quick else (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    decades = len(tolerances) - 1
    for name in names(system):
        integrator, counts = loaded(name, system), (8, 16) if quick else (8, 16, 32, 64)
        errors = [
            distance(replay(integrator, system, begin, _steps(2.0, n), 1e-3, 2.0)[-1].u, end, scale)
            for n in counts
        ]
        yield at_least(
            f"time: order of {name}, bone model, worst field",
            ORDER * integrator.order,
            order([2 / n for n in counts], errors),
        )
        yield Curve("time, steps, bone", name, [2 / n for n in counts], errors)

        runs = [saved(dosed(place, save=(EARLY, 4.0), integrator=name, tolerance=tol)) for tol in tolerances]
        for i, (when, want) in enumerate(((f"inside the transient ({EARLY} d)", early), ("after 4 d", end))):
            off = [distance(run[i][1], want, scale) for run in runs]
            text = f"{name}, bone model {when}"
            yield at_least(
                f"time: error against tolerance, {text}, {decades} decades, slope",
                slope(name),
                order(tolerances, off),
            )
            yield report(f"time: error at tolerance 1e-3, {text}, worst field", off[1])
            yield Curve("time, tolerance, bone", f"{name}, {when}", tolerances, off)


STUDIES = (stiff_order, stiff_tolerance, driven_by_time, bone)
