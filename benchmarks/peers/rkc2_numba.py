"""RKC2 written by hand in numba for W1 and W2, as an expert would for two cores without any library.

z = y - y(t) is carried through the stages, and the right-hand side as f(y₀) + G(z), which needs no sources
and keeps float32's digits:

    z_j = μ z_{j-1} + ν z_{j-2} + μ̃ (f₀ + G(z_{j-1})) + γ̃ f₀
    G(z) = D ∇²z - kon (z_L (O₀ + z_O) + L₀ z_O) + koff z_X - d z

Arrays are padded by one cell of zeros, so that a closed face needs no branch: ∇²z = (Σ neighbours - count
z)/h², with the number of open faces of each cell. A stage takes one pass over memory, with rows vectorised
and two threads.

Sommeijer, Shampine & Verwer 1997, J. Comput. Appl. Math. 88:315: coefficients 2.1 to 2.10, error estimate
2.11.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import ceil, sqrt
from typing import Any

import numba  # pyright: ignore[reportMissingImports]
import numpy as np
from numba import njit, prange  # pyright: ignore[reportMissingImports]

from ..problems import DIFFUSIVITY, KOFF, KON, LOSS, MARKS, SPACING, Case

numba.config.THREADING_LAYER = (  # pyright: ignore[reportAttributeAccessIssue, reportPrivateImportUsage]  # OpenMP's barriers spin when cores are shared
    "workqueue"
)
THREADS = min(2, numba.config.NUMBA_NUM_THREADS)  # pyright: ignore[reportAttributeAccessIssue, reportPrivateImportUsage]
SCALE = 0.1  # nM; an error is relative to SCALE + |u|
EPSILON = 2 / 13  # damping
FAST: Any = {"fastmath": True, "error_model": "numpy", "boundscheck": False}


@njit(**FAST)
def _binding(y, z, b, a, n, kon, koff):
    """The difference of the binding rate at y + z and at y, on the n cells from a."""
    ligand, decoy, dl, do, dx = (
        y[0, a : a + n],
        y[1, a : a + n],
        z[0, a : a + n],
        z[1, a : a + n],
        z[2, a : a + n],
    )
    for j in range(n):
        b[j] = kon * (dl[j] * (decoy[j] + do[j]) + ligand[j] * do[j]) - koff * dx[j]


@njit(**FAST)
def _field(z, w, f, b, out, count, inside, a, n, sy, sz, diffusion, sign, loss, c):
    """One stage of one field on a row.

    sy, sz: distance to the next row and plane (sz 0: 2D); c: μ, ν, μ̃, μ̃ + γ̃.
    """
    mu, nu, weight, slope = c[0], c[1], c[2], c[3]
    here, west, east, north, south = (
        z[a : a + n],
        z[a - 1 : a - 1 + n],
        z[a + 1 : a + 1 + n],
        z[a - sy : a - sy + n],
        z[a + sy : a + sy + n],
    )
    before, f0, faces, live, new = (
        w[a : a + n],
        f[a : a + n],
        count[a : a + n],
        inside[a : a + n],
        out[a : a + n],
    )
    if sz == 0:
        for j in range(n):
            moved = diffusion * (west[j] + east[j] + north[j] + south[j] - faces[j] * here[j])
            new[j] = (
                mu * here[j]
                + nu * before[j]
                + slope * f0[j]
                + weight * live[j] * (moved + sign * b[j] - loss * here[j])
            )
    else:
        top, bottom = z[a - sz : a - sz + n], z[a + sz : a + sz + n]
        for j in range(n):
            moved = diffusion * (
                west[j] + east[j] + north[j] + south[j] + top[j] + bottom[j] - faces[j] * here[j]
            )
            new[j] = (
                mu * here[j]
                + nu * before[j]
                + slope * f0[j]
                + weight * live[j] * (moved + sign * b[j] - loss * here[j])
            )


@njit(parallel=True, **FAST)
def _stage(y, z, w, f, out, count, inside, rows, b, p, c):
    """A stage on all rows.

    rows: (starts, length, sy, sz); p: D/h², sign of the binding and loss of each field, then kon, koff.
    """
    starts, n, sy, sz = rows
    threads = b.shape[0]
    for thread in prange(threads):
        for r in range(thread * len(starts) // threads, (thread + 1) * len(starts) // threads):
            a = starts[r]
            _binding(y, z, b[thread], a, n, p[3, 0], p[3, 1])
            for i in range(3):
                _field(
                    z[i],
                    w[i],
                    f[i],
                    b[thread],
                    out[i],
                    count,
                    inside,
                    a,
                    n,
                    sy,
                    sz,
                    p[i, 0],
                    p[i, 1],
                    p[i, 2],
                    c,
                )


@lru_cache(maxsize=512)
def _coefficients(s: int) -> np.ndarray:
    """Rows (μ, ν, μ̃, μ̃ + γ̃) of stages 1 .. s."""
    w0 = 1 + EPSILON / s**2
    T, dT, d2T = (np.zeros(s + 1) for _ in range(3))
    T[:2], dT[1] = (1, w0), 1
    for j in range(2, s + 1):
        T[j] = 2 * w0 * T[j - 1] - T[j - 2]
        dT[j] = 2 * T[j - 1] + 2 * w0 * dT[j - 1] - dT[j - 2]
        d2T[j] = 4 * dT[j - 1] + 2 * w0 * d2T[j - 1] - d2T[j - 2]
    w1 = dT[s] / d2T[s]
    b = np.concatenate([[0, 0], d2T[2:] / dT[2:] ** 2])
    b[:2] = b[2]
    table = np.zeros((s + 1, 4))
    table[1, 2:] = b[1] * w1
    j = np.arange(2, s + 1)
    weight = 2 * b[j] * w1 / b[j - 1]
    table[2:] = np.stack(
        [2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], weight, b[j - 1] * T[j - 1] * weight], axis=1
    )
    return table


class Sweeps:
    """The padded arrays of one case and the right-hand side on them: fields first, cells in one axis."""

    def __init__(self, case: Case, dtype: np.dtype) -> None:
        self.dtype, self.padded, self.swept = dtype, tuple(k + 2 for k in case.shape), 0
        self.inner = (slice(None), *(slice(1, -1),) * len(case.shape))
        index = np.arange(np.prod(self.padded)).reshape(self.padded)
        sy, sz = self.padded[-1], self.padded[-1] * self.padded[-2] if len(self.padded) == 3 else 0
        self.rows = (index[self.inner[1:]][..., 0].ravel(), case.shape[-1], sy, sz)
        self.inside = self.pad(case.active[None])[0]
        self.faces = np.zeros_like(self.inside)
        for step in (1, sy, sz)[: len(self.padded)]:
            self.faces += self.inside * (np.roll(self.inside, step) + np.roll(self.inside, -step))
        self.source = self.pad(case.sources)
        table = [
            (d / SPACING**2, sign, loss) for d, sign, loss in zip(DIFFUSIVITY, (-1, -1, 1), LOSS, strict=True)
        ]
        self.p = np.array([*table, (KON, KOFF, 0)], dtype)
        self.binding = np.empty((THREADS, case.shape[-1]), dtype)
        self.zero = np.zeros_like(self.source)

    def view(self, u: np.ndarray) -> np.ndarray:
        """The cells of a padded state, (3, z, y, x)."""
        return u.reshape(-1, *self.padded)[self.inner]

    def pad(self, u: np.ndarray) -> np.ndarray:
        out = np.zeros((len(u), int(np.prod(self.padded))), self.dtype)
        self.view(out)[...] = u
        return out

    def stage(
        self, y: np.ndarray, z: np.ndarray, w: np.ndarray, f: np.ndarray, out: np.ndarray, c: np.ndarray
    ) -> None:
        _stage(y, z, w, f, out, self.faces, self.inside, self.rows, self.binding, self.p, c)
        self.swept += 1

    def rates(self, y: np.ndarray, out: np.ndarray) -> np.ndarray:
        """f(y) = s + G(y), from y = 0."""
        self.stage(self.zero, y, y, self.source, out, np.array([0, 0, 1, 1], self.dtype))
        return out

    def radius(self, y: np.ndarray) -> float:
        """A bound of the spectral radius: diffusion, and the largest row of the reaction."""
        return (
            4 * len(self.padded) * max(DIFFUSIVITY) / SPACING**2
            + 2 * KON * float(y[:2].max())
            + KOFF
            + max(LOSS)
        )


class _Stages:
    """RKC2 steps with their work arrays."""

    def __init__(self, sweeps: Sweeps) -> None:
        self.sweeps, self.work = sweeps, [np.zeros_like(sweeps.source) for _ in range(3)]

    def step(self, y: np.ndarray, f: np.ndarray, h: float, s: int) -> np.ndarray:
        """z after one step of s stages; overwritten by the next step."""
        table = _coefficients(s).copy()
        table[:, 2:] *= h
        table = table.astype(self.sweeps.dtype)
        older, now, free = self.work
        older[:] = 0
        np.multiply(f, table[1, 2], out=now)
        for c in table[2:]:
            self.sweeps.stage(y, now, older, f, free, c)
            older, now, free = now, free, older
        self.work = [older, now, free]
        return now


@njit(parallel=True, **FAST)
def _judged(y, z, f, g, tol, scale, h):
    """The sum of squares over cells of the estimate 0.8 (y - y₁) + 0.4 h (f + f₁) over tol (scale + |y₁|),
    for the worst field.
    """
    worst = np.zeros(3)
    for i in range(3):
        total = 0.0
        for k in prange(y.shape[1]):
            e = (0.4 * h * (f[i, k] + g[i, k]) - 0.8 * z[i, k]) / (tol * (scale + abs(y[i, k] + z[i, k])))
            total += e * e
        worst[i] = total
    return worst.max()


def build(case: Case, precision: str) -> Callable[[float], tuple[list[np.ndarray], dict[str, Any]]]:
    """Return solve(tolerance) -> states at MARKS, counts; a first run compiles.

    It is adaptive, with the predictive step control of the paper.
    """
    numba.set_num_threads(THREADS)
    sweeps = Sweeps(case, np.dtype(precision))
    stages = _Stages(sweeps)
    cells = int(case.active.sum())

    def solve(tolerance: float) -> tuple[list[np.ndarray], dict[str, Any]]:
        y, g, states = np.zeros_like(sweeps.source), np.zeros_like(sweeps.source), []
        sweeps.swept, steps, rejected = 0, 0, 0
        f = sweeps.rates(y, np.zeros_like(y))
        t, h, before = 0.0, 1.0, 0.0
        for mark in MARKS:
            while t < mark:
                step = min(h, mark - t) if mark - t < h or mark - t > 2 * h else (mark - t) / 2
                z = stages.step(y, f, step, max(2, ceil(1 + sqrt(1 + 1.54 * step * sweeps.radius(y)))))
                sweeps.rates(y + z, g)
                error = sqrt(_judged(y, z, f, g, tolerance, SCALE, step) / cells)
                factor = min(4.0, max(0.2, 0.8 * error ** (-1 / 3)))
                if not error <= 1:
                    rejected, h = rejected + 1, step * (factor if error > 1 else 0.2)
                    continue
                if before:
                    factor = min(4.0, max(0.2, factor * (before / error) ** (1 / 3)), factor * 1.5)
                y, f, g = y + z, g, f
                t, steps, before = (mark if step == mark - t else t + step), steps + 1, error
                h = max(h, step * factor) if step < h else step * factor
            states.append(np.array(sweeps.view(y), float))
        return states, {"steps": steps, "rejected": rejected, "sweeps": sweeps.swept, "threads": THREADS}

    solve(1.0)
    return solve
