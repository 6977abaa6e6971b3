"""Plasma pharmacokinetics of the drugs: depot, plasma and up to two peripheral compartments.

All is per kg of body weight.

Amounts are in ng/kg and volumes in mL/kg, so concentrations are in ng/mL; divided by the molar mass in kDa
they are in nM.

    dG/dt  = I_sc - ka G                                                     depot under the skin
    dX/dt  = I_iv + F ka G - CL c - Vmax c/(Km + c) - Σ Q_k (c - X_k/V_k)    plasma, c = X/Vc
    dX_k/dt = Q_k (c - X_k/V_k)                                              peripheral

where I is what infusions bring. Plasma does not depend on the tissue, so the curve is solved ahead of a run,
piece by piece between doses and ends of infusions.
Source of the form: Zierhut et al. 2008, 10.1007/s10928-008-9093-5 (two peripheral volumes, saturable
elimination).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from ...errors import InputError
from ...utils import checks
from ...utils.instants import SIMULTANEOUS
from .plasma_rates import Pharmacokinetics
from .plasma_solver import solve
from .steady_state import trough

NG_PER_MG = 1e6
ROUTES = ("sc", "iv")
ROUNDED = 1e-6  # relative: an infusion until the next dose lasts as long as the interval


@dataclass(frozen=True)
class Dose:
    """One dose: `amount` mg/kg of `agent` at `time` (d), under the skin ("sc") or into the vein ("iv").

    duration         d; 0: at once, above 0: infused at a constant rate from `time` on
    steady_interval  d; above 0: the drug is set to the steady state of this dose at this interval, whatever
                     there was of it before
    """

    agent: str
    amount: float
    route: Literal["sc", "iv"]
    time: float
    duration: float = 0.0
    steady_interval: float = 0.0

    def __post_init__(self) -> None:
        where = f"dose of {checks.text('dose: agent', self.agent)}:"
        checks.word(f"{where} route", self.route, ROUTES)
        checks.settle(
            self,
            amount=checks.number(f"{where} amount", self.amount, "mg/kg", least=0),
            **{
                name: checks.number(f"{where} {name}", getattr(self, name), "d", least=0)
                for name in ("time", "duration", "steady_interval")
            },
        )
        if self.steady_interval and self.duration > self.steady_interval * (1 + ROUNDED):
            raise InputError(
                f"{where} it lasts {self.duration:g} d, longer than the interval of its steady state,"
                f" {self.steady_interval:g} d. Let it end before the next dose begins."
            )

    @property
    def end(self) -> float:
        """The end of its infusion, d."""
        return self.time + self.duration

    def at(self, instant: Callable[[float], float]) -> Dose:
        """The dose from one instant of a run to another."""
        time = instant(self.time)
        return replace(self, time=time, duration=instant(self.end) - time if self.duration else 0.0)


def due(doses: Iterable[Dose], t: float) -> list[Dose]:
    """The doses of time t; first those that set a drug to its steady state."""
    return sorted((d for d in doses if d.time == t), key=lambda d: not d.steady_interval)


def under_way(doses: Iterable[Dose], agent: str, t: float) -> tuple[Dose, ...]:
    """The infusions of a drug that are under way at time t, without those before it was set to a steady
    state.
    """
    begun = [d for d in doses if d.agent == agent and d.time <= t]
    since = max((d.time for d in begun if d.steady_interval), default=0.0)
    return tuple(d for d in begun if d.time >= since and t < d.end)


def check_steady(doses: Sequence[Dose]) -> None:
    """Raise InputError for two steady states of one drug at one time."""
    seen: set[tuple[str, float]] = set()
    for d in doses:
        if d.steady_interval and (d.agent, d.time) in seen:
            raise InputError(
                f"doses of {d.agent} give it two steady states (ss) at {d.time:g} d, and it has one. Leave"
                " ss to one of them, or give them at different times."
            )
        seen |= {(d.agent, d.time)} if d.steady_interval else set()


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
        check_steady(self.doses)


@runtime_checkable
class Kinetics(Protocol):
    """The kinetics of one drug, advanced from event to event; a dataclass.

    amounts: the amounts in all its compartments.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    amounts: np.ndarray

    def give(self, dose: Dose) -> None:
        """Set the steady state that the dose asks for, if it does, and add what it brings at once."""
        ...

    def advance(
        self, start: float, end: float, at: np.ndarray | None = None, infusions: Sequence[Dose] = ()
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Advance from `start` to `end` (d). Return the curve between them, which drives the model: times,
        values, and slopes per day.

        at: the times from `start` to `end` at which the curve is wanted (default: times of its own choice).
        infusions: those under way, all the time.
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
        return self.kinetics.free(self.amounts.tolist())

    def give(self, dose: Dose) -> None:
        """Set the steady state that the dose asks for, if it does, and add what it brings at once."""
        brought = _brought(dose)
        if dose.steady_interval:
            before = trough(self.kinetics, tuple(brought.tolist()), dose.duration, dose.steady_interval)
            if before is None:
                raise no_steady_state(dose)
            self.amounts = np.array(before)
        if not dose.duration:
            self.amounts = self.amounts + brought

    def advance(
        self, start: float, end: float, at: np.ndarray | None = None, infusions: Sequence[Dose] = ()
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Advance from `start` to `end` (d). Return the curve between them: times, concentration in nM, and
        its slope in nM/d.

        at: the times from `start` to `end` at which the curve is wanted (default: the solver's own steps).
        infusions: those under way, all the time.
        """
        kinetics = self.kinetics
        infused = sum((_brought(d)[:2] / d.duration for d in infusions), np.zeros(2)).tolist()
        times, amounts = solve(kinetics, self.amounts, infused, (start, end), at)
        states: Any = amounts.T
        values = np.array([kinetics.free(y) for y in states]) / kinetics.molar_mass
        slopes = np.array([kinetics.slope(y, infused) for y in states]) / kinetics.molar_mass
        self.amounts = amounts[:, -1]
        return times, values, slopes


def _brought(dose: Dose) -> np.ndarray:
    """What a dose brings into each compartment, ng/kg."""
    amount = dose.amount * NG_PER_MG
    return np.array([amount, 0.0, 0.0, 0.0, 0.0] if dose.route == "sc" else [0.0, amount, 0.0, 0.0, 0.0])


def no_steady_state(dose: Dose) -> InputError:
    return InputError(
        f"the dose of {dose.agent} at {dose.time:g} d has no steady state (ss): {dose.amount:g} mg/kg every"
        f" {dose.steady_interval:g} d accumulate without end, or nearly so. Give less or less often, correct"
        " its elimination, or leave ss out."
    )


def curve(agent: str, values: Mapping[str, float], doses: Sequence[Dose], times: np.ndarray) -> np.ndarray:
    """The plasma concentration (ng/mL) at increasing times (d) after a course of doses.

    At the time of a dose it is the concentration right after it, also where the two times differ only by
    rounding.
    """
    within = SIMULTANEOUS * float(np.max(np.abs(times), initial=0.0))
    given = [d if d.duration > within else replace(d, duration=0.0) for d in doses if d.agent == agent]
    plasma, now, out = Plasma(agent, values), min([0.0, *(d.time for d in given)]), []
    stops = sorted({t for d in given for t in (d.time, d.end)})

    def go_on(now: float, t: float) -> float:
        if t - now <= within:
            return now
        plasma.advance(now, t, infusions=under_way(given, agent, (now + t) / 2))
        return t

    for t in map(float, times):
        while stops and stops[0] <= t + within:
            now = go_on(now, stops[0])
            for dose in due(given, stops.pop(0)):
                plasma.give(dose)
        now = go_on(now, t)
        out.append(plasma.concentration)
    return np.array(out)
