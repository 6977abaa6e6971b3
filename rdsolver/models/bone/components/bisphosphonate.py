"""A bisphosphonate on bone, which kills osteoclasts; it is the only drug here that binds bone and not RANKL.

    dZ/dt = doses, infusions - k_rel Z         Z in standard doses on bone
    death of osteoclasts x (1 + E_Z Z/(1 + Z))

The shape is assumed. 10.3389/fbioe.2022.940620 has a fuller one, for alendronate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ....utils.lazy import lazy
from ...base import Observer, Parameter
from ..component import Component, Conditions, Effect, Effects
from ..pharmacokinetics import no_steady_state

if TYPE_CHECKING:
    import jax.numpy as jnp

    from ....operators.array_types import Number
    from ..pharmacokinetics import Dose, Kinetics
else:
    jnp = lazy("jax.numpy")

NAME = "bisphosphonate"
KNOTS_PER_LIFE = 8  # knots of the curve per time constant: cubic Hermite is then within 1e-6

# fmt: off
ROWS = (
    Parameter("bisphosphonate_dose", 4 / 70, "mg/kg", "a standard dose (zoledronate, 4 mg for 70 kg)", "general knowledge", "U", 1e-4, 100.0, "", minimum=1e-9),
    Parameter("bisphosphonate_release", 0.6931471805599453 / 300, "1/d", "release from bone (half-life 300 d)", "half-life of zoledronate in bone in a drug guide; CTX is 44 % below placebo three years after one dose (Grey 2010, 10.1002/jbmr.103)", "A", 1e-4, 0.1, "k_rel"),
    Parameter("bisphosphonate_effect", 12.0, "1", "rise of the death of osteoclasts at most", "tuned on T20: serum calcium after zoledronate 4 mg (Major 2001, J Clin Oncol 19:558)", "A", 0.0, 100.0, "E_Z"),
)
# fmt: on


@dataclass(frozen=True)
class Bisphosphonate(Component):
    name = NAME
    label = "a bisphosphonate"
    switch = 'Give a [[dose]] of it, or declare it: [[agent]] with name = "bisphosphonate".'
    rows = ROWS
    drugs = (NAME,)
    fixed = dict.fromkeys(
        ("bisphosphonate_dose", "bisphosphonate_release"),
        "shapes what is on bone, which is solved ahead of the run",
    )
    observers = (Observer(NAME, "1", "bisphosphonate on bone, standard doses", lambda u, p, at: at[NAME]),)

    @property
    def effects(self) -> Effects:
        return {"osteoclast_death": self._poisoned}

    def _poisoned(self, c: Conditions) -> Effect:
        bound = c.inputs[NAME]
        return Effect(times=1 + c.p["bisphosphonate_effect"] * bound / (1 + bound))

    def bound(self, rest: Number, c: Conditions) -> Number:
        p = c.p
        dying = p["osteoclast_death"] * p["survival_most"] * (1 + p["bisphosphonate_effect"])
        fusing = p["differentiation_most"] * p["differentiation"]
        return jnp.maximum(rest, 2 * (dying + fusing + p["precursor_loss"]))

    def kinetics(self, values: Mapping[str, float]) -> dict[str, Kinetics]:
        return {NAME: OnBone(values)}


@dataclass
class OnBone:
    """The bisphosphonate Z on bone, advanced from event to event."""

    values: Mapping[str, float]
    amounts: np.ndarray = field(default_factory=lambda: np.zeros(1))

    def give(self, dose: Dose) -> None:
        """Set the steady state that the dose asks for, if it does, and add what it brings at once."""
        if dose.steady_interval:
            left = np.exp(-self.release * dose.steady_interval)
            if left == 1:
                raise no_steady_state(dose)
            once = replace(self, amounts=np.zeros(1))
            once.give(replace(dose, steady_interval=0.0))
            once.advance(0.0, dose.duration, infusions=(dose,) if dose.duration else ())
            once.advance(dose.duration, max(dose.duration, dose.steady_interval))
            self.amounts = once.amounts / (1 - left)  # of all doses before: a geometric sum
        if not dose.duration:
            self.amounts = self.amounts + self.standard(dose)

    def advance(
        self, start: float, end: float, at: np.ndarray | None = None, infusions: Sequence[Dose] = ()
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Advance from `start` to `end` (d). Return the curve between them: times, Z, and its slope in
        1/d.
        """
        rate = self.release
        times = (
            np.linspace(start, end, 1 + max(1, int(np.ceil((end - start) * rate * KNOTS_PER_LIFE))))
            if at is None
            else at
        )
        infused = sum(self.standard(d) / d.duration for d in infusions)
        since = times - start
        stayed = -np.expm1(-rate * since) / rate if rate else since  # of an infusion of one a day
        bound = self.amounts[0] * np.exp(-rate * since) + infused * stayed
        self.amounts = bound[-1:]
        return times, bound, infused - rate * bound

    @property
    def release(self) -> float:
        return self.values["bisphosphonate_release"]

    def standard(self, dose: Dose) -> float:
        """The amount of a dose in standard doses."""
        return dose.amount / self.values["bisphosphonate_dose"]


COMPONENT = Bisphosphonate
