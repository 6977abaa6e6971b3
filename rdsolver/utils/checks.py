"""Checks of single values: each returns the value in the form in which it is used, or raises InputError.

The messages are those of a config. The checks are for values that a Python caller gives: plain numbers in
internal units, including NumPy's, and lists where tuples are meant. key: the name of the value in a message,
such as "grid.spacing".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..errors import InputError, shown, unknown

NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")
"""The name of a field, a parameter or a cell array, which can be both a Python attribute and an HDF5
dataset.
"""


def bounds(value: float, above: float = -math.inf, least: float = -math.inf, most: float = math.inf) -> str:
    """The allowed range, if a number lies outside it; empty if it lies within. above is exclusive."""
    if above < value <= most and value >= least:
        return ""
    told = (("above", above), ("at least", least), ("at most", most))
    return " and ".join(f"{word} {bound:g}" for word, bound in told if math.isfinite(bound)) or "finite"


def settle(record: Any, **values: Any) -> None:
    """Set attributes of a frozen dataclass, in its __post_init__."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


# --- one value ----------------------------------------------------------------------------------------------


def number(
    key: str,
    value: Any,
    unit: str = "",
    *,
    endless: bool = False,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
) -> float:
    """Check for a finite number (endless: or inf) within `bounds`."""
    value, taken = _scalar(value), f", taken in {unit}" if unit and unit != "1" else ""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{key} = {shown(value)} is not a number. Give a number{taken}.")
    found = value if isinstance(value, float) else float(value)
    if not math.isfinite(found) and not (endless and found == math.inf):
        raise InputError(f"{key} = {found} is not finite. Give a number{taken}.")
    if allowed := bounds(found, above, least, most):
        raise InputError(f"{key} = {shown(found)} must be {allowed}. Give a number{taken}.")
    return found


def whole(key: str, value: Any, least: int = 0, most: int = 2**63 - 1) -> int:
    value = _scalar(value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{key} = {shown(value)} is not a whole number. Give one.")
    if not least <= int(value) <= most:
        allowed = f"at least {least}" if int(value) < least else f"at most {most}"
        raise InputError(f"{key} = {shown(value)} must be {allowed}. Give a whole number.")
    return int(value)


def word(key: str, value: Any, allowed: Iterable[str], kind: str = "") -> str:
    """Check for one of a few words."""
    allowed = list(allowed)
    if not isinstance(value, str) or value not in allowed:
        told = (
            unknown(kind, value, allowed)
            if kind
            else f"is not known. Allowed: {', '.join(map(repr, allowed))}."
        )
        raise InputError(f"{key} = {shown(value)} {told}")
    return value


def text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{key} = {shown(value)} is not text. Give it in quotes.")
    return value


def kind(key: str, value: Any, wanted: type | tuple[type, ...], what: str) -> Any:
    """Check for an object of a class."""
    if not isinstance(value, wanted):
        raise InputError(
            f"{key} = {shown(value)} is of type {type(value).__name__}, and {what} belongs here."
        )
    return value


def _scalar(value: Any) -> Any:
    """The plain value of a scalar of NumPy or JAX."""
    return value.item() if hasattr(value, "item") and np.ndim(value) == 0 else value


# --- several ------------------------------------------------------------------------------------------------


def several(key: str, values: Any, one: Callable[[str, Any], Any], what: str) -> tuple[Any, ...]:
    """Check for a list or tuple; `one` (of a key and a value) checks each entry.

    what: an example of the whole, or a description.
    """
    if isinstance(values, np.ndarray) and values.ndim:
        values = list(values)
    if not isinstance(values, (list, tuple)):
        raise InputError(f"{key} = {shown(values)} is not a list. Give {what}.")
    return tuple(one(f"{key}.{i}", value) for i, value in enumerate(values))


def named(key: str, values: Any, one: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Check for a dictionary of names; `one` checks each value."""
    if not isinstance(values, Mapping):
        raise InputError(f"{key} = {shown(values)} is not a dictionary. Give one of names and values.")
    for name in values:
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise InputError(f"{key} holds {shown(name)}, which is not a name. Use letters, digits and _.")
    return {name: one(f"{key}.{name}", value) for name, value in values.items()}


def mask(key: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Check for True or False on every cell of the grid."""
    found = _on_grid(key, value, shape)
    if found.dtype != bool:
        raise InputError(f"{key} holds {found.dtype}, and a mask holds True and False. Give it as mask > 0.")
    return found


def cells(
    key: str, value: Any, shape: tuple[int, ...], within: np.ndarray | None = None, least: float = -math.inf
) -> np.ndarray:
    """Check for finite real numbers on every cell of the grid. within: the cells that count (None: all)."""
    found = _on_grid(key, value, shape)
    if found.dtype.kind not in "biuf":
        raise InputError(f"{key} holds {found.dtype}, but numbers are needed.")
    seen = found if within is None else found[within]
    broken = seen.size - np.count_nonzero(np.isfinite(seen))
    if broken:
        raise InputError(f"{key} is not finite in {broken:,} of {seen.size:,} cells.")
    if seen.size and seen.min() < least:
        raise InputError(f"{key} falls to {seen.min():g}, and must be at least {least:g}.")
    return found


def either(
    key: str, value: Any, shape: tuple[int, ...], within: np.ndarray | None = None
) -> float | np.ndarray:
    """Check for a number, or an array on the grid."""
    return cells(key, value, shape, within) if np.ndim(value) else number(key, value)


def _on_grid(key: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        found = np.asarray(value)
    except (TypeError, ValueError):
        found = np.asarray(None)
    if found.shape != shape:
        raise InputError(f"{key} has shape {found.shape}, the grid {shape}. They must agree.")
    return found
