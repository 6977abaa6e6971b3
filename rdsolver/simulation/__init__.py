"""One run in memory: baseline, scenario, loop over steps."""

from typing import TYPE_CHECKING

from .._moved import moved

if not TYPE_CHECKING:
    __getattr__ = moved("simulation")
