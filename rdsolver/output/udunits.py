"""Units in the form of UDUNITS: "nM" is "nmol L-1", "um^2/d" is "um2 d-1".

CF requires that form in the attribute `units`. A unit with anything else than the symbols below (a unit of a
user model) stays unchanged.
"""

from __future__ import annotations

import re

READABLE = "units_readable"
"""The attribute that holds a unit in readable form, beside `units`."""

_PREFIXES = ("", "p", "n", "u", "m", "c", "k")
_SYMBOLS = {f"{p}{s}": {f"{p}{s}": 1} for p in _PREFIXES for s in ("m", "g", "s", "L", "l", "mol")}
_SYMBOLS |= {f"{p}M": {f"{p}mol": 1, "L": -1} for p in _PREFIXES}
_SYMBOLS |= {
    name: {s: 1} for s in ("d", "h", "min") for name in (s, {"d": "day", "h": "hour", "min": "minute"}[s])
}
_SYMBOLS |= {
    f"{name}s": {s: 1} for name, s in (("day", "d"), ("hour", "h"), ("minute", "min"), ("second", "s"))
}
_SYMBOLS |= {"cell": {}, "cells": {}}
"""For each symbol, the symbols it consists of. Days are "d", never "days": xarray would make them a
timedelta.
"""

_SIGNS = str.maketrans("·⁻⁰¹²³⁴⁵⁶⁷⁸⁹µμ", "*-0123456789uu")
_PART = re.compile(
    r"(?P<symbol>[A-Za-z]+)(?:(?:\^|\*\*)?(?P<power>-?\d))?|(?P<one>1(?![\d.]))|(?P<sign>[*/()])"
)


def udunits(unit: str) -> str:
    """A unit in symbols and exponents, without operators; unchanged if it cannot be parsed."""
    try:
        found, rest = _product(_parts(unit.translate(_SIGNS)))
    except (ValueError, KeyError):
        return unit
    if rest:
        return unit
    return (
        " ".join(f"{symbol}{'' if power == 1 else power}" for symbol, power in found.items() if power) or "1"
    )


def _parts(text: str) -> list[re.Match[str]]:
    parts, at = [], 0
    while at < len(text):
        if text[at] == " ":
            at += 1
            continue
        if (part := _PART.match(text, at)) is None:
            raise ValueError
        parts.append(part)
        at = part.end()
    return parts


def _product(parts: list[re.Match[str]]) -> tuple[dict[str, int], list[re.Match[str]]]:
    """The powers of the symbols of a product, from left to right up to its end or a closing bracket, and the
    parts behind it.
    """
    found: dict[str, int] = {}
    sign, needed = 1, True
    while parts and parts[0]["sign"] != ")":
        part, *parts = parts
        if part["sign"] in ("*", "/"):
            if needed and (found or part["sign"] == "*"):
                raise ValueError
            sign, needed = (1 if part["sign"] == "*" else -1), True
            continue
        if part["sign"] == "(":
            inner, parts = _product(parts)
            _, *parts = parts  # the bracket that closes; ValueError without one
            power = 1
        else:
            inner, power = ({}, 1) if part["one"] else (_SYMBOLS[part["symbol"]], int(part["power"] or 1))
        for symbol, of in inner.items():
            found[symbol] = found.get(symbol, 0) + sign * power * of
        sign, needed = 1, False
    if needed:
        raise ValueError
    return found, parts
