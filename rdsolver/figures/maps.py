"""Maps of a run: fields at saved times with the outline of bone.

A block is shown as three orthogonal planes and its surface.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase

import matplotlib
from matplotlib.figure import Figure, FigureBase

from ..errors import InputError
from ..output.reader import Run
from . import style
from .planes import (
    Look,
    Slice,
    bounds,
    draw_bar,
    draw_bone,
    frame,
    look_of,
    name_plane,
    read,
    read_bone,
    slices_through,
)
from .surface import SURFACE_HEIGHT, available, draw_surfaces

MAP_HEIGHT = 2.1  # inches; greatest height of one map
# inches; a map of a line of cells, or of a section nearly as narrow, is drawn wider than to scale
LEAST_WIDTH = 0.4
# inches; a little less than the space, so that height, not width, limits the maps and captions fit
ROW_GAP = 0.14
BAR_WIDTH = 0.85  # inches; width of a colour bar with its numbers and label
HEAD_HEIGHT = 0.24  # inches; height of the captions above the maps and the scale bar under them
# inches; width of a single map of a line of cells along y, so that the caption under it is not cut off
CAPTION_WIDTH = 1.6
LINE_HEIGHT = 0.9  # inches; height of a line of cells along x, so that the label of its colour bar fits
LETTER_WIDTH = 9  # points
MOST_COLUMNS, MOST_ROWS = 6, 8  # most columns and rows on a page

Column = tuple[int, str]
"""A saved time in a figure: its index, and its caption."""


def maps(run: Run, path: Path, names: Sequence[str], indices: Sequence[int], point: tuple[int, ...]) -> Path:
    """Draw fields (rows) at saved times (columns).

    For a block these are three planes through a cell, and the surface of its bone if scikit-image is
    installed. Raises InputError for an unknown suffix, or for more maps than fit on a page.
    """
    path = style.checked(path)
    if len(indices) > MOST_COLUMNS or len(names) > MOST_ROWS:
        asked = (
            f"{len(names)} fields at {len(indices)} times do not fit on a page of {MOST_ROWS} fields and"
            f" {MOST_COLUMNS} times"
        )
        raise InputError(f"{asked}. Choose with --field and --time, or take rdsolver movie.")
    with matplotlib.rc_context(style.RC):
        return style.save(compose(run, names, indices, point), path)


def compose(run: Run, names: Sequence[str], indices: Sequence[int], point: tuple[int, ...]) -> Figure:
    """The maps as a figure; a block with bone and osteoclasts has its surface under them."""
    columns = [(k, f"day {round(float(run.times[k]), 2):g}") for k in indices]
    slices = slices_through(run, point)
    surface = has_surface(run) and available()
    heights = [height(slices, len(columns), len(names)), *([SURFACE_HEIGHT] if surface else [])]
    figure = Figure((style.WIDTH, sum(heights)), layout="constrained")
    parts = list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    draw_maps(parts[0], run, columns, names, slices)
    if surface:
        draw_surfaces(parts[1], run, columns)
    return figure


def has_surface(run: Run) -> bool:
    """True for a block that saved bone and osteoclasts."""
    return len(run.shape) == 3 and run.of_bone and {"bone", "osteoclasts"} <= set(run)


def height(slices: Sequence[Slice], columns: int, rows: int) -> float:
    """The height in inches of this many maps."""
    return rows * (map_size(slices, columns)[1] + ROW_GAP) + HEAD_HEIGHT


def map_size(slices: Sequence[Slice], columns: int) -> tuple[float, float]:
    """The width and height of one map in inches."""
    width, height = _to_scale(slices, columns)
    least = LEAST_WIDTH if columns > 1 else CAPTION_WIDTH
    return width if width >= LEAST_WIDTH else least, height if height >= LEAST_WIDTH else LINE_HEIGHT


def _to_scale(slices: Sequence[Slice], columns: int) -> tuple[float, float]:
    left, right, foot, top = bounds(slices)
    aspect = (top - foot) / (right - left)
    width = min((style.WIDTH - BAR_WIDTH) / columns - 0.08, MAP_HEIGHT / aspect)
    return width, width * aspect


def draw_maps(
    figure: FigureBase,
    run: Run,
    columns: Sequence[Column],
    rows: Sequence[str],
    slices: Sequence[Slice],
    looks: Mapping[str, Look] | None = None,
) -> None:
    """Draw one map for each field and time, with one scale for each field: that of `looks`, or of the maps
    shown.
    """
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    stretched = min(_to_scale(slices, len(columns))) < LEAST_WIDTH
    bones = [read_bone(run, index, slices) for index, _ in columns]
    for row, name in zip(axes, rows, strict=True):
        grey = run.of_bone and name == "bone"  # the map shows only bone
        fields = [read(run[name], index, slices) for index, _ in columns]
        look = (
            looks[name]
            if looks is not None
            else look_of(run, name, (plane for planes in fields for plane in planes))
        )
        for ax, planes, bone in zip(row, fields, bones, strict=True):
            for part, plane, shape in zip(slices, planes, bone, strict=True):
                draw_bone(ax, part, shape, outlined=not grey)
                if not grey:
                    ax.imshow(
                        look.factor * plane,
                        cmap=look.colours,
                        norm=look.norm,
                        extent=part.extent,
                        origin="lower",
                    )
            frame(ax, slices, stretched)
        if not grey:
            draw_bar(figure, row[-1], look, map_size(slices, len(columns))[0])
    for part in slices:
        name_plane(axes[0, 0], part)
    for letter, ax, (_, caption) in zip(ascii_lowercase, axes[0], columns, strict=False):
        if len(columns) == 1:
            ax.set_title(caption, loc="left", pad=3)
            continue
        ax.set_title(letter, loc="left", pad=3, weight="bold")
        at = {"xycoords": "axes fraction", "textcoords": "offset points"}
        ax.annotate(
            caption,
            (0, 1),
            (LETTER_WIDTH, 3),
            fontsize=style.RC["axes.titlesize"],
            annotation_clip=False,
            **at,
        )
    if stretched:
        said = f"{max(bounds(slices)):g} µm long, and drawn wider than it is"
        axes[-1, 0].annotate(
            said,
            (0, 0),
            (0, -4),
            xycoords="axes fraction",
            textcoords="offset points",
            va="top",
            fontsize=style.SMALL,
        )
    else:
        style.scale_bar(axes[-1, 0], slices[0].extent[1])
