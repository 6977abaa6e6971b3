"""scipy.integrate.solve_ivp, BDF of order 1 to 5 with the exact sparse Jacobian and SuperLU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from scipy.integrate import solve_ivp

from ..problems import DIFFUSIVITY, KOFF, KON, LOSS, MARKS, SPACING, Case

SCALE = 0.1  # nM; absolute over relative tolerance


def laplacian(case: Case) -> sparse.csr_array:
    """∇² between active cells, no flux elsewhere; an empty row for every other cell."""
    index, cells = np.arange(case.active.size).reshape(case.shape), case.active.size
    total = sparse.csr_array((cells, cells))
    for axis, n in enumerate(case.shape):
        low, high = (np.take(index, np.arange(*ends), axis).ravel() for ends in ((0, n - 1), (1, n)))
        live = case.active.ravel()[low] & case.active.ravel()[high]
        a, b, one = low[live], high[live], np.full(int(live.sum()), 1 / SPACING**2)
        rows, columns = np.concatenate([a, b, a, b]), np.concatenate([b, a, a, b])
        total = total + sparse.csr_array(
            (np.concatenate([one, one, -one, -one]), (rows, columns)), (cells, cells)
        )
    return total


def build(case: Case, precision: str) -> Callable[[float], tuple[list[np.ndarray], dict[str, Any]]]:
    """Return solve(tolerance) -> states at MARKS, counts."""
    spread, live, shape = laplacian(case), case.active.ravel().astype(float), (3, *case.shape)
    linear = sparse.block_diag(
        [d * spread - sparse.diags_array(loss * live) for d, loss in zip(DIFFUSIVITY, LOSS, strict=True)],
        "csr",
    )
    source, signs = case.sources.ravel(), (-1, -1, 1)

    def rates(t: float, y: np.ndarray) -> np.ndarray:
        u = y.reshape(3, -1)
        binding = (KON * u[0] * u[1] - KOFF * u[2]) * live
        return linear @ y + source + np.concatenate([s * binding for s in signs])

    def jacobian(t: float, y: np.ndarray) -> sparse.csc_matrix:
        u = y.reshape(3, -1)
        slopes = [sparse.diags_array(x * live) for x in (KON * u[1], KON * u[0], -KOFF * np.ones_like(live))]
        return sparse.csc_matrix(linear + sparse.block_array([[s * x for x in slopes] for s in signs]))

    def solve(tolerance: float) -> tuple[list[np.ndarray], dict[str, Any]]:
        start = np.zeros(source.size)
        found = solve_ivp(
            rates, (0, MARKS[-1]), start, "BDF", MARKS, jac=jacobian, rtol=tolerance, atol=SCALE * tolerance
        )
        if not found.success:
            raise RuntimeError(f"solve_ivp: {found.message}")
        states = [found.y[:, i].reshape(shape) for i in range(len(MARKS))]
        return states, {"sweeps": found.nfev, "factorisations": found.nlu}

    return solve
