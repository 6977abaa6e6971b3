"""How in space: fluxes, borders, reductions, multigrid."""
