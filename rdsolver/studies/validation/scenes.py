"""The runs that the targets of the model use, each as a config.

They are sections of bone, healthy or with a tumour, with and without drugs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...config.load import config_from
from ...geometry.tumour_seeding import Nests
from ...models.bone.pharmacokinetics import Dose
from ...output.reader import Run
from ...problem import Change
from ...runs.run import simulate

Where = Literal["section", "block", "slab", "front", "wall", "long wall"]
SIZE = 1280.0  # um
FINEST = 5.0  # um; to compare grids, the bone on this spacing is averaged down
# flat pieces of bone at the low end of a box, um: their thickness, and the size of the box
SLABS = {
    "slab": (300.0, (80.0, 1600.0)),
    "front": (400.0, (40.0, 640.0)),
    "wall": (320.0, (1280.0, 1280.0)),
    "long wall": (320.0, (2560.0, 1280.0)),
}
BLOCK, BLOCK_SPACING = 24, 25.0  # cells along each edge, and um
FRACTION, THICKNESS = 0.25, 120.0  # human; a mouse's trabeculae are half as thick

Tables = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """One run, given by the values that a target changes. It is hashable, so that targets share runs.

    kind       kind of the tumour
    changed    parameters; changes: changes of parameters in time
    thickness  thickness of the trabeculae, um
    components further components
    from_birth True for parameters that have acted since birth
    place      trabeculae as a section or a block, or a flat slab
    spacing    spacing of the section made at FINEST and averaged down, or of a slab, um (None: the runner's
               own)
    """

    end: float
    preset: str = "human"
    doses: tuple[Dose, ...] = ()
    tumour: Nests | None = None
    kind: str = "metastasis"
    changed: tuple[tuple[str, float], ...] = ()
    changes: tuple[Change, ...] = ()
    thickness: float = THICKNESS
    components: tuple[str, ...] = ()
    from_birth: bool = False
    place: Where = "section"
    spacing: float | None = None


@dataclass(frozen=True)
class SceneResult:
    """The series over time, and the state at the end."""

    series: Mapping[str, np.ndarray]
    state: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, run: Run) -> SceneResult:
        state = {k: np.asarray(v, float) for k, v in run.state.items() if isinstance(v, np.ndarray)}
        return cls({k: run.series[k] for k in run.series}, state)

    def at(self, name: str, day: float) -> float:
        return float(np.interp(day, self.series["time"], self.series[name]))

    def end(self, name: str) -> float:
        return float(self.series[name][-1])

    def relative(self, name: str) -> np.ndarray:
        """A series relative to its first value."""
        return self.series[name] / self.series[name][0]

    def lost(self) -> float:
        """The share of the bone that was lost since the start."""
        return 1 - float(self.relative("bone_volume_fraction")[-1])

    def mean(self, name: str) -> float:
        """The mean of a series over time."""
        return float(
            np.trapezoid(self.series[name], self.series["time"])
            / (self.series["time"][-1] - self.series["time"][0])
        )

    def near_tumour(self, name: str) -> float:
        """The mean of a field at the end, weighted by the tumour."""
        weight = np.maximum(self.state["tumour"], 0)
        return float((weight * self.state[name]).sum() / max(weight.sum(), 1e-30))


def here(tables: Tables) -> SceneResult:
    """Run a config in this process."""
    with simulate(config_from(tables, "scene")) as run:
        return SceneResult.of(run)


class SceneRunner:
    """A runner of scenes: the spacing of the section and its seed, and the function that runs a config."""

    def __init__(
        self, quick: bool, seed: int, run: Callable[[Tables], SceneResult] = here, size: float = SIZE
    ) -> None:
        """quick: cells of 20 um, otherwise 10; size: size of a section, um."""
        self.quick, self.seed, self.run, self.size = quick, seed, run, size
        self.spacing = 20.0 if quick else 10.0

    def __call__(self, scene: Scene) -> SceneResult:
        return self.run(self.tables(scene))

    def tables(self, scene: Scene) -> Tables:
        """The config of a scene."""
        parameters = {"parameters": dict(scene.changed)}
        found: Tables = {
            "units": "internal",
            "section": self._section(scene),
            "model": {
                "preset": scene.preset,
                "components": list(scene.components),
                "from_birth": scene.from_birth,
            }
            | parameters,
            "dose": [
                {"agent": d.agent, "amount": d.amount, "route": d.route, "at": d.time, "duration": d.duration}
                for d in scene.doses
            ],
            "change": [_change(c) for c in scene.changes],
            "time": {"end": scene.end, "save": [scene.end]},
            "solver": {"integrator": "tr-bdf2"},
            "output": {"fields": []},
        }
        return found if scene.tumour is None else found | {"tumour": _tumour(scene.tumour, scene.kind)}

    def _section(self, scene: Scene) -> Tables:
        if scene.place in SLABS:
            thickness, (width, length) = SLABS[scene.place]
            flat = {"kind": "slab", "slab_thickness": thickness, "thickness": 10.0}
            return flat | {"size": [width, length], "spacing": scene.spacing or self.spacing}
        bone = {
            "kind": "trabecular",
            "bone_fraction": FRACTION,
            "trabecular_thickness": scene.thickness,
            "seed": self.seed,
        }
        if scene.place == "block":
            return bone | {"size": [BLOCK * BLOCK_SPACING] * 3, "spacing": BLOCK_SPACING}
        spacing = self.spacing if scene.spacing is None else FINEST
        times = 1 if scene.spacing is None else round(scene.spacing / FINEST)
        return bone | {"size": [self.size] * 2, "thickness": 10.0, "spacing": spacing, "coarsen": times}


def _change(change: Change) -> Tables:
    found = {"parameter": change.parameter, "factor": change.factor, "at": change.start}
    return found | ({} if np.isinf(change.end) else {"until": change.end})


def _tumour(nests: Nests, kind: str) -> Tables:
    """The tables of a tumour, without keys that have no effect."""
    found: Tables = {
        "kind": kind,
        "spread": nests.spread,
        "nests": nests.count,
        "radius": nests.radius,
        "density": nests.density,
    }
    return (
        found
        | ({"at": [list(c) for c in nests.at]} if nests.at else {})
        | ({"seed": nests.seed} if nests.count else {})
    )


def every(agent: str, amount: float, days: float, end: float, begin: float = 0.0) -> tuple[Dose, ...]:
    """Doses under the skin at an interval."""
    return tuple(Dose(agent, amount, "sc", float(t)) for t in np.arange(begin, end - 1e-9, days))
