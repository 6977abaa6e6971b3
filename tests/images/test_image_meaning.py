"""What an image file says of its axes, its directions and its grey values is taken at its word, in every
format that says it.
"""

import gzip
import json
import struct
import tomllib

import h5py
import numpy as np
import PIL.Image
import pytest
import tifffile
from typer.testing import CliRunner

from rdsolver.cli.main import app
from rdsolver.config.load import load_config
from rdsolver.errors import InputError
from rdsolver.images import tiff
from rdsolver.images.load import section_from_array, section_from_image
from rdsolver.images.voxels import meaning
from rdsolver.output.export import export
from rdsolver.output.reader import open_run
from rdsolver.utils import safe_files
from tests.support.images import GREY, STACK, flat, nifti, without_imagecodecs
from tests.support.images import write as written
from tests.support.places import DATA

KEPT = DATA / "layout_1.h5"


def bone(path, **options):
    return section_from_image(path, **{"voxel": 20, "threshold": 110} | options)


def refused(path, said, **options):
    with pytest.raises(InputError, match=said) as caught:
        bone(path, **options)
    assert str(path) in str(caught.value) or path.name in str(caught.value)


# --- channels and times, never depth


def ome(path, axes):
    names = {"Channel": {"Name": [f"marker {i}" for i in range(6)]}} if axes[0] == "C" else {}
    tifffile.imwrite(path, STACK, ome=True, metadata={"axes": axes, **names})


def imagej(path, axes):
    tifffile.imwrite(path, STACK, imagej=True, metadata={"axes": axes})


def shaped(path, axes):
    tifffile.imwrite(path, STACK, photometric="minisblack", metadata={"axes": axes})


def scales(path, axes):
    with h5py.File(path, "w") as file:
        file["scan"] = STACK
        for i, letter in enumerate(axes):
            name = {"C": "channel", "T": "time"}.get(letter, letter.lower())
            file[name] = np.arange(STACK.shape[i])
            file[name].make_scale(name)
            file["scan"].dims[i].attach_scale(file[name])


def labels(path, axes):
    with h5py.File(path, "w") as file:
        file["scan"] = STACK
        for dimension, letter in zip(file["scan"].dims, axes, strict=True):
            dimension.label = letter.lower()


def attribute(name, form):
    def write(path, axes):
        with h5py.File(path, "w") as file:
            file["scan"] = STACK
            file["scan"].attrs[name] = form(axes.lower())

    return write


def tagged(axes):
    return json.dumps({"axes": [{"key": a, "typeFlags": 2} for a in axes]})


def zarr_like(axes):
    kinds = {"t": "time", "c": "channel"}
    return json.dumps([{"name": a, "type": kinds.get(a, "space")} for a in axes])


def nrrd(path, axes):
    kinds = " ".join({"T": "time", "C": "list"}.get(a, "domain") for a in reversed(axes))
    head = (
        f"NRRD0005\ntype: uchar\nencoding: raw\ndimension: 3\nsizes: 30 24 6\nkinds: {kinds}\nspacings: 0.02"
        " 0.02 nan\n\n"
    )
    path.write_bytes(head.encode() + STACK.tobytes())


def nrrd_units(path, axes):
    last = {"T": '"s"', "C": '""'}[axes[0]]
    label = {"T": "", "C": "channel"}[axes[0]]
    head = "NRRD0005\ntype: uchar\nencoding: raw\ndimension: 3\nsizes: 30 24 6\nspacings: 20 20 1\n"
    head += f'labels: "x" "y" "{label}"\nunits: "um" "um" {last}\n\n'
    path.write_bytes(head.encode() + STACK.tobytes())


def components(path, axes):
    head = (
        "ObjectType = Image\nNDims = 2\nDimSize = 30 24\nElementNumberOfChannels = 6\nElementType ="
        " MET_UCHAR\n"
    )
    path.write_bytes(f"{head}ElementDataFile = LOCAL\n".encode() + np.moveaxis(STACK, 0, -1).tobytes())


