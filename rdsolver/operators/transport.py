"""Diffusion, drift and smoothing on a masked grid, each in one pass over conservative face fluxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import erf, sqrt

import jax.numpy as jnp
import numpy as np
from jax import lax

from .array_types import Cells, Faces, FaceValues
from .faces import (
    Wrap,
    around,
    beyond,
    face_above,
    face_below,
    gain,
    lines,
    lower,
    rise,
    sides,
    surrounded,
    upper,
    with_ends,
)
from .no_fusion import on_cpu


def open_faces(active: Cells, wrap: Wrap) -> Faces:
    """1 where both cells at a face are active, 0 where nothing may pass."""
    return tuple(lower(active, a, wrap) * upper(active, a, wrap) for a in range(active.ndim))


def harmonic(cell: Cells, axis: int, wrap: Wrap) -> FaceValues:
    """The harmonic mean of the two cells at each face, for the flux through two layers in series (0 where
    either is 0).
    """
    lo, hi = lower(cell, axis, wrap), upper(cell, axis, wrap)
    both = lo + hi
    return 2 * lo * hi / jnp.where(both == 0, 1, both)


def between(cell: Cells, axis: int, wrap: Wrap) -> FaceValues:
    """The arithmetic mean of the two cells at each face."""
    return 0.5 * (lower(cell, axis, wrap) + upper(cell, axis, wrap))


def face_diffusion(mobility: Cells, openings: Faces, spacing: Sequence[float], wrap: Wrap) -> Faces:
    """The face coefficients c = harmonic(mobility) / h² of div(mobility grad u); for relative mobility,
    1/um².
    """
    return tuple(
        harmonic(mobility, a, wrap) * openings[a] * (1 / spacing[a] ** 2) for a in range(mobility.ndim)
    )


def diffusion(u: Cells, c: Faces, wrap: Wrap) -> Cells:
    """div(c grad u) on the cells: the sum over axes of c₊ (u₊ - u) - c₋ (u - u₋), of second order and
    conservative.

    XLA on a CPU stores every padded array, so the field is padded once on all sides rather than the fluxes of
    each axis. On a GPU a flux is computed for both of its cells, since XLA would store those of some axes.
    """
    if not on_cpu():
        return sum(high * (above - u) - low * (u - below) for below, above, low, high in _across(u, c, wrap))  # pyright: ignore[reportReturnType]
    wide = surrounded(u, wrap)
    fluxes = (with_ends(c[a], a, wrap) * rise(lines(wide, a), a) for a in range(u.ndim))
    return sum(rise(flux, a) for a, flux in enumerate(fluxes))  # pyright: ignore[reportReturnType]


def _across(u: Cells, faces: Faces, wrap: Wrap) -> Iterator[tuple[Cells, Cells, Cells, Cells]]:
    """For each axis, the cells below and above every cell, and its lower and upper faces."""
    for a, beside in enumerate(around(u, wrap)):
        yield *beside, *sides(with_ends(faces[a], a, wrap), a)


def own_diffusion(c: Faces, wrap: Wrap) -> Cells:
    """The diagonal of -diffusion: the sum of each cell's face coefficients."""
    return sum(face_above(c[a], a, wrap) + face_below(c[a], a, wrap) for a in range(len(c)))  # pyright: ignore[reportReturnType]


def drift(u: Cells, v: Faces, wrap: Wrap) -> Cells:
    """The drift -div(v u), first-order upwind.

    A flux takes the density of the cell that it leaves, so no density becomes negative. v: the face velocity
    divided by the spacing, 1/d, positive upwards.
    """
    if not on_cpu():
        return sum(
            jnp.maximum(low, 0) * below
            - jnp.minimum(high, 0) * above
            - (jnp.maximum(high, 0) - jnp.minimum(low, 0)) * u
            for below, above, low, high in _across(u, v, wrap)
        )  # pyright: ignore[reportReturnType]
    flux = (
        jnp.maximum(v[a], 0) * lower(u, a, wrap) + jnp.minimum(v[a], 0) * upper(u, a, wrap)
        for a in range(u.ndim)
    )
    return -sum(gain(f, a, wrap) for a, f in enumerate(flux))  # pyright: ignore[reportReturnType]


