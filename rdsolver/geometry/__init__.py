"""Where: grid, bone, boundary conditions, generated sections."""
