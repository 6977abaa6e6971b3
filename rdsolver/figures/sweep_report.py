"""The report of a sweep: the keys that varied, the runs, figures, failures, and the shared parameters."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np

from ..errors import InputError
from ..sweep.reader import FINISHED, RUN_COLUMNS, Sweep
from ..utils.home import homely
from . import style
from .factors import factors, level_text, observables
from .report import POLICY, _asset, _folded, _number, _parameters, _safe, _section, _table, checked, write
from .sweep import compose, shown_kinds

MOST_ROWS, MOST_LEVELS = 1000, 12  # most rows of a table, and most levels in a line
DPI = 130


@homely
def report(sweep: Sweep, path: Path, names: Sequence[str] = ()) -> Path:
    """Write the page. names: observables of the figures and the table (default: the usual ones).

    Raises InputError for another suffix than .html, an observable that no run has, or when the page cannot be
    written.
    """
    checked(path)
    return write(page(sweep, names), path)


def page(sweep: Sweep, names: Sequence[str] = ()) -> str:
    """The HTML text of the page."""
    title = _safe(sweep.title or sweep.folder.absolute().name)
    told = ", ".join(f"{n} {status}" for status, n in sweep.counts.items())
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<title>{title}</title><style>{_asset('report.css')}</style></head>",
        f'<body style="--runs:1"><h1>{title}</h1><p>{len(sweep)} runs: {_safe(told)}</p>',
        "<h2>What varied</h2>",
        _table(("", "levels", "values"), _varied(sweep)),
        *(
            _section(kind.replace("-", " ").capitalize(), [""], [image])
            for kind, image in _figures(sweep, names)
        ),
        _section("Runs", [""], [_runs(sweep, names)]),
        _section("Not finished", [""], [_failed(sweep)]),
        _section("Parameters", [""], [_shared(sweep)]),
        "<h2>Configuration</h2>",
        _folded(
            "the base that all runs share",
            f"<pre>{_safe(json.dumps(sweep.design['base'], indent=1, ensure_ascii=False))}</pre>",
        ),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _varied(sweep: Sweep) -> Iterator[tuple[str, str, str]]:
    for factor in factors(sweep):
        levels = factor.levels
        if len(levels) <= MOST_LEVELS:
            yield (
                factor.label,
                str(len(levels)),
                ", ".join(level_text(sweep, factor, level) for level in levels),
            )
        else:
            ends = (
                f"{_number(float(levels[0]))} to {_number(float(levels[-1]))}"
                if factor.is_number
                else f"{levels[0]}, {levels[1]}, ..."
            )
            yield factor.label, str(len(levels)), f"{ends} {factor.unit}".rstrip()
    if "replicate" in sweep.columns:
        yield "replicate", str(sweep.columns["replicate"].max()), "with seeds of their own"


def _figures(sweep: Sweep, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    if not sweep.finished.any():
        return
    for kind in shown_kinds(sweep):
        out = BytesIO()
        with matplotlib.rc_context(style.RC):
            compose(sweep, kind, names).savefig(out, format="png", dpi=DPI)
        yield kind, f'<img alt="{kind}" src="data:image/png;base64,{b64encode(out.getvalue()).decode()}">'


def _runs(sweep: Sweep, names: Sequence[str]) -> str:
    shown = [
        f"{name}.{statistic}" for name in observables(sweep, names) for statistic in ("end", "min", "max")
    ]
    columns = ["name", *sweep.design["columns"], "status", "wall_time", "steps", *shown]
    heads = [style.with_unit(c, _unit(sweep, c)) for c in columns]
    rows = [[_cell(sweep.columns[c][i]) for c in columns] for i in range(min(len(sweep), MOST_ROWS))]
    more = (
        f"<p>The first {MOST_ROWS:,} of {len(sweep):,}; summary.csv holds all.</p>"
        if len(sweep) > MOST_ROWS
        else ""
    )
    return _folded(f"{len(rows)} runs, as in summary.csv", more + _table(heads, rows))


def _unit(sweep: Sweep, column: str) -> str:
    unit = (
        "s"
        if column == "wall_time"
        else sweep.units.get(column) or sweep.units.get(column.rpartition(".")[0], "1")
    )
    return style.in_print(unit, 0)[1]


def _cell(value: object) -> str:
    return "" if isinstance(value, float) and np.isnan(value) else _number(value)


def _failed(sweep: Sweep) -> str:
    bad = np.flatnonzero(sweep.columns["status"] != FINISHED)[:MOST_ROWS]
    if not len(bad):
        return "<p>none</p>"
    columns = ("name", *sweep.varied, *RUN_COLUMNS[:2])
    return _table(columns, ([_cell(sweep.columns[c][i]) for c in columns] for i in bad))


def _shared(sweep: Sweep) -> str:
    """The parameters of the first finished run; those that vary are in the table of runs."""
    if not sweep.finished.any():
        return "<p>no run has finished</p>"
    name = sweep.names[int(np.argmax(sweep.finished))]
    try:
        with sweep[name] as run:
            return (
                f"<p>As in run {_safe(name)}; what varies stands in the table of runs.</p>{_parameters(run)}"
            )
    except InputError as error:
        return f"<p>{_safe(str(error))}</p>"
