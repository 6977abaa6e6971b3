"""How the equations are advanced in time: one file an integrator, registry.py the list of them."""
