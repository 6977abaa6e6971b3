"""py-pde on W1 by explicit Euler steps close to the stability limit, with its JAX or numba backend.

Its adaptive Runge-Kutta-Fehlberg method has the same limit with six right-hand sides in each step, and was
slower with both backends. It does not support obstacles, so it cannot solve W2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pde  # pyright: ignore[reportMissingImports]

from ..problems import DIFFUSIVITY, FIELDS, KOFF, KON, LOSS, MARKS, SPACING, Case

SHARE = 0.9  # step over the largest stable step


def build(
    case: Case, precision: str, backend: str
) -> Callable[[float | None], tuple[list[np.ndarray], dict[str, Any]]]:
    """Return solve(None) -> states at MARKS, counts with the seconds of the steps alone.

    py-pde compiles in every call.
    """
    jax.config.update("jax_enable_x64", precision == "float64")
    grid = pde.CartesianGrid([(0, n * SPACING) for n in case.shape], case.shape)
    binding = f"({KON} * L * O - {KOFF} * X)"
    equations = {
        name: (
            f"{d} * laplace({name}) {sign} {binding} - {loss} * {name}"
            + (f" + s{name}" if name != "X" else "")
        )
        for name, d, sign, loss in zip(FIELDS, DIFFUSIVITY, "--+", LOSS, strict=True)
    }
    sources: dict[str, Any] = {
        f"s{name}": pde.ScalarField(grid, case.sources[i], dtype=precision) for i, name in enumerate("LO")
    }
    equation = pde.PDE(equations, bc={"derivative": 0}, consts=sources)
    limit = SHARE * 2 / (4 * len(case.shape) * max(DIFFUSIVITY) / SPACING**2)
    steps = [int(np.ceil((b - a) / limit)) for a, b in zip((0.0, *MARKS), MARKS, strict=False)]

    def solve(_: float | None) -> tuple[list[np.ndarray], dict[str, Any]]:
        state: Any = pde.FieldCollection(
            [pde.ScalarField(grid, 0.0, label=k, dtype=precision) for k in FIELDS]
        )
        states, seconds, t = [], 0.0, 0.0
        for mark, n in zip(MARKS, steps, strict=True):
            how: Any = {
                "dt": (mark - t) / n,
                "solver": "euler",
                "backend": backend,
                "tracker": None,
                "ret_info": True,
            }
            found: Any = equation.solve(state, (t, mark), **how)
            state, info = found
            seconds, t = seconds + info["controller"]["profiler"]["solver"], mark
            states.append(np.array(state.data, float))
        return states, {"seconds": seconds, "steps": sum(steps)}

    return solve
