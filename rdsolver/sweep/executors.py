"""The engines of a sweep: workers of the driver, the workers of a Dask scheduler, or jobs under Slurm.

Each is a concurrent.futures.Executor, and each Dask worker computes in worker processes of its own, so a run
is the same everywhere.
"""

from __future__ import annotations

import importlib
import logging
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import toml
from ..errors import InputError, unknown
from ..utils.extras import install
from . import worker_pool
from .worker_pool import Slot, WorkerPool

CONNECTING = 5  # s
OURS = ("jobs", "interface", "host", "port")
SLURM = (
    "cores",
    "processes",
    "memory",
    "walltime",
    "queue",
    "account",
    "job_cpu",
    "job_mem",
    "job_name",
    "job_extra_directives",
)
WORKER = (
    "worker_extra_args",
    "job_script_prologue",
    "python",
    "local_directory",
    "log_directory",
    "death_timeout",
    "shebang",
)
# otherwise a scheduler's own pages are open to every network
HTTP = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
UNSEEN = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")  # the same for workers
MOST_AGAIN = 100  # how often a job is submitted again
ASK = 30.0  # s between two calls of squeue
NEEDED = ("jobs", "cores", "memory")


@dataclass(frozen=True)
class Engine:
    """An engine, which computes the runs of a sweep.

    where    its place in words
    width    the present number of runs at once
    stop     asks the present runs to save their state and end, within 10 s
    lacking  what to do if there is no worker
    """

    where: str
    executor: Executor
    width: Callable[[], int]
    stop: Callable[[], Any]
    close: Callable[[], Any]
    lacking: str = ""


def local(slots: Sequence[Slot], sweep: str) -> Engine:
    """The workers of this process, one for each slot; sweep: the folder of the runs, here and in other
    functions.
    """
    pool, count = WorkerPool(slots), sum(slot.capacity for slot in slots)
    wide = f", {slots[0].width} wide" if slots[0].width else ""

    def close() -> None:
        pool.shutdown(wait=False, cancel_futures=True)
        worker_pool.stop(sweep)  # no worker has a run, unless the driver fails
        pool.shutdown()
        worker_pool.close()

    where = f"{len(slots)} process{'es' if len(slots) > 1 else ''} here{wide}"
    return Engine(where, pool, lambda: count, lambda: worker_pool.stop(sweep), close)


def dask(address: str, sweep: str) -> Engine:
    """The workers of a scheduler at tcp://host:port or tls://host:port.

    Raises InputError when it cannot be reached.
    """
    distributed = _imported("distributed", f"--engine {address}")
    try:
        client = distributed.Client(address, timeout=CONNECTING)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"--engine {address}: no Dask scheduler is reached ({error}). Start one with `dask scheduler"
            f" --host HOST`, workers with `dask worker {address}`, and give its address; of one with TLS that"
            " is tls://..."
        ) from None
    except (TypeError, RuntimeError) as error:
        raise InputError(
            f"--engine {address}: TLS is not set up for it ({error}). Name certificates in"
            " ~/.config/dask/distributed.yaml, and give tls:// where it requires encryption"
            ' (docs/batches.md, "Security").'
        ) from None
    return _of(
        client, address, client.close, sweep, f"no worker is there: start some with `dask worker {address}`"
    )


