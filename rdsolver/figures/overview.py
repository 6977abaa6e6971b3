"""One figure that answers "what happened?": three moments of a run as maps, and under them what was measured over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure, FigureBase
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from ..errors import InputError
from ..output.reader import FieldData, Run
from . import style, timeseries

MAP_HEIGHT = 2.1  # inches: the most that one map takes
ROW_GAP = 0.14  # inches; a little less than there is room for, so that height, not width, bounds the maps: then captions fit
BAR_WIDTH = 0.85  # inches: a colour bar with its numbers and label
HEAD_HEIGHT = 0.24  # inches: captions above the maps, the scale bar under them
EVENTLESS = 1e-3  # a run whose NTX moves less than this shows no moment of change
MOST_ROWS = 4  # fields that are drawn of a model other than bone's


@dataclass(frozen=True)
class Moment:
    """A saved time worth a map: its index in run.times, its time (d), and why."""

    index: int
    time: float
    caption: str


class Slice(NamedTuple):
    """A plane of a run on a map: its cells, where it lies (um: left, right, foot, top), where two others cross it (x, y), its axes."""

    cells: tuple[int | slice, ...]
    turned: bool
    extent: tuple[float, float, float, float]
    crossings: tuple[float, float] | None = None
    name: str = ""


def overview(run: Run, path: Path) -> Path:
    """Draw the overview figure of a run, from its file alone: PNG at 200 dpi, or PDF or SVG by the suffix.

    Raises InputError for an unknown suffix, or when the run came neither to a saved time nor to a step.
    """
    path = style.checked(path)
    with matplotlib.rc_context(style.RC):
        return style.save(compose(run), path)


def compose(run: Run) -> Figure:
    """The overview as a figure: maps on top where a time was saved, time series under them where a step was made."""
    shown = moments(run) if len(run) else []
    measured = len(run.series["time"]) > 0 and len(timeseries.panels(run)) > 0
    if not shown and not measured:
        raise InputError(f"{run.file.filename} holds neither a saved time nor a step: there is nothing to draw.")
    rows = _rows(run)
    slices = _slices(run, _most_active(run, shown)) if shown else []
    heights = [_maps_height(slices, len(shown), len(rows))] if shown else []
    heights += [timeseries.height(run)] if measured else []
    figure = Figure((style.WIDTH, sum(heights)), layout="constrained")
    parts = iter(np.ravel(figure.subfigures(len(heights), height_ratios=heights, squeeze=False)))
    if shown:
        _draw_maps(next(parts), run, shown, rows, slices)
    if measured:
        marks = [(letter, moment.time) for letter, moment in zip("abc", shown, strict=False)]
        timeseries.draw_series(next(parts), run, marks)
    return figure


def moments(run: Run) -> list[Moment]:
    """The saved times that tell the run: before the first dose, at the nadir of NTX, at the end.

    Without a dose: the start, the moment when NTX is farthest from where it began (of another model: when half of what the
    series went through is done), the end. Where two of them are the same, or NTX moved less than 1e-3, half-way stands in for
    the turn. Fewer than three saved times give as many moments.
    """
    times = run.times
    if not len(times):
        return []
    doses = [d["time"] for d in run.provenance.get("doses", []) if d["time"] < times[-1]]
    first = max(int(np.searchsorted(times, min(doses) + 1e-9, "right")) - 1, 0) if doses else 0
    last = len(times) - 1
    start = "start" if not doses else "before the dose" if times[first] <= min(doses) + 1e-9 else "first saved"
    captions = {first: [start]}
    turn = _turn(run, times[first], bool(doses))
    if turn is not None and first < last:
        later = first + 1 + _nearest(times[first + 1 :], turn)
        captions[later] = ["half the change" if not run.of_bone else "NTX nadir" if doses else "most change"]
    if first < last:
        captions.setdefault(last, []).append("end" if _ended(run) else "last saved")
    if len(captions) < 3:
        captions.setdefault(_nearest(times, (times[first] + times[last]) / 2), ["half-way"])
    return [Moment(k, float(times[k]), ", ".join(captions[k])) for k in sorted(captions)]


def _ended(run: Run) -> bool:
    """Whether the last saved time is where the run was meant to end."""
    return run.status == "finished" and run.times[-1] >= run.series["time"].max(initial=0) - 1e-6


def _turn(run: Run, start: float, dosed: bool) -> float | None:
    """When NTX is lowest (after a dose) or farthest from its start, d; None when it hardly moves."""
    time = run.series["time"]
    after = time >= start
    if not run.of_bone:
        return _half(run)
    if "ntx" not in run.series or not after.any():
        return None
    ntx = run.series["ntx"][after]
    away = ntx[0] - ntx if dosed else np.abs(ntx - ntx[0])
    k = int(np.argmax(away))
    return float(time[after][k]) if away[k] > EVENTLESS else None


def _half(run: Run) -> float | None:
    """When half of the way is behind that the series went, up and down, each relative to its range, d; None when none moved."""
    values = [v for name, v in run.series.items() if name != "time" and len(v) and np.ptp(v) > EVENTLESS * np.abs(v).max()]
    if not values:
        return None
    gone = np.cumsum(sum(np.abs(np.diff(v, prepend=v[0])) / np.ptp(v) for v in values))
    return float(run.series["time"][np.searchsorted(gone, gone[-1] / 2)])


def _nearest(times: np.ndarray, t: float) -> int:
    return int(np.argmin(np.abs(times - t)))


def _rows(run: Run) -> list[str]:
    """The fields that are drawn: those that tell a run of bone or another tissue, or any that was saved; of other models a few."""
    telling = [name for name in ("tumour", "osteoclasts", "response", "rankl") if name in run]
    if not run.of_bone and "response" not in run:
        return list(run)[:MOST_ROWS]
    return telling or list(run)[:1]


def _most_active(run: Run, shown: Sequence[Moment]) -> tuple[int, ...]:
    """The cell with most osteoclasts (or most of what was saved instead) at the first moment; of another model the cell
    farthest from the mean where the field is first uneven."""
    if run.of_bone:
        name = "osteoclasts" if "osteoclasts" in run else _rows(run)[0]
        field = np.nan_to_num(run[name][shown[0].index], nan=-1)
    else:
        fields = (run[_rows(run)[-1]][moment.index] for moment in shown)
        away = [np.nan_to_num(np.abs(field - np.nanmean(field)), nan=-1) for field in fields]
        field = next((a for a in away if a.max() > EVENTLESS * away[-1].max()), away[0])
    return tuple(int(k) for k in np.unravel_index(np.argmax(field), run.shape))


def _slices(run: Run, point: tuple[int, ...]) -> list[Slice]:
    """A section as it is; of a block the three planes through a point, unfolded: xy, to its right zy, under it xz."""
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
        Slice((everything, everything, x), True, (right, right + depth, 0, height), (right + at_z, at_y), "zy"),
        Slice((everything, y, everything), False, (0, width, under, under + depth), (at_x, under + at_z), "xz"),
    ]


def _read(field: FieldData | np.ndarray, index: int, slices: Sequence[Slice]) -> list[np.ndarray]:
    """The planes of a field at a saved time; nothing else of it is read."""
    planes = [field[(index, *part.cells)] for part in slices]
    return [plane.T if part.turned else plane for plane, part in zip(planes, slices, strict=True)]


def _read_bone(run: Run, index: int, slices: Sequence[Slice]) -> list[np.ndarray]:
    """Bone at a saved time; where it was not saved or does not move, bone at the start, or marrow alone."""
    if run.of_bone and "bone" in run:
        return _read(run["bone"], index, slices)
    bone = run.saved_cells(run.reference["bone"]) if "bone" in run.reference else np.zeros(run.shape)
    return _read(np.where(run.active | (bone > 0), bone, np.nan)[None], 0, slices)  # it shows where a model does not live, too


def _bounds(slices: Sequence[Slice]) -> tuple[float, float, float, float]:
    left, right, foot, top = zip(*(s.extent for s in slices), strict=True)
    return min(left), max(right), min(foot), max(top)


def _map_size(slices: Sequence[Slice], columns: int) -> tuple[float, float]:
    """Width and height of one map, inches."""
    left, right, foot, top = _bounds(slices)
    aspect = (top - foot) / (right - left)
    width = min((style.WIDTH - BAR_WIDTH) / columns - 0.08, MAP_HEIGHT / aspect)
    return width, width * aspect


def _maps_height(slices: Sequence[Slice], columns: int, rows: int) -> float:
    return rows * (_map_size(slices, columns)[1] + ROW_GAP) + HEAD_HEIGHT


def _draw_maps(figure: FigureBase, run: Run, shown: Sequence[Moment], rows: Sequence[str], slices: Sequence[Slice]) -> None:
    axes = figure.subplots(len(rows), len(shown), squeeze=False)
    bones = [_read_bone(run, moment.index, slices) for moment in shown]
    for row, name in zip(axes, rows, strict=True):
        grey = run.of_bone and name == "bone"  # bone alone
        fields = [_read(run[name], moment.index, slices) for moment in shown]
        values = np.concatenate([plane[np.isfinite(plane)] for planes in fields for plane in planes])
        factor, unit = style.in_print(run[name].unit, float(values.max(initial=0)))
        norm, colours = _look(run, name, factor * values)
        for ax, planes, bone in zip(row, fields, bones, strict=True):
            for part, plane, shape in zip(slices, planes, bone, strict=True):
                _draw_bone(ax, part, shape, outlined=not grey)
                if not grey:
                    ax.imshow(factor * plane, cmap=colours, norm=norm, extent=part.extent, origin="lower")
            _frame(ax, slices)
        if not grey:
            bar = ScalarMappable(norm, colours)
            _draw_bar(figure, row[-1], bar, style.with_unit(run[name].label, unit), _map_size(slices, len(shown))[0])
    for part in slices:
        _name_plane(axes[0, 0], part)
    for letter, ax, moment in zip("abc", axes[0], shown, strict=False):
        ax.set_title(f"$\\bf{{{letter}}}$  {moment.caption}, day {round(moment.time, 1):g}", loc="left", pad=3)
    style.scale_bar(axes[-1, 0], slices[0].extent[1])


def _norm(name: str, values: np.ndarray) -> Normalize:
    """One scale for all moments: from zero for cells and tumour; for a concentration its range, logarithmic where it falls by decades."""
    hi = float(values.max(initial=0))
    if name in ("osteoclasts", "tumour"):
        return Normalize(0, hi or 1)
    lo = max(float(values.min(initial=hi)), 1e-5 * hi)
    if style.spans_decades(lo, hi):
        return LogNorm(lo, hi, clip=True)
    return Normalize(min(lo, 0.9 * hi), hi or 1)  # never so close that round-off would show


def _look(run: Run, name: str, values: np.ndarray) -> tuple[Normalize, Colormap]:
    """Scale and colours of a field; of another model than bone's linear, from zero where it comes near."""
    if run.of_bone:
        return _norm(name, values), {"osteoclasts": style.CELL_MAP, "tumour": style.TUMOUR_MAP}.get(name, style.FIELD_MAP)
    lo, hi = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if 0 <= lo < hi / 4 or hi - lo <= EVENTLESS * max(abs(lo), abs(hi)):
        lo, hi = min(lo, 0.0), max(hi, 0.0)
    return Normalize(lo, hi if hi > lo else lo + 1), style.FIELD_MAP


