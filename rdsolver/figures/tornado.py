"""A tornado plot: the parameters that an observable depends on most, one bar each, the longest on top."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from . import style

RAISES, LOWERS, EITHER = style.DRUGS[0], style.DRUGS[1], style.TUMOUR
ROW, HEAD, FOOT = (
    0.155,
    0.42,
    0.55,
)  # inches; heights of a bar, of a panel's title and axis, and of the legend
LABELS = 0.56  # share of the width for names and meanings on the left
LONGEST = 66  # most characters of a meaning


@dataclass(frozen=True)
class Bar:
    """A bar: name and meaning of a parameter, its mark (M, V, C, A, U or two of them), and the size of its
    effect.

    spread: a whisker (0: none).
    """

    name: str
    meaning: str
    mark: str
    value: float
    spread: float = 0.0


@dataclass(frozen=True)
class Panel:
    title: str
    bars: tuple[Bar, ...]

    @property
    def height(self) -> float:
        """The height of its bars, inches."""
        return ROW * max(len(self.bars), 1)


def tornado(panels: Sequence[Panel], path: Path, measure: str, title: str = "", signed: bool = True) -> Path:
    """Draw the panels one under the other.

    measure  meaning of a bar's length
    signed   True if the colour shows whether the parameter raises or lowers the observable

    Bars of parameters that are assumed or general knowledge (A, U) are hollow, because nobody measured these
    numbers. Raises InputError for an unknown suffix.
    """
    path = style.checked(path)
    heights = [p.height + HEAD for p in panels]
    total = sum(heights) + FOOT + 0.3 * bool(title)
    with matplotlib.rc_context(style.RC):
        figure = Figure((style.WIDTH, total))
        top = total - 0.3 * bool(title)
        if title:
            figure.text(0.02, 1 - 0.12 / total, title, fontsize=9, weight="bold", va="top", color=style.INK)
        for panel, height in zip(panels, heights, strict=True):
            bottom = top - height + 0.16
            axes = figure.add_axes((LABELS, bottom / total, 0.96 - LABELS, panel.height / total))
            _draw(axes, panel, signed)
            axes.set_xlabel(measure if panel is panels[-1] else "", color=style.INK)
            top -= height
        _legend(figure, signed)
        return style.save(figure, path)


def _draw(axes: Axes, panel: Panel, signed: bool) -> None:
    rows = range(len(panel.bars))
    reach = max((abs(b.value) + b.spread for b in panel.bars), default=0.0) or 1.0
    for row, bar in zip(rows, panel.bars, strict=True):
        colour = (RAISES if bar.value > 0 else LOWERS) if signed else EITHER
        measured = not set(bar.mark) & {"A", "U"}
        axes.barh(
            row,
            bar.value,
            0.62,
            facecolor=colour if measured else _pale(colour),
            edgecolor=colour,
            linewidth=0.8,
        )
        if bar.spread:
            axes.plot(
                [bar.value - bar.spread, bar.value + bar.spread], [row, row], color=style.INK, linewidth=0.7
            )
        ahead = bar.value + bar.spread if bar.value >= 0 else bar.value
        axes.annotate(
            _number(bar.value, "+" if signed else ""),
            (ahead, row),
            (3 if bar.value >= 0 else -3, 0),
            textcoords="offset points",
            ha="left" if bar.value >= 0 else "right",
            va="center",
            fontsize=style.SMALL,
            color=style.INK,
        )
        place = {
            "xycoords": axes.get_yaxis_transform(),
            "textcoords": "offset points",
            "va": "center",
            "annotation_clip": False,
        }
        axes.annotate(
            bar.mark, (0, row), (-6, 0), ha="right", fontsize=style.SMALL, color=style.QUIET, **place
        )
        axes.annotate(
            _short(bar.meaning),
            (0, row),
            (-28, 0),
            ha="right",
            fontsize=style.SMALL + 0.3,
            color=style.INK,
            **place,
        )
    least, most = (
        min((b.value - b.spread for b in panel.bars), default=0),
        max((b.value + b.spread for b in panel.bars), default=0),
    )
    beside = 0.2 * max(most - min(least, 0), reach)  # space for the numbers
    axes.set_xlim(min(least, 0) - beside if signed and least < 0 else 0, max(most, 0) + beside)
    axes.set_ylim(max(len(panel.bars), 1) - 0.4, -0.6)
    axes.axvline(0, color=style.INK, linewidth=0.6)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(style.QUIET)
    axes.tick_params(colors=style.QUIET)
    axes.set_title(
        panel.title, loc="left", x=-LABELS / (0.96 - LABELS) + 0.05, pad=3, weight="bold", color=style.INK
    )


def _number(value: float, sign: str) -> str:
    """A number with two digits; from 100 on without decimals."""
    text = format(value, f"{sign}.0f" if abs(value) >= 100 else f"{sign}#.2g")
    return text.rstrip(".").replace("-", "−")


def _short(meaning: str) -> str:
    """The first clause of a meaning, without brackets."""
    first = re.split(r"; | \(", meaning)[0]
    return first if len(first) <= LONGEST else first[: LONGEST - 1].rsplit(" ", 1)[0] + " …"


def _pale(colour: str) -> tuple[float, float, float]:
    """A tint of a colour, for hollow bars."""
    r, g, b = to_rgb(colour)
    return (0.8 + 0.2 * r, 0.8 + 0.2 * g, 0.8 + 0.2 * b)


def _legend(figure: Figure, signed: bool) -> None:
    sides = ((RAISES, "raises it"), (LOWERS, "lowers it")) if signed else ((EITHER, "moves it"),)
    filled = [Patch(facecolor=c, edgecolor=c, label=text) for c, text in sides]
    grey = style.QUIET
    filled += [
        Patch(facecolor=grey, edgecolor=grey, label="read in a source or computed from one (M, V, C)"),
        Patch(facecolor=_pale(grey), edgecolor=grey, label="assumed or general knowledge (A, U)"),
    ]
    figure.legend(
        handles=filled,
        loc="lower left",
        ncols=len(filled),
        frameon=False,
        fontsize=style.SMALL,
        handlelength=1.2,
        columnspacing=1.4,
    )
