"""Plasma pharmacokinetics of the drugs: depot, plasma and up to two peripheral compartments (per kg of body weight)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Dose:
    """One dose: `amount` mg/kg of `agent` at `time` (d), under the skin ("sc") or into the vein ("iv")."""

    agent: str
    amount: float
    route: Literal["sc", "iv"]
    time: float
