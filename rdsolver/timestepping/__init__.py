"""Integration in time: integrators, their registry, step control."""
