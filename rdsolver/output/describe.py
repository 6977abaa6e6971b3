"""Tell in words what a run file holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..domain.untrusted import reading
from ..errors import printable
from .reader import Run, open_run


def describe(run: Run) -> str:
    """What was run, on what, how it went and what came out: the text of `rdsolver info`."""
    with reading(run.path):
        return printable(_told(run))


def _told(run: Run) -> str:
    rows = [
        ("title", run.title),
        ("status", f"{run.status}: {run.message}" if run.message else run.status),
        *(("warning", text) for text in run.provenance.get("warnings", ())),
        ("section", _section(run)),
        ("saved", f"{len(run.times)} times, {_span(run.times)} d"),
        *_tree("", {name: value for name, value in run.provenance.items() if name != "warnings"}),
        ("parameters", f"{len(run.parameters)}, with units and sources in run.parameter_table"),
        *(("field", f"{name} ({run[name].unit}): {run[name].label}") for name in run),
        *_series(run),
        *_tree("", run.summary),
    ]
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:{width}}{value}" for name, value in rows)


def follow(path: Path, pause: float = 2.0) -> Iterator[str]:
    """A line whenever a run that is being written has come further, until it ends."""
    seen = -1
    while True:
        with open_run(path, live=True) as run, reading(path):
            series, status = run.series, run.status
            steps = len(series["time"])
            if steps != seen:
                end = run.config.get("time", {}).get("end")
                told = [f"{n} {series[n][-1]:.4g}" for n in list(series)[1:4] if steps]
                reached = f"{series['time'][-1]:.4g}{f' of {end:g}' if end else ''} d, " if steps else ""
                yield printable(f"{reached}{steps} steps, {len(run.times)} times saved; {', '.join(told)}")
            if status != "running":
                yield printable(f"{status}: {run.message}" if run.message else status)
                return
        seen = steps
        time.sleep(pause)


def _section(run: Run) -> str:
    view = f", field of view {run.active.mean():.0%}" if not run.active.all() else ""
    thick = f", {run.thickness:g} um thick" if run.thickness is not None else ""
    return f"{' x '.join(map(str, run.shape))} cells of {' x '.join(f'{h:g}' for h in run.spacing)} um{thick}{view}"


def _span(times: Any) -> str:
    return f"{times[0]:g} to {times[-1]:g}" if len(times) else "none"


def _series(run: Run) -> Iterator[tuple[str, str]]:
    """First and last value of each observable."""
    time = run.series["time"]
    yield "series", f"{len(time)} accepted steps, {_span(time)} d"
    for name, values in run.series.items():
        if name != "time" and len(values):
            unit = run.series.unit(name)
            yield "", f"{name}: {values[0]:.4g} -> {values[-1]:.4g}{'' if unit == '1' else ' ' + unit}"


def _tree(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """One row a value; what is inside a dictionary carries its name in front."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _tree(f"{prefix}{name}.", value)
        elif isinstance(value, str) and "\n" in value:
            yield f"{prefix}{name}".replace("_", " "), f"{len(value.splitlines())} lines, kept in run.provenance"
        else:
            yield f"{prefix}{name}".replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value)
