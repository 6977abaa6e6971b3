"""Runs in the words in which programs are written for a GPU: `python -m tests.support.gpu_words FILE`."""

import sys

import numpy as np

from rdsolver.models.bone.pharmacokinetics import Dose
from rdsolver.operators import no_fusion
from rdsolver.parallel import device
from rdsolver.simulation.time_loop import Simulation

from .prey import prey
from .problems import problem


def results() -> dict[str, np.ndarray]:
    """By name, the times of the steps and the fields at the end of some runs."""
    dose = Dose("rank_fc", 3.0, "sc", 0.5)
    runs = {
        "bone": problem(agents=("rank_fc",), doses=(dose,), end=2.0),
        "prey, tr-bdf2": prey("tr-bdf2"),
        "prey, rkc2": prey("rkc2"),
    }
    found = {}
    with device.on("cpu"):
        for name, p in runs.items():
            simulation = Simulation(p)
            found[f"{name}: times"] = np.array([step.t for step in simulation.steps()])
            found |= {f"{name}: {k}": np.asarray(x) for k, x in simulation.u.items()}
    return found


def _written_for_a_gpu() -> None:
    """Replace the question where it is asked."""
    own = no_fusion.on_cpu
    for module in list(sys.modules.values()):
        if getattr(module, "on_cpu", None) is own:
            module.on_cpu = lambda: False


if __name__ == "__main__":
    _written_for_a_gpu()
    np.savez(sys.argv[1], **results())
