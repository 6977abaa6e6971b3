"""A component: a part of the biology that can be there or not.

The bone model composes components and asks no further: a tumour, RANKL on membranes, a bisphosphonate and
what a user adds are the same kind of thing. A component brings fields of its own with their rates and
transport, and acts on the model through its processes:

    process = base · Π times + Σ plus        over the components that name it in `effects`

where the base is the model's own formula (docs/model.md) and `times` and `plus` are what each component
gives. No JAX in here, nor where a component declares itself: a config is read without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..base import Breaks, Field, Group, Observer, Parameter, Series
from .binders import Binder

if TYPE_CHECKING:
    import numpy as np
    from jax import Array

    from ...geometry.section import Section
    from ...operators.multigrid import Block
    from ...operators.transport import Faces
    from .pharmacokinetics import Kinetics
    from .static_fields import BoneGeometry, StaticFields

    Fields = dict[str, Array]
    Numbers = dict[str, Array]

PROCESSES = {
    "rankl_production": "RANKL made by the surface lineage and others, nM/d",
    "rankl_secretion": "the share of it that is set free, nM/d",
    "opg_production": "OPG made in the tissue, nM/d",
    "rankl_seen": "RANKL that RANK on cells sees, nM",
    "precursor_supply": "supply of osteoclast precursors, 1/(mm^3 d)",
    "differentiation": "differentiation of precursors, 1/d",
    "osteoclast_death": "death of osteoclasts, 1/d",
    "resorption": "resorptive activity per unit of surface, 1/mm^3",
    "formation": "formation in answer to resorption, 1/mm^3",
    "room_taken": "share of the volume that is closed to new bone, 1",
}
"""What a component may act on, each with its unit."""


class Effect(NamedTuple):
    """What a component does to a process: the base times `times`, and `plus` added."""

    times: Array | float = 1.0
    plus: Array | float = 0.0


class Composed(Protocol):
    """The model that components are composed to, as they see it."""

    @property
    def binders(self) -> tuple[Binder, ...]: ...
    @property
    def budgets(self) -> Mapping[str, tuple[str, ...]]: ...

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]: ...
    def process(self, name: str, base: Array, c: Conditions, /) -> Array: ...
    def relative_occupancy(self, c: Conditions, /) -> Array: ...
    def rankl_production(self, c: Conditions, /) -> Array: ...
    def resorption(self, c: Conditions, /) -> Array: ...


@dataclass(frozen=True, eq=False)
class Conditions:
    """The tissue at one moment as rates see it.

    u         fields; p: parameters; inputs: what drives the model from outside, "time" among them
    place     what is fixed in a run; geometry: what follows the bone
    """

    model: Composed
    u: Fields
    p: Numbers
    place: StaticFields
    geometry: Any
    inputs: Numbers

    def process(self, name: str, base: Array) -> Array:
        """A process with the effects of all components on it."""
        return self.model.process(name, base, self)

    @cached_property
    def relative_occupancy(self) -> Array:
        """u = θ/θ0: RANK occupancy relative to the healthy baseline."""
        return self.model.relative_occupancy(self)

    @cached_property
    def rankl_production(self) -> Array:
        """All RANKL that is made, nM/d."""
        return self.model.rankl_production(self)

    @cached_property
    def resorption(self) -> Array:
        """j = a(u) C/(w + 1), 1/mm³; of the bone model alone."""
        return self.model.resorption(self)

    @property
    def surroundings(self) -> Numbers:
        """By name, for effects that users write: surface (w), marrow (1 - b), active, and the inputs."""
        here = {"surface": self.geometry.w, "marrow": self.geometry.marrow, "active": self.place.active}
        return here | self.inputs

    @cached_property
    def at(self) -> Numbers:
        """The same with occupancy (θ/θ0), for rates that users write."""
        return self.surroundings | {"occupancy": self.relative_occupancy}


class HostState(Protocol):
    """Something that a component follows on the host from step to step, such as serum calcium.

    It does not act on the tissue within a step. Its state is a few JSON-able numbers.
    """

    def after(self, days: float, observed: Mapping[str, float], p: Mapping[str, float]) -> dict[str, float]:
        """Series at the end of an accepted step of so many days (0: the start), from those of the tissue; p:
        the parameters of that step.
        """
        ...

    def state_dict(self) -> dict[str, Any]: ...
    def load_state(self, state: Mapping[str, Any]) -> None: ...

    def handed_on(self) -> dict[str, float]:
        """What another run that goes on from this one starts with, by name."""
        ...


Effects = Mapping[str, Callable[[Conditions], Effect]]


class Component:
    """What a part of the biology declares; each default is "nothing".

    name       as the config and messages call it; label: in words
    unknowns   its fields, in the order they are saved
    rows       its parameters; fixed: of those that cannot change during a run, why
    binders    of RANKL that are made in the tissue
    observers  its observables; followed: those of its host state
    drugs      names that doses give to what it brings and that binds no RANKL; each drives an input of this
               name
    slow       fields that its coefficients follow
    fitted     drifting fields whose diffusion goes with their drift as it stands
    upstream   groups of the cascade of a stage that are solved before RANKL; beside: right before RANKL and
               its binders; downstream: after the osteoclasts
    healthy    part of the healthy section, so that the baseline is found with it
    anywhere   it can be there in a tissue that is not bone
    user       it comes from a user's own Python
    switch     what a config needs to have it, as a sentence (empty: model.components names it)
    planted    fields that begin on day 0, on the healthy baseline
    moving     fields that diffuse, so that they may pass a border
    budgets    by the name of a budget, the fields of its own that belong to it
    breaks     times at which its rates jump
    """

    name: str
    label: str
    unknowns: tuple[Field, ...] = ()
    rows: tuple[Parameter, ...] = ()
    fixed: Mapping[str, str] = {}
    binders: tuple[Binder, ...] = ()
    observers: tuple[Observer, ...] = ()
    followed: tuple[Series, ...] = ()
    drugs: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    fitted: tuple[str, ...] = ()
    upstream: tuple[Group, ...] = ()
    beside: tuple[Group, ...] = ()
    downstream: tuple[Group, ...] = ()
    moving: tuple[str, ...] = ()
    healthy: bool = False
    anywhere: bool = False
    user: bool = False
    switch: str = ""
    planted: tuple[str, ...] = ()
    budgets: Mapping[str, tuple[str, ...]] = {}
    breaks: Breaks = ()

    @property
    def groups(self) -> tuple[Group, ...]:
        return (*self.upstream, *self.beside, *self.downstream)

    @property
    def names(self) -> tuple[str, ...]:
        """Of its fields."""
        return tuple(f.name for f in self.unknowns)

    @property
    def watched(self) -> tuple[Observer, ...]:
        """All its observers."""
        return self.observers

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        """The unknowns, with scales that may depend on the parameters."""
        return self.unknowns

    # --- rates ----------------------------------------------------------------------------------------------

    @property
    def effects(self) -> Effects:
        """By the name of a process (PROCESSES), what it does to it."""
        return {}

    def reaction(self, c: Conditions) -> Fields:
        """The pointwise rates of its own fields, and what is added to those of others, per day."""
        return {}

    def coefficients(
        self, u: Fields, p: Numbers, place: StaticFields, geometry: BoneGeometry
    ) -> BoneGeometry:
        """The geometry with what follows its slow fields: media, mobilities and what its rates need."""
        return geometry

    def diffusivity(self, p: Numbers) -> dict[str, tuple[Array, str]]:
        """Of each field that diffuses: its diffusivity, um²/d, and the medium it moves in."""
        return {}

    def drift(self, c: Conditions) -> dict[str, Faces]:
        """Of each field that drifts: velocity at the faces over the spacing, 1/d."""
        return {}

    def linearise(self, group: str, c: Conditions) -> tuple[Block, dict[str, Array]]:
        """The pointwise Jacobian of one of its transport groups."""
        raise NotImplementedError(f"{self.name} has no transport group")

    def pointwise(self, group: str, psi: Fields, sigma: Array, c: Conditions) -> Fields:
        """One of its pointwise groups in closed form: σ (u - ψ) = rates."""
        raise NotImplementedError(f"{self.name} has no group in closed form")

    def bound(self, rest: Array, c: Conditions) -> Array:
        """An upper bound of the spectral radius of the reaction's Jacobian with it, 1/d; rest: without it."""
        return rest

    def flows(self, c: Conditions) -> dict[str, tuple[Array, Array]]:
        """What it adds to the source and the loss of each budget, summed over cells, per day."""
        return {}

    # --- the run --------------------------------------------------------------------------------------------

    def at_baseline(self, p: Numbers) -> Numbers:
        """Parameters that are others in the healthy section."""
        return {}

    def plant(self, section: Section, active: Array) -> Mapping[str, Array | np.ndarray]:
        """The fields that are planted, on day 0. section: with its bone as it is then.

        Raises InputError when they cannot be placed.
        """
        return {}

    def kinetics(self, values: Mapping[str, float]) -> dict[str, Kinetics]:
        """Of each of its drugs, before any dose."""
        return {}

    def host(
        self, section: Section, values: Mapping[str, float], before: Mapping[str, Any]
    ) -> HostState | None:
        """What it follows on the host, at the start. before: what another run handed on."""
        return None

    @property
    def setup(self) -> str:
        """What a run with it depends on beside its parameters; the same text, the same run."""
        return ""

    def describe(self) -> str:
        """In words for `rdsolver check` and the log, where there is more to say than its name."""
        return ""
