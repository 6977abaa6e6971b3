"""Parameters that change in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError
from ..utils import checks


@dataclass(frozen=True)
class Change:
    """A parameter multiplied by `factor` from `start` (d) until `end` (d; inf: for good).

    It acts in the run alone, never on the healthy baseline.
    """

    parameter: str
    factor: float
    start: float
    end: float = float("inf")

    def __post_init__(self) -> None:
        where = f"change of {checks.text('change: parameter', self.parameter)}:"
        checks.settle(
            self,
            factor=checks.number(f"{where} factor", self.factor, least=0),
            start=checks.number(f"{where} start", self.start, "d", least=0),
            end=checks.number(f"{where} end", self.end, "d", endless=True),
        )
        if self.end < self.start:
            raise InputError(
                f"{where} end = {self.end:g} d is before start = {self.start:g} d. Give a later one, or leave"
                " it out."
            )


def factors(changes: tuple[Change, ...], t: float) -> dict[str, float]:
    """The factors of the parameters that are changed right after time t."""
    found: dict[str, float] = {}
    for c in changes:
        if c.start <= t < c.end:
            found[c.parameter] = found.get(c.parameter, 1.0) * c.factor
    return found


def in_force(values: Mapping[str, float], changes: tuple[Change, ...], t: float) -> dict[str, float]:
    """The parameters right after time t."""
    return {**values, **{k: values[k] * f for k, f in factors(changes, t).items()}}
