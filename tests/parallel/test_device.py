"""The choice of a GPU, with devices that are not there."""

import os
from types import SimpleNamespace

import jax
import pytest

from rdsolver.errors import InputError
from rdsolver.parallel import device


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    before = jax.config.values["jax_cuda_visible_devices"]
    jax.config.update("jax_cuda_visible_devices", "all")  # whatever a test before this one has named
    yield
    jax.config.update("jax_cuda_visible_devices", before)


def gpus(*numbers):
    return [SimpleNamespace(local_hardware_id=n, device_kind="a GPU") for n in numbers]


def test_a_numbered_gpu_is_the_only_one_that_jax_is_shown(settings):
    """So that the memory of the others is left alone; in the order of nvidia-smi."""
    device._show_only(1)
    assert jax.config.values["jax_cuda_visible_devices"] == "1"
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    device._show_only(2)  # what was said first holds, as JAX may have started
    assert jax.config.values["jax_cuda_visible_devices"] == "1"


def test_the_number_is_that_of_the_machine():
    assert device._numbered(gpus(0, 1), 1) == gpus(1)
    assert device._numbered(gpus(1), 1) == gpus(1)
    assert not device._numbered(gpus(1), 0)
    assert device._numbered(gpus(0, 1), None) == gpus(0, 1)


def test_a_gpu_that_is_not_seen_is_told_with_the_way_out(settings, monkeypatch):
    monkeypatch.setattr(device, "_found", lambda _: gpus(1))
    with (
        pytest.raises(InputError, match=r"gpu:0.*\(1 found\).*begun on one GPU sees no other"),
        device.on("gpu:0"),
    ):
        pass
    monkeypatch.setattr(device, "_found", lambda _: [])
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    with pytest.raises(InputError, match=r"none found.*nvidia-smi -L"), device.on("gpu:3"):
        pass
