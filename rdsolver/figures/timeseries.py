"""The observables of a run over time, one panel each, with the doses marked through all panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import ConnectionPatch
from matplotlib.transforms import offset_copy

from ..errors import InputError
from ..output.reader import Run
from ..utils.dose_words import dose_words
from . import style

PANEL_HEIGHT = 0.66  # inches
EDGE_HEIGHT = 0.45  # inches; height of the time axis
ROW_HEIGHT = 0.14  # inches; height of a line of text above the panels
DRUG_DECADES = 4  # a level 10^4 times below the peak has no effect any more
_BACKED = {"facecolor": "white", "linewidth": 0, "pad": 0.6}
MOST_PANELS, LABEL_WIDTH = 6, 18  # panels of a model other than bone's; characters in a line
QUIET_SPAN = 0.04  # relative span of BV/TV; a smaller one is not scaled up to the height of a panel


Scale = Literal["zero", "log", "auto", "close"]
OBSERVABLES: dict[str, tuple[str, str, Scale]] = {
    "ntx": ("NTX (relative\nto baseline)", style.RESORPTION, "zero"),
    "bsap": ("BSAP (relative\nto baseline)", style.FORMATION, "zero"),
    "mean_free_rankl": ("free RANKL", style.RANKL, "auto"),
    "mean_occupancy": ("RANK occupancy", style.OCCUPANCY, "auto"),
    "osteoclast_number": ("osteoclasts", style.RESORPTION, "zero"),
    "bone_volume_fraction": ("BV/TV", style.INK, "close"),
    "tumour_burden": ("tumour", style.TUMOUR, "zero"),
    "lesion_area": ("lesion", style.RESORPTION, "zero"),
    "serum_calcium": ("serum calcium", style.CALCIUM, "close"),
}
"""The label, colour and scale of each observable of bone, which has one panel."""


@dataclass(frozen=True)
class Line:
    """One curve. time: its own times (d), if it has any."""

    label: str
    values: np.ndarray
    colour: str
    dashed: bool = False
    time: np.ndarray | None = None

    @property
    def look(self) -> dict[str, Any]:
        return {
            "color": self.colour,
            "linestyle": (0, (3, 1.2)) if self.dashed else "-",
            "linewidth": 1.1 if self.dashed else 1.4,
        }


@dataclass(frozen=True)
class Panel:
    """Lines on one axis.

    scale  from zero, logarithmic, logarithmic if the lines span decades, or close around the lines
    marks  named levels
    """

    label: str
    lines: tuple[Line, ...]
    scale: Scale
    marks: tuple[tuple[str, float], ...] = ()


class Course(NamedTuple):
    """Doses that differ only in time; the row of their label, and its side of the first dose.

    duration: of the infusion of each, d
    """

    agent: str
    text: str
    times: list[float]
    duration: float
    row: int
    leftward: bool


def timeseries(run: Run, path: Path) -> Path:
    """Draw the time series of one run.

    Raises InputError for an unknown suffix, or when the run has no step.
    """
    path = style.checked(path)
    with matplotlib.rc_context(style.RC):
        return style.save(compose(run), path)


def compose(run: Run) -> Figure:
    """The time series as a Matplotlib figure."""
    if not len(run.series["time"]):
        raise InputError(f"{run.file.filename} holds no accepted step: there is nothing to draw.")
    figure = Figure((style.WIDTH, height(run)), layout="constrained")
    draw_series(figure, run)
    return figure


def height(run: Run) -> float:
    """The height in inches of the panels of a run."""
    rows = 2 + max((course.row for course in courses(run)), default=-1)
    return PANEL_HEIGHT * len(panels(run)) + EDGE_HEIGHT + ROW_HEIGHT * rows


def draw_series(figure: FigureBase, run: Run, marks: Sequence[tuple[str, float]] = ()) -> list[Axes]:
    """Draw the panels of a run into a figure. marks: (letter, time in d) of the moments that are shown
    elsewhere.
    """
    time = run.series["time"]
    drawn = panels(run)
    axes: list[Axes] = list(figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0])
    for ax, panel in zip(axes, drawn, strict=True):
        draw_panel(ax, time, panel)
    share_axis(figure, axes, time[0], time[-1])
    _mark_moments(figure, axes, marks)
    _mark_doses(figure, axes, run)
    return axes


def share_axis(figure: FigureBase, axes: Sequence[Axes], start: float, end: float) -> None:
    """Put one time axis (d) under all panels."""
    axes[-1].set_xlim(start, end if end > start else start + 1)
    axes[-1].set_xlabel("time (d)")
    axes[-1].spines["bottom"].set_visible(True)
    axes[-1].tick_params(bottom=True)
    figure.align_ylabels(axes)


def panels(run: Run) -> list[Panel]:
    """The panels for which a run has data; for models other than bone its drugs and its series, one panel
    each.
    """
    series = run.series
    if not run.of_bone:
        names = [name for name in series if name != "time" and not name.startswith(("plasma_", "tissue_"))][
            :MOST_PANELS
        ]
        each = [
            single(run, name, fill(series.label(name), LABEL_WIDTH), style.INK, "close") for name in names
        ]
        return [p for p in (_drug_panel(run), *each, *_at_saved(run)) if p.lines]
    relative = [
        Line(label, series[name] / series[name][0], colour, dashed)
        for name, label, colour, dashed in (
            ("mean_free_rankl", "free RANKL", style.RANKL, False),
            ("mean_occupancy", "occupancy", style.INK, True),
        )
        if name in series and series[name][0] > 0
    ]
    turnover = [
        Line(label, series[name], colour)
        for name, label, colour in (("ntx", "NTX", style.RESORPTION), ("bsap", "BSAP", style.FORMATION))
        if name in series
    ]
    found = [
        _drug_panel(run),
        Panel("RANKL,\nRANK occupancy\n(relative to start)", tuple(relative), "auto"),
        observable(run, "osteoclast_number"),
        Panel("bone turnover\n(relative to\nbaseline)", tuple(turnover), "zero"),
        observable(run, "bone_volume_fraction"),
        observable(run, "tumour_burden"),
        *([observable(run, "lesion_area")] if "tumour_burden" in series else []),
        observable(run, "serum_calcium"),
        *(observable(run, name) for name in _others(run)),
        *_at_saved(run),
    ]

    return [p for p in found if p.lines] or [
        single(run, name, name, style.INK, "close") for name in list(series)[1:6]
    ]


def _others(run: Run) -> list[str]:
    """The series of bone without a panel of their own: those of components and of users."""
    drawn = ("time", "mean_pthrp", "bisphosphonate", *OBSERVABLES)
    others = (n for n in run.series if n not in drawn and not n.startswith(("plasma_", "tissue_")))
    return list(others)[:MOST_PANELS]


def _at_saved(run: Run) -> list[Panel]:
    """The observables at the saved times only, one panel each."""
    data, found = run.at_saved, []
    for name in [n for n in data if n != "time" and len(data["time"])][:MOST_PANELS]:
        factor, unit = style.in_print(data.unit(name), float(np.nanmax(data[name], initial=0)))
        label = fill(data.label(name), LABEL_WIDTH)
        line = Line("", factor * data[name], style.INK, time=data["time"])
        found.append(Panel(f"{label}\n({unit})" if unit else label, (line,), "close", data.levels(name)))
    return found


def _drug_panel(run: Run) -> Panel:
    agents, lines, unit = run.provenance.get("agents", []), [], "nM"
    for agent, colour in _colours(run).items():
        label = next(a["label"] for a in agents if a["name"] == agent)
        for place, dashed in (("plasma", False), ("tissue", True)):
            name = f"{place}_{agent}"
            if name in run.series and np.any(run.series[name] > 0):
                unit = run.series.unit(name)
                lines.append(
                    Line(f"{label}, {place}" if len(agents) > 1 else place, run.series[name], colour, dashed)
                )
    name = agents[0]["label"] if len(agents) == 1 else "drug"
    return Panel(f"{name}\n({unit})", tuple(lines), "log")


def observable(run: Run, name: str) -> Panel:
    """One observable, with its printed name and scale."""
    label, colour, scale = OBSERVABLES.get(name) or (
        fill(run.series.label(name), LABEL_WIDTH),
        style.INK,
        "close",
    )
    return single(run, name, label, colour, scale)


def single(run: Run, name: str, label: str, colour: str, scale: Scale) -> Panel:
    """A panel of one observable; volume fractions in per cent."""
    if name not in run.series:
        return Panel("", (), scale)
    factor, unit = (
        (100, "%")
        if name in ("bone_volume_fraction", "tumour_burden")
        else style.in_print(run.series.unit(name), float(run.series[name].max()))
    )
    return Panel(
        f"{label}\n({unit})" if unit else label,
        (Line("", factor * run.series[name], colour),),
        scale,
        run.series.levels(name),
    )


def draw_panel(ax: Axes, time: np.ndarray, panel: Panel) -> None:
    """Draw one panel over time (d), each line labelled at its right end."""
    ax.patch.set_visible(False)  # the marks of doses run behind all panels
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.tick_params(bottom=False, colors=style.INK)
    ax.set_ylabel(panel.label, rotation=0, ha="right", va="center")
    _set_scale(ax, panel)
    for line in panel.lines:
        values = np.where(line.values > 0, line.values, np.nan) if ax.get_yscale() == "log" else line.values
        ax.plot(
            time if line.time is None else line.time,
            values,
            **line.look,
            marker="o" if len(time) == 1 else "",
            markersize=3,
            clip_on=len(time) > 1,
        )
    _label_lines(ax, panel.lines)
    low, high = ax.get_ylim()
    for name, level in panel.marks:
        if low < level < high:
            ax.axhline(level, color=style.QUIET, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
            ax.text(
                1.012,
                level,
                name,
                transform=ax.get_yaxis_transform(),
                color=style.QUIET,
                va="center",
                fontsize=7,
            )


def _set_scale(ax: Axes, panel: Panel) -> None:
    values = np.concatenate([line.values for line in panel.lines])
    values = values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)
    lo, hi = float(values.min()), float(values.max())
    if panel.scale == "log":
        lo = max(float(values[values > 0].min()), hi * 10.0**-DRUG_DECADES)
    if panel.scale == "log" or (panel.scale == "auto" and style.spans_decades(lo, hi)):
        ax.set_yscale("log")
        ax.set_ylim(lo / 1.6, hi * 2)
        style.log_ticks(ax.yaxis, lo, hi)
        return
    if panel.scale == "close":
        missing = max(QUIET_SPAN * max(abs(lo), abs(hi)) - (hi - lo), 0) or 0.02
        ax.set_ylim(lo - missing / 2 - 0.1 * (hi - lo), hi + missing / 2 + 0.1 * (hi - lo))
    else:
        ax.set_ylim(min(lo, 0), 1.15 * hi or 1)
    ax.yaxis.set_major_locator(ticker.MaxNLocator(3, steps=[1, 2, 5, 10]))
    ax.axhline(float(panel.lines[0].values[0]), color=style.FAINT, linewidth=0.6, zorder=0)


def _label_lines(ax: Axes, lines: Sequence[Line]) -> None:
    """Label each line at its right end; labels of lines that end close together are moved apart."""
    gap = 0.17  # height of one line of text over that of a panel
    ends = ax.transAxes.inverted().transform(ax.transData.transform([(0, _end(ax, line)) for line in lines]))[
        :, 1
    ]
    lowest = 0.0
    places = []
    for k in np.lexsort(
        (-np.arange(len(ends)), ends)
    ):  # if two lines end together, the label of the first is on top
        lowest = max(float(np.clip(ends[k], 0, 1)), lowest)
        places.append([k, lowest])
        lowest += gap
    highest = 1.0
    for place in reversed(places):
        place[1] = highest = min(place[1], highest)
        highest -= gap
    for k, y in places:
        if lines[k].label:
            ax.plot([1.012, 1.035], [y, y], transform=ax.transAxes, clip_on=False, **lines[k].look)
            ax.text(
                1.042,
                y,
                lines[k].label,
                transform=ax.transAxes,
                color=lines[k].colour,
                va="center",
                fontsize=7,
            )


def _end(ax: Axes, line: Line) -> float:
    """The last value of a line, or the lower end of the axis if the line has left it."""
    known = line.values[np.isfinite(line.values)]
    return max(float(known[-1]) if len(known) else 0.0, ax.get_ylim()[0])


def _colours(run: Run) -> dict[str, str]:
    names = [a["name"] for a in run.provenance.get("agents", [])]
    return {name: style.DRUGS[k % len(style.DRUGS)] for k, name in enumerate(names)}


def courses(run: Run) -> list[Course]:
    """The doses within the time of the run, grouped into courses.

    A text that would overlap a later one is moved up one row, so that no line of a dose crosses a text.
    """
    time = run.series["time"]
    labels = {a["name"]: a["label"] for a in run.provenance.get("agents", [])}
    given: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for d in sorted(run.provenance.get("doses", []), key=lambda d: d["time"]):
        if time[0] <= d["time"] <= time[-1]:
            given.setdefault((d["agent"], dose_words(d)), []).append(d)
    courses: list[Course] = []
    taken: list[list[tuple[float, float]]] = []
    for (agent, words), doses in reversed(given.items()):
        times = [d["time"] for d in doses]
        text = f"{labels.get(agent, agent)} {words}" + (f", {len(times)} times" if len(times) > 1 else "")
        at = (times[0] - time[0]) / (time[-1] - time[0] or 1)
        width = 0.013 * len(text)  # an upper bound, over the width of a panel
        leftward = at + width > 1.1 and at > 0.5
        span = (at - width, at) if leftward else (at, at + width)
        row = next(
            (k for k, row in enumerate(taken) if all(span[1] < a or b < span[0] for a, b in row)), len(taken)
        )
        if row == len(taken):
            taken.append([])
        taken[row].append(span)
        courses.append(Course(agent, text, times, doses[0].get("duration", 0.0), row, leftward))
    return courses


def _mark_moments(figure: FigureBase, axes: Sequence[Axes], marks: Sequence[tuple[str, float]]) -> None:
    for letter, t in marks:
        figure.add_artist(_through(axes, t, color=style.QUIET, linewidth=0.6, linestyle=(0, (1, 2))))
        at = {"xycoords": axes[0].get_xaxis_transform(), "textcoords": "offset points"}
        axes[0].annotate(letter, (t, 1), (0, 2), **at, ha="center", weight="bold", bbox=_BACKED)


def _mark_doses(figure: FigureBase, axes: Sequence[Axes], run: Run) -> None:
    """Draw a line through all panels at each dose, and a band over each infusion; the label is above, beside
    the line of a course's first dose.
    """
    colours, end = _colours(run), run.series["time"][-1]
    for course in courses(run):
        colour = colours.get(course.agent, style.QUIET)
        above = 11 + 72 * ROW_HEIGHT * course.row
        for k, t in enumerate(course.times):
            figure.add_artist(
                _through(axes, t, 0 if k else above + 6, color=colour, linewidth=0.8, alpha=0.8)
            )
            if course.duration:
                for ax in axes:
                    ax.axvspan(t, min(t + course.duration, end), color=colour, alpha=0.15, linewidth=0)
        axes[0].annotate(
            course.text,
            (course.times[0], 1),
            (-3 if course.leftward else 3, above),
            xycoords=axes[0].get_xaxis_transform(),
            textcoords="offset points",
            ha="right" if course.leftward else "left",
            color=colour,
            fontsize=7,
            bbox=_BACKED,
        )


def _through(axes: Sequence[Axes], t: float, above: float = 0, **look: Any) -> ConnectionPatch:
    """One line at time t from the top of the first panel (or this many points above) to the foot of the last,
    behind the panels.
    """
    top = offset_copy(axes[0].get_xaxis_transform(), axes[0].get_figure(root=True), y=above, units="points")
    foot = axes[-1].get_xaxis_transform()
    line = ConnectionPatch((t, 1), (t, 0), top, foot, zorder=-1, **look)
    line.set_in_layout(False)
    return line
