"""How in time: integrators, step control, the implicit system."""

from .etd import ETDRK2, ETDRK4
from .registry import INTEGRATORS, choose
from .rkc import RKC2
from .trbdf2 import TRBDF2

__all__ = ["ETDRK2", "ETDRK4", "INTEGRATORS", "RKC2", "TRBDF2", "choose"]
