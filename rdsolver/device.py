"""Where a run computes: the device, 64-bit types, the compilation cache."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError
from .problem import host_memory


def cache_folder() -> Path:
    """Where compiled programs are kept between runs: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "rdsolver" / "jax"


def parted(device: str) -> tuple[str, int | None]:
    """("gpu", 1) of "gpu:1", ("cpu", None) of "cpu". Raises InputError for what is no device."""
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "gpu") or (number and not number.isdecimal()):
        raise InputError(f"--device {device} is not known. Allowed: cpu, gpu, or one of several GPUs such as gpu:1.")
    return kind, int(number) if number else None


@contextmanager
def on(device: str) -> Iterator[str]:
    """Compute on `device` ("cpu", "gpu", "gpu:1"), with 64-bit types allowed; gives its name.

    Types and default device are the caller's own again afterwards. Where JAX has not started yet, a run on the CPU keeps
    it from looking for GPUs in this process, since it would claim their memory. Raises InputError when there is no such device.
    """
    import jax

    kind, number = parted(device)
    if kind == "cpu" and not jax.config.jax_platforms:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_platforms", "cpu")  # else JAX would claim the memory of every GPU it finds
    use_cache()
    try:
        found = jax.devices(kind)
    except RuntimeError:
        found = []
    index = number or 0
    if index >= len(found):
        there = f"{len(found)} found" if found else "none found"
        raise InputError(
            f"--device {device}: JAX sees no such device ({there}). Use --device cpu, or install JAX for your GPU, "
            'in rdsolver\'s folder: pip install ".[cuda13]".'
        )
    with jax.enable_x64(True), jax.default_device(found[index]):
        yield "cpu" if kind == "cpu" else f"gpu:{index} ({found[index].device_kind})"


def use_cache() -> None:
    import jax

    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]  # a user's own choice stays
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def free_memory(device: str) -> int | None:
    """Bytes free on the device, None where it cannot be told."""
    if device == "cpu":
        return host_memory()
    import jax

    stats = jax.devices("gpu")[int(device.partition(":")[2] or 0)].memory_stats()
    return None if not stats else int(stats["bytes_limit"]) - int(stats["bytes_in_use"])


def peak_memory(device: str) -> dict[str, int]:
    """Bytes that this process has had at most: "host", and "device" where that is another and tells it."""
    import resource

    import jax

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"host": most if sys.platform == "darwin" else 1024 * most}
    kind, number = parted(device)
    stats = jax.devices(kind)[number or 0].memory_stats() if kind != "cpu" else None
    return found | ({"device": int(stats["peak_bytes_in_use"])} if stats and "peak_bytes_in_use" in stats else {})


def in_flight(width: int) -> int:
    """Runs that a program of this width has to choose from: twice as many fill it always, and more let explicit steps of like length go
    together (128 members, 16 wide: 1.33 to 1.39 of the work that was needed with 64 in flight, 1.5 to 1.9 with 32)."""
    return min(4 * width, 2 * width + 32)
