"""The surface of the bone of a block, coloured by the osteoclasts on it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from matplotlib.colors import LightSource, ListedColormap, Normalize, to_rgba
from matplotlib.figure import FigureBase
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from scipy.ndimage import map_coordinates

from ..errors import InputError
from ..output.reader import Run
from ..utils.extras import install
from . import style
from .planes import Look, draw_bar, look_of

SURFACE_HEIGHT = 2.4  # inches
ELEVATION, AZIMUTH = 24.0, -52.0  # degrees; direction of view
MISSING = f"The surface of bone needs scikit-image, which is not installed. {install('figures')}."
REACH = 1.0  # cells; osteoclasts are in marrow beside the surface, so the highest density this near counts
LIT = 0.45  # share of the brightness that is shading; the rest shows the colour everywhere


def available() -> bool:
    """True if scikit-image is installed."""
    return find_spec("skimage") is not None


def draw_surfaces(figure: FigureBase, run: Run, columns: Sequence[tuple[int, str]]) -> None:
    """Draw the surface where the bone fraction is one half, at each (index, caption).

    Raises InputError when scikit-image is not installed.
    """
    look = look_of(run, "osteoclasts", (run["osteoclasts"][k] for k, _ in columns))
    opaque = ListedColormap([_over(c, style.BONE) for c in look.colours(np.linspace(0, 1, 256))])
    look = Look(look.factor, Normalize(0, look.norm.vmax), opaque, look.label)
    axes: list[Any] = list(
        figure.subplots(1, len(columns), squeeze=False, subplot_kw={"projection": "3d"})[0]
    )
    for ax, (index, _) in zip(axes, columns, strict=True):
        _draw(ax, run, run["bone"][index], look.factor * run["osteoclasts"][index], look)
    draw_bar(figure, axes[-1], look, (style.WIDTH - 1) / len(columns))


def triangles(bone: np.ndarray, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The triangles of marching cubes at one half.

    Return the corners (n, 3) in um, z y x from the centre of the first cell, and the faces (m, 3).
    """
    try:
        from skimage.measure import marching_cubes
    except ImportError as e:
        raise InputError(
            f"The surface of bone needs scikit-image, which is not installed. {install('figures')}."
        ) from e
    closed = np.pad(np.nan_to_num(bone), 1)  # cut faces of bone are closed
    if closed.max() <= 0.5:
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    corners, faces, *_ = marching_cubes(closed.astype("f4"), 0.5, spacing=tuple(spacing))
    return corners - np.asarray(spacing), faces


def _draw(ax: Axes3D, run: Run, bone: np.ndarray, cells: np.ndarray, look: Look) -> None:
    corners, faces = triangles(bone, run.spacing)
    lengths = [n * h for n, h in zip(run.shape, run.spacing, strict=True)]
    ax.set(xlim=(0, lengths[2]), ylim=(0, lengths[1]), zlim=(0, lengths[0]))
    ax.set_box_aspect((lengths[2], lengths[1], lengths[0]))
    ax.view_init(ELEVATION, AZIMUTH)
    ax.set_axis_off()
    _draw_box(ax, lengths)
    if not len(faces):
        return
    middles = corners[faces].mean(1) / run.spacing
    field = np.nan_to_num(cells)
    steps = np.array([[0, 0, 0], *(sign * REACH * np.eye(3)[k] for k in range(3) for sign in (-1, 1))])
    near = np.max(
        [map_coordinates(field, (middles + step).T, order=1, mode="nearest") for step in steps], axis=0
    )
    points = (corners + np.asarray(run.spacing) / 2)[faces][..., ::-1]  # x y z
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    shade = LightSource(azdeg=225, altdeg=40).shade_normals(
        normals / np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
    )
    colours = look.colours(look.norm(near))
    colours[:, :3] *= (1 - LIT + LIT * np.clip(shade, 0, 1))[:, None]
    ax.add_collection3d(
        Poly3DCollection(points, facecolors=colours, edgecolors="none", antialiaseds=False, rasterized=True)
    )


def _draw_box(ax: Axes3D, lengths: Sequence[float]) -> None:
    """Draw the edges of the block, with their lengths (x, y, z)."""
    depth, height, width = lengths
    corners = np.array([[x, y, z] for x in (0, width) for y in (0, height) for z in (0, depth)])
    for a in corners:
        for b in corners:
            if np.count_nonzero(a != b) == 1 and tuple(a) < tuple(b):
                ax.plot(*np.transpose([a, b]), color=style.FAINT, linewidth=0.5, zorder=0)
    text = " × ".join(f"{n:g}" for n in (width, height, depth))
    ax.text2D(
        0.0, 1.0, f"{text} µm", transform=ax.transAxes, fontsize=style.SMALL, va="top", color=style.QUIET
    )


def _over(colour: np.ndarray, ground: str) -> np.ndarray:
    """A translucent colour over an opaque one."""
    return np.append(colour[3] * colour[:3] + (1 - colour[3]) * np.array(to_rgba(ground))[:3], 1.0)
