"""The only places where a whole field becomes a number."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

_STEP = 2.0**20
_CLIP = 1e4


def total(u: Array) -> Array:
    """Sum over all cells in float64 (callers mask: what is outside the field of view is zero)."""
    return jnp.sum(u, dtype=jnp.float64)


def mean_square(e: Array, cells: Array) -> Array:
    """Mean of e² over `cells` cells, the same bits in any order of summation.

    e² is clipped at 1e4 and rounded to 2^-20, then summed as int64, so that a run advanced alone, in a batch or
    on several devices takes the same steps. NaN counts as the clip; finiteness is checked apart.
    """
    square = jnp.where(jnp.isnan(e), _CLIP, jnp.minimum(e * e, _CLIP))
    return jnp.sum(jnp.round(square * _STEP).astype(jnp.int64)).astype(jnp.float64) / _STEP / cells
