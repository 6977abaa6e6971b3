"""The declarations that every model makes, and the interface that the solver needs of it.

There is no JAX in this module, because the command line and the output read it too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from ..operators.array_types import Cells, Faces, Fields, Number, Numbers
    from ..operators.blocks import Block, Local


Mark = Literal["M", "V", "C", "A", "U", "V/A", "C/A", "C/U", "U/A", "A/U"]
"""The mark of a parameter, its provenance: M, measured, or estimated from measurements, in the source itself;
V, read in a published model or its code; C, computed from M or V; A, our assumption or calibration; U,
general knowledge.
"""


Breaks = Sequence[float] | Callable[[Mapping[str, float]], Sequence[float]]
"""The times at which rates jump: a list, or a function that gives a list from the values of the parameters.
"""


@dataclass(frozen=True)
class Field:
    """One unknown that varies in space.

    scale   the typical size of the field, in `unit`; tolerances are relative to it
    signed  True if the field may be negative. Any other field is a density, and a step that makes it negative
            is rejected
    """

    name: str
    unit: str
    scale: float
    label: str
    signed: bool = False


@dataclass(frozen=True)
class Series:
    """One observable: a number at every accepted step.

    levels: pairs of a name and the value above which it applies, in rising order (such as grades of a
    disease).
    """

    name: str
    unit: str
    label: str
    levels: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Observer:
    """A number that is watched over a run, kept in the run file and shown in tables and figures.

    value   (u, p, at) -> one number in `unit`. On the device it is a JAX expression of all cells (sums by
            operators.reductions.total have the same bits however they are computed); on the host it is any
            Python on NumPy arrays. u: all fields, none below 0 unless signed; p: all parameters; at: the
            values that the model's rates see, and those that models/bone/observers.py adds; on the host
            "time", "active" and "spacing" (um, one number for each axis)
    where   "device": computed at every accepted step; "host": computed at the saved times
    levels  pairs of a name and the value above which it applies, in rising order
    """

    name: str
    unit: str
    label: str
    value: Callable[[Any, Any, Any], Any]
    where: Literal["device", "host"] = "device"
    levels: tuple[tuple[str, float], ...] = ()

    @property
    def series(self) -> Series:
        return Series(self.name, self.unit, self.label, self.levels)


@dataclass(frozen=True)
class Parameter:
    """One number of a model, with its source.

    `value` is in `unit`; `low` and `high` are the plausible range (a value outside it earns a warning),
    `minimum` and `maximum` the physical bounds (a value beyond them is an error). `presets` holds the values
    of the presets in which the parameter differs from `value`.
    """

    name: str
    value: float
    unit: str
    meaning: str
    source: str
    mark: Mark
    low: float
    high: float
    symbol: str = ""
    minimum: float = 0.0
    maximum: float = float("inf")
    presets: tuple[tuple[str, float], ...] = ()

    def default(self, *presets: str) -> float:
        """Return the value in the last of these presets that has one of its own, or `value` if none has."""
        values = dict(self.presets)
        own = [values[name] for name in presets if name in values]
        return own[-1] if own else self.value


@dataclass(frozen=True)
class Group:
    """Fields that an implicit stage solves together; a stage goes through the groups of a model in order.

    solve   "transport": a Newton step with multigrid (for one field or several that are coupled by their
            pointwise reaction); "pointwise": a closed form in each cell, which the model gives
    cycles  number of V-cycles for each solve
    medium  name of the relative mobility of cells with which all fields of the group move
    """

    name: str
    fields: tuple[str, ...]
    solve: Literal["transport", "pointwise"]
    cycles: int = 0
    medium: str = ""


@runtime_checkable
class StaticFields(Protocol):
    """The data that are fixed in a run, for any model; the class of a model holds more.

    active    1 in the cells that are solved, else 0
    spacing   cell size in um, one number for each axis
    wrap      for each axis, True if it is periodic
    uniform   True if the section is a box of constant mobility without mask, so that diffusion has a known
              eigenbasis
    """

    @property
    def active(self) -> Cells: ...
    @property
    def spacing(self) -> tuple[float, ...]: ...
    @property
    def wrap(self) -> tuple[bool, ...]: ...
    @property
    def uniform(self) -> bool: ...


@runtime_checkable
class Coefficients(Protocol):
    """The data that are computed from the slow fields, for any model; the class of a model holds more.

    media     face coefficients of each medium, 1/um²
    mobility  relative mobility of each medium in each cell
    """

    @property
    def media(self) -> dict[str, Faces]: ...
    @property
    def mobility(self) -> dict[str, Cells]: ...


Place = TypeVar("Place", bound=StaticFields, contravariant=True)
Aux = TypeVar("Aux", bound=Coefficients)


@runtime_checkable
class Model(Protocol[Place, Aux]):
    """The interface of a model, as a system uses it.

    Arrays are on the cells of the grid. `p` holds the parameters as numbers, `place` the data that are fixed
    in a run (the model's own StaticFields), and `aux` the data that are computed from slow fields (its own
    Coefficients). A system holds a `Model` of any such types.

    name         short name, for messages
    time_unit    unit of time of all its rates
    first_step   largest first step after a start or an event; None: estimated from the rates
    slow         fields that `update_coefficients` reads; an explicit step freezes the coefficients at its
                 middle
    fitted       drifting fields whose diffusion already matches upwind drift and is used unchanged; that of
                 all others is fitted exponentially
    groups       the cascade of an implicit stage, in order
    inputs       numbers that drive the model from outside; "time" is always among them
    budgets      by name: fields whose sum is conserved apart from sources and losses
    observers    the observers of the model; its series are those of the observers on the device, and those
                 that components follow on the host
    """

    @property
    def name(self) -> str: ...
    @property
    def time_unit(self) -> str: ...
    @property
    def first_step(self) -> float | None: ...
    @property
    def slow(self) -> tuple[str, ...]: ...
    @property
    def fitted(self) -> tuple[str, ...]: ...
    @property
    def groups(self) -> tuple[Group, ...]: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def series(self) -> tuple[Series, ...]: ...
    @property
    def observers(self) -> tuple[Observer, ...]: ...
    @property
    def budgets(self) -> Mapping[str, tuple[str, ...]]: ...

    def fields(self, values: Mapping[str, float]) -> tuple[Field, ...]:
        """The unknowns; their scales may depend on the parameters."""
        ...

    def update_coefficients(self, u: Fields, p: Numbers, place: Place, /) -> Aux:
        """The coefficients `aux`: media (the face coefficients of each medium), mobility (the mobility of
        each cell), and everything else that depends on slow fields.
        """
        ...

    def at_rest(self, u: Fields, p: Numbers, place: Any, /) -> Any:
        """The static fields with the values to which the rates refer, if u is the steady state."""
        ...

    def reaction(self, u: Fields, p: Numbers, place: Place, aux: Aux, inputs: Numbers, /) -> Fields:
        """The pointwise part of du/dt for all fields."""
        ...

    def diffusivity(self, p: Numbers, /) -> dict[str, tuple[Number, str]]:
        """The diffusivity of each field that diffuses, and the medium that it moves in."""
        ...

    def drift(self, u: Fields, p: Numbers, place: Place, aux: Aux, /) -> dict[str, Faces]:
        """The drift of each field that drifts: velocity at the faces divided by the spacing, 1/time."""
        ...

    def linearise(
        self,
        group: str,
        u: Fields,
        p: Numbers,
        place: Place,
        aux: Aux,
        inputs: Numbers,
        /,
    ) -> tuple[Block, Local]:
        """The pointwise Jacobian of a transport group at u: a block, and its coefficients in each cell."""
        ...

    def pointwise(
        self,
        group: str,
        u: Fields,
        psi: Fields,
        sigma: Number,
        p: Numbers,
        place: Place,
        aux: Aux,
        inputs: Numbers,
        /,
    ) -> Fields:
        """The solution of a pointwise group of a stage in closed form: σ (u - ψ) = reaction."""
        ...

    def reaction_bound(self, u: Fields, p: Numbers, place: Place, aux: Aux, inputs: Numbers, /) -> Number:
        """An upper bound of the spectral radius of the reaction's Jacobian, 1/time."""
        ...

    def observe(self, u: Fields, p: Numbers, place: Place, aux: Aux, inputs: Numbers, /) -> Numbers:
        """The values of the series that are computed on the device."""
        ...

    def flows(
        self, u: Fields, p: Numbers, place: Place, aux: Aux, inputs: Numbers, /
    ) -> dict[str, tuple[Cells, Cells]]:
        """The source and the loss of each budget in each cell, per time."""
        ...
