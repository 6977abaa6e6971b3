"""Plasma pharmacokinetics of the drugs: depot, plasma and up to two peripheral compartments.

All is per kg of body weight.

Amounts are in ng/kg and volumes in mL/kg, so concentrations are in ng/mL; divided by the molar mass in kDa
they are in nM.

    dG/dt  = -ka G                                                    depot under the skin
    dX/dt  = F ka G - CL c - Vmax c/(Km + c) - Σ Q_k (c - X_k/V_k)    plasma, c = X/Vc
    dX_k/dt = Q_k (c - X_k/V_k)                                       peripheral

Plasma does not depend on the tissue, so the curve is solved ahead of a run, piece by piece between doses.
Source of the form: Zierhut et al. 2008, 10.1007/s10928-008-9093-5 (two peripheral volumes, saturable
elimination).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from ...errors import InputError
from ...utils import checks
from ...utils.instants import SIMULTANEOUS
from .plasma_rates import Pharmacokinetics

NG_PER_MG = 1e6
RTOL = 1e-9


@dataclass(frozen=True)
class Dose:
    """One dose: `amount` mg/kg of `agent` at `time` (d), under the skin ("sc") or into the vein ("iv")."""

    agent: str
    amount: float
    route: Literal["sc", "iv"]
    time: float

    def __post_init__(self) -> None:
        where = f"dose of {checks.text('dose: agent', self.agent)}:"
        checks.word(f"{where} route", self.route, ("sc", "iv"))
        checks.settle(
            self,
            amount=checks.number(f"{where} amount", self.amount, "mg/kg", least=0),
            time=checks.number(f"{where} time", self.time, "d", least=0),
        )


@dataclass(frozen=True)
class Treatment:
    """Doses that begin when the lesion reaches `lesion` (mm²); their times count from then."""

    lesion: float
    doses: tuple[Dose, ...]

    def __post_init__(self) -> None:
        lesion = checks.number("treatment: lesion", self.lesion, "mm^2", above=0)
        dose = partial(checks.kind, wanted=Dose, what="a Dose")
        checks.settle(
            self, lesion=lesion, doses=checks.several("treatment: doses", self.doses, dose, "a list of Dose")
        )
        if not self.doses:
            raise InputError(
                f"treatment after a lesion of {lesion:g} mm2: it has no dose. Give one, or leave it out."
            )


@runtime_checkable
class Kinetics(Protocol):
    """The kinetics of one drug, advanced from event to event; a dataclass.

    amounts: the amounts in all its compartments.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    amounts: np.ndarray

    def give(self, dose: Dose) -> None: ...

    def advance(
        self, start: float, end: float, at: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Advance from `start` to `end` (d). Return the curve between them, which drives the model: times,
        values, and slopes per day.

        at: the times from `start` to `end` at which the curve is wanted (default: times of its own choice).
        """
        ...


@dataclass
class Plasma:
    """One drug in plasma: the amounts in its compartments, advanced from event to event.

    agent    prefix of its parameters
    values   all parameters
    amounts  depot, plasma, peripheral 1, peripheral 2, ng/kg; target in excess of its level without drug, nM
    """

    agent: str
    values: Mapping[str, float]
    amounts: np.ndarray = field(default_factory=lambda: np.zeros(5))

    @property
    def kinetics(self) -> Pharmacokinetics:
        return Pharmacokinetics.of(self.agent, self.values)

    @property
    def concentration(self) -> float:
        """The concentration in plasma, ng/mL."""
        return self.kinetics.free(self.amounts)

    def give(self, dose: Dose) -> None:
        amount = dose.amount * NG_PER_MG
        self.amounts = self.amounts.copy()
        self.amounts[0 if dose.route == "sc" else 1] += amount

    def advance(
        self, start: float, end: float, at: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Advance from `start` to `end` (d). Return the curve between them: times, concentration in nM, and
        its slope in nM/d.

        at: the times from `start` to `end` at which the curve is wanted (default: the solver's own steps).
        """
        from scipy.integrate import solve_ivp  # here, as it takes a third of a second to load

        kinetics = self.kinetics
        if not self.amounts.any():
            times = np.array([start, end]) if at is None else at
            return times, np.zeros(len(times)), np.zeros(len(times))
        # round-off may leave amounts below zero when a drug is gone, or too small for a product
        floor = max(1e-12 * np.abs(self.amounts).max(), np.finfo(float).tiny)
        found = solve_ivp(
            lambda _, y: kinetics.rates(y),
            (start, end),
            self.amounts,
            method="LSODA",
            rtol=RTOL,
            atol=floor,
            t_eval=at,
        )
        values, slopes = (
            np.array([of(y) for y in found.y.T]) / kinetics.molar_mass
            for of in (kinetics.free, kinetics.slope)
        )
        self.amounts = found.y[:, -1]
        return found.t, values, slopes


def curve(agent: str, values: Mapping[str, float], doses: Sequence[Dose], times: np.ndarray) -> np.ndarray:
    """The plasma concentration (ng/mL) at increasing times (d) after a course of doses.

    At the time of a dose it is the concentration right after it, also where the two times differ only by
    rounding.
    """
    plasma, now, out = Plasma(agent, values), min([0.0, *(d.time for d in doses)]), []
    left = sorted((d for d in doses if d.agent == agent), key=lambda d: d.time)
    within = SIMULTANEOUS * float(np.max(np.abs(times), initial=0.0))
    for t in times:
        while left and left[0].time <= t + within:
            dose = left.pop(0)
            if dose.time > now:
                plasma.advance(now, dose.time)
                now = dose.time
            plasma.give(dose)
        if t > now:
            plasma.advance(now, float(t))
            now = float(t)
        out.append(plasma.concentration)
    return np.array(out)
