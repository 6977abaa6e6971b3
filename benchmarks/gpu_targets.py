"""GPUs that XLA compiles for without having one: their description, and the rate of a copy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rdsolver.errors import InputError

# Limits that all of these GPUs share.
_COMMON = """
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  threads_per_core_limit: 2048 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  device_vendor: "NVIDIA Corporation" device_address_bits: 64 pcie_bandwidth: 34359738368 ecc_enabled: true
  driver_version: "13.0.0" runtime_version: "13.0.0"
  compile_time_toolkit_version: "13.0.0" dnn_version: "9.10.0"
"""
_CUDA = """
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
runtime_version { major: 13 minor: 0 patch: 0 }
"""


@dataclass(frozen=True)
class Target:
    """A GPU, with the numbers that XLA's own target descriptions have (openxla/xla, gpu/target_config/specs).

    capability   major compute capability
    specialised  True if XLA may use instructions that only this architecture has (sm_90a)
    cores        number of streaming multiprocessors; lanes: of float32 units in each
    shared       shared memory of a multiprocessor, bytes
    clock        GHz
    memory       device memory, bytes; peak: its bandwidth, bytes/s
    l2           second-level cache, bytes
    """

    name: str
    capability: int
    specialised: bool
    cores: int
    lanes: int
    shared: int
    clock: float
    memory: int
    peak: float
    l2: int

    @property
    def copy(self) -> float:
        """The bandwidth that a copy reaches, bytes/s: 0.9 of the peak, as published for an H200."""
        return 0.9 * self.peak

    @property
    def description(self) -> str:
        """The description that XLA takes, a text of its GpuTargetConfigProto."""
        feature = "ACCELERATED_FEATURES" if self.specialised else "NONE"
        return (
            f"gpu_device_info {{ {_COMMON}"
            f"  shared_memory_per_core: {self.shared} shared_memory_per_block_optin: {self.shared - 1024}\n"
            f"  core_count: {self.cores} fpus_per_core: {self.lanes} clock_rate_ghz: {self.clock}\n"
            f"  memory_bandwidth: {self.peak:.0f} l2_cache_size: {self.l2}\n"
            f"  device_memory_size: {self.memory}\n"
            f"  cuda_compute_capability {{ major: {self.capability} feature_extension: {feature} }}\n"
            f'  name: "{self.name}" }}\n{_CUDA}device_description_str: "{self.name}"\n'
        )


_A100 = Target(
    name="NVIDIA A100-SXM4-80GB",
    capability=8,
    specialised=False,
    cores=108,
    lanes=64,
    shared=167936,
    clock=1.41,
    memory=85100068864,
    peak=2.03904e12,
    l2=41943040,
)
_H100 = Target(
    name="NVIDIA H100 80GB HBM3",
    capability=9,
    specialised=True,
    cores=132,
    lanes=128,
    shared=233472,
    clock=1.98,
    memory=84942979072,
    peak=3.35232e12,
    l2=52428800,
)
_H200 = replace(_H100, name="NVIDIA H200 141GB HBM3e", memory=151397597184, peak=4.8e12)  # the same processor
GRAPH = 1.2e-6  # s, of a kernel in a CUDA graph
TARGETS = {"a100": _A100, "h100": _H100, "h200": _H200}


def sharding(target: Target) -> Any:
    """The placement of arrays on this GPU, for shapes that are given to `jax.jit(...).trace`.

    Raises InputError where JAX's CUDA plugin is not installed.
    """
    import jax
    from jax.experimental import topologies

    try:
        topology = topologies.get_topology_desc(
            platform="cuda", target_config=target.description, topology="1x1x1"
        )
    except Exception as error:
        raise InputError(
            f"JAX cannot compile for CUDA here ({type(error).__name__}: {str(error)[:200]}). Install the"
            ' extra gpu-check on Python 3.12 or newer: pip install -e ".[gpu-check]". No GPU and no driver is'
            " needed."
        ) from error
    mesh = topologies.make_mesh(topology, (1,), ("x",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
