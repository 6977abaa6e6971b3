"""ETDRK2 and ETDRK4 written by hand on SciPy's DCT for W1, as an expert would in a box without obstacles.

    du/dt = L u + N(u)
    L = D ∇² - loss   diagonal in the DCT-II basis (eigenvalues of the 5- or 7-point Laplacian)
    N = s + (-b, -b, b)   with one forward transform, since all fields bind at the same rate b

The methods are adaptive, with steps on a ladder of factors √2, so that the coefficients of a step are kept.
Error estimates: ETDRK2's correction of ETD1; for ETDRK4 its difference from the second-order step through the
last stage.

Cox & Matthews 2002, J. Comput. Phys. 176:430, eqs 22 (ETDRK2) and 26 to 29 (ETDRK4).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import floor, log, sqrt
from typing import Any

import numpy as np
from scipy.fft import dctn, idctn

from ..problems import DIFFUSIVITY, KOFF, KON, LOSS, MARKS, SPACING, Case

WORKERS = 2
SCALE = 0.1  # nM; an error is relative to SCALE + the size of the field
LADDER = sqrt(2)
SIGNS = (-1, -1, 1)  # signs of b in each field
Pair = tuple[np.ndarray, np.ndarray]  # new state in modes, error estimate in modes


def phi(z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """φ_k(z) = Σ_j z^j/(j + k)! for k = 1, 2, 3, for z <= 0."""
    small = z > -0.5
    w = np.where(small, -1.0, z)
    one = np.expm1(w) / w
    two = (one - 1) / w
    three = (two - 0.5) / w
    s = z[small]
    series = np.zeros_like(s)
    for j in range(11, 0, -1):
        series = (series + 1) * s / (j + 3)
    three[small] = (1 + series) / 6
    two[small] = 0.5 + s * three[small]
    one[small] = 1 + s * two[small]
    return one, two, three


class _Box:
    """The transforms, eigenvalues and coefficients of one case."""

    def __init__(self, case: Case, dtype: np.dtype) -> None:
        self.case, self.dtype, self.axes = case, dtype, tuple(range(1, len(case.shape) + 1))
        waves = np.meshgrid(*(2 * np.cos(np.pi * np.arange(n) / n) - 2 for n in case.shape), indexing="ij")
        laplacian = np.sum(waves, axis=0) / SPACING**2
        self.linear = np.stack([d * laplacian - loss for d, loss in zip(DIFFUSIVITY, LOSS, strict=True)])
        self.source = self.modes(case.sources.astype(dtype))
        self.signs = np.array(SIGNS, dtype).reshape(-1, *(1,) * len(case.shape))
        self.transforms = 0
        self.two, self.four = lru_cache(maxsize=24)(self._two), lru_cache(maxsize=24)(self._four)

    def modes(self, u: np.ndarray) -> np.ndarray:
        return np.asarray(dctn(u, axes=self.axes, norm="ortho", workers=WORKERS))

    def cells(self, v: np.ndarray) -> np.ndarray:
        self.transforms += 1
        return np.asarray(idctn(v, axes=self.axes, norm="ortho", workers=WORKERS))

    def rest(self, v: np.ndarray) -> np.ndarray:
        """N in modes, for a state in modes."""
        u = self.cells(v)
        binding = self.modes((KON * u[0] * u[1] - KOFF * u[2])[None])
        return self.source + self.signs * binding

    def _two(self, h: float) -> tuple[np.ndarray, ...]:
        z = h * self.linear
        one, two, _ = phi(z)
        return tuple(x.astype(self.dtype) for x in (np.exp(z), h * one, h * two))

    def _four(self, h: float) -> tuple[np.ndarray, ...]:
        half, (one, two, three) = 0.5 * h * self.linear, phi(h * self.linear)
        whole = (
            np.exp(2 * half),
            h * (one - 3 * two + 4 * three),
            h * 2 * (two - 2 * three),
            h * (4 * three - two),
            h * one,
            h * two,
        )
        return tuple(x.astype(self.dtype) for x in (np.exp(half), 0.5 * h * phi(half)[0], *whole))

    def etdrk2(self, v: np.ndarray, n: np.ndarray, h: float) -> Pair:
        whole, one, two = self.two(h)
        a = whole * v + one * n
        change = two * (self.rest(a) - n)
        return a + change, change

    def etdrk4(self, v: np.ndarray, n: np.ndarray, h: float) -> Pair:
        half, short, whole, first, middle, last, one, two = self.four(h)
        ahead = half * v
        a = ahead + short * n
        na = self.rest(a)
        nb = self.rest(ahead + short * na)
        nc = self.rest(half * a + short * (2 * nb - n))
        start = whole * v
        new = start + first * n + middle * (na + nb) + last * nc
        return new, new - (start + one * n + two * (nc - n))


# the method, and the order of the local error of its estimate
STEPS = {"etdrk2": (_Box.etdrk2, 2), "etdrk4": (_Box.etdrk4, 3)}


def build(
    case: Case, precision: str, method: str
) -> Callable[[float], tuple[list[np.ndarray], dict[str, Any]]]:
    """Return solve(tolerance) -> states at MARKS, counts."""
    box = _Box(case, np.dtype(precision))
    take, order = STEPS[method]

    def solve(tolerance: float) -> tuple[list[np.ndarray], dict[str, Any]]:
        v, states, t, h, steps, rejected = np.zeros_like(box.source), [], 0.0, 10.0, 0, 0
        box.transforms = 0
        box.two.cache_clear()  # the time of every run includes its coefficients
        box.four.cache_clear()
        for mark in MARKS:
            n = box.rest(v)
            while t < mark:
                step = min(LADDER ** floor(log(h, LADDER)), mark - t)
                new, change = take(box, v, n, step)
                error = _norm(change, new, tolerance)
                factor = min(4.0, max(0.2, 0.8 * error ** (-1 / order)))
                if not error <= 1:
                    h, rejected = step * (factor if error > 1 else 0.2), rejected + 1
                    continue
                v, n, steps = new, box.rest(new), steps + 1
                h, t = (
                    (step * factor if step >= h / LADDER else max(h, step * factor)),
                    (mark if step == mark - t else t + step),
                )
            states.append(np.array(box.cells(v), float))
        return states, {
            "steps": steps,
            "rejected": rejected,
            "transforms": box.transforms,
            "threads": WORKERS,
        }

    return solve


def _norm(change: np.ndarray, v: np.ndarray, tolerance: float) -> float:
    """The root mean square of the change over tolerance (SCALE + that of u), for the worst field; both in
    modes (Parseval).
    """
    cells = change[0].size
    e, u = (
        np.sqrt(np.sum(np.square(x.reshape(len(x), -1), dtype=float), axis=1) / cells) for x in (change, v)
    )
    return float(np.max(e / (tolerance * (SCALE + u))))


def fixed(case: Case, method: str, step: float) -> list[np.ndarray]:
    """The states at MARKS by equal steps, each a whole fraction of the marks: for references."""
    box = _Box(case, np.dtype(float))
    take, v, states, t = STEPS[method][0], np.zeros_like(box.source), [], 0.0
    for mark in MARKS:
        for _ in range(round((mark - t) / step)):
            v, _ = take(box, v, box.rest(v), step)
        t = mark
        states.append(box.cells(v))
    return states
