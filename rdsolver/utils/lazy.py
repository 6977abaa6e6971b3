"""Modules that are loaded when they are first used, so that what stands beside them is read without."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any


class _Lazy(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


def lazy(name: str) -> Any:
    """The module of this full name, not loaded before one of its attributes is asked for."""
    return _Lazy(name)
