"""Comparison of several runs in one figure: one panel per observable, one colour per run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..errors import InputError
from ..output.reader import Run
from . import style
from .timeseries import EDGE_HEIGHT, OBSERVABLES, Line, Panel, draw_panel, observable, share_axis

PANEL_HEIGHT = 0.85  # inches
TITLE_HEIGHT = 0.16  # inches; height of one run in the legend
MOST_PANELS = 8
# the colours of Okabe and Ito, darker
COLOURS = ("#222222", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#767676")
"""The colours of the runs; from the fifth run on lines are dashed, so that no two look alike."""


def compare(runs: Sequence[Run], path: Path, names: Sequence[str] = ()) -> Path:
    """Draw observables of several runs over each other.

    Without names, these are the observables of bone that all of the runs have and that change. Raises
    InputError for an unknown suffix, for fewer than two runs or more than eight, for a run without a step,
    and when there is no observable that all runs have.
    """
    path = style.checked(path)
    with matplotlib.rc_context(style.RC):
        return style.save(compose(runs, names), path)


def compose(runs: Sequence[Run], names: Sequence[str] = ()) -> Figure:
    """The comparison as a Matplotlib figure."""
    if not 2 <= len(runs) <= len(COLOURS):
        raise InputError(f"--kind compare takes 2 to {len(COLOURS)} runs; {len(runs)} were given.")
    for run in runs:
        if not len(run.series["time"]):
            raise InputError(f"{run.file.filename} holds no accepted step: there is nothing to compare.")
    shown = _shared(runs, names)
    panels = [_panel(runs, name) for name in shown]
    foot = EDGE_HEIGHT + TITLE_HEIGHT * len(runs)
    figure = Figure((style.WIDTH, PANEL_HEIGHT * len(panels) + foot + 0.1), layout="constrained")
    axes = list(figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0])
    for ax, panel in zip(axes, panels, strict=True):
        draw_panel(ax, np.zeros(0), panel)
    ends = [run.series["time"][[0, -1]] for run in runs]
    share_axis(figure, axes, min(a for a, _ in ends), max(b for _, b in ends))
    handles = [
        Line2D([], [], label=title, **line.look)
        for title, line in zip(titles(runs), panels[0].lines, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="outside upper left",
        frameon=False,
        fontsize=7.5,
        handlelength=2.2,
        borderaxespad=0.2,
    )
    return figure


def titles(runs: Sequence[Run]) -> list[str]:
    """The title of each run, with its folder if several share a title, and its status if it did not
    finish.
    """
    plain = [run.title or Path(run.file.filename).parent.name for run in runs]
    found = []
    for run, title in zip(runs, plain, strict=True):
        folder = f" ({Path(run.file.filename).parent.name})" if plain.count(title) > 1 else ""
        found.append(f"{title}{folder}{'' if run.status == 'finished' else f' [{run.status}]'}")
    return found


def _shared(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """The observables to draw."""
    common = [name for name in runs[0].series if name != "time" and all(name in run.series for run in runs)]
    if missing := [name for name in names if name not in common]:
        raise InputError(
            f"--field {missing[0]}: not every run has this observable. All have:"
            f" {', '.join(common) or 'none'}."
        )
    known = [name for name in OBSERVABLES if name in common] or common
    found = (
        list(dict.fromkeys(names))
        or [n for n in known if any(np.ptp(run.series[n]) > 0 for run in runs)][:MOST_PANELS]
    )
    if not found:
        raise InputError("These runs have no observable in common that changes: there is nothing to compare.")
    return found


def _panel(runs: Sequence[Run], name: str) -> Panel:
    """Draw one observable of all runs, in the unit and on the scale of the run where it is largest."""
    own = [observable(run, name) for run in runs]
    largest = max(range(len(runs)), key=lambda k: float(np.nanmax(runs[k].series[name], initial=0.0)))
    model, unit = own[largest], runs[largest].series[name]
    peak = float(np.nanmax(np.abs(unit), initial=0.0))
    factor = float(np.nanmax(np.abs(model.lines[0].values), initial=0.0)) / peak if peak else 1.0
    lines = tuple(
        Line("", factor * run.series[name], colour, dashed=k >= 4, time=run.series["time"])
        for k, (run, colour) in enumerate(zip(runs, COLOURS, strict=False))
    )
    return replace(
        model, lines=lines, marks=tuple(dict.fromkeys(chain.from_iterable(panel.marks for panel in own)))
    )