WRITERS = {
    "ome.tif": ome,
    "imagej.tif": imagej,
    "shaped.tif": shaped,
    "scales.h5": scales,
    "labels.h5": labels,
    "ilastik.h5": attribute("axistags", tagged),
    "xarray.h5": attribute("_ARRAY_DIMENSIONS", list),
    "letters.h5": attribute("axes", str),
    "tables.h5": attribute("axes", zarr_like),
    "kinds.nrrd": nrrd,
    "units.nrrd": nrrd_units,
    "a.nii": nifti,
}
MARKERS = WRITERS | {"parts.mha": components}


@pytest.mark.parametrize("name", MARKERS)
def test_channels_are_chosen_and_never_taken_for_depth(tmp_path, name):
    MARKERS[name](tmp_path / name, "CYX")
    options = {"dataset": "scan"} if name.endswith("h5") else {}
    options |= {"voxel": None} if name == "a.nii" else {}
    refused(tmp_path / name, r"6 channels.*section\.channel = 0 to 5", **options)
    section = bone(tmp_path / name, channel=4, thickness=10, **options)
    assert np.array_equal(section.bone, STACK[4] > 110)
    assert section.record["channel"] == 4
    assert np.array_equal(
        bone(tmp_path / name, channel="slices", **options | {"voxel": 20}).bone, STACK > 110
    )
    refused(tmp_path / name, r"section\.channel = 6 is not there.*0 to 5", channel=6, **options)
    refused(tmp_path / name, r"section\.channel = True is not there", channel=True, **options)


@pytest.mark.parametrize("name", WRITERS)
def test_times_are_chosen_and_never_taken_for_depth(tmp_path, name):
    WRITERS[name](tmp_path / name, "TYX")
    options = {"dataset": "scan"} if name.endswith("h5") else {}
    options |= {"voxel": None} if name == "a.nii" else {}
    refused(tmp_path / name, r"6 times.*section\.frame = 0 to 5", **options)
    assert np.array_equal(bone(tmp_path / name, frame=5, thickness=10, **options).bone, STACK[5] > 110)
    assert np.array_equal(bone(tmp_path / name, frame="slices", **options | {"voxel": 20}).bone, STACK > 110)
    refused(tmp_path / name, r"section\.frame = -1 is not there", frame=-1, **options)


def test_a_channel_has_a_name_where_the_file_says_it(tmp_path):
    ome(tmp_path / "a.ome.tif", "CYX")
    refused(tmp_path / "a.ome.tif", "'marker 0', 'marker 1'")
    assert np.array_equal(bone(tmp_path / "a.ome.tif", channel="marker 2", thickness=10).bone, STACK[2] > 110)
    refused(tmp_path / "a.ome.tif", r"section\.channel = 'DAPI' is not there.*'marker 5'", channel="DAPI")
    labels = ["DAPI", "bone", "bone", "d", "e", "f"]
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "CYX", "Labels": labels})
    assert np.array_equal(bone(tmp_path / "a.tif", channel="DAPI", thickness=10).bone, STACK[0] > 110)
    refused(tmp_path / "a.tif", "the name stands for several", channel="bone")


def test_depth_channels_and_times_together(tmp_path):
    whole = np.stack([[STACK + 2 * c + 20 * t for c in range(2)] for t in range(3)])  # t, c, z, y, x
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(whole, 1, 2), imagej=True, metadata={"axes": "TZCYX"})
    tifffile.imwrite(tmp_path / "a.ome.tif", whole, metadata={"axes": "TCZYX"})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan"] = whole
        file["scan"].attrs["axes"] = "tczyx"
    for name in ("a.tif", "a.ome.tif", "a.h5"):
        assert np.array_equal(bone(tmp_path / name, channel=1, frame=2).bone, whole[2, 1] > 110)
        refused(tmp_path / name, r"section\.frame = 'slices' is not there", channel=1, frame="slices")


