"""What all tests share: how they compile, in which order they run, and fixtures.

Most of the time of these tests is XLA's, which compiles some hundred programs that each run for a moment.
So they are compiled quickly: by LLVM without optimisation, and fused loops by XLA's older way to write them
(a bone run, cold: 16 s of processor time, and 4 s so). Numbers change in their last digits alone, and every
claim holds of either: `make test-slow` compiles all tests as users' programs are, with XLA_FLAGS empty.
"""

import os
import resource
from pathlib import Path

import jax
import pytest
from hypothesis import settings

from rdsolver.parallel import device
from tests.support.sweep_files import write_bases

QUICKLY = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    " --xla_cpu_parallel_codegen_split_count=1"
)
os.environ.setdefault("XLA_FLAGS", QUICKLY)  # also for the processes that tests start

MOST = 4e9  # bytes

settings.register_profile("rdsolver", deadline=None)  # a first call compiles
settings.load_profile("rdsolver")


def pytest_collection_modifyitems(items):
    """Long files first: a file stays with one worker, and none is to be left with such a one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True, scope="session")
def compilation_cache():
    """Tests of one section share what they compile, also between workers."""
    device.use_cache()


@pytest.fixture(autouse=True, scope="module")
def compiled_programs():
    """Kept from file to file, until there are too many: JAX keeps them for ever."""
    yield
    if resident() > MOST:
        jax.clear_caches()


def resident() -> int:
    """Bytes of memory that this process holds; where that is not told, the most it ever held."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return device.peak_memory("cpu")["host"]
    return int(statm.read_text().split()[1]) * resource.getpagesize()


@pytest.fixture
def double():
    """64-bit types, for tests that call operators directly."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder with the bases of sweeps, and the current one."""
    monkeypatch.chdir(tmp_path)
    write_bases(tmp_path)
    return tmp_path
