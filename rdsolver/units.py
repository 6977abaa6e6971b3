"""Quantities with units, and the internal units.

"13 um^2/s" becomes a number in the internal unit (um, d, nM, cells per mm3, mg/kg). This is the only module
that knows pint. Its registry holds the units of this field and nothing else, so that a typing error is an
error and not an exotic unit. "kg" is body weight, a dimension of its own: 3 mg/kg is a dose and not a pure
number.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:
    import pint

_DEFINITIONS = """
pico- = 1e-12 = p-
nano- = 1e-9 = n-
micro- = 1e-6 = u-
milli- = 1e-3 = m-
centi- = 1e-2 = c-
kilo- = 1e3 = k-
meter = [length] = m
micron = 1e-6 * meter = _ = microns
second = [time] = s
minute = 60 * second = min
hour = 60 * minute = h = _ = hours
day = 24 * hour = d = _ = days
week = 7 * day = wk = _ = weeks
year = 365.25 * day = yr = _ = years
liter = 1e-3 * meter ** 3 = L = _ = l
gram = [mass] = g
kg = [body_weight]
mole = [substance] = mol
molar = mole / liter = M
dalton = gram / mole = Da
percent = 0.01
cell = [] = _ = cells
"""

# The units that numbers are kept in, with an example for a message. Text in one of them is read without pint,
# which takes longer to load than a config.
_EXAMPLES = {
    "um": "120 um",
    "d": "20 d",
    "s": "8 h",
    "mg/kg": "3 mg/kg",
    "mg": "60 mg",
    "kg": "70 kg",
    "nM": "0.1 nM",
    "um^2/d": "13 um^2/s",
    "1/d": "10.13 /d",
    "1/(nM d)": "864 1/(nM d)",
    "1/mm^3": "50 /mm^3",
    "kDa": "110 kDa",
    "1": "0.05",
}

_TEXT = re.compile(r"\s*(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>.*?)\s*")
_UNIT = re.compile(r"(?:[A-Za-z()*/ ]|\^?-?[1-4](?![\d.]))*")
_LONGEST = 60
_PLAIN = str.maketrans({"µ": "u", "μ": "u", "·": "*", "²": "^2", "³": "^3", "%": " percent "})


class Exact(float):
    """A number that remembers the ratio it was rounded from: 8 h are a third of a day, whatever the
    round-off.
    """

    ratio: Fraction

    def __new__(cls, value: Fraction | float) -> Exact:
        """value: a ratio, or a float, which stands for the decimal number with which it is written."""
        if isinstance(value, Exact):
            return value
        made = super().__new__(cls, value)
        made.ratio = value if isinstance(value, Fraction) else Fraction(repr(float(value)))
        return made


def quantity(value: Any, unit: str, key: str) -> float:
    """The value in `unit`, from a number, which is in that unit already, or from text such as "8 h".

    key: its name in a message, e.g. "section.spacing". Raises InputError for text that is not a quantity or
    has another dimension.
    """
    try:
        return number(value, unit)
    except ValueError as error:
        raise InputError(f"{key} {error}") from None


def number(value: Any, unit: str) -> float:
    """The value in `unit`, as by `quantity`, but with a ValueError to which the caller adds the key."""
    return float(exact(value, unit))


def exact(value: Any, unit: str) -> Exact:
    """The value in `unit`, as by `number`, with the ratio that the number was rounded from."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"= {value!r} is not a quantity. {way_out(unit)}")
    try:
        return Exact(_read(value, unit) if isinstance(value, str) else _decimal(repr(value)))
    except OverflowError:
        raise ValueError(f"= {value} is not finite. {way_out(unit)}") from None


def split_unit(value: Any) -> tuple[float, str]:
    """The number and the unit of a quantity as it is written; no unit: empty.

    Raises ValueError for a value that is no quantity.
    """
    if isinstance(value, str):
        match = _TEXT.fullmatch(value.translate(_PLAIN)) if len(value) <= _LONGEST else None
        if match and (not match["unit"] or _known(match["unit"])):
            return number(match["number"], "1"), match["unit"].strip()
        raise ValueError(
            f'= {value!r} is not a quantity. Give a number, or text with a unit, for example "3 mg/kg".'
        )
    return number(value, "1"), ""


def way_out(unit: str) -> str:
    """A sentence that says what to give instead, with an example."""
    if unit == "1":
        return 'Give a number without a unit, for example 0.05 (or "5 %").'
    if not _known(unit):  # the unit is one of a user model
        return f"Give a bare number, taken in {unit}."
    return (
        f"Give a number with its unit, {unit} or one that converts to it, for example"
        f' "{_EXAMPLES.get(unit, "1 " + unit)}".'
    )


def bare(value: Any, unit: str) -> bool:
    """True if a value lacks the unit that it could have. 0 needs none."""
    try:
        found = float(value)
    except (TypeError, ValueError):  # the value has a unit, or is a word
        return False
    return found != 0 and unit != "1" and _known(unit)


def _decimal(text: str) -> Fraction:
    """The number in a text. Raises OverflowError if no float can hold it."""
    rounded = float(text)
    if not math.isfinite(rounded):
        raise OverflowError(text)
    return Fraction(text) if rounded else Fraction(0)  # the ratio of 1e-99999999 would take forever


def _read(text: str, unit: str) -> Fraction:
    match = _TEXT.fullmatch(text.translate(_PLAIN)) if len(text) <= _LONGEST else None
    if match is None or not _UNIT.fullmatch(match["unit"]):
        raise ValueError(f'= "{text[:_LONGEST]}" is not a quantity. {way_out(unit)}')
    value = _decimal(match["number"])
    if not match["unit"] or (match["unit"] == unit and unit in _EXAMPLES):
        return value
    found, wanted = _factor(match["unit"]), _factor(unit)
    if wanted is None:  # the unit is one of a user model
        raise ValueError(
            f'= "{text}" has a unit, and {unit} is not a unit that is known here. Give a bare number, taken'
            " in"
            f" {unit}."
        )
    if found is None:
        raise ValueError(
            f'= "{text}" has the unit "{match["unit"]}", which is not known here. {way_out(unit)}'
        )
    if found[1] != wanted[1]:
        raise ValueError(
            f'= "{text}" does not convert to {"a number without unit" if unit == "1" else unit}.'
            f" {way_out(unit)}"
        )
    return value * (found[0] / wanted[0])


def _known(unit: str) -> bool:
    return unit in _EXAMPLES or _factor(unit) is not None


@cache
def _factor(unit: str) -> tuple[Fraction, Any] | None:
    """The size of a unit in base units, a ratio, and its dimension. Cached; None if the text is no unit.

    The text holds only letters, brackets, `*`, `/` and exponents of one digit.
    """
    text = re.sub(r"([A-Za-z])(-?\d)", r"\1^\2", unit.strip())
    if text.startswith("/"):
        text = "1" + text
    try:
        size = _registry().Quantity(Fraction(1), _registry().parse_units(text)).to_base_units()
    except Exception:  # pint does not catch the errors of its tokenizer
        return None
    return Fraction(size.magnitude), size.dimensionality


@cache
def _registry() -> pint.UnitRegistry:
    import pint  # this takes 0.3 s, and a config in the units that numbers are kept in does not need it

    registry = pint.UnitRegistry(None, non_int_type=Fraction)  # pyright: ignore[reportArgumentType] (None: an empty registry)
    for line in _DEFINITIONS.strip().splitlines():
        registry.define(line)
    return registry
