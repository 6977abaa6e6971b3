"""The kinds of [section] that a config may have: trabeculae that are generated, a scan, a slab, rings, an
empty box. Each builds its Section.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..geometry.grid import Grid
from ..geometry.section import Section, rings, slab
from .messages import Fault
from .tables import Length, Lengths, OneOfSeveral, Quantity, Table

MOST_CELLS = 1e9
"""The most cells along one axis."""


class AnySection(Table):
    """The keys that a section of any kind has."""

    coarsen: Annotated[int, Field(ge=1, le=1000)] = 1
    """The number of cells along each axis that are averaged into one (by volume) after the section is built,
    for quick runs on the same bone.
    """


class Box(AnySection):
    """The keys that every generated section has."""

    size: list[Length] = Field(min_length=2, max_length=3)
    """The edges of the box: y and x, or z, y and x for a block. For example size = ["1280 um", "1280 um"]."""
    spacing: Length
    """The edge of a cell, for example "10 um"."""
    thickness: Length | None = None
    """The thickness of a 2D section, for example "10 um". A block has none."""
    borders: Literal["no-flux", "periodic"] = "no-flux"
    """The boundary condition at the sides of the box."""

    def faults(self) -> Iterator[Fault]:
        for i, length in enumerate(self.size):
            if not length / self.spacing < MOST_CELLS:
                yield (
                    f"size.{i}",
                    (
                        f"= {length:g} um makes {length / self.spacing:.3g} cells of {self.spacing:g} um."
                        " Make the spacing coarser."
                    ),
                )
                continue
            cells = max(round(length / self.spacing), 1)
            if abs(length / self.spacing - cells) > 0.01:
                nearest = cells * self.spacing
                yield (
                    f"size.{i}",
                    f"= {length:g} um is not a multiple of the spacing, {self.spacing:g} um. The nearest is"
                    f' "{nearest:g} um".',
                )
        if len(self.size) == 2 and self.thickness is None:
            yield (
                "thickness",
                (
                    "is missing, and a 2D section needs one: counts are per mm3. Give it, for example"
                    ' thickness = "10 um".'
                ),
            )
        if len(self.size) == 3 and self.thickness is not None:
            yield (
                "thickness",
                (
                    f"= {self.thickness:g} um is given, and a block (three lengths in size) has none. Leave"
                    " it out."
                ),
            )

    def grid(self) -> Grid:
        n = len(self.size)
        shape = tuple(max(round(s / self.spacing), 1) for s in self.size)
        return Grid(shape, (self.spacing,) * n, borders=(self.borders,) * n, thickness=self.thickness)


class Trabecular(Box):
    """A generated trabecular section or block."""

    kind: Literal["trabecular"]
    """Give trabecular, image, slab, rings or box."""
    bone_fraction: Annotated[float, Quantity("1")] = 0.25
    """The bone volume fraction, BV/TV."""
    trabecular_thickness: Length = 120.0
    """The mean thickness of the trabeculae, for example "120 um"."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """The seed of the generator: the same seed gives the same bone."""

    def build(self) -> Section:
        from ..geometry.trabeculae import trabecular

        return trabecular(self.grid(), self.bone_fraction, self.trabecular_thickness, self.seed)


class Slab(Box):
    """A flat slab of bone at the low end of an axis."""

    kind: Literal["slab"]
    """Give trabecular, image, slab, rings or box."""
    slab_thickness: Length | None = None
    """The thickness of the bone (default: half the box)."""
    axis: Literal["z", "y", "x"] = "x"
    """The axis across the slab."""

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        if self.axis == "z" and len(self.size) == 2:
            yield "axis", '= "z", and a 2D section has the axes y and x. Give axis = "x" or "y".'

    def build(self) -> Section:
        return slab(self.grid(), axis="zyx".index(self.axis) - 3, thickness=self.slab_thickness)


class Rings(Box):
    """Vessels or ducts in cross-section, or nodules, for tissue beyond bone."""

    kind: Literal["rings"]
    """Give trabecular, image, slab, rings or box."""
    radius: Length
    """The outer radius of a ring, for example "500 um"."""
    wall: Length
    """The thickness of its wall, for example "150 um". A wall as thick as the radius makes a nodule."""
    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    """The number of rings. A single one lies in the middle, several lie at random places."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """The seed of those places."""

    def faults(self) -> Iterator[Fault]:
        yield from super().faults()
        if self.wall > self.radius:
            yield (
                "wall",
                (
                    f"= {self.wall:g} um is more than the radius, {self.radius:g} um. Give as much at most:"
                    " then it is a nodule."
                ),
            )

    def build(self) -> Section:
        return rings(self.grid(), self.radius, self.wall, self.count, self.seed)


class Empty(Box):
    """A box without bone, for a user model."""

    kind: Literal["box"]
    """Give trabecular, image, slab, rings or box."""

    def build(self) -> Section:
        grid = self.grid()
        return Section(grid, np.zeros(grid.shape), np.ones(grid.shape, bool), {"kind": "box"}, bare=True)


class Image(AnySection):
    """A section from a scan."""

    kind: Literal["image"]
    """Give trabecular, image, slab, rings or box."""
    image: str
    """The path of the image, relative to the folder of the config, for example "slice.tif"."""
    dataset: str | None = None
    """The path of the dataset inside an HDF5 file."""
    channel: OneOfSeveral = None
    """The channel to read from a file that holds several: its number from 0, or its name. "slices" if what
    the file calls channels are the slices of a block.
    """
    frame: OneOfSeveral = None
    """The time to read from a file that holds several, a number from 0. "slices" if what the file calls times
    are the slices of a block.
    """
    voxel: Lengths | None = None
    """The edge of a voxel, or one per axis, for example "19.5 um". Needed where the file does not give it."""
    threshold: Annotated[float | str, Quantity("1", words=("otsu", "binary", "fraction"))]
    """How bone is told from marrow: "otsu", a grey value (bone is brighter), "binary" or "fraction".

    The choice moves BV/TV by a fifth, so there is no default.
    """
    field_of_view: str | None = None
    """The field of view: "circle", or the path of a mask (default: the whole image)."""
    crop: list[list[int]] | None = None
    """The part of the image to use: one [start, stop] per axis, in voxels."""
    denoise: Annotated[float | str | None, Quantity("um", above=0, words=("median",))] = None
    """A filter before the threshold: "median", or a Gaussian by its standard deviation, for example "20 um".
    """
    spacing: Lengths | None = None
    """The edge of a cell, or one per axis (default: the voxel)."""
    thickness: Length | None = None
    """The thickness of a 2D section, for example "19.5 um"."""
    borders: Literal["no-flux", "periodic"] = "no-flux"
    """The boundary condition at the sides."""

    def build(self) -> Section:
        from ..images.load import section_from_image

        keys = (
            "voxel",
            "dataset",
            "channel",
            "frame",
            "threshold",
            "crop",
            "denoise",
            "field_of_view",
            "spacing",
            "thickness",
        )
        section = section_from_image(self.image, **{k: getattr(self, k) for k in keys})
        return replace(section, grid=replace(section.grid, borders=(self.borders,) * section.grid.ndim))


SectionTable = Trabecular | Image | Slab | Rings | Empty
