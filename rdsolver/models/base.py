"""What every model declares. No JAX in here: the command line and the output read it too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from jax import Array

    from ..operators.multigrid import Block
    from ..operators.transport import Faces

Mark = Literal["V", "C", "A", "U", "V/A", "C/A", "C/U", "U/A", "A/U"]
"""Provenance: V read in a published source or its code, C computed from V, A our assumption or calibration, U
general knowledge.
"""


Breaks = Sequence[float] | Callable[[Mapping[str, float]], Sequence[float]]
"""Times at which rates jump: a list, or a function of the values of the parameters that gives one."""


@dataclass(frozen=True)
class Field:
    """One spatial unknown.

    scale: its typical size, in `unit`; tolerances are relative to it. signed: it may be negative; anything
    else is a density, and a step that makes it negative is not accepted.
    """

    name: str
    unit: str
    scale: float
    label: str
    signed: bool = False


@dataclass(frozen=True)
class Series:
    """One observable: a number at every accepted step. levels: where something begins that has a name,
    rising.
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
            Python on NumPy arrays. u: all fields, none below 0 unless signed; p: all parameters; at: what the
            model's rates see, and what models/bone/observers.py adds; on the host "time", "active" and
            "spacing" (um, one number an axis)
    where   "device": at every accepted step; "host": at the saved times
    levels  where something begins that has a name, rising
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
    """One number of a model, with where it comes from.

    value is in `unit`; low and high are the plausible range (a value outside it earns a warning),
    minimum and maximum the physical bounds (beyond them: an error). presets holds values that differ from
    `value`.
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
        """The value of the last of these presets that has one of its own."""
        values = dict(self.presets)
        own = [values[name] for name in presets if name in values]
        return own[-1] if own else self.value


@dataclass(frozen=True)
class Group:
    """Fields that an implicit stage solves together; a stage goes through a model's groups in order.

    solve   "transport": Newton step with multigrid (one field or several, coupled by their pointwise
            reaction); "pointwise": closed form in each cell, given by the model
    cycles  V-cycles a solve
    medium  name of the cell-wise relative mobility all its fields move in
    """

    name: str
    fields: tuple[str, ...]
    solve: Literal["transport", "pointwise"]
    cycles: int = 0
    medium: str = ""


@runtime_checkable
class StaticFields(Protocol):
    """What is fixed in a run, of any model; a model's own holds more.

    active    1 in the cells that are solved, else 0
    spacing   um, one number an axis
    wrap      of each axis, whether it is periodic
    uniform   whether it is a box of constant mobility without mask, so that diffusion has a known eigenbasis
    """

    @property
    def active(self) -> Array: ...
    @property
    def spacing(self) -> tuple[float, ...]: ...
    @property
    def wrap(self) -> tuple[bool, ...]: ...
    @property
    def uniform(self) -> bool: ...


@runtime_checkable
class Coefficients(Protocol):
    """What follows the slow fields, of any model; a model's own holds more.

    media     of each medium its face coefficients, 1/um²
    mobility  the same of each cell, relative
    """

    @property
    def media(self) -> dict[str, Faces]: ...
    @property
    def mobility(self) -> dict[str, Array]: ...


@runtime_checkable
class Model(Protocol):
    """What a system asks of a model.

    Arrays are on the cells of the grid; `p` holds the parameters as numbers, `place` what is fixed in a run
    (the model's own StaticFields), `aux` what follows slow fields (its own Coefficients).

    name         short, for messages
    time_unit    unit of time of all its rates
    first_step   largest first step after a start or an event; None: estimated from the rates
    slow         fields that `update_coefficients` reads; an explicit step freezes what follows them at its
                 middle
    fitted       drifting fields whose diffusion goes with their drift as it stands; all others are fitted
                 exponentially
    groups       the cascade of an implicit stage, in order
    inputs       numbers that drive it from outside; "time" is always among them
    budgets      name: fields whose sum is conserved but for sources and losses
    observers    what is watched; the series are those of them on the device, and what is followed on the host
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

    def update_coefficients(self, u: dict[str, Array], p: dict[str, Array], place: Any, /) -> Any:
        """aux: media (of each medium its face coefficients), mobility (the same per cell), and what else
        follows slow fields.
        """
        ...

    def reaction(
        self, u: dict[str, Array], p: dict[str, Array], place: Any, aux: Any, inputs: dict[str, Array], /
    ) -> dict[str, Array]:
        """The pointwise part of du/dt, all fields."""
        ...

    def diffusivity(self, p: dict[str, Array], /) -> dict[str, tuple[Array, str]]:
        """Of each field that diffuses: its diffusivity, and the medium it moves in."""
        ...

    def drift(self, u: dict[str, Array], p: dict[str, Array], place: Any, aux: Any, /) -> dict[str, Faces]:
        """Of each field that drifts: velocity at the faces over the spacing, 1/time."""
        ...

    def linearise(
        self,
        group: str,
        u: dict[str, Array],
        p: dict[str, Array],
        place: Any,
        aux: Any,
        inputs: dict[str, Array],
        /,
    ) -> tuple[Block, dict[str, Array]]:
        """The pointwise Jacobian of a transport group at u: a block and its cell-wise coefficients."""
        ...

    def pointwise(
        self,
        group: str,
        u: dict[str, Array],
        psi: dict[str, Array],
        sigma: Array,
        p: dict[str, Array],
        place: Any,
        aux: Any,
        inputs: dict[str, Array],
        /,
    ) -> dict[str, Array]:
        """A pointwise group of a stage, in closed form: σ (u - ψ) = reaction."""
        ...

    def reaction_bound(
        self, u: dict[str, Array], p: dict[str, Array], place: Any, aux: Any, inputs: dict[str, Array], /
    ) -> Array:
        """An upper bound of the spectral radius of the reaction's Jacobian, 1/time."""
        ...

    def observe(
        self, u: dict[str, Array], p: dict[str, Array], place: Any, aux: Any, inputs: dict[str, Array], /
    ) -> dict[str, Array]:
        """The series."""
        ...

    def flows(
        self, u: dict[str, Array], p: dict[str, Array], place: Any, aux: Any, inputs: dict[str, Array], /
    ) -> dict[str, tuple[Array, Array]]:
        """Of each budget what enters and what is lost, summed over cells, per time."""
        ...