def _draw_bone(ax: Axes, part: Slice, bone: np.ndarray, outlined: bool) -> None:
    """Bone as a calm grey shape; its outline and the traces of other planes lie above whatever is drawn over it."""
    left, right, foot, top = part.extent
    ax.imshow(bone, cmap=style.BONE_MAP, vmin=0, vmax=1, extent=part.extent, origin="lower")
    if outlined and np.any(bone < 0.5) and np.any(bone > 0.5):
        y, x = (np.r_[0, np.arange(n) + 0.5, n] / n for n in bone.shape)  # out to the borders of the outer cells
        at = left + x * (right - left), foot + y * (top - foot)
        outline = ax.contour(*at, np.pad(bone, 1, "edge"), [0.5], colors=style.INK, linewidths=0.5)
        outline.set_path_effects([withStroke(linewidth=1.3, foreground=style.OUTLINE)])
    if part.crossings is not None:
        ax.plot([part.crossings[0]] * 2, [foot, top], color=style.INK, linewidth=0.4, alpha=0.6)
        ax.plot([left, right], [part.crossings[1]] * 2, color=style.INK, linewidth=0.4, alpha=0.6)


def _draw_bar(figure: FigureBase, ax: Axes, colours: ScalarMappable, label: str, width: float) -> None:
    """A colour bar beside a map of `width` inches, as high as the map."""
    bar = figure.colorbar(colours, cax=ax.inset_axes((1 + 0.1 / width, 0, 0.09 / width, 1)))
    bar.set_label(label)
    bar.outline.set_visible(False)
    if isinstance(colours.norm, LogNorm):
        style.log_ticks(bar.ax.yaxis, *colours.get_clim())
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def _name_plane(ax: Axes, part: Slice) -> None:
    left, _, _, top = part.extent
    if part.name:
        box = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8}
        ax.annotate(part.name, (left, top), (2, -2), textcoords="offset points", va="top", fontsize=style.SMALL, bbox=box)


def _frame(ax: Axes, slices: Sequence[Slice]) -> None:
    left, right, foot, top = _bounds(slices)
    ax.set(xlim=(left, right), ylim=(foot, top), aspect="equal", xticks=[], yticks=[])
    ax.set_anchor("W")
    ax.spines[:].set_visible(False)
    ax.patch.set_visible(False)
