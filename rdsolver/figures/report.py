"""The report: one self-contained HTML page about one run, or about several side by side."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from importlib.resources import files
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from ..errors import InputError, writing
from ..output.describe import describe
from ..output.reader import Run
from ..utils.home import homely
from . import overview, style
from .compare import COLOURS, titles
from .movie import frames, pictures, planes
from .planes import look_of, slices_through
from .timeseries import OBSERVABLES, courses

LIMIT = 20_000_000  # most bytes of a page
MOST_FRAMES = 180  # of all runs and fields together; of more saved times an even selection is shown
MOST_POINTS = 1200  # most points of a line
MAP_DPI, OVERVIEW_DPI = 170, 120
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@homely
def report(runs: Sequence[Run], path: Path, names: Sequence[str] = ()) -> Path:
    """Write the page. names: fields on the slider (default: the main fields of the run).

    Raises InputError for more runs than can be told apart, for another suffix than .html, when a field was
    not saved, when the page would be over 20 MB, or when it cannot be written.
    """
    checked(path)
    if len(runs) > len(COLOURS):
        raise InputError(f"A report takes up to {len(COLOURS)} runs; {len(runs)} were given.")
    return write(page(runs, names), path)


def checked(path: Path) -> None:
    """Raise InputError for a suffix other than .html."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f'{path}: a report cannot be written as "{path.suffix}". Allowed: .html, .htm.')


def write(text: str, path: Path) -> Path:
    """Write a page. Raises InputError if it is over 20 MB or cannot be written."""
    if len(text.encode()) > LIMIT:
        raise InputError(
            f"{path} would have {len(text.encode()) / 1e6:.0f} MB, over {LIMIT / 1e6:.0f}. Choose fewer"
            " fields with --field."
        )
    with writing(path):
        path.write_text(text, encoding="utf-8")
    return path


def page(runs: Sequence[Run], names: Sequence[str] = ()) -> str:
    """The HTML text of the page."""
    named = titles(runs)
    with matplotlib.rc_context(style.RC):
        data = _data(runs, names)
        drawn = [_overview(run) for run in runs]
    fields = list(dict.fromkeys(name for run in data["runs"] for name in run["frames"]))
    labels = {name: run[name].label for run in runs for name in run}
    maps = [f'<img id="map-{k}" alt="">' for k in range(len(runs))]
    options = "".join(f'<option value="{_safe(name)}">{_safe(labels[name])}</option>' for name in fields)
    keys = (f'<span class="key" style="background:{colour}"></span>' for colour in COLOURS)
    heads = [f"<h3>{key}{_safe(title)}</h3>" for key, title in zip(keys, named, strict=False)]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<title>{_safe(', '.join(named))}</title><style>{_asset('report.css')}</style></head>",
        f'<body style="--runs:{len(runs)}"><h1>{_safe(" · ".join(named))}</h1>',
        _section("What was run", heads, map(_told, runs)),
        _section("Warnings", heads, map(_warnings, runs)),
        "<h2>Fields over time</h2>",
        f'<div class="controls"><select id="field">{options}</select><button id="play">play</button>',
        '<input type="range" id="day" min="0" step="1"><output id="shown"></output></div>',
        _columns(heads, maps),
        '<h2>Measured over time</h2><p>Point at a chart to read its values.</p><div id="charts"></div>',
        _section("Overview", heads, drawn),
        _section("Solver", heads, map(_solver, runs)),
        _section("Budgets", heads, map(_budgets, runs)),
        _section("Parameters", heads, map(_parameters, runs)),
        _section(
            "Configuration",
            heads,
            (_folded("as resolved", f"<pre>{_safe(json.dumps(run.config, indent=1))}</pre>") for run in runs),
        ),
        f'<script type="application/json" id="data">{_json(data)}</script>',
        f"<script>{_asset('report.js')}</script></body></html>\n",
    ]
    return "\n".join(parts)


