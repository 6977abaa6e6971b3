"""The pharmacokinetics of a drug in plasma, as numbers and rates.

There is no NumPy in this module, so that presets are read without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Pharmacokinetics:
    """The pharmacokinetics of a drug, per kg of body weight.

    By default there is no peripheral volume, no saturable elimination and no target.

    molar_mass              kDa
    bioavailability         share of a dose under the skin that reaches plasma
    absorption              rate of absorption from the depot under the skin, 1/d
    central_volume          volume of plasma, mL/kg
    clearance               linear clearance, mL/(kg d)
    peripheral_volume_1     mL/kg; peripheral_clearance_1: exchange with it, mL/(kg d); the same for a second
    saturable_elimination   largest rate of it, ng/(kg d); saturable_constant: plasma level of half that rate,
                            ng/mL
    target                  target that binds the drug in plasma, in plasma without drug, nM
    target_constant         free drug at which half of the target is bound, Kss, nM
    target_loss             loss of free target, 1/d; complex_loss: loss of drug with its target, 1/d
    """

    molar_mass: float
    bioavailability: float
    absorption: float
    central_volume: float
    clearance: float
    peripheral_volume_1: float = 0.0
    peripheral_clearance_1: float = 0.0
    peripheral_volume_2: float = 0.0
    peripheral_clearance_2: float = 0.0
    saturable_elimination: float = 0.0
    saturable_constant: float = 1.0
    target: float = 0.0
    target_constant: float = 1.0
    target_loss: float = 1.0
    complex_loss: float = 1.0

    @classmethod
    def of(cls, agent: str, values: Mapping[str, float]) -> Pharmacokinetics:
        """The pharmacokinetics of a drug, taken from the parameters of a run."""
        return cls(**{f.name: float(values[f"{agent}_{f.name}"]) for f in fields(cls)})

    def free(self, y: Sequence[float] | np.ndarray) -> float:
        """The free drug in plasma, ng/mL: all of it less what the target binds,

            c = [b + sqrt(b² + 4 Kss C)]/2,  b = C - R - Kss        in nM, C all drug and R all target

        in quasi-steady state (Gibiansky 2008, 10.1007/s10928-008-9102-8).
        """
        whole = y[1] / self.central_volume
        if self.target == 0 or whole <= 0:
            return whole
        k, c = self.target_constant, whole / self.molar_mass
        excess = self.target + y[4] + k - c
        root = sqrt(excess**2 + 4 * k * c)
        # whichever form does not cancel
        free = 2 * k * c / (root + excess) if excess > 0 else (root - excess) / 2
        return free * self.molar_mass

    def slope(self, y: Sequence[float] | np.ndarray, infused: Sequence[float] = (0.0, 0.0)) -> float:
        """The slope of the free drug in plasma, ng/(mL d)."""
        gained = self.rates(y, infused)
        whole = gained[1] / self.central_volume
        if self.target == 0:
            return whole
        k, c, there = self.target_constant * self.molar_mass, self.free(y), self.target + y[4]
        held = there * self.molar_mass * k / (k + c) ** 2
        return (whole - gained[4] * self.molar_mass * c / (k + c)) / (1 + held)

    def rates(self, y: Sequence[float] | np.ndarray, infused: Sequence[float] = (0.0, 0.0)) -> list[float]:
        """The rates dy/dt of the amounts y in depot, plasma and peripheral volumes, ng/(kg d), and of the
        target in excess of its level without drug, nM/d.

        infused: what infusions bring into depot and plasma, ng/(kg d).
        """
        c = self.free(y)
        absorbed = self.absorption * y[0]
        eliminated = self.clearance * c + self.saturable_elimination * c / (self.saturable_constant + c)
        gained = self.bioavailability * absorbed + infused[1]
        out = [infused[0] - absorbed, gained - eliminated, 0.0, 0.0, 0.0]
        if self.target > 0:
            bound = (self.target + y[4]) * c / (self.target_constant * self.molar_mass + c)
            out[1] -= self.complex_loss * bound * self.molar_mass * self.central_volume
            out[4] = -self.target_loss * y[4] - (self.complex_loss - self.target_loss) * bound
        peripheral = (
            (self.peripheral_volume_1, self.peripheral_clearance_1),
            (self.peripheral_volume_2, self.peripheral_clearance_2),
        )
        for k, (volume, clearance) in enumerate(peripheral, 2):
            if volume > 0:
                exchanged = clearance * (c - y[k] / volume)
                out[1] -= exchanged
                out[k] = exchanged
        return out
