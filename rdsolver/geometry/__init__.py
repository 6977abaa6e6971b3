"""Sections: grid, bone, boundary conditions, generated geometry."""