def slurm(profile: Path, sweep: str) -> Engine:
    """Slurm jobs, as a profile describes them; they start when Slurm lets them.

    Raises InputError when Slurm would not accept them.
    """
    settings = _profile(profile)
    jobs, cluster = settings["jobs"], _cluster(settings, profile)
    _try(cluster.job_script(), profile)
    cluster.scale(jobs=jobs)
    client = importlib.import_module("distributed").Client(cluster)
    asked, again = time.monotonic(), 0

    def keep_up() -> None:
        """Submit jobs again that reached their wall time or were cancelled.

        Dask does not notice when a whole job is gone.
        """
        nonlocal asked, again
        if time.monotonic() - asked < ASK or again >= MOST_AGAIN * jobs:
            return
        asked = time.monotonic()
        there = subprocess.run(
            ["squeue", "--me", "--noheader", "--format=%A"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        gone = [
            name
            for name, job in cluster.workers.items()
            if job.job_id and str(job.job_id) not in there.stdout.split()
        ]
        again += len(gone)
        for name in gone:
            cluster.loop.add_callback(cluster.workers.pop, name, None)
        cluster.scale(jobs=jobs)  # submits the missing jobs

    def close() -> None:
        client.close()
        with suppress(Exception):  # raised for a job that Slurm refused
            cluster.close()

    told = f"{jobs} Slurm job{'s' if jobs > 1 else ''}"
    return _of(client, told, close, sweep, "no job runs: `squeue --me` says why", keep_up)


def script(profile: Path) -> str:
    """The script that would be submitted for each job."""
    with _cluster(_profile(profile), profile) as cluster:
        return cluster.job_script()


def _of(
    client: Any,
    where: str,
    close: Callable[[], Any],
    sweep: str,
    lacking: str,
    keep_up: Callable[[], Any] = lambda: None,
) -> Engine:
    _quiet()

    def width() -> int:
        with suppress(Exception):  # raised if the scheduler was just lost
            keep_up()
            return sum(client.nthreads().values())
        return 0

    def stop() -> None:
        with suppress(Exception):
            client.run(worker_pool.stop, sweep, on_error="ignore")

    def end() -> None:
        with suppress(Exception):
            client.run(worker_pool.close, on_error="ignore")
        close()

    return Engine(where, client.get_executor(pure=False, retries=0), width, stop, end, lacking)


def _profile(path: Path) -> dict[str, Any]:
    settings, allowed = toml.parse(path), (*OURS, *SLURM, *WORKER)
    for key in settings:
        if key not in allowed:
            raise InputError(f"{path}: {key} {unknown('key', key, allowed)}")
    for key in NEEDED:
        if key not in settings:
            raise InputError(
                f"{path}: {key} is missing. Give at least {', '.join(NEEDED)}, and interface or host."
            )
    if not isinstance(settings["jobs"], int) or settings["jobs"] < 1:
        raise InputError(
            f"{path}: jobs = {settings['jobs']!r} is not a number of Slurm jobs. Give 1 or more."
        )
    if "interface" not in settings and "host" not in settings:
        raise InputError(
            f"{path}: neither interface nor host is given, and the nodes must reach this machine. Give the"
            ' network that they share, for example interface = "ib0"; nothing else is bound (docs/batches.md'
            " says how to use TLS)."
        )
    return settings


def _cluster(settings: dict[str, Any], profile: Path) -> Any:
    jobqueue = _imported("dask_jobqueue", f"--engine slurm:{profile}")
    _quiet()
    if importlib.import_module("dask").config.get("distributed.comm.require-encryption", None):
        raise InputError(
            f"{profile}: your settings of Dask require encryption, and jobs under Slurm are started without."
            " Start a scheduler and workers with TLS by hand, and give --engine tls://HOST:PORT"
            ' (docs/batches.md, "Security").'
        )
    scheduler = {k: settings[k] for k in ("host", "interface", "port") if k in settings} | HTTP
    rest = {"processes": settings["cores"]} | {
        k: v for k, v in settings.items() if k not in ("jobs", "host", "port")
    }
    rest["worker_extra_args"] = [*UNSEEN, *rest.get("worker_extra_args", [])]
    try:
        return jobqueue.SLURMCluster(**rest, scheduler_options=scheduler)
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{profile}: jobs cannot be made from it: {str(error).rstrip('.')}. docs/batches.md shows a"
            " profile."
        ) from None


def _try(script: str, profile: Path) -> None:
    """Raise InputError when Slurm would refuse a script."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        try:
            asked = subprocess.run(
                ["sbatch", "--test-only", file.name], capture_output=True, text=True, timeout=60
            )
            why = " ".join(asked.stderr.split()) if asked.returncode else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            why = f"sbatch cannot be called here ({error})"
    if why:
        raise InputError(f"{profile}: Slurm rejects the job: {why}. `--dry-run` prints its script.")


def _quiet() -> None:
    """Silence the loggers of Dask; the driver reports what matters."""
    for name in ("distributed", "tornado", "tornado.application", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _imported(module: str, asked: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(
            f"{asked} needs {module.replace('_', '-')}, which is not installed. {install('cluster')}."
        ) from None
