"""Annotations of arrays by their shapes, for readers and for tests that check them with jaxtyping.

Without jaxtyping, which no run needs, each is a plain array.
"""

from typing import TYPE_CHECKING, Annotated, Any

from jax import Array

if TYPE_CHECKING:
    Bool = Annotated
    Float = Annotated
    Int = Annotated
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ModuleNotFoundError:
        Bool = Float = Int = Annotated

Number = Float[Array, ""]
"""One number."""
Count = Int[Array, ""]
"""One whole number."""
Truth = Bool[Array, ""]
"""One truth value."""
OneNumber = Any
"""One number or truth value, on the device or still on the host."""
Cells = Float[Array, "*cells"]
"""One number for each cell of the grid, (z, y, x) or (y, x)."""
Pointwise = Float[Array, "..."]
"""One number for each cell, or one for all cells."""
Fields = dict[str, Cells]
"""By name, the fields of a model."""
Numbers = dict[str, Number]
"""By name, parameters, inputs or observables."""
Surroundings = dict[str, Pointwise]
"""By name, what rates see beside fields and parameters."""
Labels = Int[Array, "*cells"]
"""One whole number for each cell."""
FaceValues = Float[Array, "..."]
"""One number for each face between cells along one axis: n - 1 of them along it, or n where it wraps
(faces.py).
"""
Faces = tuple[FaceValues, ...]
"""One face array for each axis."""
Vector = tuple[Cells, ...]
"""One array for each field of a group."""
Coarser = Float[Array, "*coarser"]
CoarserVector = tuple[Coarser, ...]
"""One array for each field of a group, on the next coarser level of a multigrid hierarchy."""
Several = Float[Array, "several *cells"]
Vectors = tuple[Several, ...]
"""Several vectors, along the first axis of each field."""
Each = Float[Array, "several"]
"""One number for each of several vectors."""
Matrices = Float[Array, "n n *cells"]
"""A small matrix in each cell."""
Sums = Float[Array, "..."]
"""One sum over all cells, or one for each pocket."""
PerField = tuple[Sums, ...]
"""For each field of a group one number, one for each pocket, or one for each cell."""
