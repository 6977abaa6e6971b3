"""Where rdsolver runs: without a home, on a login node, under JAX's strictness, without what is optional.

Each works, or is said.
"""

import errno
import fcntl
import json
import os
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest

from rdsolver import __version__, simulate
from rdsolver.errors import InputError
from rdsolver.output.writer import RunWriter
from rdsolver.parallel import device
from rdsolver.runs import checkpoint_file
from rdsolver.sweep.store import driving, held
from rdsolver.utils import provenance
from rdsolver.utils.extras import DISTRIBUTION, install
from rdsolver.utils.reporting import Silent
from tests.support.errors_here import SLAB, load_own
from tests.support.places import ROOT

pytestmark = pytest.mark.long

# --- the user -----------------------------------------------------------------------------------------------


def check(tmp_path: Path, code: str = "", **environment: str | None) -> subprocess.CompletedProcess[str]:
    """`rdsolver check` in a process of its own, after some code and in an environment that is changed (None:
    unset).
    """
    (tmp_path / "mine.toml").write_text(SLAB)
    variables = {
        k: v for k, v in ({**os.environ, "PYTHONPATH": str(ROOT)} | environment).items() if v is not None
    }
    script = (
        f"{code}\nimport sys\nfrom rdsolver.cli.main import main\nsys.argv = ['rdsolver', 'check',"
        " 'mine.toml']\nmain()"
    )
    return subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=variables, capture_output=True, text=True
    )