def test_axes_in_another_order_are_put_in_order(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan"] = STACK.transpose(2, 0, 1)
        file["scan"].attrs["_ARRAY_DIMENSIONS"] = ["x", "z", "y"]
        file["scan"].attrs["element_size_um"] = [10.0, 30.0, 20.0]
    section = bone(tmp_path / "a.h5", voxel=None)
    assert section.grid.spacing == (30, 20, 10)
    assert np.array_equal(section.bone, STACK > 110)


def test_axes_that_are_none_in_space_and_keys_without_effect(tmp_path):
    attribute("axes", lambda _: ["energy", "y", "x"])(tmp_path / "a.h5", "")
    refused(tmp_path / "a.h5", "axis 'energy' is not an axis in space")
    attribute("axes", lambda _: ["channel", "wavelength", "x"])(tmp_path / "b.h5", "")
    refused(tmp_path / "b.h5", "several axes of channels", channel=0)
    for name in ("a.npy", "a.tif", "a.mha"):
        refused(
            written(tmp_path / name, STACK),
            r"section\.channel is given, but the file does not declare an axis",
            channel=0,
        )
    refused(
        written(tmp_path / "a.png", GREY),
        r"section\.frame is given, but the file does not declare an axis",
        frame=0,
    )


def test_words_for_axes():
    assert [meaning(w) for w in ("Z", "depth", "rows", "T", "Channels")] == [
        "z",
        "z",
        "y",
        "frame",
        "channel",
    ]
    assert [meaning(w) for w in ("", "dim_0", "phony_dim_2", "axis1", "k", "???")] == [""] * 6
    assert meaning("Angle") == "angle"


def test_colour_stays_refused(tmp_path):
    rgb = np.stack([GREY] * 3, -1)
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    tifffile.imwrite(tmp_path / "jpeg.tif", np.tile(rgb, (2, 2, 1)), photometric="rgb", compression="jpeg")
    tifffile.imwrite(tmp_path / "palette.tif", GREY, photometric="palette", colormap=np.zeros((3, 256), "u2"))
    head = (
        "NRRD0005\ntype: uchar\nencoding: raw\ndimension: 3\nsizes: 3 30 24\nkinds: RGB-color domain"
        " domain\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(head.encode() + rgb.tobytes())
    for name in ("a.tif", "jpeg.tif", "palette.tif", "a.nrrd"):
        refused(tmp_path / name, "colour image", channel=0, thickness=10)


def test_samples_of_a_grey_tiff_are_channels(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.moveaxis(STACK[:2], 0, -1), photometric="minisblack", planarconfig="contig"
    )
    refused(tmp_path / "a.tif", "2 channels")
    assert np.array_equal(bone(tmp_path / "a.tif", channel=1, thickness=10).bone, STACK[1] > 110)


def test_slices_of_a_folder_and_masks_are_read_alike(tmp_path):
    for i in range(3):
        tifffile.imwrite(tmp_path / f"{i}.tif", STACK + i, imagej=True, metadata={"axes": "CYX"})
    refused(tmp_path, r"slice 0\.tif: it holds 6 channels.*section\.channel")
    assert np.array_equal(bone(tmp_path, channel=3).bone, np.stack([STACK[3] + i for i in range(3)]) > 110)
    with pytest.raises(
        InputError,
        match=r"section\.field_of_view = .*0\.tif\": it holds 6 channels.*Save the one that is meant",
    ):
        section_from_array(GREY, **flat(), field_of_view=tmp_path / "0.tif")


def test_a_run_and_what_is_exported_of_it_are_times(tmp_path):
    refused(KEPT, r"2 times.*section\.frame = 0 to 1", dataset="bone")
    with open_run(KEPT) as run:
        saved = np.asarray(run["bone"])
        export(run, "tiff", tmp_path / "bone.tif", ["bone"], [0, 1])
        export(run, "vtkhdf", tmp_path / "bone.h5", ["bone"], [0, 1])
        export(run, "npz", tmp_path / "bone.npz", ["bone"], [0, 1])
    options = {"threshold": "fraction", "thickness": 10, "voxel": None, "frame": 1}
    for path, dataset in ((KEPT, "bone"), (tmp_path / "bone.tif", None), (tmp_path / "bone.h5", "bone")):
        refused(path, "2 times", dataset=dataset)
        section = bone(path, dataset=dataset, **options)
        assert section.grid.spacing == (20, 20)  # the file says it
        assert np.allclose(section.bone, saved[1])
    refused(tmp_path / "bone.npz", "this kind of file cannot be read")


def test_one_time_of_a_series_is_read_without_the_others(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("scan", (10**6, 24, 30), "u1", chunks=(1, 24, 30), fillvalue=0)[7] = GREY
        file["scan"].attrs["axes"] = "tyx"
    monkeypatch.setattr(safe_files, "host_memory", lambda: 2**20)
    assert np.array_equal(bone(tmp_path / "a.h5", frame=7, thickness=10).bone, GREY > 110)


def test_the_keys_of_a_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ome(tmp_path / "a.ome.tif", "CYX")
    text = (
        '[section]\nkind = "image"\nimage = "a.ome.tif"\nvoxel = "20 um"\nthreshold = 110\nthickness = "10'
        ' um"\n'
    )
    text += 'channel = "marker 1"\n[time]\nend = 1\n'
    assert tomllib.loads(text)["section"]["channel"] == "marker 1"
    (tmp_path / "a.toml").write_text(text)
    assert np.array_equal(load_config(tmp_path / "a.toml").problem().section.bone, STACK[1] > 110)
    for wrong in ("1.5", "-1", "true", "[1]"):
        with pytest.raises(InputError, match=r"section\.channel = .* does not choose one of several"):
            load_config(tmp_path / "a.toml", [f"section.channel={wrong}"])


# --- directions


OBLIQUE = ((20, 0, 0), (0, 20, 0), (0, 10, 20))


def test_oblique_axes_are_refused(tmp_path):
    rows = " ".join("(" + ",".join(str(x / 1000) for x in v) + ")" for v in OBLIQUE)
    head = (
        "NRRD0005\ntype: uchar\nencoding: raw\ndimension: 3\nsizes: 30 24 6\nspace dimension: 3\nspace"
        " directions: "
    )
    (tmp_path / "a.nrrd").write_bytes(f"{head}{rows}\n\n".encode() + STACK.tobytes())
    unit = " ".join(f"{x:g}" for v in OBLIQUE for x in np.array(v) / np.linalg.norm(v))
    head = (
        "ObjectType = Image\nNDims = 3\nDimSize = 30 24 6\nElementType = MET_UCHAR\nElementSpacing = 0.02"
        " 0.02 0.0223607\n"
    )
    (tmp_path / "a.mha").write_bytes(
        f"{head}TransformMatrix = {unit}\nElementDataFile = LOCAL\n".encode() + STACK.tobytes()
    )
    nifti(tmp_path / "a.nii", pixdim=(20, 20, 22.3607), sform=np.transpose(OBLIQUE))
    for name in ("a.nrrd", "a.mha", "a.nii"):
        refused(
            tmp_path / name, r"not at right angles \(two of them at 63\.4 degrees\).*Resample", voxel=None
        )


def test_turned_axes_keep_the_spacing_of_each(tmp_path):
    """The axes are those of the array: z is the slowest, whichever way it points in the scanner."""
    turned = ((0, 0, 0.02), (0, -0.03, 0), (0.04, 0, 0))
    rows = " ".join("(" + ",".join(map(str, v)) + ")" for v in turned)
    head = (
        "NRRD0005\ntype: uchar\nencoding: raw\ndimension: 3\nsizes: 30 24 6\nspace dimension: 3\nspace"
        " directions: "
    )
    (tmp_path / "a.nrrd").write_bytes(f"{head}{rows}\n\n".encode() + STACK.tobytes())
    head = (
        "ObjectType = Image\nNDims = 3\nDimSize = 30 24 6\nElementType = MET_UCHAR\nElementSpacing = 0.02"
        " 0.03 0.04\n"
    )
    head += "TransformMatrix = 0 0 1 0 -1 0 1 0 0\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(head.encode() + STACK.tobytes())
    nifti(tmp_path / "a.nii", pixdim=(20, 30, 40), sform=1000 * np.transpose(turned))
    for name in ("a.nrrd", "a.mha", "a.nii"):
        section = bone(tmp_path / name, voxel=None)
        assert section.grid.spacing == pytest.approx((40, 30, 20)), name
        assert np.array_equal(section.bone, STACK > 110)


def test_two_voxel_sizes_in_one_file_are_refused(tmp_path):
    nifti(tmp_path / "a.nii", pixdim=(20, 20, 20), sform=np.diag([10, 20, 20]))
    refused(
        tmp_path / "a.nii",
        r"two voxel sizes, 20 x 20 x 20 in pixdim and 10 x 20 x 20 in its sform",
        voxel=None,
    )
    head = (
        "ObjectType = Image\nNDims = 2\nDimSize = 30 24\nElementType = MET_UCHAR\nElementSpacing = 0.02"
        " 0.02\n"
    )
    (tmp_path / "a.mha").write_bytes(
        f"{head}TransformMatrix = 2 0 0 1\nElementDataFile = LOCAL\n".encode() + GREY.tobytes()
    )
    refused(tmp_path / "a.mha", r"lengths 2, 1, so that it states two voxel sizes")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "cut.nii.gz"])
def test_a_nifti_that_is_cut_off_is_not_filled_with_zeros(tmp_path, name):
    nifti(tmp_path / "whole.nii")
    data = (tmp_path / "whole.nii").read_bytes()
    whole = gzip.compress(data)
    (tmp_path / name).write_bytes(
        {"a.nii": data[:-9], "a.nii.gz": gzip.compress(data[:-9]), "cut.nii.gz": whole[:-100]}[name]
    )
    refused(tmp_path / name, r"cut off, 4663 bytes of 4672|could not be read", voxel=None)


def test_complex_values_of_a_nifti_are_refused_before_they_are_read(tmp_path):
    nifti(tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into("<h", data, 70, 32)
    (tmp_path / "a.nii").write_bytes(data)
    refused(tmp_path / "a.nii", "values of type complex", voxel=None)


def test_units_of_a_nrrd_are_of_each_axis(tmp_path):
    head = (
        "NRRD0005\ntype: uchar\nencoding: raw\ndimension: 3\nsizes: 30 24 6\nspacings: 20 20 0.03\nunits:"
        ' "um" "um" "mm"\n\n'
    )
    (tmp_path / "a.nrrd").write_bytes(head.encode() + STACK.tobytes())
    assert bone(tmp_path / "a.nrrd", voxel=None).grid.spacing == pytest.approx((30, 20, 20))


# --- calibrated grey values


LINE = STACK * 5.0 - 200


def calibrated(path):
    kind = path.name.split(".", 1)[-1]
    if kind == "tif":
        metadata = {"axes": "ZYX", "cf": 0, "c0": -200.0, "c1": 5.0, "vunit": "mg HA/cm3"}
        tifffile.imwrite(path, STACK, imagej=True, metadata=metadata)
    elif kind == "mha":
        head = "ObjectType = Image\nNDims = 3\nDimSize = 30 24 6\nElementType = MET_UCHAR\n"
        head += (
            "ElementToIntensityFunctionSlope = 5\nElementToIntensityFunctionOffset = -200\nElementDataFile ="
            " LOCAL\n"
        )
        path.write_bytes(head.encode() + STACK.tobytes())
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["scan"] = STACK
            file["scan"].attrs.update({"scale_factor": [5.0], "add_offset": -200.0, "units": "mg HA/cm3"})
    else:
        nifti(path, slope=(5.0, -200.0))


@pytest.mark.parametrize("name", ["a.tif", "a.mha", "a.h5", "a.nii"])
def test_a_threshold_is_of_calibrated_values_and_says_so(tmp_path, name):
    calibrated(tmp_path / name)
    section = bone(tmp_path / name, threshold=300)
    assert np.array_equal(section.bone, LINE > 300)
    assert 0 < section.bone.mean() < 1
    scale = section.record["grey_values"]
    assert (scale["scale"], scale["offset"], scale["slope"]) == ("calibrated", -200, 5)
    unit = " mg HA/cm3" if name in ("a.tif", "a.h5") else ""
    assert section.describe().endswith(f", threshold 300{unit} (calibrated: -200 + 5 x stored)")
    assert np.array_equal(
        bone(tmp_path / name, threshold="otsu").bone,
        section_from_array(LINE, voxel=20, threshold="otsu").bone,
    )
    plain = section_from_array(STACK, voxel=20, threshold=110)
    assert plain.record["grey_values"] == {"scale": "as stored"}
    assert plain.describe().endswith("threshold 110 (grey values as stored)")


def test_times_of_a_nifti_are_calibrated_once(tmp_path):
    nifti(tmp_path / "a.nii", "TYX", slope=(5.0, -200.0))
    assert np.array_equal(
        bone(tmp_path / "a.nii", threshold=300, frame=4, thickness=10, voxel=None).bone, LINE[4] > 300
    )


def test_a_nifti_with_an_offset_and_no_slope_is_refused(tmp_path):
    """scl_slope = 0 means that nothing is scaled; SimpleITK adds scl_inter all the same."""
    nifti(tmp_path / "a.nii", slope=(0.0, 5.0))
    refused(tmp_path / "a.nii", r"calibrated by 5 \+ 0 x stored value, which is not a scale", voxel=None)


def test_check_says_on_which_scale_the_threshold_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calibrated(tmp_path / "a.tif")
    text = '[section]\nkind = "image"\nimage = "a.tif"\nvoxel = "20 um"\nthreshold = 300\n[time]\nend = 1\n'
    (tmp_path / "a.toml").write_text(text)
    said = CliRunner().invoke(app, ["check", "a.toml"]).output
    assert "threshold 300 mg HA/cm3 (calibrated: -200 + 5 x stored)" in " ".join(said.split())


def test_sixteen_bits_with_a_sign(tmp_path):
    """As ImageJ stores them: 32768 added. A mask of that kind has its 0 at 32768."""
    hounsfield = STACK.astype(np.int32) * 20 - 1500
    signed = {"axes": "ZYX", "cf": 0, "c0": -32768.0, "c1": 1.0, "vunit": "Gray Value"}
    tifffile.imwrite(tmp_path / "a.tif", (hounsfield + 32768).astype(np.uint16), imagej=True, metadata=signed)
    section = bone(tmp_path / "a.tif", threshold=-100)
    assert np.array_equal(section.bone, hounsfield > -100)
    mask = np.where(STACK > 110, 1, 0)
    tifffile.imwrite(tmp_path / "m.tif", (mask + 32768).astype(np.uint16), imagej=True, metadata=signed)
    section = section_from_array(STACK, voxel=20, threshold=150, field_of_view=tmp_path / "m.tif")
    assert np.array_equal(section.active, mask > 0)


def test_calibrations_that_are_not_applied_are_refused(tmp_path):
    def say(pattern, values=GREY, **metadata):
        tifffile.imwrite(tmp_path / "a.tif", values, imagej=True, metadata={"c0": 1.0, "c1": 2.0} | metadata)
        refused(tmp_path / "a.tif", pattern, thickness=10)

    say(r"a function that is not applied \(cf = 7: Rodbard\).*32-bit", cf=7)
    say(r"cf = 21: uncalibrated optical density", cf=21)
    say(r"are not integers.*not clear whether that was applied", GREY.astype("f4"), cf=0)
    say(r"calibrated by 1 \+ 0 x stored value, which is not a scale", cf=0, c1=0.0)
    say(r"calibrated by 1 \+ nan x", cf=0, c1=float("nan"))
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, metadata={"cf": 20, "vunit": "Gray Value"})
    assert bone(tmp_path / "a.tif", thickness=10).record["grey_values"] == {"scale": "as stored"}
    head = "NRRD0005\ntype: uchar\nencoding: raw\ndimension: 2\nsizes: 30 24\nold min: 0\nold max: 1000\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + GREY.tobytes())
    refused(tmp_path / "a.nrrd", "old min, old max.*not undone")


def test_a_falling_scale_and_one_clipped_at_zero(tmp_path):
    metadata = {"cf": 0, "c0": 255.0, "c1": -1.0}
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, metadata=metadata)
    assert np.array_equal(bone(tmp_path / "a.tif", threshold=145, thickness=10).bone, GREY < 110)
    tifffile.imwrite(
        tmp_path / "a.tif", GREY, imagej=True, metadata={"cf": 0, "c0": -150.0, "c1": 1.0, "zeroclip": True}
    )
    with pytest.raises(InputError, match=r"from 0 to 69"):
        bone(tmp_path / "a.tif", threshold=-1, thickness=10)


