"""SUNDIALS CVODE on rdsolver's own right-hand side of the bone model (System.rates, jitted).

It is used without a preconditioner, or with a DCT preconditioner, which takes each field's mean mobility and
its mean loss (the diagonal of the pointwise Jacobian) as constants. Fields are in units of their scales, so
that one tolerance serves all; the solver starts again at each dose.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sksundae.cvode import CVODE  # pyright: ignore[reportMissingImports]

from rdsolver.problem import Problem
from rdsolver.simulation.bone_scenario import BoneScenario
from rdsolver.timestepping.system import System

from ..bone import Found
from .cvode import KRYLOV, dct_preconditioner

_rates = jax.jit(System.rates)
_observe = jax.jit(System.observe)


@jax.jit
def _constants(
    system: System, t: Any, u: dict[str, jax.Array]
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """The mean diffusivity of every field that moves, and the mean loss of every field."""
    aux = system.update_coefficients(u)
    media = {
        k: sum(jnp.mean(c) * h**2 for c, h in zip(faces, system.place.spacing, strict=True)) / len(faces)
        for k, faces in aux.media.items()
    }
    moving = {name: d * media[medium] for name, (d, medium) in system.model.diffusivity(system.p).items()}
    loss = {}
    for name in u:
        one = {k: jnp.full_like(x, k == name) for k, x in u.items()}
        slope = jax.jvp(lambda v, name=name: system.local_rates(t, v, aux)[name], (u,), (one,))[1]
        loss[name] = jnp.maximum(0, -jnp.mean(slope))
    return moving, loss


def solve(problem: Problem, which: str, tolerance: float) -> tuple[Found, dict[str, Any]]:
    """Solve from the baseline to the end; which: "cvode" or "cvode-dct".

    Counts hold the seconds without the baseline and compiling. Raises RuntimeError when CVODE fails.
    """
    course = BoneScenario(problem)
    names, shape = [f.name for f in course.fields], problem.grid.shape
    scales = np.array([f.scale for f in course.fields]).reshape(-1, *(1,) * len(shape))
    y = np.stack([np.asarray(course.u[k], float) for k in names]) / scales
    ends, calls, seconds, steps = course.events, 0, 0.0, []

    def fields(y: np.ndarray) -> dict[str, Any]:
        return dict(zip(names, y.reshape(len(names), *shape) * scales, strict=True))

    def right_hand_side(system: System) -> Callable[[float, np.ndarray, np.ndarray], None]:
        def rates(t: float, y: np.ndarray, yp: np.ndarray) -> None:
            nonlocal calls
            calls += 1
            found = _rates(system, np.float64(t), fields(y))
            yp[:] = (np.stack([np.asarray(found[k]) for k in names]) / scales).ravel()

        return rates

    t = 0.0
    for end in ends:
        system = course.between(t, end)

        rates = right_hand_side(system)
        rates(t, y.ravel(), np.empty(y.size))  # compiles
        seen = jax.block_until_ready(_observe(system, np.float64(t), fields(y)))
        options: dict[str, Any] = {}
        if which == "cvode-dct":
            moving, loss = _constants(system, np.float64(t), fields(y))
            diffusivity = np.array([float(moving.get(k, 0.0)) for k in names])
            options["precond"] = dct_preconditioner(
                shape, problem.grid.spacing, diffusivity, np.array([float(loss[k]) for k in names])
            )
        solver = CVODE(
            rates,
            rtol=tolerance,
            atol=tolerance,
            linsolver="gmres",
            krylov_dim=KRYLOV,
            max_num_steps=200_000,
            **options,
        )
        marks = np.unique(np.concatenate([np.arange(t, end, 0.5), [end]]))  # NTX is compared every half a day
        steps.append((t, float(seen["ntx"])))
        began = time.perf_counter()
        found = solver.solve(marks, y.ravel())
        seconds += time.perf_counter() - began
        if not found.success:
            raise RuntimeError(f"CVODE: {found.message}")
        for when, state in zip(found.t[1:], found.y[1:], strict=True):
            steps.append((float(when), float(_observe(system, np.float64(when), fields(state))["ntx"])))
        y, t = found.y[-1].reshape(y.shape), end
    times, ntx = np.array(steps).T
    result = Found(
        times, ntx, dict(zip(names, y * scales, strict=True)), {f.name: f.scale for f in course.fields}
    )
    return result, {"seconds": seconds, "sweeps": calls}
