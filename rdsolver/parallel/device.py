"""The device on which a run computes, 64-bit types, and the compilation cache."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import Any

from ..errors import InputError
from ..utils.extras import install
from ..utils.memory import host_memory
from ..utils.reporting import byte_size

OURS: dict[str, Any] = {
    "enable_x64": True,
    "numpy_rank_promotion": "allow",
    "numpy_dtype_promotion": "standard",
    "default_matmul_precision": None,
    "disable_jit": False,
    "debug_nans": False,
    "debug_infs": False,
    "enable_checks": False,
    "check_tracer_leaks": False,
    "transfer_guard": "allow",
    "no_tracing": False,
}
"""The settings of JAX for a run, whatever the caller has set.

JAX's own debugging would stop a run: an attempted step may overflow and is then rejected, numbers are copied
to and from the device, and code that is not compiled takes hours.
"""

# bytes; the compiler took 1.9 GB for a run on two cores, and aborts without a message below that
LEAST_ADDRESSES = 2 * 10**9


def cache_folder() -> Path | None:
    """The folder of compiled programs that are kept between runs, in the user's cache folder.

    It is None if no such folder can be written.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base) / "rdsolver" / "jax"
    if not folder.is_absolute():  # the user has no home folder
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def parse_device(device: str) -> tuple[str, int | None]:
    """("gpu", 1) for "gpu:1", ("cpu", None) for "cpu". Raises InputError for a text that is no device."""
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "gpu") or (number and not number.isdecimal()):
        raise InputError(
            f"--device {device} is not known. Allowed: cpu, gpu, or one of several GPUs such as gpu:1."
        )
    return kind, int(number) if number else None


@contextmanager
def on(device: str) -> Iterator[str]:
    """Compute on `device` ("cpu", "gpu", "gpu:1"), with 64-bit types allowed; yields its name.

    All settings (OURS) are the caller's own again afterwards. Where JAX has not started yet, a run on the CPU
    keeps it from looking for GPUs in this process, since it would claim their memory, unless JAX_PLATFORMS
    names the CPU too (cuda,cpu). Raises InputError when there is no such device, or too little address space.
    """

    kind, number = parse_device(device)
    check_address_space()
    _check_errors_pass()
    use_cache()
    if kind == "gpu" and number is not None:
        _show_only(number)
    found = _found(kind)
    here = _numbered(found, number)
    if not here:
        there = f"{len(found)} found" if found else "none found"
        only = os.environ.get("JAX_PLATFORMS")
        if found:
            way = "A process that has begun on one GPU sees no other; use another process."
        elif only:
            way = f"Unset JAX_PLATFORMS: it is {only}, and JAX looks nowhere else."
        else:
            way = f"{install('cuda13', 'JAX for a GPU')}. nvidia-smi -L lists the GPUs."
        raise InputError(f"--device {device}: JAX sees no such device ({there}). Use --device cpu. {way}")
    with computing_on(here[0]):
        yield "cpu" if kind == "cpu" else f"gpu:{number or 0} ({here[0].device_kind})"


@contextmanager
def computing_on(device: Any) -> Iterator[None]:
    """Compute on a device of JAX in this thread, with all settings for a run (OURS)."""
    import jax

    with ExitStack() as stack:
        for name, value in OURS.items():
            if hasattr(jax, name):
                stack.enter_context(getattr(jax, name)(value))
        stack.enter_context(jax.default_device(device))
        yield


