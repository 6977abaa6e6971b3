"""Fixtures that several tests share."""

import jax
import pytest
from hypothesis import settings

from rdsolver.parallel.device import use_cache
from tests.support.sweep_files import write_bases

settings.register_profile("rdsolver", deadline=None)  # a first call compiles
settings.load_profile("rdsolver")


LONG = {
    f"test_{name}.py"
    for name in ("verify", "targets", "simulation", "tumour", "extension", "sensitivity", "resume")
}


def pytest_collection_modifyitems(items):
    """Files of long tests first: a file stays with one worker, and none is to be left with such a one at the
    end.
    """
    items.sort(key=lambda item: item.path.name not in LONG)


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
