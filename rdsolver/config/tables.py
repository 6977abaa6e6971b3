"""The tables of a config file, one class each. Every key is a field whose docstring is its description, and
every quantity is converted to internal units here, where it enters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

from ..errors import shown
from ..geometry.boundary_conditions import Border
from ..timestepping import registry
from ..units import Exact, exact, number, way_out
from ..utils.checks import bounds
from ..utils.instants import SIMULTANEOUS, Instants
from .messages import Fault

LATEST = 1e9
"""The latest time that a config may name, d."""
MOST_SAVED = 100_000
"""The most states that a run may save; more is a slip in a unit."""


@dataclass(frozen=True)
class Quantity:
    """Reads a number, or text with a unit, into `unit`.

    The value must be greater than `above`, at least `least` and at most `most`. With `many` a list of values
    is allowed too, and so are the `words`.
    """

    unit: str
    above: float = -math.inf
    least: float = -math.inf
    most: float = math.inf
    many: bool = False
    words: tuple[str, ...] = ()

    def read(self, value: Any) -> float | str | list[float]:
        if value in self.words:
            return value
        if self.many and isinstance(value, list):
            return [self._one(v) for v in value]
        return self._one(value)

    def _one(self, value: Any) -> float:
        try:
            result = exact(value, self.unit) if self.unit == "d" else number(value, self.unit)
        except ValueError as error:
            raise self._fault(str(error)) from None
        allowed = bounds(result, self.above, self.least, self.most)
        if not allowed:
            return result
        raise self._fault(f"= {shown(value)} must be {allowed}. {way_out(self.unit)}")

    def _fault(self, text: str) -> PydanticCustomError:
        words = f" Or one of {', '.join(self.words)}." if self.words else ""
        return _faults([("", text + words)])

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return json_quantity(self.unit, self.many)


def json_quantity(unit: str, many: bool = False) -> dict[str, Any]:
    types = ["number", "string", "array"] if many else ["number", "string"]
    return {"type": types, "unit": unit} | ({"items": {"type": types[:2]}} if many else {})


@dataclass(frozen=True)
class Word:
    """One of a few words that are listed elsewhere. (Literal takes only words that stand in the code.)"""

    allowed: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.literal_schema(list(self.allowed))


def _faults(faults: Sequence[Fault]) -> PydanticCustomError:
    return PydanticCustomError("faults", "faults", {"faults": list(faults)})


Length = Annotated[float, Quantity("um", above=0, most=1e12)]
Lengths = Annotated[float | list[float], Quantity("um", above=0, most=1e12, many=True)]
Time = Annotated[float, Quantity("d", least=0, most=LATEST)]
Times = Annotated[float | list[float], Quantity("d", least=0, most=LATEST, many=True)]
Duration = Annotated[float, Quantity("d", above=0, most=LATEST)]


def _names(value: Any) -> Any:
    if value == "all" or (isinstance(value, list) and all(isinstance(v, str) for v in value)):
        return value
    raise _faults(
        [
            (
                "",
                (
                    f'= {shown(value)} is not a list of names. Give "all", a list such as ["rankl", "bone"],'
                    " or"
                    " [] for none."
                ),
            )
        ]
    )


def _one_of_several(value: Any) -> Any:
    if (
        value is None
        or isinstance(value, str)
        or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
    ):
        return value
    raise _faults(
        [("", f'= {shown(value)} does not choose one of several. Give its number, from 0, or "slices".')]
    )


OneOfSeveral = Annotated[int | str | None, BeforeValidator(_one_of_several)]


def listed(value: float | list[float] | None) -> list[float]:
    """One value or several, as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def repeated(first: Exact, interval: Exact, times: int) -> list[float]:
    """This many times at this interval, each rounded once, so that no error builds up over thousands."""
    return [float(first.ratio + i * interval.ratio) for i in range(times)]


