"""The overview figure of a run: maps of three moments, and time series.

For a line of cells there are profiles instead of maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ..errors import InputError
from ..output import selection
from ..output.reader import Run
from . import maps, profile, style, timeseries
from .planes import EVENTLESS, slices_through

MOST_ROWS = 4  # most fields that are drawn of a model other than bone's


@dataclass(frozen=True)
class Moment:
    """A saved time that is drawn as a map: its index in run.times, the time (d), and a caption with the
    reason for its choice.
    """

    index: int
    time: float
    caption: str


def overview(run: Run, path: Path) -> Path:
    """Draw the overview figure of a run, from its file alone: PNG at 200 dpi, or PDF or SVG by the suffix.

    Raises InputError for an unknown suffix, or when the run has neither a saved time nor a step.
    """
    path = style.checked(path)
    with matplotlib.rc_context(style.RC):
        return style.save(compose(run), path)


def compose(run: Run) -> Figure:
    """The overview as a figure: maps on top if a time was saved, and time series under them if there is a
    step.

    For a line of cells there are profiles instead of maps.
    """
    shown = moments(run) if len(run) else []
    measured = len(run.series["time"]) > 0 and len(timeseries.panels(run)) > 0
    if not shown and not measured:
        raise InputError(
            f"{run.file.filename} holds neither a saved time nor a step: there is nothing to draw."
        )
    rows = telling(run)
    along = profile.line(run)
    slices = slices_through(run, most_active(run, [m.index for m in shown])) if shown and not along else []
    heights = (
        [profile.height(len(rows)) if along else maps.height(slices, len(shown), len(rows))] if shown else []
    )
    heights += [timeseries.height(run)] if measured else []
    figure = Figure((style.WIDTH, sum(heights)), layout="constrained")
    parts = iter(np.ravel(figure.subfigures(len(heights), height_ratios=heights, squeeze=False)))
    if shown:
        columns = [(m.index, f"{m.caption}, day {round(m.time, 1):g}") for m in shown]
        if along:
            profile.draw_profiles(
                next(parts),
                run,
                [(k, f"{'abc'[i]}: {text}") for i, (k, text) in enumerate(columns)],
                rows,
                along=along,
            )
        else:
            maps.draw_maps(next(parts), run, columns, rows, slices)
    if measured:
        marks = [(letter, moment.time) for letter, moment in zip("abc", shown, strict=False)]
        timeseries.draw_series(next(parts), run, marks)
    return figure


def moments(run: Run) -> list[Moment]:
    """The saved times that summarise the run: before the first dose, at the lowest NTX, at the end.

    Without a dose these are the start, the time when NTX is farthest from its start (for another model, when
    half of the total change of the series is done), and the end. If two of them are the same, or NTX changed
    by less than 1e-3, the middle of the run takes the place of the second. Fewer than three saved times give
    as many moments.
    """
    times = run.times
    if not len(times):
        return []
    doses = [d["time"] for d in run.provenance.get("doses", []) if d["time"] < times[-1]]
    first = max(int(np.searchsorted(times, min(doses) + 1e-9, "right")) - 1, 0) if doses else 0
    last = len(times) - 1
    start = (
        "start" if not doses else "before the dose" if times[first] <= min(doses) + 1e-9 else "first saved"
    )
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


def default_times(run: Run) -> list[int]:
    """The indices of the moments that summarise the run. Raises InputError if no time was saved."""
    return [moment.index for moment in moments(run)] or selection.times(run, ())


def _ended(run: Run) -> bool:
    """True if the last saved time is the intended end of the run."""
    return run.status == "finished" and run.times[-1] >= run.series["time"].max(initial=0) - 1e-6


def _turn(run: Run, start: float, dosed: bool) -> float | None:
    """The time when NTX is lowest (after a dose) or farthest from its start, d; None if it hardly changes."""
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
    """The time when half of the total change of the series is done, d; None if none changed.

    The total counts all changes, up and down, each relative to the range of its series.
    """
    values = [
        v
        for name, v in run.series.items()
        if name != "time" and len(v) and np.ptp(v) > EVENTLESS * np.abs(v).max()
    ]
    if not values:
        return None
    gone = np.cumsum(sum(np.abs(np.diff(v, prepend=v[0])) / np.ptp(v) for v in values))
    return float(run.series["time"][np.searchsorted(gone, gone[-1] / 2)])


def _nearest(times: np.ndarray, t: float) -> int:
    return int(np.argmin(np.abs(times - t)))


def telling(run: Run) -> list[str]:
    """The fields that are drawn: the main fields of a run of bone or another tissue, or any saved one; of
    other models a few.
    """
    known = [name for name in ("tumour", "osteoclasts", "response", "rankl") if name in run]
    if not run.of_bone and "response" not in run:
        return list(run)[:MOST_ROWS]
    return known or list(run)[:1]


def most_active(run: Run, indices: Sequence[int]) -> tuple[int, ...]:
    """The cell with most osteoclasts (or most of the field that was saved instead) at the first of some saved
    times.

    For another model it is the cell farthest from the mean where the field is first uneven.
    """
    if run.of_bone:
        name = "osteoclasts" if "osteoclasts" in run else telling(run)[0]
        field = np.nan_to_num(run[name][indices[0]], nan=-1)
    else:
        fields = (run[telling(run)[-1]][index] for index in indices)
        away = [np.nan_to_num(np.abs(field - np.nanmean(field)), nan=-1) for field in fields]
        field = next((a for a in away if a.max() > EVENTLESS * away[-1].max()), away[0])
    return tuple(int(k) for k in np.unravel_index(np.argmax(field), run.shape))
