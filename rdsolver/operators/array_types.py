"""Arrays by their shapes, as annotations: for readers, and for tests that check them by jaxtyping.

Without jaxtyping, which no run needs, each is a plain array.
"""

from typing import TYPE_CHECKING, Annotated

from jax import Array

if TYPE_CHECKING:
    Float = Annotated
else:
    try:
        from jaxtyping import Float
    except ModuleNotFoundError:
        Float = Annotated

Number = Float[Array, ""]
"""One number."""
Cells = Float[Array, "*cells"]
"""One number a cell of the grid, (z, y, x) or (y, x)."""
FaceValues = Float[Array, "..."]
"""One number a face between cells along one axis: n - 1 of them along it, or n where it wraps (faces.py)."""
Faces = tuple[FaceValues, ...]
"""One face array an axis."""
Vector = tuple[Cells, ...]
"""One array a field of a group."""
Coarser = Float[Array, "*coarser"]
CoarserVector = tuple[Coarser, ...]
"""The same on the next level of a multigrid hierarchy."""
Several = Float[Array, "several *cells"]
Vectors = tuple[Several, ...]
"""Several vectors, along the first axis of each field."""
Matrices = Float[Array, "n n *cells"]
"""A small matrix in each cell."""
Sums = Float[Array, "..."]
"""One sum over all cells, or one for each pocket."""
Numbers = tuple[Sums, ...]
"""Of each field of a group one number, one for each pocket, or one a cell."""
