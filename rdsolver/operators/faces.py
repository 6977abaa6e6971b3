"""Values across faces: the neighbours of cells, and closed and periodic ends.

Only this module reads across a face, so no other module depends on the ends of an axis. Face arrays along an
axis hold the faces *between* cells: n - 1 of them where nothing passes the two ends ("no-flux"), n where the
axis wraps around ("periodic"; face i lies above cell i). With closed ends this takes half the time of a
whole-array `roll` (measured on two CPU cores with five fields).
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from .array_types import Cells, FaceValues

Wrap = tuple[bool, ...]  # one entry for each axis: True where it is periodic


def part(u: Array, axis: int, start: int, stop: int) -> Array:
    return lax.slice_in_dim(u, start, stop, axis=axis)


def lower(u: Cells, axis: int, wrap: Wrap) -> FaceValues:
    """The cell below each face."""
    return u if wrap[axis] else part(u, axis, 0, u.shape[axis] - 1)


def upper(u: Cells, axis: int, wrap: Wrap) -> FaceValues:
    """The cell above each face."""
    return jnp.roll(u, -1, axis) if wrap[axis] else part(u, axis, 1, u.shape[axis])


def difference(u: Cells, axis: int, wrap: Wrap) -> FaceValues:
    """The difference of u above and u below each face."""
    return upper(u, axis, wrap) - lower(u, axis, wrap)


def widened(faces: Array, axis: int, below: int, above: int) -> Array:
    config = [(0, 0, 0)] * faces.ndim
    config[axis] = (below, above, 0)
    return lax.pad(faces, jnp.zeros((), faces.dtype), config)


def face_above(faces: FaceValues, axis: int, wrap: Wrap) -> Cells:
    """The value on the upper face of each cell; 0 at a closed end."""
    return faces if wrap[axis] else widened(faces, axis, 0, 1)


def face_below(faces: FaceValues, axis: int, wrap: Wrap) -> Cells:
    """The value on the lower face of each cell; 0 at a closed end."""
    return jnp.roll(faces, 1, axis) if wrap[axis] else widened(faces, axis, 1, 0)


def gain(faces: FaceValues, axis: int, wrap: Wrap) -> Cells:
    """The value on the upper face of each cell minus that on the lower: the net loss of the cell by an upward
    flux.
    """
    if wrap[axis]:
        return faces - jnp.roll(faces, 1, axis)
    n = faces.shape[axis] + 1
    # padded only once before the difference, because XLA on a CPU stores every padded array
    all_faces = widened(faces, axis, 1, 1)
    return part(all_faces, axis, 1, n + 1) - part(all_faces, axis, 0, n)


def surrounded(u: Cells, wrap: Wrap) -> Array:
    """u with one more cell at both ends of every axis: 0 at closed ends, continued where the axis wraps."""
    wide = lax.pad(u, jnp.zeros((), u.dtype), [(0, 0, 0) if w else (1, 1, 0) for w in wrap])
    for axis in (a for a, w in enumerate(wrap) if w):
        n = u.shape[axis]
        wide = lax.concatenate([part(wide, axis, n - 1, n), wide, part(wide, axis, 0, 1)], axis)
    return wide


def lines(wide: Array, axis: int) -> Array:
    """The lines along an axis of a surrounded array, with one more cell at both ends of that axis only."""
    for other in range(wide.ndim):
        if other != axis:
            wide = part(wide, other, 1, wide.shape[other] - 1)
    return wide


def with_ends(faces: FaceValues, axis: int, wrap: Wrap) -> FaceValues:
    """The n + 1 faces, including those at the two ends: 0 at a closed end, the same face twice where the axis
    wraps.
    """
    n = faces.shape[axis]
    return (
        lax.concatenate([part(faces, axis, n - 1, n), faces], axis)
        if wrap[axis]
        else widened(faces, axis, 1, 1)
    )


def rise(u: Array, axis: int) -> Array:
    """The difference of each entry and the one before it."""
    n = u.shape[axis]
    return part(u, axis, 1, n) - part(u, axis, 0, n - 1)


def beyond(u: Cells, axis: int, cells: int, wrap: Wrap) -> Array:
    """u with `cells` more at both ends of an axis: mirrored at a closed end, continued where the axis wraps.

    A mirror deeper than the array itself is mirrored again (numpy's "symmetric").
    """
    pad = [(0, 0)] * u.ndim
    pad[axis] = (cells, cells)
    return jnp.pad(u, pad, mode="wrap" if wrap[axis] else "symmetric")


def around(u: Cells, wrap: Wrap) -> tuple[tuple[Cells, Cells], ...]:
    """The neighbours of every cell, below and above, for each axis; 0 beyond a closed end.

    The array is padded once for all axes, which takes a third to a half of the time of one pad for each axis
    on two CPU cores.
    """
    wide = surrounded(u, wrap)

    def shifted(axis: int, by: int) -> Cells:
        start = [1 + by if a == axis else 1 for a in range(u.ndim)]
        return lax.slice(wide, start, [s + n for s, n in zip(start, u.shape, strict=True)])

    return tuple((shifted(a, -1), shifted(a, 1)) for a in range(u.ndim))


def sides(faces: FaceValues, axis: int) -> tuple[Cells, Cells]:
    """The values on the lower and on the upper face of every cell."""
    n = faces.shape[axis] - 1
    return part(faces, axis, 0, n), part(faces, axis, 1, n + 1)