class Table(BaseModel):
    """A table of the file. Unknown keys are refused, and so is text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    def faults(self) -> Iterator[Fault]:
        """Yield (key, what is wrong) where keys that are right by themselves contradict each other."""
        yield from ()

    @model_validator(mode="after")
    def _no_faults(self) -> Table:
        if found := list(self.faults()):
            raise _faults(found)
        return self


class Model(Table):
    name: Literal["bone", "artery", "lymph_node", "mammary"] = "bone"
    """The tissue.

    Beyond bone the RANKL, OPG and drugs are the same, with one stated response: such a preset shows a
    mechanism and predicts nothing.
    """
    from_: str | None = Field(default=None, alias="from")
    """A model, or an addition to the bone model, from a Python file of yours: "FILE.py:NAME"
    (docs/extend.md).

    The line model = "FILE.py:NAME" in place of this table does the same.
    """
    preset: Literal["human", "mouse", "rat"] = "human"
    """The species whose parameter values are the defaults."""
    from_birth: bool = False
    """Whether the parameters have acted since birth, as in a knock-out: the run then starts from the steady
    state of cytokines and cells with them, and not from the healthy one.
    """
    body_weight: Annotated[float | None, Quantity("kg", above=0)] = None
    """The body weight, for doses in mg, for example "70 kg"."""
    membrane_rankl: bool = False
    """Whether part of the RANKL stays on the membranes of the cells that make it until it is shed."""
    components: list[str] = []
    """Further components of the biology, by name, for example ["membrane_rankl"] (docs/model.md)."""
    without: list[str] = []
    """Standard components that are left out, by name, for example ["mineral"] (docs/model.md)."""
    parameters: dict[str, Any] = {}
    """Values of parameters, any that `rdsolver params` lists, for example rankl_loss = "10.13 /d"."""


class Agent(Table):
    """A drug beyond the presets, or a preset that is part of the model although no dose is given."""

    name: str = Field(pattern="^[a-z][a-z0-9_]*$", max_length=40)
    """The prefix of its fields and parameters, in lower case, for example "my_decoy"."""
    like: str | None = None
    """The preset whose parameter values are its defaults (default: the preset of its own name)."""
    label: str | None = None
    """Its name in figures."""


class ChangeTable(Table):
    parameter: str
    """The parameter that changes, for example "rankl_production"."""
    factor: Annotated[float, Quantity("1", least=0)]
    """The factor that its value is multiplied by, for example 2."""
    at: Time = 0.0
    """The time at which the change begins, for example "10 d"."""
    until: Time | None = None
    """The time at which it ends (default: the end of the run)."""

    def faults(self) -> Iterator[Fault]:
        if self.until is not None and self.until <= self.at:
            yield (
                "until",
                (
                    f"= {self.until:g} d is not after at = {self.at:g} d. Give a later time, or none for a"
                    " change that stays."
                ),
            )


class BorderTable(Table):
    field: str
    """The field that passes this side, for example "rankl"."""
    side: Literal["x-low", "x-high", "y-low", "y-high", "z-low", "z-high"]
    """The side: the low or the high end of an axis."""
    value: float | str | None = None
    """The value held at that side, for example "0.01 nM". With `exchange`, the value beyond the side."""
    exchange: Annotated[float | None, Quantity("um/d", above=0)] = None
    """The speed of exchange with `value` beyond the side, for example "100 um/d" (default: none, the value is
    held at the side).
    """
    flux: float | str | None = None
    """The flux that enters, in place of a value, for example "5 nM um/d"."""

    def faults(self) -> Iterator[Fault]:
        if (self.value is None) == (self.flux is None):
            both = "is given, and flux too" if self.flux is not None else "is missing"
            yield (
                "value",
                (
                    f'{both}. Give one: value = "0.01 nM" (held at the side, or beyond it with exchange), or'
                    ' flux = "5 nM um/d".'
                ),
            )
        if self.exchange is not None and self.value is None:
            yield (
                "value",
                'is missing: an exchange needs the value beyond the side, for example value = "0 nM".',
            )

    def border(self, unit: str) -> Border:
        axis, _, side = self.side.partition("-")
        kind = "flux" if self.flux is not None else "value" if self.exchange is None else "exchange"
        return Border(
            self.field,
            kind,
            axis,
            "low" if side == "low" else "high",
            value=0.0 if self.value is None else number(self.value, unit),
            exchange=self.exchange or 0.0,
            flux=0.0 if self.flux is None else number(self.flux, f"{unit} um/d"),
        )


class Initial(Table):
    from_: str | None = Field(default=None, alias="from")
    """The run file whose last state this run starts from, for example "other/run.h5"."""
    seed: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    """The seed of the random initial state of a user model (default: 1)."""

    def faults(self) -> Iterator[Fault]:
        if (self.from_ is None) == (self.seed is None):
            both = (
                "is given, and seed too: a run that continues another has no other start"
                if self.from_
                else "is missing"
            )
            yield (
                "from",
                (
                    f'{both}. Give from = "other/run.h5" to continue a run, or the seed of a random initial'
                    " state."
                ),
            )


class TimeTable(Table):
    end: Duration
    """The length of the run, for example "60 d"."""
    save: Annotated[float | list[float] | None, Quantity("d", least=0, many=True)] = None
    """The interval of saved states, or a list of times, for example "1 d" (default: sixty intervals)."""

    def faults(self) -> Iterator[Fault]:
        if isinstance(self.save, list):
            late = [t for t in self.save if Instants(self.end)(t) > self.end]
            if late:
                yield (
                    "save",
                    (
                        f"holds {late[0]:g} d, after the end of the run ({self.end:g} d). Leave it out, or"
                        " let the run last longer."
                    ),
                )
            if not self.save:
                yield "save", '= [] holds no time. Give at least one, or an interval such as "1 d".'
            elif len(self.save) > MOST_SAVED:
                yield (
                    "save",
                    (
                        f"holds {len(self.save):,} times, and at most {MOST_SAVED:,} states are saved. Save"
                        " fewer."
                    ),
                )
        elif self.save is not None and not self.save >= self.end / MOST_SAVED > 0:
            many = f"at most {MOST_SAVED:,} saved states"
            yield (
                "save",
                (
                    f"= {self.save:g} d is too short an interval for {self.end:g} d: {many}. Give a longer"
                    ' one, such as "1 d".'
                ),
            )

    def saved(self) -> list[float]:
        """The times of the saved states, d, increasing. An interval includes 0 and the end."""
        if isinstance(self.save, list):
            return sorted(set(self.save))
        end = Exact(self.end).ratio
        interval = Exact(self.save or end / 60)
        count = math.ceil(end / interval.ratio * (1 - Fraction(SIMULTANEOUS)))
        return [*repeated(Exact(0.0), interval, count), self.end]


class SolverTable(Table):
    integrator: Annotated[str, Word(registry.NAMES)] = Field(
        default=registry.AUTO, description=registry.described()
    )
    tolerance: Annotated[float, Quantity("1", above=0, most=0.1)] = 1e-3
    """The tolerated error of a step, relative to the typical size of a field."""
    precision: Literal["float32", "float64"] = "float32"
    """The precision of the arithmetic and of the run file."""
    max_steps: Annotated[int | None, Field(ge=1)] = None
    """The number of accepted steps after which a run fails and keeps its state, so that a run that crawls
    does not hold up a sweep (default: no limit).
    """
    longest_step: Duration | None = None
    """The longest step allowed, for example "2 h", for rates that depend on time: a longer step might miss a
    change that comes and goes (default: no limit).
    """


class OutputTable(Table):
    fields: Annotated[Literal["all"] | list[str], BeforeValidator(_names)] = "all"
    """The fields to save: "all", or a list of names such as ["rankl", "bone"]. [] saves the series alone."""
    stride: Annotated[int, Field(ge=1)] = 1
    """Save every n-th cell along each axis."""
    crop: list[list[int]] | None = None
    """The part of the section to save: one [start, stop] per axis, in cells."""
