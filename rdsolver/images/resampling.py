"""Volume averages of voxels over cells of any size, for a grid coarser or finer than the image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.sparse


def cells_within(lengths: Sequence[float], spacing: Sequence[float]) -> tuple[int, ...]:
    """The number of whole cells that fit along each axis; a small tolerance makes 63.9999999 of them 64."""
    return tuple(math.floor(s / h + 1e-6) for s, h in zip(lengths, spacing, strict=True))


def average(
    array: np.ndarray, edges: Sequence[float], shape: Sequence[int], spacing: Sequence[float]
) -> np.ndarray:
    """The mean of voxel values over each cell, weighted by the volume that voxel and cell share.

    array           values of voxels with the given edges, two or three axes
    shape, spacing  shape and spacing of the cells, which start at the same corner and lie within the voxels
    """
    overlaps = [_overlap(n, e, m, h) for n, e, m, h in zip(array.shape, edges, shape, spacing, strict=True)]
    return _apply(overlaps, array)


def _overlap(voxels: int, edge: float, cells: int, spacing: float) -> scipy.sparse.csr_array:
    """The part of each cell that each voxel covers along an axis, (cells, voxels)."""
    a, b = np.arange(voxels + 1) * edge, np.arange(cells + 1) * spacing
    cuts = np.union1d(a[a <= b[-1]], b[b <= a[-1]])
    middle = (cuts[1:] + cuts[:-1]) / 2
    rows, columns = np.searchsorted(b, middle) - 1, np.searchsorted(a, middle) - 1
    return scipy.sparse.csr_array((np.diff(cuts) / spacing, (rows, columns)), shape=(cells, voxels))


def _apply(overlaps: list[scipy.sparse.csr_array], array: np.ndarray) -> np.ndarray:
    """Average axis by axis; in 3D plane by plane, so that only planes are held as floats."""
    if array.ndim == 2:
        return (overlaps[1] @ (overlaps[0] @ array.astype(float)).T).T
    weights = overlaps[0].tolil()
    return np.stack(
        [
            _apply(overlaps[1:], np.tensordot(w, array[i], 1))
            for i, w in zip(weights.rows, weights.data, strict=True)
        ]
    )
