"""How in time: integrators and step control."""

from .rkc import RKC2
from .trbdf2 import TRBDF2

INTEGRATORS = {"auto": TRBDF2, "tr-bdf2": TRBDF2, "rkc2": RKC2}

__all__ = ["INTEGRATORS", "RKC2", "TRBDF2"]
