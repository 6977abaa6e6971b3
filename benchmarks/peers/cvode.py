"""SUNDIALS CVODE (BDF of order 1 to 5, Newton-GMRES) through scikit-sundae, with a right-hand side in numba.

It is used without a preconditioner, or with I - γ (D ∇² - loss), which is solved exactly in the DCT basis of
the box (without its obstacles).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.fft import dctn, idctn
from sksundae.cvode import CVODE, CVODEPrecond  # pyright: ignore[reportMissingImports]

from ..problems import DIFFUSIVITY, LOSS, MARKS, SPACING, Case
from .rkc2_numba import Sweeps

SCALE = 0.1  # nM; absolute over relative tolerance
WORKERS = 2
KRYLOV = 20


def dct_preconditioner(
    shape: tuple[int, ...], spacing: tuple[float, ...], diffusivity: np.ndarray, loss: np.ndarray
) -> CVODEPrecond:
    """(I - γ (D ∇² - loss))^-1 of each field in a no-flux box; fields come first, and diffusivity and loss
    are one number for each field.
    """
    waves = np.meshgrid(
        *((2 * np.cos(np.pi * np.arange(n) / n) - 2) / h**2 for n, h in zip(shape, spacing, strict=True)),
        indexing="ij",
    )
    each = (-1, *(1,) * len(shape))
    minus_linear = np.reshape(loss, each) - np.reshape(diffusivity, each) * np.sum(waves, axis=0)
    axes = tuple(range(1, len(shape) + 1))

    def solve(
        t: float,
        y: np.ndarray,
        f: np.ndarray,
        r: np.ndarray,
        z: np.ndarray,
        gamma: float,
        delta: float,
        side: int,
    ) -> None:
        modes = dctn(r.reshape(minus_linear.shape), axes=axes, workers=WORKERS)
        modes /= 1 + gamma * minus_linear
        found: Any = idctn(modes, axes=axes, workers=WORKERS, overwrite_x=True)
        z[:] = found.ravel()

    return CVODEPrecond(None, solve, "left")


def build(
    case: Case, precision: str, preconditioner: str = "none"
) -> Callable[[float], tuple[list[np.ndarray], dict[str, Any]]]:
    """Return solve(tolerance) -> states at MARKS, counts."""
    sweeps = Sweeps(case, np.dtype(precision))
    shape = (len(DIFFUSIVITY), *case.shape)
    padded, out = np.zeros_like(sweeps.source), np.zeros_like(sweeps.source)
    sweeps.rates(padded, out)  # compiles
    options: dict[str, Any] = {}
    if preconditioner == "dct":
        spacing = (SPACING,) * len(case.shape)
        options["precond"] = dct_preconditioner(case.shape, spacing, np.array(DIFFUSIVITY), np.array(LOSS))

    def rates(t: float, y: np.ndarray, yp: np.ndarray) -> None:
        sweeps.view(padded)[...] = y.reshape(shape)
        sweeps.rates(padded, out)
        yp[:] = sweeps.view(out).ravel()

    def solve(tolerance: float) -> tuple[list[np.ndarray], dict[str, Any]]:
        sweeps.swept = 0
        solver = CVODE(
            rates,
            rtol=tolerance,
            atol=SCALE * tolerance,
            linsolver="gmres",
            krylov_dim=KRYLOV,
            max_num_steps=20_000,
            **options,
        )
        found = solver.solve(np.array([0.0, *MARKS]), np.zeros(int(np.prod(shape))))
        if not found.success:
            raise RuntimeError(f"CVODE: {found.message}")
        return [found.y[i].reshape(shape) for i in (1, 2)], {"sweeps": sweeps.swept}

    return solve
