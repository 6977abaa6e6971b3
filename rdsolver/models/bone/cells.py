"""The effects of RANK occupancy on precursors and osteoclasts, as pointwise functions of any shape."""

from __future__ import annotations

import jax.numpy as jnp

from ...operators.array_types import Cells, FaceValues, Number, Numbers


def hill(u: Cells, exponent: Number) -> Cells:
    """The power max(u, 0)^exponent; the power of a negative number from round-off would be NaN.

    It is computed with exp and log, which takes a quarter of the time of XLA's power.
    """
    return jnp.where(u > 0, jnp.exp(exponent * jnp.log(jnp.where(u > 0, u, 1))), 0)


def occupancy(p: Numbers, rankl: Cells) -> Cells:
    """RANK occupancy θ = r_R L / (K_R + L): the share of RANK receptors that RANKL occupies, times their
    number relative to healthy.
    """
    free = jnp.maximum(rankl, 0)
    return p["rank_factor"] * free / (p["rank_K"] + free)


def rising(h: Cells, most: Number) -> Cells:
    """The rise r(h) = most h / (most - 1 + h) from 0 to `most` with r(1) = 1; most = 1 makes it 1."""
    below = most - 1 + h
    return jnp.where(below > 0, most * h / jnp.where(below > 0, below, 1), 1)


def differentiation(p: Numbers, u: Cells) -> Cells:
    """Rate of differentiation p(u) = p0 r(uⁿ), 1/d, with r that of `rising` and u = θ/θ0, so that p(1) =
    p0.
    """
    return p["differentiation"] * rising(hill(u, p["differentiation_exponent"]), p["differentiation_most"])


def supply(p: Numbers, u: Cells) -> Cells:
    """Supply of precursors relative to baseline, r(u): it follows RANKL both ways."""
    return rising(jnp.maximum(u, 0), p["precursor_supply_most"])


def death(p: Numbers, u: Cells) -> Cells:
    """Death rate of osteoclasts d_C σ(u), 1/d.

    σ(u) = E0 - (E0 - Em) u^g / (u^g + u50^g), with u50 from σ(1) = 1 (Peterson & Riggs 2010). With u50^g = (1
    - Em)/(E0 - 1) inserted: σ = 1 + (E0 - 1) (1 - Em) (1 - u^g) / [(E0 - 1) u^g + 1 - Em], which is 1 for E0
    = Em = 1.
    """
    more, less = p["survival_most"] - 1, 1 - p["survival_least"]
    h = hill(u, p["survival_exponent"])
    below = more * h + less
    return p["osteoclast_death"] * (1 + more * less * (1 - h) / jnp.where(below > 0, below, 1))


def activation(p: Numbers, u: Cells) -> Cells:
    """Activation a(u), resorption per osteoclast relative to baseline: (1 - e) + e u up to 1, u^γ above.

    γ: Peterson & Riggs 2010.
    """
    above = hill(jnp.maximum(u, 1), p["activation_exponent"])
    return above + p["activation_share"] * (jnp.minimum(u, 1) - 1)


def room(p: Numbers, osteoclasts: Cells) -> Cells:
    """The room left for osteoclasts, (1 - C/Cmax)+. The same factor limits the loss of precursors by fusion
    and the gain of osteoclasts.
    """
    return jnp.maximum(1 - osteoclasts / p["osteoclast_limit"], 0)


def drift_speed(p: Numbers, gradient: FaceValues) -> FaceValues:
    """Drift speed v0 / (1 + |v0|/vmax) along one axis, um/d, with v0 = chi grad u."""
    v0 = p["chemotaxis"] * gradient
    return v0 / (1 + jnp.abs(v0) / p["drift_limit"])
