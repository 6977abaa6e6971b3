"""The simulation of one run in memory: baseline, scenario, and the loop over steps."""

from typing import TYPE_CHECKING

from .._moved import moved

if not TYPE_CHECKING:
    __getattr__ = moved("simulation")
