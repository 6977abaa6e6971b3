"""The contents of a run file, in words and as plain values."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import printable
from ..utils.dose_words import dose_words
from ..utils.reporting import byte_size
from ..utils.safe_files import reading
from .reader import Run, open_run

TOLD = ("warnings", "agents", "doses", "width", "seconds", "peak_memory", "resumed")
"""The entries of the provenance that have rows of their own."""
MOST_TIMES = 6  # times of a dose that are shown


def describe(run: Run) -> str:
    """The text of `rdsolver info`: the run, its section, its course and its results."""
    with reading(run.path):
        return printable(_told(summary(run)))


def summary(run: Run) -> dict[str, Any]:
    """Everything that `describe` shows, and the tables that it counts, as plain values that JSON can hold.

    A number that is not finite becomes None.
    """
    with reading(run.path):
        series = run.series
        time = series["time"]
        found = {
            "file": str(run.path),
            "title": run.title,
            "status": run.status,
            "message": run.message,
            "section": {
                "axes": list(run.axes),
                "cells": list(run.shape),
                "spacing_um": list(run.spacing),
                "origin_um": list(run.origin),
                "thickness_um": run.thickness,
                "field_of_view": float(run.active.mean()),
            },
            "saved": run.times.tolist(),
            "provenance": run.provenance,
            "parameters": run.parameter_table,
            "clipped": {
                name: {
                    "cells": int(cells.sum()),
                    "times": int(np.count_nonzero(cells)),
                    "lowest": float(lowest.min()),
                }
                for name, (cells, lowest) in run.clipped.items()
                if cells.any()
            },
            "fields": {name: {"unit": run[name].unit, "label": run[name].label} for name in run},
            "series": {
                "steps": len(time),
                "span": [float(time[0]), float(time[-1])] if len(time) else [],
                "observables": {
                    name: (
                        {"unit": series.unit(name), "label": series.label(name)}
                        | ({"first": float(values[0]), "last": float(values[-1])} if len(values) else {})
                    )
                    for name, values in series.items()
                    if name != "time"
                },
            },
            "at_saved": {
                name: {"unit": run.at_saved.unit(name), "label": run.at_saved.label(name)}
                | ({"first": float(values[0]), "last": float(values[-1])} if len(values) else {})
                for name, values in run.at_saved.items()
                if name != "time"
            },
            "summary": run.summary,
        }
        return plain(found)


def plain(value: Any) -> Any:
    """A value as JSON can hold it: NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _told(found: dict[str, Any]) -> str:
    provenance = found["provenance"]
    rows = [
        ("title", found["title"]),
        ("status", f"{found['status']}: {found['message']}" if found["message"] else found["status"]),
        *(("warning", text) for text in provenance.get("warnings", ())),
        ("section", _section(found["section"])),
        ("saved", f"{len(found['saved'])} times, {_span(found['saved'])}"),
        *_tree("", {name: value for name, value in provenance.items() if name not in TOLD}),
        *_drugs(provenance),
        *_cost(provenance),
        ("parameters", f"{len(found['parameters'])}, with units and sources in run.parameter_table"),
        *(
            ("field", f"{name} ({about['unit']}): {about['label']}")
            for name, about in found["fields"].items()
        ),
        *(
            ("clipped", _clipped(name, found["fields"][name]["unit"], about))
            for name, about in found["clipped"].items()
        ),
        *_series(found["series"]),
        *_observables("at saved times", found["at_saved"]),
        *_tree("", found["summary"]),
    ]
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:{width}}{value}" for name, value in rows)


def follow(path: Path, pause: float = 2.0) -> Iterator[str]:
    """Yield a line whenever a run that is being written has advanced, until it ends."""
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


def _drugs(provenance: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The drugs of the run and their doses, with doses of the same amount in one row."""
    labels = {}
    for agent in provenance.get("agents", ()):
        name, like, label = agent["name"], agent["like"], agent["label"]
        labels[name] = label
        yield "drug", label if name == like else f"{label} ({name}, like {like})"
    times: dict[tuple[str, str], list[float]] = {}
    for dose in provenance.get("doses", ()):
        times.setdefault((dose["agent"], dose_words(dose)), []).append(dose["time"])
    for (agent, words), days in times.items():
        more = " ..." if len(days) > MOST_TIMES else ""
        at = ", ".join(f"{t:g}" for t in days[:MOST_TIMES])
        yield "dose", f"{labels.get(agent, agent)} {words} at {at}{more} d"


def _cost(provenance: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The cost of the run, the batch that it was in, and its sessions after the first."""
    if width := provenance.get("width"):
        yield "batch", f"{width} wide"
    if seconds := provenance.get("seconds"):
        yield "seconds", ", ".join(f"{what} {spent:.3g}" for what, spent in seconds.items())
    if memory := provenance.get("peak_memory"):
        yield "peak memory", ", ".join(f"{where} {byte_size(most)}" for where, most in memory.items())
    for session in provenance.get("resumed", ()):
        yield (
            "resumed",
            (
                f"at {session['time']:g} d, {session['started']}, on {session['device']}, commit"
                f" {session['git_commit']}"
            ),
        )


def _section(about: dict[str, Any]) -> str:
    share, thickness = about["field_of_view"], about["thickness_um"]
    view = f", field of view {share:.0%}" if share < 1 else ""
    thick = f", {thickness:g} um thick" if thickness is not None else ""
    return (
        f"{' x '.join(map(str, about['cells']))} cells of {' x '.join(f'{h:g}' for h in about['spacing_um'])}"
        f" um{thick}{view}"
    )


def _span(times: Sequence[float]) -> str:
    return f"{times[0]:g} to {times[-1]:g} d" if times else "none"


def _clipped(name: str, unit: str, about: dict[str, Any]) -> str:
    times = f"{about['times']} time{'' if about['times'] == 1 else 's'}"
    lowest = f"{about['lowest']:.3g}{'' if unit == '1' else ' ' + unit}"
    return f"{about['cells']:,} values of {name} at {times}, the lowest {lowest}, are saved as 0"


def _series(about: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The first and the last value of each observable."""
    yield "series", f"{about['steps']} accepted steps, {_span(about['span'])}"
    yield from _observables("", about["observables"])


def _observables(topic: str, about: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, seen in about.items():
        if "first" in seen:
            first, last = (math.nan if seen[end] is None else seen[end] for end in ("first", "last"))
            unit = "" if seen["unit"] == "1" else f" {seen['unit']}"
            yield topic, f"{name}: {first:.4g} -> {last:.4g}{unit}"


def _tree(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """One row per value; the names of nested dictionaries come before their keys."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _tree(f"{prefix}{name}.", value)
        elif isinstance(value, str) and "\n" in value:
            yield (
                f"{prefix}{name}".replace("_", " "),
                f"{len(value.splitlines())} lines, kept in run.provenance",
            )
        elif value not in ("", [], None):
            yield f"{prefix}{name}".replace("_", " "), _value(value)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
