"""The inputs of a global analysis: uncertain parameters, their ranges, a coarse section, samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np

from ...errors import InputError
from ...geometry.section import Section
from ...models.base import Parameter
from ...problem import Problem
from .local import NOT_DIFFERENTIATED, chosen

ACROSS = 32  # number of cells along the longest axis of the section that is run
ABOVE = 1.1  # least kon over rankl_loss/K_eff, so that koff > 0


@dataclass(frozen=True)
class Range:
    """The range over which a parameter is sampled: uniform between low and high, or uniform in the
    logarithm.
    """

    parameter: Parameter
    low: float
    high: float
    logarithmic: bool

    def at(self, share: float, low: float | None = None) -> float:
        """The value at a share of the range, in [0, 1]; low: a lower bound instead of its own."""
        least = self.low if low is None else low
        if self.logarithmic:
            found = exp(log(least) + share * (log(self.high) - log(least)))
            return min(max(found, least), self.high)  # round-off must not leave the range
        return least + share * (self.high - least)


def ranges(problem: Problem, asked: Sequence[str] | None) -> tuple[list[Range], list[tuple[str, str]]]:
    """The ranges that are sampled, and the parameters that are left out with the reasons.

    Default: all parameters that are assumed or general knowledge (marks A, U). Raises InputError for a name
    that is not known or cannot be sampled.
    """
    rows = {row.name: row for row in problem.rows}
    names, left_out = chosen("--parameters", asked, list(rows)), []
    for name in names:
        row, why = rows[name], None
        if name in NOT_DIFFERENTIATED:
            why = NOT_DIFFERENTIATED[name]
        elif asked is None:
            why = _certain(row, problem.parameters[name])
        if why and asked is not None:
            raise InputError(f"--parameters {name} cannot be sampled: it {why}.")
        if why and (name in NOT_DIFFERENTIATED or set(row.mark) & {"A", "U"}):
            left_out.append((name, why))
        names = [n for n in names if n != name] if why else names
    return [_range(rows[n], problem.parameters[n]) for n in names], left_out


def _certain(row: Parameter, value: float) -> str | None:
    """The reason why a parameter is not among the uncertain ones; None if it is."""
    if not set(row.mark) & {"A", "U"}:
        return "is sourced"
    if row.source.startswith("definition"):
        return "is a definition"
    return "is 0 in this run: what it stands for is switched off" if value == 0 else None


def _range(row: Parameter, value: float) -> Range:
    """The plausible range of a parameter, extended to the run's own value; logarithmic if it spans more than
    a factor 10.

    A range that begins at 0 and reaches ten times the value or more is extended as far down from the value as
    up.
    """
    low, high = min(row.low, value), max(row.high, value)
    if low == 0 and 0 < 10 * value <= high:
        low = value**2 / high
    return Range(row, low, high, low > 0 and high > 10 * low)


def coarse(section: Section) -> int:
    """The number of cells along each axis that are merged, so that about ACROSS lie along the longest
    axis.
    """
    return max(1, round(max(section.grid.shape) / ACROSS))


def parameters_at(problem: Problem, found: Sequence[Range], x: np.ndarray) -> dict[str, float]:
    """A value for every parameter at a point of the unit cube.

    A sampled kon stays above the value that keeps its koff positive.
    """
    values = dict(problem.parameters)
    for r, share in sorted(
        zip(found, x, strict=True), key=lambda pair: pair[0].parameter.name.endswith("_kon")
    ):
        name, low = r.parameter.name, r.low
        if name.endswith("_kon"):
            low = min(
                max(low, ABOVE * values["rankl_loss"] / values[f"{name.removesuffix('_kon')}_K_eff"]), r.high
            )
        values[name] = r.at(float(share), low)
    return values | typical(values)


def typical(p: Mapping[str, float]) -> dict[str, float]:
    """The scales that follow from other parameters: they start the baseline search, and tolerances are
    relative to them.

    They are the steady state of a well-mixed surface, w = 1: L = S_L/(d_L (1 + O/K)), O = S_O/(d_O + d_L
    L/K), P = s_P/(d_P + p0), C = p0 P/d_C; this gives the default scales if all other parameters have their
    defaults. From scales that are wrong by a factor 100, Newton's step overshoots.
    """
    supply, bound = p["opg_production"], p["opg_K_eff"]
    rankl = opg = 0.0
    for _ in range(100):  # the iteration alternates around the solution, and its mean converges
        opg = supply / max(p["opg_loss"] + p["rankl_loss"] * rankl / bound, 1e-9)
        rankl = (rankl + p["rankl_production"] / p["rankl_loss"] / (1 + opg / bound)) / 2
    precursors = p["precursor_supply"] / (p["precursor_loss"] + p["differentiation"])
    found = rankl, opg, precursors, p["differentiation"] * precursors / p["osteoclast_death"]
    names = "rankl_scale", "opg_scale", "precursor_scale", "osteoclast_scale"
    return {name: max(value, 1e-12) for name, value in zip(names, found, strict=True)}
