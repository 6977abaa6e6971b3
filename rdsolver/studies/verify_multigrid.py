"""Contraction of the multigrid over the table of cases (multigrid_cases.py)."""

from __future__ import annotations

from collections.abc import Iterator

from .multigrid_cases import cases
from .rows import Curve, Row, at_most


def contraction(quick: bool) -> Iterator[Row | Curve]:
    """The factor by which a V(2,2) reduces the residual, or Krylov iterations to 1e-6. The quick cases have their own test."""
    if not quick:
        for name, bound, observed in cases(quick):
            yield at_most(f"multigrid: {name}", bound, observed)


STUDIES = (contraction,)
