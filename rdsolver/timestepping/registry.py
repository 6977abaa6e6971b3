"""The only list of the integrators, which config, checks, docs, `rdsolver verify` and benchmarks read.

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
    """An integrator before it is imported.

    home         file of this folder and class in it, "trbdf2:TRBDF2"
    what         description in one line
    exponential  True if it solves diffusion exactly; it then needs constant diffusivities in a box, without
                 mask, drift or open boundary, and a reaction that is not stiff
    """

    name: str
    home: str
    what: str
    exponential: bool = False

    def load(self) -> Integrator:
        """A new instance of the integrator."""
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
"""The name for the integrator with the least predicted work (choice.py)."""
NAMES = (AUTO, *INTEGRATORS)
"""The names that may be asked for."""
GENERAL = tuple(e.name for e in INTEGRATORS.values() if not e.exponential)
"""The integrators that solve any model anywhere."""
ANYWHERE = ", ".join(f'"{name}"' for name in (AUTO, *GENERAL))
"""The names that may be asked for with any model anywhere, as a message lists them."""


def exponential(name: str) -> bool:
    """True if the integrator that is asked for is exponential."""
    return name != AUTO and INTEGRATORS[name].exponential


def described() -> str:
    """A sentence that lists the integrators, for the description of the config key."""
    told = ", ".join(f"{e.name} ({e.what})" for e in INTEGRATORS.values())
    return (
        f"One of {told}; exponential ones need a user model in a whole box. auto takes the one whose"
        " predicted work is least, and says which."
    )