def _data(runs: Sequence[Run], names: Sequence[str]) -> dict[str, Any]:
    """The data that the script draws: frames per field, their times, and the observables of all runs."""
    for name in names:
        if not any(name in run for run in runs):
            raise InputError(
                f"--field {name}: none of these runs saved it. Saved:"
                f" {', '.join(dict.fromkeys(n for r in runs for n in r))}."
            )
    fields = [
        [n for n in names or overview.telling(run) if n in run] if len(run.times) else [] for run in runs
    ]
    room = max(MOST_FRAMES // max(sum(map(len, fields)), 1), 2)
    views = [_view(run, room) if shown else None for run, shown in zip(runs, fields, strict=True)]
    looks = {}
    # one scale for all runs, so that they can be compared
    for name in dict.fromkeys(chain.from_iterable(fields)):
        of = [
            (run, view)
            for run, view, shown in zip(runs, views, fields, strict=True)
            if view and name in shown
        ]
        parts = (planes(run, name, indices, slices_through(run, point)) for run, (indices, point) in of)
        looks[name] = look_of(of[0][0], name, chain.from_iterable(parts))
    found = []
    for run, shown, view, colour in zip(runs, fields, views, COLOURS, strict=False):
        indices, point = view or ([], ())
        images = {
            name: [_png(p) for p in pictures(frames(run, [name], indices, point, looks), MAP_DPI)]
            for name in shown
        }
        found.append(
            {"colour": colour, "days": [round(float(run.times[k]), 6) for k in indices], "frames": images}
        )
    ends = [run.series["time"][[0, -1]] for run in runs if len(run.series["time"])]
    span = [float(min((a for a, _ in ends), default=0)), float(max((b for _, b in ends), default=1))]
    return {
        "runs": found,
        "span": span,
        "observables": [o for name in _observed(runs) if (o := _observable(runs, name))],
    }


def _view(run: Run, room: int) -> tuple[list[int], tuple[int, ...]]:
    """The saved times on the slider, and the cell through which a block is cut."""
    indices = np.unique(np.linspace(0, len(run.times) - 1, min(room, len(run.times))).round().astype(int))
    return [int(k) for k in indices], overview.most_active(run, overview.default_times(run))


def _observed(runs: Sequence[Run]) -> list[str]:
    there = list(dict.fromkeys(name for run in runs for name in run.series if name != "time"))
    return [n for n in OBSERVABLES if n in there] + [n for n in there if n not in OBSERVABLES]


def _observable(runs: Sequence[Run], name: str) -> dict[str, Any] | None:
    """The lines of an observable, the range of its axis, and True if the axis is logarithmic; None without
    values.
    """
    lines, spans = [], []
    for k, run in enumerate(runs):
        if name not in run.series or not len(run.series["time"]):
            continue
        time, values = run.series["time"], run.series[name]
        kept = np.unique(np.linspace(0, len(time) - 1, min(MOST_POINTS, len(time))).round().astype(int))
        known = values[np.isfinite(values)]
        if len(known):
            spans.append((float(known.min()), float(known.max())))
        points = [float(f"{v:.5g}") if np.isfinite(v) else None for v in values[kept]]
        lines.append({"run": k, "time": [round(float(t), 4) for t in time[kept]], "values": points})
    if not spans:
        return None
    low, high = min(a for a, _ in spans), max(b for _, b in spans)
    log = style.spans_decades(low, high)
    if not log:
        low = min(low, 0.0) if low <= 0.5 * high else low
        margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        low, high = (low if low == 0 else low - margin), high + margin
    run = next(run for run in runs if name in run.series)
    unit = run.series.unit(name)
    return {
        "label": style.with_unit(run.series.label(name), "" if unit == "1" else unit),
        "range": [low, high],
        "log": log,
        "lines": lines,
    }


def _overview(run: Run) -> str:
    try:
        figure = overview.compose(run)
    except InputError as e:  # neither a saved time nor a step
        return f"<p>{_safe(str(e))}</p>"
    out = BytesIO()
    figure.savefig(out, format="png", dpi=OVERVIEW_DPI)
    return f'<img alt="overview" src="data:image/png;base64,{b64encode(out.getvalue()).decode()}">'


def _told(run: Run) -> str:
    text = describe(run)
    short = [
        line for line in text.splitlines() if line.startswith(("title", "status", "section", "saved", "seed"))
    ]
    width = len(text.splitlines()[0]) - len(run.title)
    short += (
        [f"{'dose':{width}}{course.text}, from day {course.times[0]:g}" for course in courses(run)]
        if len(run.series["time"])
        else []
    )
    folded = _folded("complete text of the file", f"<pre>{_safe(text)}</pre>")
    return f"<pre>{_safe(chr(10).join(short))}</pre>{folded}"


def _warnings(run: Run) -> str:
    """The warnings of the run, and how it ended if it did not finish."""
    said = list(map(str, run.provenance.get("warnings", ())))
    if run.status != "finished":
        said.insert(0, f"{run.status}: {run.message}" if run.message else run.status)
    return "".join(f'<p class="warning">{_safe(text)}</p>' for text in said) or "<p>none</p>"


def _solver(run: Run) -> str:
    told = {
        name: run.provenance.get(name)
        for name in ("integrator", "integrator_choice", "tolerance", "precision", "device", "wall_time")
    }
    told |= {name: value for name, value in run.summary.items() if not isinstance(value, dict)}
    return _table(
        (), ((name.replace("_", " "), _number(value)) for name, value in told.items() if value is not None)
    )


def _budgets(run: Run) -> str:
    """The gains and losses of each substance, and the mass-balance error relative to its turnover."""
    budgets: dict[str, dict[str, float]] = run.summary.get("budgets", {})
    if not budgets:
        return "<p>none kept</p>"
    columns = list(dict.fromkeys(column for terms in budgets.values() for column in terms))
    rows = [
        (name, *(_number(terms.get(column, "–")) for column in columns)) for name, terms in budgets.items()
    ]
    return _table(("", *(f"{c}, relative" if c == "imbalance" else c for c in columns)), rows)


def _parameters(run: Run) -> str:
    columns = ("name", "value", "unit", "meaning", "source", "mark")
    rows = [[_number(row.get(column, "")) for column in columns] for row in run.parameter_table]
    return (
        _folded(f"{len(rows)} parameters with their sources", _table(columns, rows))
        if rows
        else "<p>none kept</p>"
    )


def _section(title: str, heads: Sequence[str], bodies: Iterable[str]) -> str:
    return f"<h2>{title}</h2>{_columns(heads, bodies)}"


def _columns(heads: Sequence[str], bodies: Iterable[str]) -> str:
    cells = (
        f"<div>{head if len(heads) > 1 else ''}{body}</div>" for head, body in zip(heads, bodies, strict=True)
    )
    return f'<div class="runs">{"".join(cells)}</div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [("th", head)] if head else []
    lines += [("td", row) for row in rows]
    cells = ("".join(f"<{tag}>{_safe(text)}</{tag}>" for text in line) for tag, line in lines)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in cells)}</table>"


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{_safe(title)}</summary>{body}</details>"


def _number(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _png(picture: Any) -> str:
    out = BytesIO()
    picture.save(out, format="png", optimize=True)
    return b64encode(out.getvalue()).decode()


def _safe(text: str) -> str:
    return html.escape(text)


def _json(data: Any) -> str:
    """JSON for a script element, escaped so that no text in it can close the element."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return (files("rdsolver.figures") / name).read_text(encoding="utf-8")
