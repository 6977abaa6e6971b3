"""An image as it was read: its values, their calibration, and the edges of a voxel.

If a file holds more than one grey value per voxel, one is chosen by its meaning: channels and times are never
taken for depth.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..utils.safe_files import check_fits

MAX_VOXELS = 4_000_000_000
MICROMETRES = {"nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, r"\u00B5m": 1.0, "micron": 1.0, "microns": 1.0}
MICROMETRES |= {"mm": 1e3, "cm": 1e4, "m": 1e6}
SPACE = ("z", "y", "x")
SLICES = "slices"
"""The word in a config that says that channels or times are slices."""
MEANINGS = {
    "z": "z depth slice slices plane planes",
    "y": "y row rows height",
    "x": "x col cols column columns width",
    "frame": "t time times timepoint timepoints frame frames day days week weeks",
    "channel": (
        "c ch channel channels band bands marker markers wavelength lambda sample samples component"
        " components"
    ),
}
KNOWN = {word: axis for axis, words in MEANINGS.items() for word in words.split()}
SAYS_NOTHING = re.compile(r"\W*|none|[ijk]|(?:phony_)?(?:dim|axis|d)?_?\d+")
WORDS = {
    "channel": ("channels", "one channel", "bone is found in one"),
    "frame": ("times", "one time", "a section is of one"),
}


def meaning(word: str) -> str:
    """The name of an axis in a file, as z, y, x, channel or frame; "" for a name without a meaning, and any
    other name unchanged.
    """
    plain = word.strip().lower()
    return KNOWN.get(plain, "" if SAYS_NOTHING.fullmatch(plain) else plain)


@dataclass(frozen=True)
class Scale:
    """Calibrated grey values: offset + slope x stored value, clipped at 0 where the file asks for it, with
    the unit that it names.
    """

    offset: float
    slope: float
    unit: str = ""
    clipped: bool = False

    @property
    def moves_zero(self) -> bool:
        """True if a stored 0 is not 0. An offset of -32768 does not count: it is how signed 16-bit values are
        stored.
        """
        return self.offset != 0 and (self.offset, self.slope) != (-32768, 1)

    @property
    def record(self) -> dict[str, Any]:
        found = {"scale": "calibrated", "offset": self.offset, "slope": self.slope}
        return (
            found | ({"unit": self.unit} if self.unit else {}) | ({"clipped": True} if self.clipped else {})
        )

    def __call__(self, stored: np.ndarray) -> np.ndarray:
        if (self.offset, self.slope, self.clipped) == (-32768, 1, False) and stored.dtype == np.uint16:
            return (stored ^ np.uint16(0x8000)).view(np.int16)
        if (self.offset, self.slope, self.clipped) == (0, 1, False):
            return stored
        kind = np.float32 if stored.dtype.itemsize <= 2 else np.float64
        values = stored.astype(kind)
        values *= self.slope
        values += self.offset
        return np.maximum(values, 0, out=values) if self.clipped else values


@dataclass(frozen=True)
class Image:
    """An image.

    values  (z, y, x) or (y, x), calibrated if the file is
    voxel   edges of a voxel in um, None on an axis for which the file states none
    scale   calibration of the values; None: as stored
    bits    number of bits of a stored integer, if its type has more
    """

    values: np.ndarray
    voxel: tuple[float | None, ...]
    scale: Scale | None = None
    bits: int | None = None


@dataclass(frozen=True)
class Asked:
    """The settings of a config for an image.

    where           'section.image = "scan.tif"': for the messages
    key             name of the section, where `channel` and `frame` may be given; "" for a mask
    dataset         name of the dataset in an HDF5 file
    channel, frame  the one to read, counted from 0, a channel by its name too; "slices": they are slices
    """

    where: str
    key: str = ""
    dataset: str | None = None
    channel: int | str | None = None
    frame: int | str | None = None

    def place(self, axes: Sequence[str], shape: Sequence[int], names: Sequence[str] = ()) -> Place:
        """The place of the image in an array with these axes (as from `meaning`).

        names: the names of the channels, where the file has them. Raises InputError when a channel or time is
        not chosen, or does not exist, or when an axis is not one in space.
        """
        left: list[str] = list(axes)
        index: list[slice | int] = [slice(None)] * len(left)
        for kind in ("channel", "frame"):
            found = [i for i, axis in enumerate(axes) if axis == kind]
            wide = [i for i in found if shape[i] > 1] or found[:1]
            if len(wide) > 1:
                raise InputError(
                    f"{self.where}: it has several axes of {WORDS[kind][0]} ({_told(axes, shape)}). "
                    "Save the part that shows bone as a separate image, and give that."
                )
            for i in wide:
                whole = any(a == "z" and n > 1 for a, n in zip(axes, shape, strict=True))
                chosen = self._chosen(kind, shape[i], names if kind == "channel" else (), axes, shape, whole)
                left[i], index[i] = ("z", slice(None)) if chosen == SLICES else (kind, chosen)
            if not found and getattr(self, kind) is not None:
                raise InputError(
                    f"{self.where}: {self.key}.{kind} is given, but the file does not declare an axis of"
                    f" {WORDS[kind][0]} ({_told(axes, shape)}). Leave it out, or save {WORDS[kind][1]} as a"
                    " separate image."
                )
        for i, axis in enumerate(left):
            if isinstance(index[i], slice) and shape[i] > 1 and axis not in (*SPACE, ""):
                raise InputError(
                    f"{self.where}: its axis {axis!r} is not an axis in space ({_told(axes, shape)}). "
                    "Save one part of it as a separate image, or call the axis z, y or x if it is one."
                )
        return Place(tuple(index), tuple(left), self.where)

    def _chosen(
        self,
        kind: str,
        count: int,
        names: Sequence[str],
        axes: Sequence[str],
        shape: Sequence[int],
        whole: bool,
    ) -> Any:
        asked = getattr(self, kind)
        names = names if len(names) == count else ()
        if asked is None and count == 1:
            return 0
        if asked is None:
            named = f": {', '.join(map(repr, names[:8]))}{' ...' if len(names) > 8 else ''}" if names else ""
            ways = (
                [f"{self.key}.{kind} = 0 to {count - 1}" + (", or its name" if names else "")]
                if self.key
                else []
            )
            ways += (
                [f'{self.key}.{kind} = "{SLICES}" if they are the slices of a block']
                if self.key and not whole
                else []
            )
            raise InputError(
                f"{self.where}: it holds {count} {WORDS[kind][0]} ({_told(axes, shape)}){named}, and"
                f" {WORDS[kind][2]}. "
                + (f"Choose one: {'; '.join(ways)}. Or save" if ways else "Save")
                + " the one that is meant as a separate image."
            )
        if asked == SLICES and not whole:
            return SLICES
        called = [i for i, name in enumerate(names) if name == asked]
        if len(called) == 1:
            return called[0]
        if isinstance(asked, int | np.integer) and not isinstance(asked, bool) and 0 <= asked < count:
            return int(asked)
        allowed = f"0 to {count - 1}" + (f", or one of {', '.join(map(repr, names))}" if names else "")
        allowed += "" if whole else f', or "{SLICES}"'
        twice = "; the name stands for several" if called else ""
        raise InputError(
            f"{self.where}: {self.key}.{kind} = {asked!r} is not there{twice}. Allowed: {allowed}."
        )


def _told(axes: Sequence[str], shape: Sequence[int]) -> str:
    return (
        " x ".join(f"{n} {axis or '?'}" for n, axis in zip(shape, axes, strict=True) if n != 1) or "one value"
    )


@dataclass(frozen=True)
class Place:
    """The part of an array that is the image: its index, its axes before, and the image's name for a
    message.
    """

    index: tuple[slice | int, ...]
    axes: tuple[str, ...]
    where: str

    def image(
        self,
        part: np.ndarray,
        voxel: Sequence[float | None] = (),
        scale: Scale | None = None,
        bits: int | None = None,
        applied: bool = False,
    ) -> Image:
        """The image in the selected part: axes in the order z, y, x, those of length one dropped.

        voxel: one edge for each axis of the whole array. applied: True if the values are calibrated already.
        """
        kept = [i for i, cut in enumerate(self.index) if isinstance(cut, slice)]
        kept = [i for i, n in zip(kept, part.shape, strict=True) if n != 1]
        axes = [self.axes[i] for i in kept]
        edges = tuple(voxel[i] if len(voxel) == len(self.axes) else None for i in kept)
        values = part.squeeze()
        order = _order(axes)
        values, edges = values.transpose(order), tuple(edges[i] for i in order)
        if scale and not applied:
            check_fits(9 * values.size, f"{self.where}, calibrated")
            values = scale(values)
        return Image(values, edges, scale, bits)


def _order(axes: Sequence[str]) -> list[int]:
    """The order of the axes as z, y, x; axes without a name take the remaining places in their order."""
    named = [axis for axis in axes if axis]
    if len(axes) > len(SPACE) or len(set(named)) < len(named):
        return list(range(len(axes)))
    rest = [axis for axis in SPACE if axis not in named]
    left = iter(rest[len(rest) - (len(axes) - len(named)) :])
    places = [SPACE.index(axis or next(left)) for axis in axes]
    return sorted(range(len(axes)), key=places.__getitem__)


def check_size(shape: Sequence[int], itemsize: int, where: str) -> None:
    """Check the size before anything is read, so that a damaged header or a bomb cannot fill the memory."""
    voxels = math.prod(int(n) for n in shape) if len(shape) else 0
    size = " x ".join(map(str, shape))
    if voxels == 0:
        raise InputError(
            f"{where}: the image is empty (shape {size or '()'}). Give an image with at least one voxel."
        )
    if not 0 < voxels <= MAX_VOXELS:
        raise InputError(
            f"{where}: the image has {size} = {voxels:.3g} voxels, and at most {MAX_VOXELS:.3g} are read. "
            "Save a crop of it, or a coarser copy, and give that."
        )
    check_fits(voxels * (itemsize + 1), where)  # one byte more for the mask of finite values


def colour(where: str, found: str) -> InputError:
    return InputError(
        f"{where}: this is a colour image ({found}), but bone is found by its grey value. "
        "Convert it to grey, or save the channel that shows bone as a separate image, and give that."
    )


def straight(offset: Any, slope: Any, where: str, unit: Any = "", clipped: bool = False) -> Scale | None:
    """A linear calibration; None if it changes nothing.

    Raises InputError when it cannot be one.
    """
    try:
        line = float(offset), float(slope)
        told = f"{line[0]:g} + {line[1]:g}"
    except (TypeError, ValueError):
        line, told = (math.nan, math.nan), f"{offset!r:.30} + {slope!r:.30}"
    if not (all(map(math.isfinite, line)) and line[1]):
        raise InputError(
            f"{where}: its grey values are calibrated by {told} x stored value, which is not a scale. "
            "Save it with the right calibration, or without one."
        )
    unit = "".join(c for c in str(unit) if c.isprintable())[:40].strip()
    unit = "" if unit.lower() == "gray value" else unit
    return Scale(*line, unit, clipped) if line != (0.0, 1.0) or unit or clipped else None
