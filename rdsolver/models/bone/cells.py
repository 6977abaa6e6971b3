"""Cells: what RANK occupancy does to precursors and osteoclasts (pointwise functions, any shape)."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

Numbers = dict[str, Array]


def hill(u: Array, exponent: Array) -> Array:
    """max(u, 0)^exponent: a power of a round-off negative would be NaN. By exp and log, a quarter of the time
    of XLA's power.
    """
    return jnp.where(u > 0, jnp.exp(exponent * jnp.log(jnp.where(u > 0, u, 1))), 0)


def occupancy(p: Numbers, rankl: Array) -> Array:
    """θ = L / (K_R + L), the share of RANK occupied."""
    free = jnp.maximum(rankl, 0)
    return free / (p["rank_K"] + free)


def differentiation(p: Numbers, u: Array) -> Array:
    """p(u) = 2 p0 uⁿ / (1 + uⁿ), 1/d; u = θ/θ0, p(1) = p0."""
    h = hill(u, p["differentiation_exponent"])
    return 2 * p["differentiation"] * h / (1 + h)


def death(p: Numbers, u: Array) -> Array:
    """d_C σ(u), 1/d, with σ(u) = E0 - (E0 - Em) u^g / (u^g + u50^g) and u50 from σ(1) = 1 (Peterson & Riggs
    2010).

    With u50^g = (1 - Em)/(E0 - 1) put in: σ = 1 + (E0 - 1) (1 - Em) (1 - u^g) / [(E0 - 1) u^g + 1 - Em]; 1
    for E0 = Em = 1.
    """
    more, less = p["survival_most"] - 1, 1 - p["survival_least"]
    h = hill(u, p["survival_exponent"])
    below = more * h + less
    return p["osteoclast_death"] * (1 + more * less * (1 - h) / jnp.where(below > 0, below, 1))


def activation(p: Numbers, u: Array) -> Array:
    """a(u) = (1 - e) + e min(u, 3): resorption per osteoclast relative to baseline."""
    e = p["activation_share"]
    return (1 - e) + e * jnp.minimum(u, 3)


def room(p: Numbers, osteoclasts: Array) -> Array:
    """(1 - C/Cmax)+: the same factor takes precursors out and brings osteoclasts in."""
    return jnp.maximum(1 - osteoclasts / p["osteoclast_limit"], 0)


def drift_speed(p: Numbers, gradient: Array) -> Array:
    """v0 / (1 + |v0|/vmax), v0 = chi grad u, um/d, along one axis."""
    v0 = p["chemotaxis"] * gradient
    return v0 / (1 + jnp.abs(v0) / p["drift_limit"])