def test_a_calibrated_mask_says_not_what_is_outside(tmp_path):
    tifffile.imwrite(
        tmp_path / "m.tif",
        np.where(GREY > 110, 255, 0).astype("u1"),
        imagej=True,
        metadata={"cf": 0, "c0": -200.0, "c1": 5.0},
    )
    with pytest.raises(InputError, match=r"the mask is calibrated, and a stored 0 is -200"):
        section_from_array(GREY, **flat(), field_of_view=tmp_path / "m.tif")


def test_slices_calibrated_otherwise_are_refused(tmp_path):
    for i, slope in enumerate((1.0, 2.0)):
        tifffile.imwrite(tmp_path / f"{i}.tif", GREY, imagej=True, metadata={"cf": 0, "c0": 1.0, "c1": slope})
    refused(tmp_path, r"1\.tif is calibrated differently from 0\.tif")


def test_missing_voxels_of_integers_are_no_grey_values(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan"] = GREY
        file["scan"].attrs["_FillValue"] = GREY[0, :1]
    refused(tmp_path / "a.h5", r"voxels are missing \(they hold _FillValue", thickness=10)


# --- links


def test_links_that_lie_beside_a_header_are_followed(tmp_path):
    """As git-annex keeps them: names in the user's folder, files in a store.

    The header names its values in the user's folder.
    """
    store, data = tmp_path / "store", tmp_path / "data"
    for folder in (store / "1", store / "2", data):
        folder.mkdir(parents=True)
    written(tmp_path / "a.mhd", STACK)
    (tmp_path / "a.mhd").rename(store / "1" / "KEY-a.mhd")
    (tmp_path / "a.raw").rename(store / "2" / "KEY-b.raw")
    head = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 30 24 6\nencoding: raw\ndata file: a.raw\n"
    (store / "1" / "KEY-a.nrrd").write_text(head)
    (data / "a.raw").symlink_to("../store/2/KEY-b.raw")
    for name in ("a.mhd", "a.nrrd"):
        (data / name).symlink_to(f"../store/1/KEY-{name}")
        assert np.array_equal(bone(data / name).bone, STACK > 110), name
    before = bone(data / "a.mhd").record["sha256"]
    (store / "2" / "KEY-b.raw").write_bytes((STACK + 1).tobytes())
    assert bone(data / "a.mhd").record["sha256"] != before
    (store / "2" / "KEY-b.raw").unlink()
    refused(
        data / "a.mhd",
        r"'a\.raw', which is not a file in the same folder \(a link to a file that is not here: fetch it",
    )
    (store / "1" / "KEY-a.mhd").unlink()
    refused(data / "a.mhd", r"it is a link to a file that does not exist")


@pytest.mark.parametrize(
    "name", ["LIST", "LIST 2", "list", "%d.raw 1 4 1", "../values.raw", "inner/values.raw", "."]
)
def test_a_header_names_one_plain_file(tmp_path, name):
    """A file called LIST or %d would be read as a list of files, which may be any of this machine."""
    (tmp_path / "inner").mkdir()
    for other in ("values.raw", "inner/values.raw", "LIST", "LIST 2", "list", "%d.raw 1 4 1"):
        (tmp_path / other).write_bytes(GREY.tobytes())
    (tmp_path / "a.mhd").write_text(
        f"NDims = 2\nDimSize = 30 24\nElementType = MET_UCHAR\nElementDataFile = {name}\n"
    )
    (tmp_path / "a.nrrd").write_text(
        f"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 30 24\nencoding: raw\ndata file: {name}\n"
    )
    for kind in ("mhd", "nrrd"):
        refused(tmp_path / f"a.{kind}", "which is not a file in the same folder", thickness=10)


# --- compressions


def packed_tiff(path, values, bits):
    """A plain TIFF of so many bits a voxel, rows filled up to whole bytes, as cameras write it."""
    rows = [
        np.packbits(np.concatenate([[v >> b & 1 for b in range(bits - 1, -1, -1)] for v in row]).astype("u1"))
        for row in values.tolist()
    ]
    data = b"".join(row.tobytes() for row in rows)
    height, width = values.shape
    tags = (
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(data)),
    )
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12])
def test_voxels_of_odd_bits(tmp_path, bits):
    values = np.random.default_rng(bits).integers(0, 2**bits, (24, 31))
    values[0, :2] = 0, 2**bits - 1
    packed_tiff(tmp_path / "a.tif", values, bits)
    section = bone(tmp_path / "a.tif", threshold="fraction", thickness=10)
    assert np.allclose(section.bone, values / (2**bits - 1), atol=1e-15)
    half = 2 ** (bits - 1) - 0.5
    assert np.array_equal(bone(tmp_path / "a.tif", threshold=half, thickness=10).bone, values > half)


