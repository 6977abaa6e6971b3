"""Integration in time: one file for each integrator, a registry, step control."""