NOBODY = "import pwd\ndef nobody(*_): raise KeyError('uid not found')\npwd.getpwuid = pwd.getpwnam = nobody"
PLACES = {
    "no home, no entry in passwd, and a GPU that is not there": (
        NOBODY,
        {"HOME": None, "JAX_PLATFORMS": "cuda"},
    ),
    "a home that cannot be written, and a slip in the name of a platform": (
        "",
        {"HOME": "/proc", "JAX_PLATFORMS": "cuad"},
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_it_works_there(place, tmp_path):
    code, environment = PLACES[place]
    done = check(tmp_path, code, **({"XDG_CACHE_HOME": None} | environment))
    assert (done.returncode, done.stderr) == (0, "")
    assert "stage solves" in done.stdout


def test_a_setting_that_jax_refuses_is_named(tmp_path):
    done = check(tmp_path, JAX_ENABLE_X64="perhaps")
    assert done.returncode == 2
    assert done.stderr.startswith("JAX refuses a setting of the environment: invalid truth value 'perhaps'")
    assert "JAX_ENABLE_X64" in done.stderr


def test_a_gpu_that_jax_does_not_look_for(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    with pytest.raises(InputError, match=r"Unset JAX_PLATFORMS: it is cpu"), device.on("gpu:7"):
        pass


def test_too_little_address_space_is_said_before_the_compiler_dies_of_it(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (10**9, 10**9))
    with pytest.raises(InputError, match=r"limited to 1 GB \(ulimit -v\)"), device.on("cpu"):
        pass
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with device.on("cpu"):
        pass


def test_where_compiled_programs_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert device.cache_folder() == tmp_path / "rdsolver" / "jax"
    (tmp_path / "file").touch()
    # a file in its place, a folder that is read-only, none
    for base in (tmp_path / "file", "/proc/none", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(base))
        assert device.cache_folder() is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert device.cache_folder() is None


# --- file systems without locks -----------------------------------------------------------------------------


@pytest.fixture
def no_locks(monkeypatch):
    """flock and HDF5 as on NFS without its lock daemon."""
    opened = h5py.File

    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    def hdf5(path, mode="r", locking=None, **how):
        return (
            opened(path, mode, locking=False, **how)
            if locking is False or how.get("driver") == "core"
            else refused()
        )

    monkeypatch.setattr(fcntl, "flock", refused)
    monkeypatch.setattr(h5py, "File", hdf5)
    return refused


def test_without_locks_a_run_goes_on_and_is_told(no_locks, tmp_path):
    told = []
    tell = type("Told", (Silent,), {"warn": lambda self, text: told.append(text)})()
    with simulate(load_own(), out=tmp_path, reporter=tell) as run:
        assert run.status == "finished"
    assert [text for text in told if "has no locks" in text] == [
        f"{tmp_path}: its file system has no locks, so nothing keeps a second process from writing there. See"
        " that none does."
    ]
    checkpoint_file.save(
        tmp_path / "run.h5", dict.fromkeys(checkpoint_file.NUMBERS, 0), {"u": {"u": np.ones(3)}}
    )
    with RunWriter.reopened(
        tmp_path / "run.h5", load_own().grid, active=np.ones((8, 8), bool), times=0, rows=1, spent=0.0
    ) as writer:
        writer.note("status", "stopped")
    with driving(tmp_path, 0.0), held(tmp_path, lambda: True) as free:
        assert free


def test_hdf5_that_is_told_to_lock_all_the_same_says_the_way_out(no_locks, tmp_path, monkeypatch):
    monkeypatch.setattr(h5py, "File", lambda *_, **__: no_locks())
    with pytest.raises(
        InputError, match=r"run.h5 cannot be written: No locks available \(set HDF5_USE_FILE_LOCKING=FALSE"
    ):
        simulate(load_own(), out=tmp_path)


# --- what the caller has set in JAX -------------------------------------------------------------------------

STRICT = {
    "jax_enable_x64": True,
    "jax_debug_nans": True,
    "jax_debug_infs": True,
    "jax_disable_jit": True,
    "jax_numpy_rank_promotion": "raise",
    "jax_numpy_dtype_promotion": "strict",
    "jax_transfer_guard": "disallow",
    "jax_check_tracer_leaks": True,
    "jax_default_matmul_precision": "bfloat16",
    "jax_enable_checks": True,
}


@pytest.fixture(scope="module")
def plain():
    with simulate(load_own()) as run:
        return np.asarray(run["u"])


@pytest.mark.parametrize("flag", STRICT)
def test_what_the_caller_has_set_does_not_reach_a_run(flag, plain):
    """The same bits, and the setting is the caller's again afterwards."""
    before = getattr(jax.config, flag)
    jax.config.update(flag, STRICT[flag])
    try:
        with simulate(load_own()) as run:
            assert np.array_equal(run["u"], plain)
        assert getattr(jax.config, flag) == STRICT[flag]
    finally:
        jax.config.update(flag, before)


# --- how it was installed -----------------------------------------------------------------------------------


def test_what_is_optional_is_installed_as_rdsolver_was(monkeypatch, tmp_path):
    assert install("images") == f'Install it, in {ROOT}, with: pip install -e ".[images]"'
    monkeypatch.setattr("rdsolver.utils.extras.PACKAGE", tmp_path / "site-packages" / "rdsolver")
    urls = {"https://host/it.git": None, f"file://{ROOT}": ROOT, "file:///none": None}
    for origin, folder in {
        "": None,
        "no json": None,
        **{json.dumps({"url": url}): f for url, f in urls.items()},
    }.items():
        fake = type("Fake", (), {"read_text": lambda self, name, origin=origin: origin})
        monkeypatch.setattr(metadata, "distribution", lambda name, fake=fake: fake())
        command = (
            f', in {folder}, with: pip install ".[images]"'
            if folder
            else f' with: pip install "{DISTRIBUTION}[images]"'
        )
        assert install("images", "SimpleITK") == f"Install SimpleITK{command}"


def test_nothing_names_the_distribution_of_another_project():
    """`rdsolver` on PyPI is not this one."""
    files = [ROOT / "pyproject.toml", ROOT / "Makefile", *ROOT.glob("*.md")]
    files += [
        f
        for folder in ("rdsolver", "docs", "examples", "benchmarks", "configs")
        for f in (ROOT / folder).rglob("*")
        if f.is_file()
    ]
    texts = {
        f: f.read_text(encoding="utf-8")
        for f in files
        if f.suffix in (".py", ".md", ".toml", "") and "__pycache__" not in f.parts
    }
    assert len(texts) > 100
    wrong = ("rdsolver" + "[", "install " + "rdsolver\n", "install " + "rdsolver ", "install " + "rdsolver`")
    assert [str(f) for f, text in texts.items() if any(w in text for w in wrong)] == []
    assert f'name = "{DISTRIBUTION}"' in (ROOT / "pyproject.toml").read_text()


def test_a_run_notes_the_version_that_made_it(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "of another project")
    assert provenance.version("rdsolver") == __version__