@pytest.mark.parametrize(
    "packing",
    ["tiff_lzw", "packbits", "tiff_deflate", "tiff_adobe_deflate", "group3", "group4", "tiff_ccitt", "jpeg"],
)
def test_compressions_of_other_programs(tmp_path, packing):
    bits = packing in ("group3", "group4", "tiff_ccitt")
    values = np.kron(GREY > 110, np.ones((8, 8), bool)) if bits else np.kron(GREY, np.ones((8, 8), "u1"))
    PIL.Image.fromarray(values).save(tmp_path / "a.tif", compression=packing)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.pages[0].compression != 1
    section = bone(tmp_path / "a.tif", threshold=0.5 if bits else 110, thickness=10)
    expected = values if bits else values > 110
    assert (
        np.array_equal(section.bone, expected)
        if packing != "jpeg"
        else np.mean(section.bone != expected) < 0.02
    )


def test_lzw_of_a_stack_with_a_predictor(tmp_path):
    deep = STACK.astype("u2") * 200
    tifffile.imwrite(
        tmp_path / "a.tif",
        deep,
        compression="lzw",
        predictor=True,
        photometric="minisblack",
        metadata={"axes": "ZYX"},
    )
    assert np.array_equal(bone(tmp_path / "a.tif", threshold=22000).bone, deep > 22000)


