"""The output of `rdsolver sensitivity`: tables, rows for files, and the panels of the tornado figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from ...figures.style import in_print, with_unit
from ...figures.tornado import Bar, Panel
from ...problem import Problem
from .global_ import Scan
from .local import MAIN, Local, described

MOST = 15  # most rows of a table
BARS, PANELS = 10, 4  # most bars of a panel, and most panels of the figure
SIZES = {"morris": ("mu*", "sigma"), "sobol": ("ST", "S1")}
MEASURES = {
    "morris": "mu*: mean change over the whole range, in the unit of each",
    "sobol": "ST: share of the variance with all interactions",
}


@dataclass(frozen=True)
class Report:
    """The output of an analysis: tables for the terminal, rows for CSV, tree for JSON, notes in words, the
    parameters left out with the reasons, and the panels of the figure.
    """

    tables: list[Table]
    rows: list[dict[str, Any]]
    tree: dict[str, Any]
    notes: list[str]
    left_out: Sequence[tuple[str, str]]
    panels: list[Panel]
    measure: str
    signed: bool


def of_local(found: Local, asked: Sequence[str] | None) -> Report:
    names = _shown([o.name for o in found.observables], asked)
    rows, notes = local_rows(found), list(found.notes)
    tree = {"kind": "local", "steps": found.steps, "baseline_settled": found.settled, "notes": notes}
    tree |= {"left_out": _left_out(found.left_out), "sensitivities": rows}
    measure = "d ln (observable) / d ln (parameter)"
    return Report(
        local_tables(found, names),
        rows,
        tree,
        notes,
        found.left_out,
        local_panels(found, names),
        measure,
        True,
    )


def of_scan(found: Scan, problem: Problem, asked: Sequence[str] | None) -> Report:
    names, rows = _shown(found.observables, asked), scan_rows(found)
    failed = [{"reason": reason, "samples": n} for reason, n in found.failed]
    tree = {"kind": found.method, "section": found.section, "samples": found.samples, "failed": failed}
    tree |= {
        "blocks": found.blocks,
        "whole_blocks": found.whole,
        "left_out": _left_out(found.left_out),
        "sensitivities": rows,
    }
    tables, panels = scan_tables(found, problem, names), scan_panels(found, problem, names)
    return Report(tables, rows, tree, failures(found), found.left_out, panels, MEASURES[found.method], False)


def _shown(names: Sequence[str], asked: Sequence[str] | None) -> list[str]:
    """The observables that are printed: those asked for, or the main ones."""
    return [n for n in names if asked is not None] or [n for n in MAIN if n in names]


def _left_out(found: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "why": why} for name, why in found]


def local_tables(found: Local, names: Sequence[str]) -> list[Table]:
    """One table for each observable: its largest logarithmic derivatives."""
    values = {o.name: o for o in found.observables}
    tables = []
    for name in names:
        o = values[name]
        table = _table(
            f"{name} = {_number(o.value, o.unit)} ({o.label})",
            ("parameter", "value", "mark", "d ln O/d ln p", "dO/dp", "meaning"),
        )
        for d in found.of(name)[:MOST]:
            logarithmic = "" if d.logarithmic is None else f"{d.logarithmic:+.3g}"
            table.add_row(
                d.parameter.name,
                _number(d.at, d.parameter.unit),
                d.parameter.mark,
                logarithmic,
                f"{d.value:+.3g}",
                d.parameter.meaning,
            )
        tables.append(table)
    return tables


def scan_tables(found: Scan, problem: Problem, names: Sequence[str]) -> list[Table]:
    """One table for each observable: the parameters with the largest effects."""
    spans = {
        r.parameter.name: f"{r.low:.3g} to {r.high:.3g}{', log' if r.logarithmic else ''}"
        for r in found.ranges
    }
    tables = []
    for name in names:
        label, unit = described(problem, name)
        columns = (
            "parameter",
            "range",
            "mark",
            SIZES[found.method][0],
            "+-",
            SIZES[found.method][1],
            "meaning",
        )
        table = _table(f"{name} ({label}{'' if unit == '1' else ', ' + unit})", columns)
        for e in found.of(name)[:MOST]:
            p = e.parameter
            table.add_row(
                p.name,
                spans[p.name],
                p.mark,
                f"{e.size:.3g}",
                f"{e.confidence:.2g}",
                f"{e.spread:.3g}",
                p.meaning,
            )
        tables.append(table)
    return tables


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(
        *columns, title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False
    )
    for column in table.columns[3:-1]:
        column.justify = "right"
    return table


def _number(value: float, unit: str) -> str:
    return f"{value:.4g}{'' if unit == '1' else ' ' + unit}"


def local_rows(found: Local) -> list[dict[str, Any]]:
    """All derivatives, one object for each pair of observable and parameter."""
    return [
        {
            "observable": d.observable.name,
            "value": d.observable.value,
            "unit": d.observable.unit,
            "parameter": d.parameter.name,
            "at": d.at,
            "parameter_unit": d.parameter.unit,
            "meaning": d.parameter.meaning,
            "mark": d.parameter.mark,
            "logarithmic": d.logarithmic,
            "derivative": d.value,
        }
        for d in found.derivatives
    ]


def scan_rows(found: Scan) -> list[dict[str, Any]]:
    """All effects, one object for each pair of observable and parameter."""
    size, spread = ("mu_star", "sigma") if found.method == "morris" else ("ST", "S1")
    spans = {r.parameter.name: r for r in found.ranges}
    return [
        {
            "observable": e.observable,
            "parameter": e.parameter.name,
            "low": spans[e.parameter.name].low,
            "high": spans[e.parameter.name].high,
            "logarithmic_range": spans[e.parameter.name].logarithmic,
            "meaning": e.parameter.meaning,
            "mark": e.parameter.mark,
            size: e.size,
            "confidence": e.confidence,
            spread: e.spread,
        }
        for e in found.effects
    ]


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def local_panels(found: Local, names: Sequence[str]) -> list[Panel]:
    values, panels = {o.name: o for o in found.observables}, []
    for name in names[:PANELS]:
        largest = [d for d in found.of(name) if d.logarithmic][:BARS]
        bars = tuple(
            Bar(d.parameter.name, d.parameter.meaning, d.parameter.mark, d.logarithmic or 0.0)
            for d in largest
        )
        factor, unit = in_print(values[name].unit, values[name].value)
        panels.append(
            Panel(f"{values[name].label}: {_number(values[name].value * factor, unit or '1')}", bars)
        )
    return panels


def scan_panels(found: Scan, problem: Problem, names: Sequence[str]) -> list[Panel]:
    panels = []
    for name in names[:PANELS]:
        label, unit = described(problem, name)
        bars = tuple(
            Bar(e.parameter.name, e.parameter.meaning, e.parameter.mark, e.size, e.confidence)
            for e in found.of(name)[:BARS]
        )
        panels.append(
            Panel(label if found.method == "sobol" else with_unit(label, in_print(unit, 1.0)[1]), bars)
        )
    return panels


def failures(found: Scan) -> list[str]:
    """The results of the samples, in words."""
    lines = [f"{found.samples} samples on {found.section}"]
    if found.failed:
        lines.append(
            f"{sum(n for _, n in found.failed)} failed:"
            f" {'; '.join(f'{n} x {reason}' for reason, n in found.failed)}"
        )
        block = "trajectories" if found.method == "morris" else "base samples"
        lines.append(
            f"{found.whole} of {found.blocks} {block} are whole and alone are used; the failures lie where"
            " the others do not reach"
        )
    return lines
