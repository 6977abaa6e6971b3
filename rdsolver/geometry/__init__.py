"""The geometry of a section: grid, bone, boundary conditions, generated sections."""
