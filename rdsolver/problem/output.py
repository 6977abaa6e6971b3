"""The settings of what a run saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ..errors import InputError, shown, unknown
from ..geometry.grid import Grid
from ..utils import checks


@dataclass(frozen=True)
class Output:
    """The saved values: fields (None: all), at every stride-th cell of the crop.

    The crop has index ranges, one (start, stop) for each axis.
    """

    fields: tuple[str, ...] | None = None
    stride: int = 1
    crop: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        names, ranges = 'a list of names, such as ("rankl", "bone")', "one (start, stop) an axis, in cells"
        span = partial(checks.several, one=checks.whole, what="a start and a stop")
        checks.settle(
            self,
            fields=(
                None
                if self.fields is None
                else checks.several("output.fields", self.fields, checks.text, names)
            ),
            stride=checks.whole("output.stride", self.stride, 1),
            crop=None if self.crop is None else checks.several("output.crop", self.crop, span, ranges),
        )


def check_output(output: Output, names: Sequence[str], grid: Grid) -> None:
    """Raise InputError for a field that is none of `names`, and for a crop or stride that does not fit."""
    for name in output.fields or ():
        if name not in names:
            raise InputError(f"output.fields holds {shown(name)}, which {unknown('field', name, names)}")
    _check_window(output, grid)


def _check_window(output: Output, grid: Grid) -> None:
    """Check that the crop lies on the grid, and the stride leaves two cells along an axis that has as
    many.
    """
    crop = tuple((0, n) for n in grid.shape) if output.crop is None else output.crop
    if len(crop) != grid.ndim or not all(
        len(c) == 2 and 0 <= c[0] < c[1] <= n for c, n in zip(crop, grid.shape, strict=True)
    ):
        raise InputError(
            f"output.crop = {[list(c) for c in crop]} does not fit the grid of"
            f" {' x '.join(map(str, grid.shape))} cells. Give {grid.ndim} ranges [start, stop] within it, one"
            " an axis."
        )
    if short := [c[1] - c[0] for c in crop if 1 < c[1] - c[0] <= output.stride]:
        raise InputError(
            f"output.stride = {output.stride} leaves one cell of {min(short)} along an axis. Make it smaller."
        )
