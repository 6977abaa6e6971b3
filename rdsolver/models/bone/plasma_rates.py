"""The pharmacokinetics of a drug in plasma, as numbers and rates.

There is no NumPy in this module, so that presets are read without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Pharmacokinetics:
    """The pharmacokinetics of a drug, per kg of body weight.

    By default there is no peripheral volume and no saturable elimination.

    molar_mass              kDa
    bioavailability         share of a dose under the skin that reaches plasma
    absorption              rate of absorption from the depot under the skin, 1/d
    central_volume          volume of plasma, mL/kg
    clearance               linear clearance, mL/(kg d)
    peripheral_volume_1     mL/kg; peripheral_clearance_1: exchange with it, mL/(kg d); the same for a second
    saturable_elimination   largest rate of it, ng/(kg d); saturable_constant: plasma level of half that rate,
                            ng/mL
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

    @classmethod
    def of(cls, agent: str, values: Mapping[str, float]) -> Pharmacokinetics:
        """The pharmacokinetics of a drug, taken from the parameters of a run."""
        return cls(**{f.name: float(values[f"{agent}_{f.name}"]) for f in fields(cls)})

    def rates(self, y: Sequence[float]) -> list[float]:
        """The rates dy/dt of the amounts y in depot, plasma and peripheral volumes, ng/(kg d)."""
        c = y[1] / self.central_volume
        absorbed = self.absorption * y[0]
        eliminated = self.clearance * c + self.saturable_elimination * c / (self.saturable_constant + c)
        out = [-absorbed, self.bioavailability * absorbed - eliminated, 0.0, 0.0]
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