def gpu_order() -> dict[str, str]:
    """The environment in which CUDA numbers GPUs as nvidia-smi does, not by speed; a user's own holds."""
    return {"CUDA_DEVICE_ORDER": os.environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")}


def _show_only(number: int) -> None:
    """Let JAX see one GPU, by nvidia-smi's number, or it would take memory on all of them.

    It has no effect where JAX has started, or where the user has named the visible GPUs.
    """
    import jax

    os.environ |= gpu_order()
    if jax.config.values.get("jax_cuda_visible_devices") == "all":  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_cuda_visible_devices", str(number))


def _numbered(found: list[Any], number: int | None) -> list[Any]:
    """The devices of this number, which is that of the machine also where fewer are seen."""
    return found if number is None else [d for d in found if (d.local_hardware_id or 0) == number]


def _found(kind: str) -> list[Any]:
    """The devices of a kind.

    For the CPU, JAX_PLATFORMS may name a platform that does not exist here: cuda, on the login node of a
    cluster.
    """
    import jax

    if kind == "cpu" and "cpu" not in (jax.config.jax_platforms or "").split(","):  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update(
            "jax_platforms", "cpu"
        )  # otherwise JAX would claim the memory of every GPU it finds
    try:
        return jax.devices(kind)
    except (RuntimeError, AssertionError):  # JAX raises either if a platform in JAX_PLATFORMS does not exist
        if kind != "cpu":
            return []
    jax.config.update("jax_platforms", "cpu")
    try:
        return jax.devices(kind)
    except RuntimeError:  # JAX was started without this platform
        return []


def use_cache() -> None:
    """Keep compiled programs, unless the user has chosen a folder for them, or no folder can be written."""
    import jax

    if jax.config.jax_compilation_cache_dir is None and (folder := cache_folder()):  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def check_address_space() -> None:
    """Raise InputError for a limit (ulimit -v) under which the compiler would abort the process."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if 0 <= limit < LEAST_ADDRESSES and limit != resource.RLIM_INFINITY:
        raise _too_few_addresses(limit)


def _check_errors_pass() -> None:
    """Raise InputError if JAX is set to raise for values that an attempted step may produce.

    Unlike OURS, this setting cannot be changed for a while only.
    """
    import jax

    for kind in ("nan", "divide", "oob"):
        name = f"jax_error_checking_behavior_{kind}"
        if getattr(jax.config, name, "ignore") != "ignore":
            raise InputError(
                f"{name.upper()} = {getattr(jax.config, name)}, but a step attempt may produce such values"
                f' and is then rejected. Unset it, or in Python: jax.config.update("{name}", "ignore").'
            )


def _too_few_addresses(limit: int) -> InputError:
    return InputError(
        f"The address space of this process is limited to {byte_size(limit)} (ulimit -v), and compiling takes"
        f" {byte_size(LEAST_ADDRESSES)} or more, of which little is ever used. Lift that limit: ulimit -v"
        " unlimited. What is used can be limited by cgroups or Slurm."
    )


def refused(error: Exception) -> InputError | None:
    """The message for JAX that did not start because of a setting of the environment or too little address
    space.
    """
    if isinstance(error, ImportError) and "failed to map segment" in str(error):
        return _too_few_addresses(resource.getrlimit(resource.RLIMIT_AS)[0])
    if isinstance(error, ValueError) and extract_tb(error.__traceback__)[-1].filename.endswith(
        "jax/_src/config.py"
    ):
        return InputError(
            f"JAX refuses a setting of the environment: {error}. Correct that variable (JAX_...), or"
            " unset it."
        )
    return None


def free_memory(device: str) -> int | None:
    """The number of bytes free on the device; None if it is unknown."""
    if device == "cpu":
        return host_memory()
    import jax

    stats = jax.devices("gpu")[int(device.partition(":")[2] or 0)].memory_stats()
    return None if not stats else int(stats["bytes_limit"]) - int(stats["bytes_in_use"])


def peak_memory(device: str) -> dict[str, int]:
    """The peak memory of this process in bytes: "host", and "device" if that is another and reports it."""
    import jax

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"host": most if sys.platform == "darwin" else 1024 * most}
    kind, number = parse_device(device)
    stats = jax.devices(kind)[number or 0].memory_stats() if kind != "cpu" else None
    return found | (
        {"device": int(stats["peak_bytes_in_use"])} if stats and "peak_bytes_in_use" in stats else {}
    )


def in_flight(width: int) -> int:
    """The number of runs that a program of this width has to choose from.

    Twice the width always fills it, and some more are being prepared or written.
    """
    return min(4 * width, 2 * width + 8)
