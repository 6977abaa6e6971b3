"""How in time: one file an integrator, a registry, step control."""
