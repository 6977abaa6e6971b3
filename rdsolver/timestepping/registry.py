"""The integrators: the one list of them, which config, checks, docs, `rdsolver verify` and benchmarks read.

It is read without JAX: an integrator's own file is imported when the integrator is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base import Integrator


@dataclass(frozen=True)
class Entry:
    """An integrator, before it is imported.

    home         file of this room and class in it, "trbdf2:TRBDF2"
    what         what it is, in a line
    exponential  whether it takes diffusion exactly, and so needs constant diffusivities in a box, without
                 mask, drift or open boundary; and a reaction that is not stiff
    """

    name: str
    home: str
    what: str
    exponential: bool = False

    def load(self) -> Integrator:
        """A fresh one."""
        module, _, kind = self.home.partition(":")
        return getattr(import_module(f".{module}", __package__), kind)()


INTEGRATORS = {
    entry.name: entry
    for entry in (
        Entry("tr-bdf2", "trbdf2:TRBDF2", "implicit, order 2"),
        Entry("rkc2", "rkc:RKC2", "explicit with stabilised stages, order 2"),
        Entry("etdrk2", "etd:ETDRK2", "exponential, order 2", exponential=True),
        Entry("etdrk4", "etd:ETDRK4", "exponential, order 4", exponential=True),
    )
}
AUTO = "auto"
"""Stands for the one whose predicted work is least (choice.py)."""
NAMES = (AUTO, *INTEGRATORS)
"""What may be asked for."""
GENERAL = tuple(e.name for e in INTEGRATORS.values() if not e.exponential)
"""What solves any model anywhere."""
ANYWHERE = ", ".join(f'"{name}"' for name in (AUTO, *GENERAL))
"""What may be asked for of any model anywhere, as a message lists it."""


def exponential(name: str) -> bool:
    """Whether an integrator that is asked for is exponential."""
    return name != AUTO and INTEGRATORS[name].exponential


def described() -> str:
    """All of them in a sentence, as a config's key says it."""
    told = ", ".join(f"{e.name} ({e.what})" for e in INTEGRATORS.values())
    return (
        f"One of {told}; exponential ones need a user model in a whole box. auto takes the one whose"
        " predicted work is least, and says which."
    )
