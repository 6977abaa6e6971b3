"""Profiles: a field against the distance from a tumour, a lesion or any point, or along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MaxNLocator

from ..errors import InputError
from ..output.reader import Run
from . import style

PANEL_HEIGHT, EDGE_HEIGHT = 1.25, 0.62  # inches
LABEL_WIDTH = 20  # characters in a line of a vertical label
MOST_TIMES = 12
LEAST_CELLS = 3  # in a ring; with fewer cells its mean has no meaning


def profile(
    run: Run,
    path: Path,
    names: Sequence[str],
    indices: Sequence[int],
    centre: Sequence[float],
    along: str | None = None,
) -> Path:
    """Draw the mean of fields over rings (shells) around a centre (um), or along an axis.

    There is one panel for each field, and one line for each saved time. Raises InputError for an unknown
    suffix or axis, or for more times than can be told apart.
    """
    path = style.checked(path)
    if len(indices) > MOST_TIMES:
        raise InputError(
            f"{len(indices)} times are more than {MOST_TIMES} lines on one axis. Choose fewer with --time."
        )
    with matplotlib.rc_context(style.RC):
        return style.save(compose(run, names, indices, centre, along), path)


def line(run: Run) -> str | None:
    """The axis of a run that is one cell wide along all others; None for any other run."""
    long = [axis for axis, n in zip(run.axes, run.shape, strict=True) if n > 1]
    return long[0] if len(long) == 1 else None


def compose(
    run: Run, names: Sequence[str], indices: Sequence[int], centre: Sequence[float], along: str | None = None
) -> Figure:
    """The profiles as a Matplotlib figure."""
    figure = Figure((0.72 * style.WIDTH, height(len(names))), layout="constrained")
    columns = [(k, f"day {round(float(run.times[k]), 2):g}") for k in indices]
    draw_profiles(figure, run, columns, names, centre, along)
    return figure


def height(panels: int) -> float:
    """The height in inches of this many fields."""
    return PANEL_HEIGHT * panels + EDGE_HEIGHT


def draw_profiles(
    figure: FigureBase,
    run: Run,
    columns: Sequence[tuple[int, str]],
    names: Sequence[str],
    centre: Sequence[float] = (),
    along: str | None = None,
) -> None:
    """Draw one panel per field, with one line and caption per saved time."""
    axes: list[Axes] = list(figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0])
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(columns)))
    for ax, name in zip(axes, names, strict=True):
        lines = [axial(run, name, k, along) if along else radial(run, name, k, centre) for k, _ in columns]
        largest = max((float(np.nanmax(v, initial=0.0)) for _, v in lines), default=0.0)
        factor, unit = style.in_print(run[name].unit, largest)
        for (at, values), shade, (_, caption) in zip(lines, shades, columns, strict=True):
            alone = np.isfinite(values).sum() == 1
            ax.plot(
                at, factor * values, color=shade, label=caption, marker="o" if alone else "", markersize=3
            )
        _dress(ax, fill(style.with_unit(run[name].label, unit), LABEL_WIDTH))
    if along:
        axes[-1].set_xlabel(f"{along} (µm)" if line(run) else f"{along} (µm), mean over the other axes")
    else:
        axes[-1].set_xlim(left=0)
        axes[-1].set_xlabel(
            "distance (µm) from"
            f" {', '.join(f'{axis} {p:.0f}' for axis, p in zip(run.axes, centre, strict=True))} µm"
        )
    figure.align_ylabels(axes)
    axes[0].legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=6,
        frameon=False,
        fontsize=7,
        handlelength=1.4,
        columnspacing=1.2,
    )


def radial(
    run: Run, name: str, index: int, centre: Sequence[float], width: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The distance (um) and the mean of a field in rings around a centre (um), one cell (or `width` um) wide.

    The mean is NaN with too few cells. Cells outside the field of view do not count. Of rings that reach
    beyond the saved cells, only the part inside counts.
    """
    width = max(run.spacing) if width is None else width
    squares = [(run.centres(axis) - p) ** 2 for axis, p in zip(run.axes, centre, strict=True)]
    distance = np.sqrt(sum(np.meshgrid(*squares, indexing="ij")))
    values = run[name][index].astype("f8")
    seen = np.isfinite(values)
    ring = (distance[seen] / width).astype(int)
    counts = np.bincount(ring, minlength=1)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(ring, values[seen], minlength=1) / np.where(
            counts >= min(LEAST_CELLS, counts.max()), counts, np.nan
        )
    return (np.arange(len(counts)) + 0.5) * width, mean


def axial(run: Run, name: str, index: int, along: str) -> tuple[np.ndarray, np.ndarray]:
    """The position (um) along an axis and the mean of a field over the others, within the field of view."""
    if along not in run.axes:
        raise InputError(f"--along {along} is not an axis of this run. Allowed: {', '.join(run.axes)}.")
    others = tuple(k for k, axis in enumerate(run.axes) if axis != along)
    values = run[name][index].astype("f8")
    counts = np.isfinite(values).sum(others)
    return run.centres(along), np.nansum(values, others) / np.where(counts > 0, counts, np.nan)


def _dress(ax: Axes, label: str) -> None:
    ax.set_ylabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    low, high = ax.get_ylim()
    if 0 <= low + 0.05 * (high - low) < high / 2:
        ax.set_ylim(0, high)
    ax.margins(x=0)
