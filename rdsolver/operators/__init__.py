"""Operators in space: fluxes, boundaries, reductions, multigrid."""