def own_drift(v: Faces, wrap: Wrap) -> Cells:
    """The diagonal of -drift: the outflow of a cell through all its faces."""
    out = (
        face_above(jnp.maximum(v[a], 0), a, wrap) - face_below(jnp.minimum(v[a], 0), a, wrap)
        for a in range(len(v))
    )
    return sum(out)  # pyright: ignore[reportReturnType]


def fitted(c: Faces, v: Faces) -> Faces:
    """The face coefficients of diffusion that match upwind drift: c B(|v|/c), B(x) = x / (eˣ - 1)
    (exponential fitting).

    Upwind drift alone adds a diffusion of |v|/2. With less physical diffusion the sum is c (x/2) coth(x/2),
    which is of second order where diffusion dominates and still keeps every density positive (Scharfetter &
    Gummel 1969, IEEE Trans. Electron Devices 16:64).
    """
    out = []
    for k, w in zip(c, v, strict=True):
        x = jnp.abs(w) / jnp.where(k > 0, k, 1)
        small = x < 1e-3  # the series 1 - x/2 is used there, as eˣ - 1 loses its digits
        out.append(k * jnp.where(small, 1 - x / 2, x / jnp.expm1(jnp.where(small, 1, jnp.minimum(x, 80)))))
    return tuple(out)


# for each axis: weights of the mean, weights of the slope
Taps = tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]


def gaussian_taps(length: float, spacing: Sequence[float]) -> Taps:
    """The weights that smooth with a Gaussian of standard deviation `length`, for each axis, cut at four
    deviations.

    One set gives the smoothed value of a cell, the other the mean over the cell of its slope. The slope is a
    difference of smoothed values at the cell's two faces, so its sum over a line is the jump across it at any
    spacing: a bone surface has the same area on every grid. Each average over a cell widens the smoothed
    field by a variance of h²/12 (bone is one average, the weights another, the slope a third). This variance
    is subtracted from that of the Gaussian, so that the width of a surface is `length` at any spacing too; on
    a grid too coarse for that, a quarter of a cell remains.
    """
    out = []
    for h in spacing:
        reach = int(np.ceil(4 * length / h))
        for_mean, for_slope = (sqrt(max(length**2 - n * h**2 / 12, h**2 / 16)) / h for n in (2, 3))
        mean = np.diff([_normal(k / for_mean) for k in np.arange(-reach - 0.5, reach + 1)])
        slope = -np.diff([_normal(k / for_slope) for k in range(-reach - 1, reach + 2)], 2)
        slope /= h * (slope * np.arange(-reach, reach + 1)).sum()  # the slope of x is 1
        out.append((tuple((mean / mean.sum()).tolist()), tuple(slope.tolist())))
    return tuple(out)


def _normal(x: float) -> float:
    return 0.5 * (1 + erf(x / sqrt(2)))


def _correlate(u: Cells, weights: Sequence[float], axis: int, wrap: Wrap) -> Cells:
    """Σ_k weights[k] u[i + k - reach] along an axis; mirrored at closed borders, so that a border is no
    surface.
    """
    reach, n = len(weights) // 2, u.shape[axis]
    wide = beyond(u, axis, reach, wrap)
    terms = [float(w) * lax.slice_in_dim(wide, k, k + n, axis=axis) for k, w in enumerate(weights) if w != 0]
    return sum(terms[1:], terms[0])


def smooth(u: Cells, taps: Taps, wrap: Wrap) -> Cells:
    """The smoothed field G * u."""
    for axis, (mean, _) in enumerate(taps):
        u = _correlate(u, mean, axis, wrap)
    return u


def smooth_slopes(u: Cells, taps: Taps, wrap: Wrap) -> tuple[Cells, ...]:
    """The gradient of the smoothed field, grad (G * u), one array per axis, 1/um."""
    out = []
    for along in range(u.ndim):
        v = u
        for axis, (mean, slope) in enumerate(taps):
            v = _correlate(v, slope if axis == along else mean, axis, wrap)
        out.append(v)
    return tuple(out)


def length(parts: Sequence[Cells]) -> Cells:
    """The Euclidean length of a vector.

    sqrt has no derivative at 0; the inner where keeps forward-mode derivatives finite there.
    """
    squares = sum((x * x for x in parts[1:]), parts[0] * parts[0])
    flat = squares == 0
    return jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, squares)))
