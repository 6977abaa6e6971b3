"""Targets of animals that lack, or have too much of, a part of the pathway from birth."""

from __future__ import annotations

from collections.abc import Iterator

from .scenes import Scene, SceneResult, SceneRunner
from .target import Target, percent

MONTH = 30.0
NO_OSTEOCYTE_RANKL = {"osteocyte_rankl_factor": 0.0}


def grown(run_scene: SceneRunner, **changed: float) -> tuple[SceneResult, float]:
    """A month of a mouse in which these have acted since birth, and its osteoclasts over those of wild
    type.
    """
    scene = Scene(MONTH, "mouse", thickness=60.0, changed=tuple(changed.items()), from_birth=True)
    run, wild = run_scene(scene), run_scene(Scene(MONTH, "mouse", thickness=60.0, from_birth=True))
    return run, float(run.series["osteoclast_number"][0] / wild.series["osteoclast_number"][0])


def t21(run_scene: SceneRunner) -> Iterator[Target]:
    cited = "a third; less than 30 % (Xiong 2015, 10.1371/journal.pone.0138189)"
    _, left = grown(run_scene, **NO_OSTEOCYTE_RANKL)
    tuned = ("osteocyte_rankl_share",)
    what = "osteoclasts of a mouse without RANKL of osteocytes, over wild type"
    yield Target("T21", what, cited, 100 * left, 20, 50, "%", "calibration", tuned)
    _, left = grown(run_scene, surface_rankl_factor=0.0)
    what = "the same without RANKL of the surface lineage"
    cited = "fewer (RANKL of marrow adipogenic cells removed: Zhong 2020, 10.1172/JCI140214)"
    yield Target("T21", what, cited, 100 * left, None, None, "%", "prediction")


def t22(run_scene: SceneRunner) -> Iterator[Target]:
    for name, changed, cited, fewer in (
        ("OPG", {"opg_production_factor": 0.0}, "osteoporosis (Bucay 1998, 10.1101/gad.12.9.1260)", False),
        (
            "RANKL",
            {"rankl_production_factor": 0.0},
            "no osteoclasts, osteopetrosis (Kong 1999, 10.1038/16852)",
            True,
        ),
        (
            "RANK",
            {"rank_factor": 0.0},
            "no osteoclasts, osteopetrosis (Li 2000, 10.1073/pnas.97.4.1566)",
            True,
        ),
    ):
        run, cells = grown(run_scene, **changed)
        gained = percent(float(run.relative("bone_volume_fraction")[-1]))
        most, least = (1.0, None) if fewer else (None, 150.0)
        what = f"osteoclasts of a mouse without {name} from birth, over wild type"
        yield Target("T22", what, cited, 100 * cells, least, most, "%", "mechanism")
        what = f"its bone in a month without {name}"
        low, high = (0.0, None) if fewer else (None, 0.0)
        yield Target("T22", what, cited, gained, low, high, "%", "mechanism")
    run, cells = grown(run_scene, opg_production_factor=10.0)
    cited = "osteopetrosis, fewer osteoclasts (Simonet 1997, 10.1016/S0092-8674(00)80209-3; recalled)"
    yield Target(
        "T22", "osteoclasts with OPG x 10 from birth", cited, 100 * cells, None, 50.0, "%", "mechanism"
    )