def test_without_imagecodecs_the_way_out_is_told(tmp_path, monkeypatch):
    without_imagecodecs(monkeypatch)
    PIL.Image.fromarray(GREY).save(tmp_path / "a.tif", compression="tiff_lzw")
    refused(
        tmp_path / "a.tif",
        r"compressed by LZW.*which is not installed.*images.*deflate or plain",
        thickness=10,
    )
    packed_tiff(tmp_path / "b.tif", GREY, 12)
    refused(
        tmp_path / "b.tif", r"packed at 12 bits a voxel.*imagecodecs, which is not installed", thickness=10
    )


def test_compressions_without_bounds_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, compression="zstd")
    refused(
        tmp_path / "a.tif", "compressed by ZSTD, which is not read. Save it with LZW or deflate", thickness=10
    )


@pytest.mark.parametrize("name", ["jpeg", "lzw", "packbits"])
def test_parts_that_unpack_to_more_than_their_page(tmp_path, monkeypatch, name):
    """A JPEG is refused, LZW and PackBits are unpacked into the room of the page and no further."""
    codecs = pytest.importorskip("imagecodecs")
    monkeypatch.setattr(tiff, "SMALL", 2**16)
    bombs = {
        "jpeg": codecs.jpeg8_encode,
        "lzw": lambda a: codecs.lzw_encode(a.tobytes()),
        "packbits": lambda a: b"\x81\0" * 2**12,
    }
    bomb = iter([bombs[name](np.zeros((1024, 1024), "u1"))])
    tifffile.imwrite(
        tmp_path / "a.tif", bomb, shape=(24, 30), dtype="u1", compression=name, rowsperstrip=24, metadata=None
    )
    said = {
        "jpeg": "unpacks to more than the 720 bytes",
        "lzw": "from 0 to 0",
        "packbits": "could not be read",
    }
    with pytest.raises(InputError, match=said[name]):
        bone(tmp_path / "a.tif", thickness=10)
