"""The components of the bone model, one file for each, which is found by its name.

To add one, add a file to this folder with a class `COMPONENT` (models/bone/component.py).
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..component import Component

NAMES = tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__"))


@cache
def component(name: str) -> type[Component]:
    """The class of the component with one of NAMES."""
    return import_module(f"{__name__}.{name}").COMPONENT


def every() -> tuple[Component, ...]:
    """One instance of each component, to read its declarations."""
    return tuple(component(name)() for name in NAMES)
