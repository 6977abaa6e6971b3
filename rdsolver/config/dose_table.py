"""[[dose]]: a dose, or a course of them, per kg of body weight or for the whole body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_core import PydanticCustomError

from ..models.bone.pharmacokinetics import Dose
from ..units import Exact, number
from .messages import Fault
from .tables import LATEST, Duration, Quantity, Table, Times, listed, repeated


class Whole(float):
    """An amount for the whole body, mg; other amounts are in mg/kg."""


class Amount(Quantity):
    """Reads an amount in mg/kg or, as `Whole`, in mg."""

    def read(self, value: Any) -> float | str | list[float]:
        try:
            return super().read(value)
        except PydanticCustomError:
            try:
                number(value, "mg")
            except ValueError:
                pass
            else:
                return Whole(Quantity("mg", least=self.least)._one(value))
            raise


class DoseTable(Table):
    agent: str
    """The drug, for example "rank_fc"."""
    amount: Annotated[float, Amount("mg/kg", least=0)]
    """The dose per kg of body weight, for example "3 mg/kg", or "60 mg" with model.body_weight."""
    loading: Annotated[float | None, Amount("mg/kg", least=0)] = None
    """The amount of the first of repeated doses, if it differs, for example "6 mg/kg"."""
    route: Literal["sc", "iv"] = "sc"
    """The route: "sc" under the skin, "iv" into the vein."""
    duration: Annotated[float, Quantity("d", least=0, most=LATEST)] = 0.0
    """The time that an infusion takes, at a constant rate, for example "30 min" (default: none, the dose is
    given at once).
    """
    at: Times | None = None
    """The time of the dose, or a list, for example "20 d". With `every`, the first one (default: 0)."""
    every: Duration | None = None
    """The interval of a repeated dose, for example every = "28 d", times = 3."""
    times: int | None = Field(None, ge=1, le=10_000)
    """The number of doses, with `every`."""
    ss: bool = False
    """True: at the first dose the drug is in the steady state of this dose, with `every`, in plasma; the
    tissue is not.
    """
    lesion: Annotated[float | None, Quantity("mm^2", above=0)] = None
    """The size of the lesion that treatment waits for, for example "0.05 mm^2". `at` and `every` then count
    from the day on which the lesion has this size.
    """

    def faults(self) -> Iterator[Fault]:
        if self.at == []:
            yield "at", "= [] names no time. Give one or more, or leave this [[dose]] out."
        if self.every is None and self.at is None and self.lesion is None:
            yield (
                "at",
                (
                    'is missing. Say when the dose is given: at = "20 d", a list of times, or every = "28 d"'
                    " with times = 3."
                ),
            )
        if (self.every is None) != (self.times is None):
            key = "times" if self.times is None else "every"
            yield key, 'is missing: a repeated dose needs both, for example every = "28 d", times = 3.'
        if self.every is not None and isinstance(self.at, list):
            yield (
                "at",
                (
                    f"= {self.at} is a list, and every is given too. Give the list alone, or the first time"
                    " with every and times."
                ),
            )
        for key, given in (("loading", self.loading is not None), ("ss", self.ss)):
            if given and self.every is None and self.times is None:
                yield (
                    key,
                    (
                        'is given, and the dose is not repeated. Say how often: every = "28 d" with times ='
                        " 3, or leave it out."
                    ),
                )
        if self.ss and self.loading is not None:
            yield (
                "loading",
                "is given, and ss too: a drug in steady state needs no loading. Leave one of them out.",
            )
        if self.ss and self.every is not None and self.duration > self.every:
            yield (
                "duration",
                (
                    f"= {self.duration:g} d is longer than every = {self.every:g} d, and ss needs infusions"
                    " that end before the next begins. Give a shorter one."
                ),
            )

    def needs_weight(self, given: str) -> str:
        """The fault of an amount for the whole body where there is no body weight."""
        found = f"{getattr(self, self.whole):g} mg"
        return f'= "{found}" is for the whole body. Give {given}, or the amount in mg/kg.'

    @property
    def whole(self) -> str:
        """The key of an amount for the whole body; empty where there is none."""
        return next((key for key in ("amount", "loading") if isinstance(getattr(self, key), Whole)), "")

    def schedule(self) -> list[float]:
        """The times of the doses, d, counted from the day of the lesion where the dose waits for one."""
        if self.every is not None and self.times is not None:
            first = Exact(self.at if isinstance(self.at, float) else 0.0)
            return repeated(first, Exact(self.every), self.times)
        return [0.0] if self.at is None else listed(self.at)

    def doses(self, body_weight: float | None) -> tuple[Dose, ...]:
        """Its doses, in mg/kg."""

        def per_kg(amount: float) -> float:
            return float(amount) / body_weight if isinstance(amount, Whole) and body_weight else float(amount)

        usual, first = per_kg(self.amount), per_kg(self.amount if self.loading is None else self.loading)
        steady = float(self.every) if self.ss and self.every else 0.0
        return tuple(
            Dose(
                self.agent,
                usual if i else first,
                self.route,
                float(t),
                float(self.duration),
                0.0 if i else steady,
            )
            for i, t in enumerate(self.schedule())
        )


def as_tables(doses: tuple[Dose, ...], lesion: float | None) -> Iterator[dict[str, Any]]:
    """Doses that differ in nothing but their time as tables in internal units, one for each kind."""
    kinds: dict[tuple[Any, ...], list[float]] = {}
    for d in doses:
        kind = (d.agent, d.amount, d.route, d.duration, d.steady_interval)
        if d.steady_interval:
            kind = (*kind, d.time)  # each of these alone
        kinds.setdefault(kind, []).append(d.time)
    for (agent, amount, route, duration, interval, *_), times in kinds.items():
        table = {"agent": agent, "amount": amount, "route": route}
        table |= {"duration": duration} if duration else {}
        table |= {"at": times[0], "every": interval, "times": 1, "ss": True} if interval else {"at": times}
        yield table if lesion is None else table | {"lesion": lesion}
