"""rdsolver: reaction-diffusion of RANKL, OPG and RANK-Fc coupled to osteoclasts on bone sections.

    from rdsolver import load_config, simulate, open_run, open_sweep

Importing the package imports neither JAX nor pydantic; each name loads what it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import _moved
from ._version import __version__ as __version__

if TYPE_CHECKING:
    from .config.event_table import read_events
    from .config.load import load_config
    from .errors import InputError, RdsolverError, RunError
    from .output.reader import open_run
    from .runs.run import resume, simulate
    from .sweep.reader import open_sweep

__all__ = [
    "InputError",
    "RdsolverError",
    "RunError",
    "load_config",
    "open_run",
    "open_sweep",
    "read_events",
    "resume",
    "simulate",
]

_moved.install()

_HOME: dict[str, str] = dict.fromkeys(("InputError", "RdsolverError", "RunError"), "errors")
_HOME |= {
    "load_config": "config.load",
    "read_events": "config.event_table",
    "simulate": "runs.run",
    "resume": "runs.run",
    "open_run": "output.reader",
    "open_sweep": "sweep.reader",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
