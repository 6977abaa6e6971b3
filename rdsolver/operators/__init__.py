"""Operators in space: fluxes, boundary conditions, reductions, multigrid."""
