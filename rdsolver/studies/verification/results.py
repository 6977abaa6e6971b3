"""The results of a study: rows of a table, and curves for the figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np


@dataclass(frozen=True)
class Row:
    """One expectation and its result.

    expected  in words, e.g. ">= 1.9"; "report": no bound is claimed
    passed    None if it was not run, because an optional package is missing
    """

    study: str
    expected: str
    observed: float
    passed: bool | None

    def as_json(self) -> dict[str, str | float | bool | None]:
        return {
            "study": self.study,
            "expected": self.expected,
            "observed": self.observed if isfinite(self.observed) else None,
            "pass": self.passed,
        }


@dataclass(frozen=True)
class Curve:
    """One line of a panel. style: "points" (measured, joined), "line" (theory)."""

    panel: str
    label: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    style: str = "points"


Study = Callable[[bool], Iterator[Row | Curve]]  # the argument is `quick`


def at_least(study: str, bound: float, observed: float) -> Row:
    return Row(study, f">= {bound:.3g}", float(observed), bool(observed >= bound))


def at_most(study: str, bound: float, observed: float) -> Row:
    return Row(study, f"<= {bound:.3g}", float(observed), bool(observed <= bound))


def report(study: str, observed: float, about: str = "") -> Row:
    """A reported figure without a bound; it fails only if it is no finite number."""
    return Row(study, f"report{about and f' ({about})'}", float(observed), isfinite(observed))


def not_run(study: str, why: str) -> Row:
    return Row(f"{study}: {why}", "not run", float("nan"), None)


def order(steps: Sequence[float], errors: Sequence[float]) -> float:
    """The slope of log error against log step, by least squares."""
    return float(np.polyfit(np.log(steps), np.log(np.maximum(errors, 1e-300)), 1)[0])


def worst(values: Iterable[float]) -> float:
    """The largest value; NaN if there is one, which Python's max would ignore."""
    return float(np.max(list(values)))


def lowest(values: Iterable[float]) -> float:
    """The smallest value; NaN if there is one."""
    return float(np.min(list(values)))


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))
