"""Diffusion, drift and smoothing on a masked grid, each as one sweep of conservative face fluxes."""

from __future__ import annotations

from collections.abc import Sequence
from math import erf, sqrt

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .boundaries import Wrap, beyond, difference, face_above, face_below, gain, lower, upper

Faces = tuple[Array, ...]  # one face array an axis (boundaries.py)


def open_faces(active: Array, wrap: Wrap) -> Faces:
    """1 where both cells at a face are active, 0 where nothing may pass."""
    return tuple(lower(active, a, wrap) * upper(active, a, wrap) for a in range(active.ndim))


def harmonic(cell: Array, axis: int, wrap: Wrap) -> Array:
    """Harmonic mean of the two cells at each face: the flux through two layers in series (0 where either is 0)."""
    lo, hi = lower(cell, axis, wrap), upper(cell, axis, wrap)
    both = lo + hi
    return 2 * lo * hi / jnp.where(both == 0, 1, both)


def face_diffusion(mobility: Array, openings: Faces, spacing: Sequence[float], wrap: Wrap) -> Faces:
    """Face coefficients c = harmonic(mobility) / h² of div(mobility grad u), 1/um² for a relative mobility."""
    return tuple(harmonic(mobility, a, wrap) * openings[a] * (1 / spacing[a] ** 2) for a in range(mobility.ndim))


def diffusion(u: Array, c: Faces, wrap: Wrap) -> Array:
    """Σ over axes of c₊ (u₊ - u) - c₋ (u - u₋): div(c grad u) on the cells, second order, conservative."""
    return sum(gain(c[a] * difference(u, a, wrap), a, wrap) for a in range(u.ndim))  # pyright: ignore[reportReturnType]


def own_diffusion(c: Faces, wrap: Wrap) -> Array:
    """The diagonal of -diffusion: the sum of each cell's face coefficients."""
    return sum(face_above(c[a], a, wrap) + face_below(c[a], a, wrap) for a in range(len(c)))  # pyright: ignore[reportReturnType]


def drift(u: Array, v: Faces, wrap: Wrap) -> Array:
    """-div(v u), first-order upwind: a flux takes the density of the cell it leaves, so no density turns negative.

    v: face velocity over spacing, 1/d, counted upwards.
    """
    flux = (jnp.maximum(v[a], 0) * lower(u, a, wrap) + jnp.minimum(v[a], 0) * upper(u, a, wrap) for a in range(u.ndim))
    return -sum(gain(f, a, wrap) for a, f in enumerate(flux))  # pyright: ignore[reportReturnType]


def own_drift(v: Faces, wrap: Wrap) -> Array:
    """The diagonal of -drift: what leaves a cell through all its faces."""
    out = (face_above(jnp.maximum(v[a], 0), a, wrap) - face_below(jnp.minimum(v[a], 0), a, wrap) for a in range(len(v)))
    return sum(out)  # pyright: ignore[reportReturnType]


def gaussian_weights(length: float, spacing: float) -> np.ndarray:
    """Weights of a Gaussian of standard deviation `length` integrated over cells, cut at four deviations, sum 1.

    Integrated rather than sampled, so that a grid coarser than the Gaussian still smooths a little.
    """
    reach = int(np.ceil(4 * length / spacing))
    edges = (np.arange(-reach, reach + 2) - 0.5) * spacing / (length * sqrt(2))
    w = np.diff([erf(e) for e in edges])
    return w / w.sum()


def smooth(u: Array, weights: Sequence[Sequence[float]], wrap: Wrap) -> Array:
    """Separable weighted mean over neighbours; mirrored at closed borders, so that a border is no surface."""
    for axis, w in enumerate(weights):
        reach, n = len(w) // 2, u.shape[axis]
        wide = beyond(u, axis, reach, wrap)
        u = float(w[reach]) * u
        for k in range(reach):  # symmetric weights: half the products
            near = lax.slice_in_dim(wide, k, k + n, axis=axis) + lax.slice_in_dim(wide, 2 * reach - k, 2 * reach - k + n, axis=axis)
            u = u + float(w[k]) * near
    return u


def gradient_size(u: Array, openings: Faces, spacing: Sequence[float], wrap: Wrap) -> Array:
    """|grad u| from central differences, 1/um; across a closed face the neighbour counts as a mirror image."""
    squares = jnp.zeros_like(u)
    for a in range(u.ndim):
        g = difference(u, a, wrap) * openings[a]
        squares = squares + ((face_above(g, a, wrap) + face_below(g, a, wrap)) * (0.5 / spacing[a])) ** 2
    # sqrt has no derivative at 0; the inner where keeps forward-mode derivatives finite on flat bone
    flat = squares == 0
    return jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, squares)))
