"""Groups of runs, and the axes and the legend that figures of a sweep share."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from textwrap import fill
from typing import NamedTuple

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..sweep.reader import Sweep
from . import style
from .compare import COLOURS
from .factors import MOST_GROUPS, Factor, Measure, factors, level_text

MARKS = "osD^vP*X"
LEGEND = 0.16  # inches; height of a line of the legend
LABEL_WIDTH, LETTERS = 26, 130  # characters in a line of a label, and of the legend


class Group(NamedTuple):
    """Runs that are drawn alike. members: (runs,), bool."""

    text: str
    members: np.ndarray
    colour: str


def colouring(sweep: Sweep, *shown: Factor) -> Factor | None:
    """The factor that colour shows beside the axes: texts first, if they have few enough levels."""
    rest = sorted(
        (f for f in factors(sweep) if f.key not in {x.key for x in shown}), key=lambda f: f.is_number
    )
    few = [f for f in rest if len(f.levels) <= MOST_GROUPS]
    return few[0] if few else None


def groups_of(sweep: Sweep, by: Factor | None) -> list[Group]:
    """One group per level; numbers are coloured from dark to light."""
    if by is None:
        return [Group("", np.ones(len(sweep), bool), style.DRUGS[0])]
    levels = by.levels
    shades = [to_hex(c) for c in style.FIELD_MAP(np.linspace(0, 0.85, len(levels)))]
    colours = shades if by.is_number else COLOURS[1:] + COLOURS[:1]
    return [
        Group(level_text(sweep, by, level), by.values == level, colour)
        for level, colour in zip(levels, colours, strict=False)
    ]


def _in_a_line(groups: Sequence[Group]) -> int:
    """The number of names of groups that fit side by side."""
    return max(1, min(len(groups), LETTERS // (8 + max(len(g.text) for g in groups))))


def legend_height(groups: Sequence[Group]) -> float:
    return LEGEND * ceil(len(groups) / _in_a_line(groups)) if len(groups) > 1 else 0.0


def legend(figure: Figure, groups: Sequence[Group], marks: str = "") -> None:
    if len(groups) > 1:
        shapes = marks or " " * len(groups)
        handles = [
            Line2D([], [], color=g.colour, marker=m, markersize=4, label=g.text)
            for g, m in zip(groups, shapes, strict=False)
        ]
        look = {"frameon": False, "fontsize": 7.5, "handlelength": 2.2, "borderaxespad": 0.2}
        figure.legend(handles=handles, loc="outside upper left", ncols=_in_a_line(groups), **look)


def dress(ax: Axes, what: Measure, beyond: float = 0.0) -> None:
    """Set the axis, label and scale of a measure.

    beyond: space that intervals need; at most the span of the values is given to it, as intervals of two
    replicates are wide.
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_ylabel("\n".join(fill(line, LABEL_WIDTH) for line in what.label.split("\n")))
    known = what.values[np.isfinite(what.values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if what.scale in ("auto", "log") and style.spans_decades(low, high):
        ax.set_yscale("log")
        style.log_ticks(ax.yaxis, low, high)
        return
    span = high - low or 0.02 * abs(high) or 1.0
    margin = 0.08 * span + min(beyond, span)
    if what.scale == "zero":
        ax.set_ylim(min(low, 0), high + max(margin, 0.08 * high))
    else:
        ax.set_ylim(low - margin, high + margin)
    ax.yaxis.set_major_locator(ticker.MaxNLocator(4, steps=[1, 2, 5, 10]))


def scale(axis: XAxis | YAxis, factor: Factor, few: bool = False) -> None:
    """Set the scale and the ends of a number's axis.

    There is a tick at each level unless there is little room (few) or there are many levels.
    """
    levels, log, options = factor.levels, factor.scale == "log", {}
    ends = np.log(levels[[0, -1]]) if log else levels[[0, -1]].astype(float)
    ends += 0.07 * np.ptp(ends) * np.array([-1, 1])
    if log:
        ends = np.exp(ends)
    elif factor.scale == "symlog":
        lowest = levels[levels > 0][0]
        options = {"linthresh": lowest, "linscale": 0.5}
        ends = np.array([-0.3 * lowest, levels[-1] * 1.3])
    which = "x" if isinstance(axis, XAxis) else "y"
    getattr(axis.axes, f"set_{which}scale")(factor.scale, **options)  # this sets all axes that share it
    getattr(axis.axes, f"set_{which}lim")(*ends)
    if len(levels) <= MOST_GROUPS and not few:
        axis.set_major_locator(ticker.FixedLocator(levels.tolist()))
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(ticker.NullLocator())
    elif log:
        style.log_ticks(axis, levels[0], levels[-1])
    else:
        axis.set_major_locator(ticker.MaxNLocator(4))
