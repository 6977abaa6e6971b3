"""How in time: integrators and step control."""
