"""The provenance of a result: versions, machine, commit and command.

This module imports none of the packages it names.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from .._version import __version__

PACKAGE = Path(__file__).resolve().parents[1]
PACKAGES = ("rdsolver", "jax", "jaxlib", "numpy", "scipy", "h5py")


def collect(device: str, precision: str, seed: int | None) -> dict[str, Any]:
    """The provenance of a run that starts now, without host or user name beyond those in the command line.

    git_commit and git_dirty (tracked files changed) belong to rdsolver's own checkout, and are "unknown" and
    None without one.
    """
    commit, dirty = git_state()
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "platform": platform.platform(),
        "cpu": cpu(),
        "threads": threads(),
        "device": device,
        "precision": precision,
        "seed": seed,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "git_commit": commit,
        "git_dirty": dirty,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
    }


@cache
def cpu() -> str:
    """The model of the processor, "unknown" if the system does not report it."""
    try:
        if sys.platform == "darwin":
            asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return (
                subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
                or "unknown"
            )
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        said = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
        found = {name.strip(): text.strip() for name, text in said.items()}
        return found.get("model name") or found.get("Model") or platform.processor() or "unknown"
    except (OSError, subprocess.SubprocessError):
        return platform.processor() or "unknown"


def threads() -> int:
    """The number of processors that this process may use, and so of XLA's threads on a CPU."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def version(name: str) -> str:
    """The version of an installed package; for rdsolver its own, as another project has that name on PyPI."""
    if name == "rdsolver":
        return __version__
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def git_state() -> tuple[str, bool | None]:
    """(Commit, dirty) of the checkout that contains this package.

    A package that is installed inside another project's work tree has none. The state is read once, because
    the imported code is the code that runs.
    """
    return _git_state(PACKAGE)


@cache
def _git_state(package: Path) -> tuple[str, bool | None]:
    try:
        top, commit = _git(package, "rev-parse", "--show-toplevel", "HEAD").split("\n")
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        if Path(top).resolve() != package.parent:
            return "unknown", None
        return commit, bool(_git(package, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, ValueError, subprocess.SubprocessError):
        return "unknown", None


def _git(package: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(package), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
