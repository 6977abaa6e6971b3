"""A dose in words, the same wherever doses are told: "3 mg/kg iv over 30 min"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNITS = (("d", 1.0), ("h", 24.0), ("min", 1440.0))


def dose_words(dose: Mapping[str, Any]) -> str:
    """The amount, the route, how long it lasts and whether the drug is in steady state.

    dose: the attributes of a dose, as a run file has them; files of earlier versions have fewer.
    """
    text = f"{dose['amount']:g} mg/kg {dose['route']}"
    if lasts := dose.get("duration", 0.0):
        text += f" over {period(lasts)}"
    if interval := dose.get("steady_interval", 0.0):
        text += f" in steady state of one every {period(interval)}"
    return text


def period(days: float) -> str:
    """Days in the largest unit of which they are at least one, e.g. "30 min"."""
    unit, each = next(((u, n) for u, n in UNITS if days * n >= 1 - 1e-9), UNITS[-1])
    return f"{days * each:g} {unit}"
