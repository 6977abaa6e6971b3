"""The interface of a component, a part of the biology that can be present or absent.

The bone model is composed of components and needs nothing else from them: a tumour, RANKL on membranes, a
bisphosphonate and a user's addition all have this interface. A component brings fields of its own with their
rates and transport, and acts on the model through the model's processes:

    process = base · Π times + Σ plus        over the components that name it in `effects`

where the base is the model's own formula (docs/model.md), and each component gives `times` and `plus`. There
is no JAX in this module, nor where a component declares itself, so that a config is read without JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from ..base import Breaks, Field, Group, Observer, Parameter, Series
from .binders import Binder
from .component_table import ComponentTable

if TYPE_CHECKING:
    import numpy as np

    from ...geometry.section import Section
    from ...operators.array_types import Cells, Fields, Number, Numbers, Pointwise, Surroundings
    from ...operators.blocks import Block, Local
    from ...operators.transport import Faces
    from .pharmacokinetics import Kinetics
    from .static_fields import BoneGeometry, StaticFields


PROCESSES = {
    "rankl_production": "RANKL made by the surface lineage and others, nM/d",
    "rankl_secretion": "the share of it that is set free, nM/d",
    "opg_sources": "where OPG is made, relative to opg_production, 1",
    "opg_production": "OPG made in the tissue, nM/d",
    "opg_loss": "loss of free OPG, 1/d",
    "rankl_seen": "RANKL that RANK on cells sees, nM",
    "precursor_supply": "supply of osteoclast precursors, 1/(mm^3 d)",
    "differentiation": "differentiation of precursors, 1/d",
    "osteoclast_death": "death of osteoclasts, 1/d",
    "resorption": "resorptive activity per unit of surface, 1/mm^3",
    "formation": "formation in answer to resorption, 1/mm^3",
    "room_taken": "share of the volume that is closed to new bone, 1",
}
"""The processes that a component may act on, each with its unit."""


class Effect(NamedTuple):
    """The effect of a component on a process: its base is multiplied by `times`, and `plus` is added."""

    times: Pointwise | float = 1.0
    plus: Pointwise | float = 0.0


@runtime_checkable
class Composed(Protocol):
    """The model that components belong to, as they see it."""

    @property
    def binders(self) -> tuple[Binder, ...]: ...
    @property
    def budgets(self) -> Mapping[str, tuple[str, ...]]: ...

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]: ...
    def process(self, name: str, base: Pointwise, c: Conditions, /) -> Pointwise: ...
    def relative_occupancy(self, c: Conditions, /) -> Cells: ...
    def rankl_production(self, c: Conditions, /) -> Cells: ...
    def resorption(self, c: Conditions, /) -> Cells: ...
    def formation(self, c: Conditions, /) -> Cells: ...
    def balance(self, c: Conditions, /) -> Cells: ...
    def room_taken(self, c: Conditions, /) -> Pointwise: ...


@dataclass(frozen=True, eq=False)
class Conditions:
    """The state of the tissue at one moment, as rates see it.

    u         fields
    p         parameters
    inputs    numbers that drive the model from outside, "time" among them
    place     data that are fixed in a run
    geometry  data that are computed from the bone
    """

    model: Composed
    u: Fields
    p: Numbers
    place: StaticFields
    geometry: Any
    inputs: Numbers

    def process(self, name: str, base: Pointwise) -> Pointwise:
        """The value of a process with the effects of all components on it."""
        return self.model.process(name, base, self)

    @cached_property
    def relative_occupancy(self) -> Cells:
        """Relative occupancy u = θ/θ0: RANK occupancy relative to the healthy baseline."""
        return self.model.relative_occupancy(self)

    @cached_property
    def rankl_production(self) -> Cells:
        """The total production of RANKL, nM/d."""
        return self.model.rankl_production(self)

    @cached_property
    def resorption(self) -> Cells:
        """Resorption j = a(u) C/(w + 1), 1/mm³; defined in the bone model only."""
        return self.model.resorption(self)

    @cached_property
    def formation(self) -> Cells:
        """Formation β j_ref + (1-β) B^m j_ref^(1-m), 1/mm³; defined in the bone model only."""
        return self.model.formation(self)

    @cached_property
    def balance(self) -> Cells:
        """Balance of bone N = k_res w (formation - j), 1/d; defined in the bone model only."""
        return self.model.balance(self)

    @cached_property
    def room_taken(self) -> Pointwise:
        """The share of the volume that is closed to new bone; defined in the bone model only."""
        return self.model.room_taken(self)

    @property
    def surroundings(self) -> Surroundings:
        """The values, by name, for effects that users write: surface (w), marrow (1 - b), active, and the
        inputs.
        """
        here = {"surface": self.geometry.w, "marrow": self.geometry.marrow, "active": self.place.active}
        return here | self.inputs

    @cached_property
    def at(self) -> Surroundings:
        """The values for rates that users write: the surroundings and the occupancy (θ/θ0)."""
        return self.surroundings | {"occupancy": self.relative_occupancy}


@runtime_checkable
class HostState(Protocol):
    """A state that a component follows on the host from step to step, such as serum calcium.

    It does not act on the tissue within a step. It consists of a few numbers that can be written as JSON.
    """

    def after(self, days: float, observed: Mapping[str, float], p: Mapping[str, float]) -> dict[str, float]:
        """The series of this state at the end of an accepted step of this many days (0: at the start).

        observed  the series of the tissue
        p         the parameters of that step
        """
        ...

    def state_dict(self) -> dict[str, Any]: ...
    def load_state(self, state: Mapping[str, Any]) -> None: ...

    def handed_on(self) -> dict[str, float]:
        """The numbers, by name, with which another run that continues from this one starts."""
        ...


Effects = Mapping[str, Callable[[Conditions], Effect]]


class Component:
    """The declarations of a component; each default means that the component has none.

    name       name in the config and in messages; label: its description in words
    unknowns   its fields, in the order they are saved
    rows       its parameters; fixed: those of them that cannot change during a run, with the reason
    binders    binders of RANKL that are made in the tissue
    observers  its observers; followed: the series of its host state
    drugs      names in doses for drugs of the component that do not bind RANKL; each drives an input of the
               same name
    slow       fields that its coefficients depend on
    fitted     drifting fields whose diffusion already matches upwind drift and is used unchanged
    upstream   groups of the cascade of a stage that are solved before RANKL; beside: right before RANKL and
               its binders; downstream: after the osteoclasts
    healthy    True if it is part of the healthy section, so that the baseline is found with it
    standard   True if a model of bone has it unless a config leaves it out (model.without)
    anywhere   True if it can be present in a tissue that is not bone
    user       True if it comes from a user file
    switch     a sentence that says how a config includes it (empty: model.components names it)
    table      the class of its table in a config, [name] (None: it has no keys of its own)
    planted    fields that begin on day 0, on the healthy baseline
    moving     fields that diffuse, so that they may cross a border
    budgets    by the name of a budget, the fields of the component that belong to it
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
    standard: bool = False
    anywhere: bool = False
    user: bool = False
    switch: str = ""
    table: type[ComponentTable] | None = None
    planted: tuple[str, ...] = ()
    budgets: Mapping[str, tuple[str, ...]] = {}
    breaks: Breaks = ()

    @classmethod
    def of_table(cls, table: Any) -> Component:
        """The component that its table in a config asks for; table: one of the class `table`."""
        return cls()

    @property
    def groups(self) -> tuple[Group, ...]:
        return (*self.upstream, *self.beside, *self.downstream)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its fields."""
        return tuple(f.name for f in self.unknowns)

    @property
    def watched(self) -> tuple[Observer, ...]:
        """All its observers."""
        return self.observers

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        """The unknowns; their scales may depend on the parameters."""
        return self.unknowns

    # --- rates ----------------------------------------------------------------------------------------------

    @property
    def effects(self) -> Effects:
        """The effect of the component on each process, by the name of the process (PROCESSES)."""
        return {}

    def reaction(self, c: Conditions) -> Fields:
        """The pointwise rates of its own fields, and the terms that it adds to the rates of other fields, per
        day.
        """
        return {}

    def coefficients(
        self, u: Fields, p: Numbers, place: StaticFields, geometry: BoneGeometry
    ) -> BoneGeometry:
        """The geometry with the coefficients that depend on its slow fields: media, mobilities and what its
        rates need.
        """
        return geometry

    def diffusivity(self, p: Numbers) -> dict[str, tuple[Number, str]]:
        """The diffusivity (um²/d) of each field that diffuses, and the medium that it moves in."""
        return {}

    def drift(self, c: Conditions) -> dict[str, Faces]:
        """The drift of each field that drifts: velocity at the faces divided by the spacing, 1/d."""
        return {}

    def linearise(self, group: str, c: Conditions) -> tuple[Block, Local]:
        """The pointwise Jacobian of one of its transport groups."""
        raise NotImplementedError(f"{self.name} has no transport group")

    def pointwise(self, group: str, psi: Fields, sigma: Number, c: Conditions) -> Fields:
        """The solution of one of its pointwise groups in closed form: σ (u - ψ) = rates."""
        raise NotImplementedError(f"{self.name} has no group in closed form")

    def bound(self, rest: Number, c: Conditions) -> Number:
        """An upper bound of the spectral radius of the reaction's Jacobian with this component, 1/d; rest:
        the bound without it.
        """
        return rest

    def flows(self, c: Conditions) -> dict[str, tuple[Cells, Cells]]:
        """The terms that it adds to the source and the loss of each budget in each cell, per day."""
        return {}

    # --- the run --------------------------------------------------------------------------------------------

    def at_baseline(self, p: Numbers) -> Numbers:
        """The parameters that have other values in the healthy section."""
        return {}

    def check_section(self, section: Section) -> None:
        """Raises InputError when the fields that are planted have no place in the section of a config."""

    def plant(self, section: Section, active: Cells) -> Mapping[str, Cells | np.ndarray]:
        """The values on day 0 of the planted fields. section: the section with its bone on that day.

        Raises InputError when they cannot be placed.
        """
        return {}

    def kinetics(self, values: Mapping[str, float]) -> dict[str, Kinetics]:
        """The kinetics of each of its drugs, before any dose."""
        return {}

    def host(
        self, section: Section, values: Mapping[str, float], before: Mapping[str, Any]
    ) -> HostState | None:
        """The state that it follows on the host, at the start. before: the numbers that another run handed
        on.
        """
        return None

    @property
    def setup(self) -> str:
        """A text of everything that a run depends on beside the component's parameters: with the same text,
        the runs are the same.
        """
        return ""

    def describe(self) -> str:
        """A description for `rdsolver check` and the log, where there is more to say than the name."""
        return ""
