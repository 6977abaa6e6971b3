"""Figures of the verification: errors over step size, tolerance and spacing; solutions against theory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...figures.style import INK, POWERS, QUIET, SMALL, WIDTH, log_ticks, save
from .results import Curve

# the colours of Okabe & Ito, and two more
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#000000", "#6a4c9c")
MARKS = "osD^vP*X"

Panel = tuple[str, str, str, float | None]  # panel, x axis, y axis, slope of the guide (None: linear axes)

FIGURES: dict[str, tuple[Panel, ...]] = {
    "space": (
        ("space 2D", "cell / box", "RMS error, 2D", 2.0),
        ("space 3D", "cell / box", "RMS error, 3D", 2.0),
    ),
    "time_order": (
        ("time, steps, diffusion", "step (1)", "error, stiff by diffusion", 2.0),
        ("time, steps, reaction", "step (1)", "error, stiff by reaction", 2.0),
        ("time, steps, bone", "step (d)", "error, bone model", 2.0),
    ),
    "time_tolerance": (
        ("time, tolerance", "tolerance", "error, manufactured problems", 2 / 3),
        ("time, tolerance, bone", "tolerance", "error, bone model", 2 / 3),
    ),
    "exact": (
        ("decay length", "distance from the source (µm)", "u / u at the source", None),
        ("Fisher front", "time (1/r)", "speed (√(rD))", None),
        ("Lemaire 2004", "time (d)", "cells (10⁻³ pM)", None),
    ),
}


def draw(curves: Sequence[Curve], folder: Path) -> list[Path]:
    """Draw one PNG for each figure that has curves."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    with matplotlib.rc_context(POWERS):
        for name, panels in FIGURES.items():
            there = [p for p in panels if any(c.panel == p[0] for c in curves)]
            if not there:
                continue
            figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
            for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(there))), there, strict=True):
                _panel(axes, [c for c in curves if c.panel == panel[0]], panel)
            out.append(save(figure, folder / f"{name}.png"))
    return out


def _panel(axes: Axes, curves: Sequence[Curve], panel: Panel) -> None:
    _, x, y, slope = panel
    measured = 0
    for c in curves:
        if c.style == "line":
            axes.plot(
                c.x,
                c.y,
                color=QUIET,
                linewidth=0.9,
                linestyle="-" if not c.label.startswith("2√") else ":",
                label=c.label or None,
            )
        else:
            colour, mark = COLOURS[measured % len(COLOURS)], MARKS[measured % len(MARKS)]
            joined = "-" if slope is not None else "none"
            axes.plot(
                c.x,
                c.y,
                color=colour,
                marker=mark,
                markersize=3,
                linewidth=0.8,
                linestyle=joined,
                label=c.label,
            )
            measured += 1
    if slope is not None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        _guide(axes, curves, slope)
        log_ticks(axes.xaxis, *axes.get_xlim())
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    columns = 1 + (measured > 4)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.2),
        ncols=columns,
        fontsize=SMALL,
        frameon=False,
        handlelength=1.5,
        labelspacing=0.3,
    )


def _guide(axes: Axes, curves: Sequence[Curve], slope: float) -> None:
    """Draw the expected slope, below all measured points."""
    x = np.array([min(min(c.x) for c in curves), max(max(c.x) for c in curves)])
    lowest = min(e / q**slope for c in curves for q, e in zip(c.x, c.y, strict=True) if e > 0)
    text = f"slope {slope:g}" if slope == round(slope) else "slope 2/3"
    axes.plot(x, 0.5 * lowest * x**slope, color=INK, linewidth=0.8, linestyle="--", label=text)
