"""The solvers of W1 and W2 that are compared: a table of peers, each built by its own module.

A module has build(case, precision, **options) -> solve, with everything compiled and warm; solve(tolerance)
-> (states at MARKS, counts). Counts may hold "seconds": the time of solving alone, if a library compiles in
the same call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from rdsolver.timestepping.registry import AUTO, INTEGRATORS, Entry

from ..problems import Case

BOTH = ("float64", "float32")
TOLERANCES = (3e-2, 1e-2, 3e-3, 1e-3, 1e-4, 1e-5)


def anything(case: Case) -> str:
    return ""


def a_box(case: Case) -> str:
    return "" if case.kind == "w1" else "obstacles do not fit it"


def a_section(cells: int) -> Callable[[Case], str]:
    return lambda case: (
        "" if len(case.shape) == 2 and case.shape[0] <= cells else f"too large: 2D, at most {cells}^2"
    )


def fits(integrator: Entry) -> Callable[[Case], str]:
    return a_box if integrator.exponential else anything


@dataclass(frozen=True)
class Peer:
    """A solver that is compared.

    module    its module in this package
    imports   packages that must be installed
    fits      a function that gives "" or the reason why a case does not fit it
    adaptive  True if it has a tolerance
    chooses   True if it chooses its method by the tolerance, so that each tolerance is run once before it is
              timed
    """

    name: str
    module: str
    imports: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    precisions: tuple[str, ...] = BOTH
    fits: Callable[[Case], str] = anything
    adaptive: bool = True
    chooses: bool = False

    @property
    def missing(self) -> list[str]:
        return [name for name in self.imports if find_spec(name) is None]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("rdsolver auto", "ours", ("jax",), {"integrator": AUTO}, chooses=True),
        *(
            Peer(f"rdsolver {i.name}", "ours", ("jax",), {"integrator": i.name}, fits=fits(i))
            for i in INTEGRATORS.values()
        ),
        Peer("numba rkc2", "rkc2_numba", ("numba",)),
        Peer("scipy etdrk2", "etd_dct", ("scipy",), {"method": "etdrk2"}, fits=a_box),
        Peer("scipy etdrk4", "etd_dct", ("scipy",), {"method": "etdrk4"}, fits=a_box),
        Peer("cvode dct", "cvode", ("sksundae", "numba"), {"preconditioner": "dct"}, ("float64",), a_box),
        Peer("cvode", "cvode", ("sksundae", "numba"), {"preconditioner": "none"}, ("float64",)),
        Peer("scipy bdf", "scipy_bdf", ("scipy",), {}, ("float64",), a_section(256)),
        Peer(
            "diffrax kvaerno3",
            "diffrax_kvaerno",
            ("diffrax", "lineax", "optimistix"),
            {},
            BOTH,
            a_section(256),
        ),
        Peer("py-pde jax", "pypde", ("pde", "jax"), {"backend": "jax"}, BOTH, a_box, adaptive=False),
        Peer(
            "py-pde numba",
            "pypde",
            ("pde", "numba"),
            {"backend": "numba"},
            ("float64",),
            a_box,
            adaptive=False,
        ),
    )
}
FLOORS = ("numba rkc2", "scipy etdrk2", "scipy etdrk4")
OURS = tuple(name for name in PEERS if name.startswith("rdsolver"))
