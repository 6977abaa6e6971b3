"""Where: the grid and the bone on it, from scans or from a generator (NumPy only)."""
