"""Figures of a sweep: dose-response, response surface, series as bands, and scatter plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from scipy import stats

from ..errors import InputError
from ..sweep.reader import Sweep
from . import style
from .factors import MOST_GROUPS, SHOWN, Factor, Measure, factors, label, measures, observables, telling
from .sweep_axes import MARKS, Group, colouring, dress, groups_of, legend, legend_height, scale
from .timeseries import OBSERVABLES

KINDS = ("dose-response", "surface", "bands", "scatter")
MOST_COLUMNS, MOST_INPUTS = 4, 6
PANEL, EDGE = 1.55, 0.5  # inches; heights of a row of panels and of an axis


def draw(sweep: Sweep, path: Path, kind: str | None = None, names: Sequence[str] = ()) -> Path:
    """Draw one figure of a sweep.

    kind   one of KINDS (default: by the keys that vary)
    names  observables, as ntx or ntx.min

    Raises InputError for an unknown suffix, kind or observable, when no run finished, or when the keys that
    vary do not fit the kind.
    """
    path = style.checked(path)
    with matplotlib.rc_context(style.RC):
        return style.save(compose(sweep, kind or default(sweep), names), path)


def default(sweep: Sweep) -> str:
    """The kind of figure by the keys that vary.

    One number: dose-response; two on a grid: surface; more, or samples: scatter; none: bands.
    """
    numbers = [f for f in factors(sweep) if f.is_number]
    if len(numbers) == 2 and _on_grid(*numbers):
        return "surface"
    return "bands" if not numbers else "dose-response" if len(numbers) == 1 else "scatter"


def compose(sweep: Sweep, kind: str, names: Sequence[str] = ()) -> Figure:
    """The figure of a kind, as a Matplotlib figure."""
    if kind not in KINDS:
        raise InputError(f"--kind {kind} is not known for a sweep. Allowed: {', '.join(KINDS)}.")
    if not sweep.finished.any():
        raise InputError(
            f"{sweep.folder}: none of its {len(sweep)} runs has finished. There is nothing to draw."
        )
    return {"dose-response": _dose_response, "surface": _surface, "bands": _bands, "scatter": _scatter}[kind](
        sweep, names
    )


def _numbers(sweep: Sweep, kind: str, least: int) -> list[Factor]:
    found = [f for f in factors(sweep) if f.is_number]
    if len(found) < least:
        varied = ", ".join(sweep.varied) or "nothing"
        raise InputError(
            f"--kind {kind} needs {least} number{'s' * (least > 1)} that vary, and {sweep.folder} varies"
            f" {varied}. Take bands."
        )
    return found


def _on_grid(x: Factor, y: Factor) -> bool:
    return len({*zip(x.values.tolist(), y.values.tolist(), strict=True)}) == len(x.levels) * len(y.levels)


# --- one number ---------------------------------------------------------------------------------------------


def _dose_response(sweep: Sweep, names: Sequence[str]) -> Figure:
    """Draw replicates as points and their mean with its 95 % t-interval, one colour per group."""
    numbers = _numbers(sweep, "dose-response", 1)
    x = max(numbers, key=lambda f: len(f.levels))
    by = colouring(sweep, x)
    shown = measures(sweep, names)
    columns = len(SHOWN) if len(shown) >= len(SHOWN) else len(shown)
    rows = ceil(len(shown) / columns)
    groups = groups_of(sweep, by)
    aside = 3.5 if "replicate" in sweep.columns else 0.0
    figure = Figure((style.WIDTH, PANEL * rows + EDGE + legend_height(groups)), layout="constrained")
    axes = list(figure.subplots(rows, columns, sharex=True, squeeze=False).flat)
    for ax, what in zip(axes, shown, strict=False):
        half = [
            _respond(ax, x, what, g, MARKS[k], aside * (k - (len(groups) - 1) / 2))
            for k, g in enumerate(groups)
        ]
        dress(ax, what, max(half))
        scale(ax.xaxis, x)
    for ax in axes[len(shown) - columns : len(shown)]:  # the lowest panel of each column
        ax.set_xlabel(x.label)
        ax.tick_params(labelbottom=True)
    for ax in axes[len(shown) :]:
        ax.remove()
    legend(figure, groups, MARKS)
    return figure


def _respond(ax: Axes, x: Factor, what: Measure, group: Group, mark: str, aside: float) -> float:
    """Draw one group. aside: offset in points, so that the intervals of groups do not overlap.

    Returns the largest half width of an interval.
    """
    root = ax.get_figure(root=True)
    place = ax.transData + ScaledTranslation(aside / 72, 0, root.dpi_scale_trans) if root else ax.transData
    known, look = group.members & np.isfinite(what.values), {"marker": mark, "transform": place}
    ax.scatter(
        x.values[known],
        what.values[known],
        9,
        facecolors="none",
        edgecolors=group.colour,
        linewidths=0.6,
        alpha=0.7,
        **look,
    )
    of_level = [(float(v), what.values[known & (x.values == v)]) for v in x.levels]
    of_level = [(v, of) for v, of in of_level if len(of)]
    if len(of_level) > 12 and all(len(of) == 1 for _, of in of_level):
        return 0.0  # samples are drawn as points only
    at, mean = np.array([v for v, _ in of_level]), np.array([of.mean() for _, of in of_level])
    half = [
        stats.t.ppf(0.975, len(of) - 1) * of.std(ddof=1) / len(of) ** 0.5 if len(of) > 1 else np.nan
        for _, of in of_level
    ]
    ax.errorbar(
        at, mean, half, color=group.colour, linewidth=1.1, elinewidth=0.9, capsize=1.8, markersize=2.6, **look
    )
    return max((float(h) for h in half if np.isfinite(h)), default=0.0)


# --- two numbers --------------------------------------------------------------------------------------------


def _surface(sweep: Sweep, names: Sequence[str]) -> Figure:
    """Draw means over replicates, as cells of a grid or between scattered points.

    There is one row for each level of a further factor.
    """
    numbers = _numbers(sweep, "surface", 2)
    x, y = sorted(numbers, key=lambda f: -len(f.levels))[:2]
    groups = groups_of(sweep, colouring(sweep, x, y))
    shown = [m for name in names or observables(sweep, ()) for m in _chosen(sweep, name)]
    figure = Figure((style.WIDTH, 1.9 * len(groups) + EDGE), layout="constrained")
    axes = figure.subplots(len(groups), len(shown), sharex=True, sharey=True, squeeze=False)
    for what, column in zip(shown, axes.T, strict=True):
        known = what.values[np.isfinite(what.values)]
        low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
        ends = {"vmin": low, "vmax": high if high > low else low + (0.01 * abs(low) or 1.0)}
        drawn = None
        for ax, group in zip(column, groups, strict=True):
            drawn = _cells(ax, x, y, what, group.members & np.isfinite(what.values), ends) or drawn
            scale(ax.xaxis, x)
            scale(ax.yaxis, y)
            if _on_grid(x, y):
                ax.set(xlim=_edges(x)[[0, -1]], ylim=_edges(y)[[0, -1]])
        if drawn is not None:
            bar = figure.colorbar(drawn, ax=list(column), location="top", aspect=24, pad=0.02)
            bar.set_label(what.label)
            bar.locator = ticker.MaxNLocator(4)
            bar.outline.set_linewidth(0.6)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        column[-1].set_xlabel(x.label)
    for ax, group in zip(axes[:, 0], groups, strict=True):
        ax.set_ylabel(y.label)
        ax.set_title(group.text, loc="left")
    return figure


def _chosen(sweep: Sweep, name: str) -> list[Measure]:
    """One measure per observable: the one asked for, or the one that differs most."""
    return measures(
        sweep,
        [name],
        (telling(sweep, name.partition(".")[0]),) if name.partition(".")[0] in sweep.observables else (),
    )


def _cells(ax: Axes, x: Factor, y: Factor, what: Measure, known: np.ndarray, ends: dict[str, Any]) -> Any:
    """Draw coloured cells if the values lie on a grid, otherwise interpolate linearly between the points."""
    points = (
        {(a, b): what.values[known & (x.values == a) & (y.values == b)] for a in x.levels for b in y.levels}
        if _on_grid(x, y)
        else {}
    )
    if points:
        mean = np.array(
            [[of.mean() if len(of := points[a, b]) else np.nan for a in x.levels] for b in y.levels]
        )
        return ax.pcolormesh(
            _edges(x), _edges(y), mean, cmap=style.FIELD_MAP, edgecolors="white", linewidth=0.4, **ends
        )
    if known.sum() < 3:
        return None
    levels = np.linspace(ends["vmin"], ends["vmax"], 13)
    drawn = ax.tricontourf(x.values[known], y.values[known], what.values[known], levels, cmap=style.FIELD_MAP)
    ax.scatter(x.values[known], y.values[known], 2, color=style.INK, alpha=0.5, linewidths=0)
    return drawn


def _edges(factor: Factor) -> np.ndarray:
    """The edges of the cells around the levels: half-way between them on the scale of the axis."""
    log = factor.scale == "log"
    at = np.log(factor.levels) if log else factor.levels.astype(float)
    middle = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[2 * at[0] - middle[0]], middle, [2 * at[-1] - middle[-1]]])
    return np.exp(edges) if log else edges


# --- over time ----------------------------------------------------------------------------------------------


def _bands(sweep: Sweep, names: Sequence[str]) -> Figure:
    """Draw the median of each group over time, with the quantiles 0.25 to 0.75 and 0.1 to 0.9."""
    shown, time = observables(sweep, names), sweep.curves("time")
    found = factors(sweep)
    texts = [f for f in found if not f.is_number and len(f.levels) <= MOST_COLUMNS]
    few = [f for f in found if f.is_number and len(f.levels) <= MOST_GROUPS]
    across = texts[0] if texts and few else None
    columns = groups_of(sweep, across)
    groups = groups_of(sweep, few[0] if few else colouring(sweep))
    height = 1.3 * len(shown) + EDGE + legend_height(groups) + 0.25 * bool(across)
    figure = Figure((style.WIDTH, height), layout="constrained")
    axes = figure.subplots(len(shown), len(columns), sharex=True, sharey="row", squeeze=False)
    for name, row in zip(shown, axes, strict=True):
        text, unit, factor = label(sweep, name)
        curves = factor * sweep.curves(name)
        for ax, (_, inside, _) in zip(row, columns, strict=True):
            for _, members, colour in groups:
                _band(ax, time, curves[members & inside & sweep.finished], colour)
        dress(
            row[0],
            Measure(
                fill(style.with_unit(text, unit), 16), curves, OBSERVABLES.get(name, ("", "", "close"))[2]
            ),
        )
        for ax in row[1:]:
            ax.spines[["top", "right"]].set_visible(False)
    for ax, (text, _, _) in zip(axes[0], columns, strict=True):
        ax.set_title(text, loc="left")
    for ax in axes[-1]:
        ax.set_xlim(time[0], time[-1])
        ax.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.set_xlabel("time (d)")
    legend(figure, groups)
    return figure


def _band(ax: Axes, time: np.ndarray, curves: np.ndarray, colour: str) -> None:
    known = np.isfinite(curves).any(0)
    if not known.any():
        return
    low, lower, median, upper, high = np.nanquantile(curves[:, known], (0.1, 0.25, 0.5, 0.75, 0.9), axis=0)
    ax.fill_between(time[known], low, high, color=colour, alpha=0.15, linewidth=0)
    ax.fill_between(time[known], lower, upper, color=colour, alpha=0.25, linewidth=0)
    ax.plot(time[known], median, color=colour, linewidth=1.2)


# --- samples ------------------------------------------------------------------------------------------------


def _scatter(sweep: Sweep, names: Sequence[str]) -> Figure:
    """Draw each measure against each number that varies, with Spearman's rank correlation over all points of
    a panel.
    """
    numbers = _numbers(sweep, "scatter", 1)
    shown = [m for name in names or observables(sweep, ()) for m in _chosen(sweep, name)]
    strongest = sorted(numbers, key=lambda x: -max(abs(_rank(x, m)) for m in shown))[:MOST_INPUTS]
    inputs = [x for x in numbers if any(x is s for s in strongest)]
    groups = groups_of(sweep, colouring(sweep, *inputs))
    height = 1.35 * len(shown) + EDGE + legend_height(groups)
    figure = Figure((style.WIDTH, height), layout="constrained")
    axes = figure.subplots(len(shown), len(inputs), sharex="col", sharey="row", squeeze=False)
    for what, row in zip(shown, axes, strict=True):
        known = np.isfinite(what.values)
        for ax, x in zip(row, inputs, strict=True):
            for k, (_, members, colour) in enumerate(groups):
                of = members & known
                ax.scatter(
                    x.values[of], what.values[of], 7, color=colour, marker=MARKS[k], alpha=0.6, linewidths=0
                )
            ax.spines[["top", "right"]].set_visible(False)
            scale(ax.xaxis, x, few=True)
            ax.set_title(
                f"ρ = {_rank(x, what):+.2f}".replace("-", "−"), fontsize=style.SMALL, color=style.QUIET, pad=2
            )
        dress(row[0], what)
    for ax, x in zip(axes[-1], inputs, strict=True):
        ax.set_xlabel(fill(x.label, 18))
    if len(inputs) < len(numbers):
        figure.suptitle(
            f"the {len(inputs)} of {len(numbers)} numbers that act most", fontsize=7.5, color=style.QUIET
        )
    legend(figure, groups, MARKS)
    return figure


def _rank(x: Factor, what: Measure) -> float:
    """Spearman's rank correlation; 0 if all values are equal."""
    known = np.isfinite(what.values)
    differ = known.sum() > 2 and np.ptp(what.values[known]) > 0 and np.ptp(x.values[known]) > 0
    ranks = [stats.rankdata(v[known]) for v in (x.values, what.values)]
    return float(np.corrcoef(*ranks)[0, 1]) if differ else 0.0


def shown_kinds(sweep: Sweep) -> Iterator[str]:
    """The kinds of figure that suit a sweep, for a report; its default comes first."""
    first = default(sweep)
    yield first
    if first != "bands":
        yield "bands"
