"""What all tests share: how they compile, in which order they run, and fixtures.

Most of the time of these tests is XLA's, which compiles some hundred programs that each run for a moment.
So they are compiled quickly: by LLVM without optimisation, and operation by operation where XLA's emitters of
fused loops take most of the time (one bone run, cold: 16 s of processor time, and 4 s so). Numbers change in
their last digits alone. Tests of bits between two programs and of what the compiler makes are marked
`optimised`, and `make test` compiles them as users do, with XLA_FLAGS empty; `make test-slow` does so for
all.
"""

import os

import jax
import pytest
from hypothesis import settings

from rdsolver.parallel.device import use_cache
from tests.support.sweep_files import write_bases

QUICKLY = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    " --xla_cpu_parallel_codegen_split_count=1"
)
os.environ.setdefault("XLA_FLAGS", QUICKLY)  # also for the processes that tests start

settings.register_profile("rdsolver", deadline=None)  # a first call compiles
settings.load_profile("rdsolver")


def pytest_collection_modifyitems(items):
    """Long files first: a file stays with one worker, and none is to be left with such a one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True, scope="session")
def compilation_cache():
    """Tests of one section share what they compile, also between workers."""
    use_cache()


@pytest.fixture(autouse=True, scope="module")
def compiled_programs():
    """Forgotten after each module: JAX keeps them for ever, and a worker would grow to 5 GB."""
    yield
    jax.clear_caches()


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
