"""Planes of a run: the cells that a map shows, their reading, their colours, and the outline of bone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import FigureBase
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from ..output.reader import FieldData, Run
from . import style

EVENTLESS = 1e-3  # a smaller relative change counts as no change
LABEL_WIDTH = 24  # characters in a line of a vertical label


class Slice(NamedTuple):
    """A plane of a run on a map.

    It has its cells, its place (um: left, right, foot, top), the place where two others cross it (x, y), and
    the names of its axes.
    """

    cells: tuple[int | slice, ...]
    turned: bool
    extent: tuple[float, float, float, float]
    crossings: tuple[float, float] | None = None
    name: str = ""


class Look(NamedTuple):
    """The look of a printed field: factor to the printed unit, scale, colours, and the label of its colour
    bar.
    """

    factor: float
    norm: Normalize
    colours: Colormap
    label: str


def slices_through(run: Run, point: tuple[int, ...]) -> list[Slice]:
    """A section itself; for a block the three planes through a point, unfolded: xy, to its right zy, under it
    xz.
    """
    lengths = [n * h for n, h in zip(run.shape, run.spacing, strict=True)]
    everything = slice(None)
    if len(run.shape) == 2:
        return [Slice((everything, everything), False, (0, lengths[1], 0, lengths[0]))]
    (z, y, x), (depth, height, width) = point, lengths
    at_z, at_y, at_x = ((k + 0.5) * h for k, h in zip(point, run.spacing, strict=True))
    gap = 0.04 * (width + depth)
    right, under = width + gap, -gap - depth
    return [
        Slice((z, everything, everything), False, (0, width, 0, height), (at_x, at_y), "xy"),
        Slice(
            (everything, everything, x), True, (right, right + depth, 0, height), (right + at_z, at_y), "zy"
        ),
        Slice(
            (everything, y, everything), False, (0, width, under, under + depth), (at_x, under + at_z), "xz"
        ),
    ]


def bounds(slices: Sequence[Slice]) -> tuple[float, float, float, float]:
    """The bounding box of all slices, um: left, right, bottom, top."""
    left, right, foot, top = zip(*(s.extent for s in slices), strict=True)
    return min(left), max(right), min(foot), max(top)


def read(field: FieldData | np.ndarray, index: int, slices: Sequence[Slice]) -> list[np.ndarray]:
    """Read the planes of a field at a saved time, and nothing else."""
    planes = [field[(index, *part.cells)] for part in slices]
    return [plane.T if part.turned else plane for plane, part in zip(planes, slices, strict=True)]


def read_bone(run: Run, index: int, slices: Sequence[Slice]) -> list[np.ndarray]:
    """The bone at a saved time; the bone at the start if it was not saved or does not change; otherwise no
    bone.
    """
    if run.of_bone and "bone" in run:
        return read(run["bone"], index, slices)
    bone = run.saved_cells(run.reference["bone"]) if "bone" in run.reference else np.zeros(run.shape)
    # it also shows where a model is not solved
    return read(np.where(run.active | (bone > 0), bone, np.nan)[None], 0, slices)


def look_of(run: Run, name: str, planes: Iterable[np.ndarray]) -> Look:
    """One look for all planes of a field that are shown together.

    For a model other than bone's the scale is linear, and starts at zero if the values come near it.
    """
    spans = [
        (float(v.min()), float(v.max())) for v in (plane[np.isfinite(plane)] for plane in planes) if v.size
    ]
    lo, hi = min((a for a, _ in spans), default=0.0), max((b for _, b in spans), default=0.0)
    if -EVENTLESS * hi < lo < 0:  # within the tolerance of a density
        lo = 0.0
    factor, unit = style.in_print(run[name].unit, max(hi, 0.0))
    lo, hi, label = factor * lo, factor * hi, style.with_unit(run[name].label, unit)
    if run.of_bone:
        colours = {"osteoclasts": style.CELL_MAP, "tumour": style.TUMOUR_MAP}.get(name, style.FIELD_MAP)
        return Look(factor, _norm(name, lo, max(hi, 0.0)), colours, label)
    if not spans:
        lo, hi = 0.0, 1.0
    if 0 <= lo < hi / 4 or hi - lo <= EVENTLESS * max(abs(lo), abs(hi)):
        lo, hi = min(lo, 0.0), max(hi, 0.0)
    return Look(factor, Normalize(lo, hi if hi > lo else lo + 1), style.FIELD_MAP, label)


def _norm(name: str, lo: float, hi: float) -> Normalize:
    """The colour scale: from zero for cells and tumour, otherwise the range, logarithmic if it spans
    decades.
    """
    if name in ("osteoclasts", "tumour"):
        return Normalize(0, hi or 1)
    lo = max(min(lo, hi), 1e-5 * hi)
    if style.spans_decades(lo, hi):
        return LogNorm(lo, hi, clip=True)
    return Normalize(min(lo, 0.9 * hi), hi or 1)  # never so narrow that round-off would be visible


def draw_bone(ax: Axes, part: Slice, bone: np.ndarray, outlined: bool = True) -> None:
    """Draw bone in plain grey, with its outline and the traces of other planes above everything else."""
    left, right, foot, top = part.extent
    ax.imshow(bone, cmap=style.BONE_MAP, vmin=0, vmax=1, extent=part.extent, origin="lower")
    if outlined and np.any(bone < 0.5) and np.any(bone > 0.5):
        # the outline reaches the borders of the outer cells
        y, x = (np.r_[0, np.arange(n) + 0.5, n] / n for n in bone.shape)
        at = left + x * (right - left), foot + y * (top - foot)
        outline = ax.contour(*at, np.pad(bone, 1, "edge"), [0.5], colors=style.INK, linewidths=0.5)
        outline.set_path_effects([withStroke(linewidth=1.3, foreground=style.OUTLINE)])
    if part.crossings is not None:
        ax.plot([part.crossings[0]] * 2, [foot, top], color=style.INK, linewidth=0.4, alpha=0.6)
        ax.plot([left, right], [part.crossings[1]] * 2, color=style.INK, linewidth=0.4, alpha=0.6)


def draw_bar(figure: FigureBase, ax: Axes, look: Look, width: float) -> None:
    """Draw a colour bar beside a map of `width` inches, as high as the map."""
    colours = ScalarMappable(look.norm, look.colours)
    bar = figure.colorbar(colours, cax=ax.inset_axes((1 + 0.1 / width, 0, 0.09 / width, 1)))
    bar.set_label(fill(look.label, LABEL_WIDTH))
    bar.outline.set_visible(False)
    if isinstance(look.norm, LogNorm):
        style.log_ticks(bar.ax.yaxis, *colours.get_clim())
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def name_plane(ax: Axes, part: Slice) -> None:
    left, _, _, top = part.extent
    if part.name:
        box = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8}
        ax.annotate(
            part.name,
            (left, top),
            (2, -2),
            textcoords="offset points",
            va="top",
            fontsize=style.SMALL,
            bbox=box,
        )


def frame(ax: Axes, slices: Sequence[Slice], stretched: bool = False) -> None:
    """Set axes without ticks or frame, as large as the slices together. stretched: True to fill the space
    instead of drawing to scale.
    """
    left, right, foot, top = bounds(slices)
    ax.set(
        xlim=(left, right), ylim=(foot, top), aspect="auto" if stretched else "equal", xticks=[], yticks=[]
    )
    ax.set_anchor("W")
    ax.spines[:].set_visible(False)
    ax.patch.set_visible(False)
