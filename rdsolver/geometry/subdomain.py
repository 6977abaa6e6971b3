"""The cells in which a user model is solved, and the data that its initial state may depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import InputError
from .section import Section

Lives = Literal["everywhere", "marrow", "bone"]
HALF = 0.5  # a cell with less bone than this is marrow


@dataclass(frozen=True, eq=False)
class Where:
    """The data from which an initial state is made; arrays on the cells, (z, y, x) or (y, x).

    x, y, z   coordinates of the cell centres, um (z: 0 in a 2D section)
    size      edges of the section, um, one for each axis
    bone      bone fraction, in [0, 1]
    active    True in the cells that are solved
    random    NumPy generator, seeded by initial.seed
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    size: tuple[float, ...]
    bone: np.ndarray
    active: np.ndarray
    random: np.random.Generator

    @classmethod
    def of(cls, section: Section, active: np.ndarray, seed: int) -> Where:
        grid = section.grid
        places = dict(
            zip(
                grid.axes,
                np.meshgrid(*(grid.centres(a) for a in range(grid.ndim)), indexing="ij"),
                strict=True,
            )
        )
        places.setdefault("z", np.zeros(grid.shape))
        size = tuple(n * h for n, h in zip(grid.shape, grid.spacing, strict=True))
        return cls(**places, size=size, bone=section.bone, active=active, random=np.random.default_rng(seed))


def solved(section: Section, lives: Lives) -> np.ndarray:
    """The cells of the field of view in which such a model is solved. Raises InputError if there are none."""
    marrow = section.bone < HALF
    active = section.active & {"everywhere": True, "marrow": marrow, "bone": ~marrow}[lives]
    if not active.any():
        raise InputError(
            f'section: the model lives in "{lives}", and the section has no such cell. Take another section.'
        )
    return active
