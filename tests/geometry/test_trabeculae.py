"""Generated sections have the BV/TV and thickness asked for and the same bone at any spacing; errors help."""

import json
from functools import cache

import numpy as np
import pytest
import scipy.ndimage as ndi

from rdsolver.errors import InputError
from rdsolver.geometry.grid import Grid
from rdsolver.geometry.trabeculae import trabecular

pytestmark = pytest.mark.long


def box(ndim: int, length: float, spacing: float, origin: float = 0.0) -> Grid:
    n = round(length / spacing)
    return Grid((n,) * ndim, (spacing,) * ndim, (origin,) * ndim, thickness=10.0 if ndim == 2 else None)


@cache
def bone_of(ndim: int, length: float, spacing: float, fraction: float = 0.25, seed: int = 1) -> np.ndarray:
    return trabecular(box(ndim, length, spacing), fraction, 120, seed).bone


def coarsened(a: np.ndarray, k: int) -> np.ndarray:
    for axis in range(a.ndim):
        a = a.reshape(*a.shape[:axis], -1, k, *a.shape[axis + 1 :]).mean(axis + 1)
    return a


def local_thickness(bone: np.ndarray) -> float:
    """Mean over bone of the diameter of the largest ball that covers a cell and lies in bone, cells."""
    depth = np.asarray(ndi.distance_transform_edt(bone))
    diameter = np.zeros(bone.shape)
    for radius in np.arange(0.5, depth.max() + 0.5, 0.5):
        diameter[np.asarray(ndi.distance_transform_edt(depth < radius)) < radius] = 2 * radius
    return diameter[bone].mean()


def connected(mask: np.ndarray) -> float:
    """Share of the largest connected part."""
    labels = np.empty(mask.shape, int)
    ndi.label(mask, output=labels)
    return np.bincount(labels.ravel())[1:].max() / mask.sum()


@pytest.mark.parametrize(("ndim", "length"), [(2, 1280.0), (3, 480.0)])
@pytest.mark.parametrize("bone_fraction", [0.1, 0.25, 0.5])
def test_bone_fraction_is_met_at_every_spacing(ndim, length, bone_fraction):
    spacings = (20.0, 10.0, 5.0) if ndim == 2 else (20.0, 10.0)
    found = [bone_of(ndim, length, h, bone_fraction).mean() for h in spacings]
    assert found == pytest.approx([bone_fraction] * len(found), abs=2e-3)


@pytest.mark.parametrize(("ndim", "length"), [(2, 1280.0), (3, 480.0)])
def test_geometry_is_the_same_at_any_spacing(ndim, length):
    """The coarse cells hold the mean of the fine cells in them, up to the sampling of cells that the surface
    cuts.
    """
    coarse, fine = (bone_of(ndim, length, h) for h in (20.0, 10.0))
    difference = np.abs(coarse - coarsened(fine, 2))
    assert difference.max() < 0.15
    assert difference.mean() < 2e-3
    # which another seed is not
    assert np.abs(coarse - bone_of(ndim, length, 20.0, seed=4)).mean() > 0.2


def test_geometry_lies_in_physical_coordinates():
    """The level belongs to the box, so a shifted box shows the shifted bone, but for a slight change of
    thickness.
    """
    whole = trabecular(box(2, 2560, 10), 0.25, 120, 1).bone
    part = trabecular(box(2, 1280, 10, origin=640), 0.25, 120, 1).bone
    assert np.corrcoef(whole[64:192, 64:192].ravel(), part.ravel())[0, 1] > 0.9
    assert np.corrcoef(whole[:128, :128].ravel(), part.ravel())[0, 1] < 0.5


@pytest.mark.parametrize("bone_fraction", [0.1, 0.25, 0.4])
def test_thickness_2d(bone_fraction):
    found = [
        10 * local_thickness(trabecular(box(2, 2560, 10), bone_fraction, 120, seed).bone > 0.5)
        for seed in range(4)
    ]
    assert np.mean(found) == pytest.approx(120, rel=0.15)
    assert found == pytest.approx([120] * 4, rel=0.25)


def test_thickness_3d():
    found = [
        10 * local_thickness(trabecular(box(3, 480, 10), 0.25, 80, seed).bone > 0.5) for seed in range(2)
    ]
    assert np.mean(found) == pytest.approx(80, rel=0.15)


def test_block_is_one_bone_in_one_marrow():
    bone = trabecular(box(3, 960, 20), 0.25, 100, 1).bone > 0.5
    assert connected(bone) > 0.98
    assert connected(~bone) > 0.98


def test_same_seed_same_bone_and_the_record_says_how():
    a, b = (trabecular(box(2, 640, 10), 0.25, 100, 7) for _ in range(2))
    assert np.array_equal(a.bone, b.bone)
    assert json.loads(json.dumps(a.record)) == {
        "kind": "trabecular",
        "bone_fraction": 0.25,
        "trabecular_thickness": 100.0,
        "seed": 7,
    }
    assert a.active.all()


def test_bone_of_a_seed_stays_what_it_was():
    """Figures and studies name a seed: with other numbers here they would show another bone."""
    bone = trabecular(box(2, 640, 20), 0.25, 100, 1).bone
    assert np.average(np.indices(bone.shape), axis=(1, 2), weights=np.stack([bone, bone])) == pytest.approx(
        [16.542, 17.258], abs=0.01
    )


def test_anisotropic_cells_carry_the_same_bone():
    square = trabecular(box(2, 1280, 10), 0.25, 120, 1).bone
    flat = trabecular(Grid((64, 128), (20.0, 10.0), thickness=10.0), 0.25, 120, 1).bone
    assert np.abs(flat - square.reshape(64, 2, 128).mean(1)).mean() < 3e-3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bone_fraction": 0.01}, r"section\.bone_fraction is 0\.01.*0\.02 to 0\.8"),
        ({"bone_fraction": float("nan")}, r"section\.bone_fraction is nan"),
        ({"bone_fraction": 25}, r"section\.bone_fraction is 25"),
        ({"trabecular_thickness": 15}, r"section\.trabecular_thickness is 15 um.*20 um or thicker"),
        ({"trabecular_thickness": -1}, r"section\.trabecular_thickness is -1 um"),
        ({"trabecular_thickness": float("nan")}, r"section\.trabecular_thickness is nan"),
        ({"trabecular_thickness": 400}, r"section\.size 1600 um or more"),
        ({"seed": -1}, r"section\.seed is -1"),
        ({"seed": 1.5}, r"section\.seed is 1\.5"),
        ({"seed": True}, r"section\.seed is True"),
    ],
)
def test_bad_values_are_named(change, says):
    with pytest.raises(InputError, match=says):
        trabecular(
            **{"grid": box(2, 640, 10), "bone_fraction": 0.25, "trabecular_thickness": 100, "seed": 1}
            | change
        )
