"""Reductions, which are the only places where a whole field becomes a number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .array_types import Cells, Each, Int, Labels, Number, Sums
from .faces import Wrap
from .no_fusion import on_cpu

Rows = Int[Array, "_ together"]

_TOGETHER = 32  # numbers that one step of a sum over pockets adds up
_STEP = 2.0**20
_CLIP = 1e4


def total(u: Cells) -> Number:
    """The sum over all cells in float64 (callers mask: values outside the field of view are zero)."""
    return jnp.sum(u, dtype=jnp.float64)


@partial(jax.tree_util.register_dataclass, data_fields=["label", "sums"], meta_fields=["count"])
@dataclass(frozen=True)
class Pockets:
    """Connected regions.

    label  the number of each cell's region, from 0; `count` in cells that are not active
    sums   the order in which sums over a region are taken (`_order`): the same on any device, where adding
           at an index from many threads has none
    """

    label: Labels
    sums: tuple[Rows, ...]
    count: int

    @staticmethod
    def of(active: np.ndarray, wrap: Wrap) -> Pockets | None:
        """The pockets of a mask, connected through faces and periodic axes; None if there is only one."""
        label = np.zeros(active.shape, int)
        count = ndimage.label(active, output=label)
        ends = [[label.take(k, a).ravel() for k in (0, -1)] for a, periodic in enumerate(wrap) if periodic]
        meet = np.concatenate([np.zeros((2, 0), int), *map(np.stack, ends)], axis=1)
        meet = meet[:, (meet > 0).all(axis=0)]  # regions that meet across the ends are one
        graph = coo_array((np.ones(meet.shape[1]), tuple(meet - 1)), (count, count))
        pockets, number = connected_components(graph, directed=False)
        if pockets == 1:
            return None
        label = np.append(pockets, number)[label]
        order = tuple(jnp.asarray(rows, jnp.int32) for rows in _order(label.ravel(), pockets))
        return Pockets(jnp.asarray(label, jnp.int32), order, pockets)


def _order(label: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """The order of sums over the numbers of each label below `count`.

    In each step the rows of an index array, (rows, _TOGETHER), name the numbers to add up; beyond the last
    number there is a zero. Their sums are the numbers of the next step, until one is left for each label.
    """
    while len(label) != count or (label != np.arange(count)).any():
        where = np.argsort(label, kind="stable")
        where = where[label[where] < count]
        sizes = np.bincount(label[where], minlength=count)
        blocks = -(-sizes // _TOGETHER)
        rank = np.arange(len(where)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rows = np.full((blocks.sum(), _TOGETHER), len(label))
        first = np.repeat(np.cumsum(blocks) - blocks, sizes)
        rows[first + rank // _TOGETHER, rank % _TOGETHER] = where
        yield rows
        label = np.repeat(np.arange(count), blocks)


def sums(u: Cells, pockets: Pockets | None) -> Sums:
    """The same sum as `total`; with pockets, one sum for each of them, (count,)."""
    if pockets is None:
        return total(u)
    found = u.ravel().astype(jnp.float64)
    for rows in pockets.sums:
        found = jnp.sum(jnp.append(found, 0)[rows], axis=1)
    return found


def all_sums(us: Sequence[Cells], pockets: Pockets | None) -> tuple[Sums, ...]:
    """`sums` of each array."""
    if pockets is None:
        return totals([u.astype(jnp.float64) for u in us])
    return tuple(sums(u, pockets) for u in us)


def spread(numbers: Sums, pockets: Pockets | None) -> Cells:
    """Give the number of each pocket to its cells (0 outside); a single number is returned unchanged."""
    return numbers if pockets is None else jnp.append(numbers, 0)[pockets.label]


def totals(parts: Sequence[Array]) -> tuple[Array, ...]:
    """The sum of each array over all cells, in its own type: on a GPU in one pass over all of them."""
    if on_cpu() or len(parts) < 2:
        return tuple(jnp.sum(x) for x in parts)
    zeros = tuple(jnp.zeros((), x.dtype) for x in parts)
    axes = tuple(range(parts[0].ndim))
    return lax.reduce(tuple(parts), zeros, lambda a, b: tuple(x + y for x, y in zip(a, b, strict=True)), axes)


def mean_squares(errors: Sequence[Cells], cells: Number) -> Each:
    """The mean of e² over `cells` cells for each array, with the same bits in any order of summation.

    e² is clipped at 1e4 and rounded to 2^-20, then summed as int64, so that a run advanced alone, in a batch
    or on several devices takes the same steps. NaN counts as the clip; finiteness is checked separately.
    """
    found = []
    for e in errors:
        square = jnp.where(jnp.isnan(e), _CLIP, jnp.minimum(e * e, _CLIP))
        found.append(jnp.round(square * _STEP).astype(jnp.int64))
    return jnp.stack(totals(found)).astype(jnp.float64) / _STEP / cells
