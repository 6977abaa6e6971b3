"""Bone: its surface, its resorption and its delayed formation, as pointwise functions of any shape."""

from __future__ import annotations

import jax.numpy as jnp

from ...operators.array_types import Cells, Number, Numbers, Pointwise
from .cells import hill

EDGE = 0.05  # bone fraction below which resorption, or room below which formation, fades out


def surface_measure(p: Numbers, gradient: Cells) -> Cells:
    """Surface measure w = max(|grad b_s|/S_ref - cutoff, 0): 1 on average at a bone surface of 3 mm2 per
    mm3.
    """
    return jnp.maximum(gradient / p["surface_reference"] - p["surface_cutoff"], 0)


def formed_after(p: Numbers, signal: Cells, j_ref: Cells, jbar: Number) -> Cells:
    """Formation β j_ref + (1-β) B^m j_ref^(1-m): a basal share, and one that follows resorption.

    It is computed from (B/j_ref)^m - 1, so that B = j_ref gives j_ref exactly. B is floored at 1e-6 jbar,
    because the slope is infinite at 0.
    """
    b = jnp.maximum(signal, 1e-6 * jbar)
    following = 1 - p["formation_basal"]
    return j_ref * (1 + following * (hill(b / j_ref, p["coupling_exponent"]) - 1))


def edge_factor(net: Cells, bone: Cells, taken: Pointwise | float = 0.0) -> Cells:
    """The factor min(1, b/0.05) where bone is lost, and min(1, (1-b-T)+/0.05) where it grows: b stays in [0,
    1].

    taken: T.
    """
    left = jnp.where(net < 0, bone, 1 - bone - taken)
    return jnp.clip(left / EDGE, 0, 1)


def moved_bone(net: Cells, start: Cells, step: Number, taken: Pointwise | float = 0.0) -> Cells:
    """The solution b of b = start + step net edge_factor(net, b), in closed form.

    step: 1/σ, d. The amount lost or gained is k min(1, x/0.05), with k = step |net| and x the bone (or the
    room) left at the end. Where net is 0, b is start to the last bit.
    """
    lost = net < 0
    left = jnp.maximum(jnp.where(lost, start, 1 - start - taken), 0)
    k = step * jnp.abs(net)
    moved = jnp.where(left - k >= EDGE, k, left * (k / EDGE) / (1 + k / EDGE))
    return start + jnp.where(lost, -moved, moved)
