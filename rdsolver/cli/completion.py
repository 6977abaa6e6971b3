"""Shell completion of names and options (`rdsolver --install-completion`).

It imports nothing heavy, so that the shell answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


def of(words: Iterable[str]) -> Callable[[str], list[str]]:
    """A completion function: the words that begin with what was typed."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def examples(incomplete: str) -> list[str]:
    from .examples import named

    return of(named())(incomplete)


def agents(incomplete: str) -> list[str]:
    from ..models.bone.binders import LABELS

    return of(LABELS)(incomplete)


def presets(incomplete: str) -> list[str]:
    from ..models.bone.parameters import PRESETS

    return of(PRESETS)(incomplete)


def tumours(incomplete: str) -> list[str]:
    from ..models.bone.parameters import TUMOURS

    return of(TUMOURS)(incomplete)


devices = of(("cpu", "gpu"))
precisions = of(("float32", "float64"))
methods = of(("morris", "sobol"))
formats = of(("tiff", "csv", "vtkhdf", "zarr", "npz", "xdmf"))
