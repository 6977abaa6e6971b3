"""Scans into sections: bone volume is kept, sizes and thresholds are explicit, every bad input is told in one
paragraph.
"""

import json
import os
import re
import sys

import h5py
import numpy as np
import PIL.Image
import pytest
import tifffile

from rdsolver.errors import InputError
from rdsolver.images import voxels
from rdsolver.images.load import section_from_array, section_from_image
from rdsolver.images.resampling import average
from tests.support.images import GREY, STACK, flat, write
from tests.support.places import SHARED

DATA = SHARED / "data"
real = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs the scans in ../shared/data, which are not part of the project"
)


# --- reading


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.h5", "a.nrrd", "a.mha", "a.mhd", "a.nii", "a.nii.gz"])
def test_every_kind_of_stack_reads_the_same(tmp_path, name):
    section = section_from_image(write(tmp_path / name, STACK), voxel=20, threshold=110)
    assert np.array_equal(section.bone, STACK > 110)
    assert section.grid.spacing == (20.0, 20.0, 20.0)
    assert section.record["file"] == name


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy", "a.h5"])
def test_every_kind_of_slice_reads_the_same(tmp_path, name):
    section = section_from_image(write(tmp_path / name, GREY), **flat())
    assert np.array_equal(section.bone, GREY > 110)
    assert section.grid.thickness == 10.0


def test_bigtiff_16_bit_png_and_one_bit_png(tmp_path):
    tifffile.imwrite(tmp_path / "big.tif", STACK, bigtiff=True, metadata=None)
    assert np.array_equal(section_from_image(tmp_path / "big.tif", voxel=20, threshold=110).bone, STACK > 110)
    deep = GREY.astype(np.uint16) * 200
    assert np.array_equal(
        section_from_image(write(tmp_path / "deep.png", deep), **flat(threshold=22000)).bone, deep > 22000
    )
    PIL.Image.fromarray(GREY > 110).save(tmp_path / "bit.png")
    assert np.array_equal(
        section_from_image(tmp_path / "bit.png", **flat(threshold="binary")).bone, GREY > 110
    )


def test_folder_is_read_in_natural_order(tmp_path):
    stack = np.concatenate([STACK, STACK + 1])
    for i, plane in enumerate(stack):
        write(tmp_path / f"slice{i}.tif", plane)  # slice10 comes after slice9, not after slice1
    (tmp_path / "scan.log").write_text("not a slice")
    section = section_from_image(tmp_path, voxel=20, threshold=110)
    assert np.array_equal(section.bone, stack > 110)
    before = section.record["sha256"]
    write(tmp_path / "slice3.tif", stack[4])
    assert section_from_image(tmp_path, voxel=20, threshold=110).record["sha256"] != before


def test_a_stack_of_one_slice_is_two_dimensional(tmp_path):
    assert section_from_image(write(tmp_path / "a.npy", GREY[None]), **flat()).grid.shape == GREY.shape


def test_hash_covers_the_values_beside_a_metaimage_header(tmp_path):
    found = set()
    for values in (STACK, STACK + 1):
        found.add(
            section_from_image(write(tmp_path / "a.mhd", values), voxel=20, threshold=110).record["sha256"]
        )
    assert len(found) == 2


# --- voxel size


def test_voxel_size_of_tiffs(tmp_path):
    def found(**tags):
        tifffile.imwrite(tmp_path / "a.tif", STACK, **tags)
        return section_from_image(tmp_path / "a.tif", threshold=110).grid.spacing

    um = {"resolution": (1 / 20, 1 / 25)}  # pixels per um along x and y
    imagej = {"axes": "ZYX", "unit": "um", "spacing": 30.0}
    assert found(imagej=True, metadata=imagej, **um) == pytest.approx((30, 25, 20))
    assert found(
        imagej=True, metadata=imagej | {"unit": "mm", "spacing": 0.03}, resolution=(50, 40)
    ) == pytest.approx((30, 25, 20))
    sizes = {
        "axes": "ZYX",
        "PhysicalSizeX": 20.0,
        "PhysicalSizeY": 25.0,
        "PhysicalSizeZ": 0.03,
        "PhysicalSizeZUnit": "mm",
    }
    assert found(ome=True, metadata=sizes) == pytest.approx((30, 25, 20))
    for meaningless in (
        {},
        {"resolution": (72, 72), "resolutionunit": "INCH"},
        {"resolution": (1, 1), "resolutionunit": "NONE"},
    ):
        with pytest.raises(
            InputError, match=r"section\.voxel is missing, and a\.tif carries no voxel size\.\nGive the edge"
        ):
            found(metadata=None, **meaningless)


def test_resolution_tags_with_a_real_unit_give_y_and_x(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", GREY, resolution=(500, 400), resolutionunit="CENTIMETER", metadata=None
    )
    assert section_from_image(tmp_path / "a.tif", threshold=110, thickness=10).grid.spacing == pytest.approx(
        (25, 20)
    )
    tifffile.imwrite(
        tmp_path / "b.tif", STACK, resolution=(500, 400), resolutionunit="CENTIMETER", metadata=None
    )
    with pytest.raises(
        InputError, match=r"section\.voxel is missing, and b\.tif carries only \? x 25 x 20 um"
    ):
        section_from_image(tmp_path / "b.tif", threshold=110)


def test_voxel_size_of_hdf5_and_medical_formats(tmp_path):
    with h5py.File(write(tmp_path / "a.h5", STACK), "a") as file:
        file["scan"].attrs["element_size_um"] = [30.0, 25.0, 20.0]
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(STACK)
    image.SetSpacing((0.020, 0.025, 0.030))  # mm
    for name in ("a.nrrd", "a.mha", "a.nii"):
        sitk.WriteImage(image, str(tmp_path / name))
    nii = bytearray((tmp_path / "a.nii").read_bytes())
    (tmp_path / "unknown.nii").write_bytes(nii[:123] + b"\x00" + nii[124:])  # xyzt_units
    header = (
        'NRRD0004\ntype: uint8\ndimension: 3\nsizes: 30 24 6\nspacings: 20 25 30\nunits: "um" "um"'
        ' "um"\nencoding: raw\n\n'
    )
    (tmp_path / "um.nrrd").write_bytes(header.encode() + STACK.tobytes())
    for name in ("a.h5", "a.nrrd", "a.mha", "a.nii", "um.nrrd"):
        assert section_from_image(tmp_path / name, threshold=110).grid.spacing == pytest.approx(
            (30, 25, 20)
        ), name
    with pytest.raises(InputError, match=r"unknown\.nii carries no voxel size"):
        section_from_image(tmp_path / "unknown.nii", threshold=110)


def test_voxel_size_is_compared_with_the_one_in_the_file(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", GREY, resolution=(500, 500), resolutionunit="CENTIMETER", metadata=None
    )
    assert section_from_image(tmp_path / "a.tif", **flat(voxel=20.1)).grid.spacing == (20.1, 20.1)
    with pytest.raises(InputError, match=r"section\.voxel is 20\.5 um, but a\.tif carries 20 um"):
        section_from_image(tmp_path / "a.tif", **flat(voxel=20.5))


# --- resampling


@pytest.mark.parametrize("spacing", [7.0, 10.0, 13.3, 40.0, (55.0, 24.0)])
def test_resampling_keeps_the_bone_volume(spacing):
    """At any ratio, exactly, over what the cells cover: the dropped strip is told, and its bone with it."""
    section = section_from_array(GREY, **flat(), spacing=spacing)
    shape, steps = section.grid.shape, section.grid.spacing
    extent = [n * h for n, h in zip(shape, steps, strict=True)]
    assert [e + d for e, d in zip(extent, section.record["dropped"], strict=True)] == pytest.approx(
        [480, 600]
    )
    assert all(d < h for d, h in zip(section.record["dropped"], steps, strict=True))
    covered = np.multiply.outer(
        *(np.clip((e - np.arange(n) * 20) / 20, 0, 1) for e, n in zip(extent, GREY.shape, strict=True))
    )
    assert section.bone.sum() * np.prod(steps) == pytest.approx(
        ((GREY > 110) * covered).sum() * 400, rel=1e-12
    )


def test_whole_ratios_are_block_means_and_3d_is_the_same():
    section = section_from_array(STACK, voxel=(10, 20, 20), threshold=110, spacing=(20, 40, 60))
    assert np.allclose(section.bone, (STACK > 110).reshape(3, 2, 12, 2, 10, 3).mean((1, 3, 5)), atol=1e-14)
    assert section.grid.spacing == (20.0, 40.0, 60.0)


def test_average_of_a_linear_profile_is_exact_at_any_ratio():
    x = (np.arange(40) + 0.5) * 2.0
    mean = average(np.tile(x, (3, 1)), (1.0, 2.0), (3, 11), (1.0, 7.0))
    edges = np.arange(12) * 7.0
    integral = np.interp(edges, np.arange(41) * 2.0, np.concatenate([[0], np.cumsum(x * 2.0)]))
    assert np.allclose(mean, np.diff(integral) / 7.0)


def test_field_of_view_weighs_the_bone_and_decides_what_is_active():
    grey, mask = np.array([[1.0, 1.0, 0.0, 0.0, 0.0, 1.0]] * 3), np.array([[1, 1, 1, 1, 0, 0]] * 3)
    section = section_from_array(
        grey, voxel=10, thickness=10, threshold="binary", field_of_view=mask, spacing=(10, 30)
    )
    assert np.allclose(section.bone, [[2 / 3, 0]] * 3)  # the bone at the far end lies outside
    assert np.array_equal(section.active, [[True, False]] * 3)
    section = section_from_array(
        grey, voxel=10, thickness=10, threshold="binary", field_of_view=mask, spacing=(10, 20)
    )
    assert np.array_equal(section.active, [[True, True, False]] * 3)


def test_upsampling_repeats_a_voxel():
    section = section_from_array(GREY, **flat(), spacing=5)
    assert np.array_equal(section.bone, np.repeat(np.repeat(GREY > 110, 4, 0), 4, 1))


# --- threshold, crop, denoise, field of view


def test_otsu_is_the_threshold_of_largest_variance_between_classes():
    rng = np.random.default_rng(2)
    values = (
        np.concatenate([rng.normal(60, 12, 3000), rng.normal(150, 20, 1000)])
        .round()
        .clip(0, 255)
        .astype(np.uint8)
    )
    between = [
        values[values <= t].size
        * values[values > t].size
        * (values[values <= t].mean() - values[values > t].mean()) ** 2
        for t in range(values.min(), values.max())
    ]
    best = values.min() + int(np.argmax(between)) + 0.5
    for scaled in (values, values.astype(float), values.astype(float) / 1000):
        section = section_from_array(scaled.reshape(50, 80), voxel=10, thickness=10, threshold="otsu")
        assert np.array_equal(section.bone.ravel(), values > best)
    assert section_from_array(values.reshape(50, 80), voxel=10, thickness=10, threshold="otsu").record[
        "threshold"
    ] == {"rule": "otsu", "value": best}


def test_otsu_looks_inside_the_field_of_view_only():
    grey, mask = GREY.copy(), np.ones(GREY.shape, bool)
    mask[:, 22:] = False
    a = section_from_array(grey, **flat(threshold="otsu"), field_of_view=mask)
    grey[:, 22:] = 255
    b = section_from_array(grey, **flat(threshold="otsu"), field_of_view=mask)
    assert a.record["threshold"] == b.record["threshold"]
    assert np.array_equal(a.bone, b.bone)
    assert not a.bone[:, 22:].any()


def test_fractions_come_as_floats_or_as_integers_of_their_type():
    fraction = np.linspace(0, 1, 24 * 30).reshape(24, 30)
    exact = section_from_array(fraction, **flat(threshold="fraction"))
    assert np.array_equal(exact.bone, fraction)
    coded = section_from_array((fraction * 65535).round().astype(np.uint16), **flat(threshold="fraction"))
    assert np.allclose(coded.bone, fraction, atol=1e-5)


def test_crop_moves_the_origin_and_keeps_the_voxels():
    section = section_from_array(GREY, **flat(), crop=((4, 20), (3, 30)))
    assert np.array_equal(section.bone, GREY[4:20, 3:30] > 110)
    assert section.grid.origin == (80.0, 60.0)


def test_denoise_takes_speckle_out_and_nothing_in_from_outside():
    clean = np.zeros((40, 40), np.uint8)
    clean[10:30, :] = 200
    noisy = clean.copy()
    noisy[5, 5] = noisy[35, 20] = 255
    for rule in ("median", 25.0):
        found = section_from_array(noisy, **flat(), denoise=rule).bone
        assert np.array_equal(found, clean > 110), rule
        mask = np.ones(clean.shape, bool)
        mask[:, 25:] = False
        blank = np.where(mask, noisy, 0)
        assert np.array_equal(
            section_from_array(blank, **flat(), denoise=rule, field_of_view=mask).bone[:, :25],
            clean[:, :25] > 110,
        ), rule


def test_circle_is_found_within_the_padding_and_lies_in_the_plane():
    y, x = np.indices((101, 101)) - 50
    scan = np.where(np.hypot(y, x) <= 40, np.random.default_rng(3).integers(1, 200, (101, 101)), 0)
    stack = np.stack([scan] * 4)
    section = section_from_array(
        stack, voxel=10, threshold=100, field_of_view="circle", crop=((0, 4), (0, 101), (0, 60))
    )
    expected = np.hypot(y, x)[:, :60] <= 40 * 0.96
    assert np.array_equal(section.active, np.stack([expected] * 4))
    assert section.record["field_of_view"] == {"radius": pytest.approx(384, rel=0.01), "centre": [505, 505]}
    full = section_from_array(
        scan + 1 + (y + x) % 2, voxel=10, thickness=10, threshold=100, field_of_view="circle"
    )
    # nothing constant outside: the inscribed circle
    assert full.record["field_of_view"]["radius"] == pytest.approx(505 * 0.96)
    given = section_from_array(
        scan, voxel=10, thickness=10, threshold=100, field_of_view={"radius": 300, "centre": (405, 505)}
    )
    assert np.array_equal(given.active, np.hypot(y + 10, x) <= 30)


def test_mask_file_of_the_whole_image_is_cropped_with_it(tmp_path):
    mask = np.zeros(GREY.shape, np.uint8)
    mask[2:20, 2:25] = 7
    path = write(tmp_path / "mask.png", mask)
    section = section_from_array(GREY, **flat(), field_of_view=path, crop=((4, 24), (3, 30)))
    assert np.array_equal(section.active, mask[4:24, 3:30] > 0)
    assert not section.bone[~section.active].any()
    assert section.record["field_of_view"]["mask"] == "mask.png"


def test_record_is_json_and_complete(tmp_path):
    section = section_from_image(
        write(tmp_path / "a.tif", GREY), **flat(), crop=((0, 20), (0, 30)), denoise="median", spacing=40
    )
    record = json.loads(json.dumps(section.record))
    assert set(record) == {"kind", "file", "sha256", "shape", "voxel", "crop", "denoise", "field_of_view",
                           "grey_values", "threshold",
                           "bone_volume_fraction", "spacing", "dropped"}  # fmt: skip
    assert len(record["sha256"]) == 64
    assert record["shape"] == [24, 30]
    assert record["bone_volume_fraction"] == pytest.approx(section.bone_volume_fraction)


# --- real scans


@real
def test_trabecular_volume_resampled_to_64_cubed():
    section = section_from_image(
        DATA / "lhdl3155_grey_128_19p5um.tif", voxel=19.5, threshold="otsu", spacing=39
    )
    assert section.grid.shape == (64, 64, 64)
    assert section.record["dropped"] == [0, 0, 0]
    assert section.bone_volume_fraction == pytest.approx(0.2, abs=0.02)
    assert section.bone_volume_fraction == pytest.approx(section.record["bone_volume_fraction"], rel=1e-12)


@real
def test_slice_with_round_field_of_view():
    """BV/TV 0.22 at smoothed grey > 63; Otsu's threshold lies higher, which is why the rule is explicit."""

    def bone_volume_fraction(threshold, **options):
        section = section_from_image(
            DATA / "lhdlTi2923_slice247_grey_256.tif", threshold=threshold, thickness=19.5, **options
        )
        assert section.grid.spacing == (19.5, 19.5)  # the file carries it
        view = section.record["field_of_view"]
        assert view is None or view["radius"] / 19.5 == pytest.approx(123, abs=0.5)
        return section.bone_volume_fraction

    inside = bone_volume_fraction(63, denoise=20, field_of_view="circle")
    assert inside == pytest.approx(0.22, abs=0.01)
    assert bone_volume_fraction("otsu", field_of_view="circle") == pytest.approx(0.18, abs=0.01)
    assert bone_volume_fraction(63, denoise=20) < 0.85 * inside  # the outside is not marrow


@real
def test_segmented_volume_with_its_own_spacing():
    pytest.importorskip("SimpleITK")
    path = DATA / "shrew_bin_114x114x115_4p1um.nrrd"
    section = section_from_image(path, threshold="binary", spacing=8.2)
    assert section.record["voxel"] == pytest.approx([4.1] * 3)
    assert section.grid.shape == (57, 57, 57)
    assert section.bone_volume_fraction == pytest.approx(0.29, abs=0.01)
    with pytest.raises(InputError, match=r"section\.voxel is 8\.2 um, but shrew.*carries 4\.1 um"):
        section_from_image(path, voxel=8.2, threshold="binary")


# --- bad files


def says(path, pattern, **options):
    """The error begins with the key and the file, and goes on as told."""
    with pytest.raises(InputError, match=pattern) as caught:
        section_from_image(path, **flat(**options))
    assert re.match(rf'section\.image = "[^"]*{path.name}"', str(caught.value))


def test_missing_unknown_and_empty_files(tmp_path):
    says(tmp_path / "no.tif", r'section\.image = ".*no\.tif": there is no such file')
    (tmp_path / "a.doc").write_text("x")
    says(tmp_path / "a.doc", r"this kind of file cannot be read.*\.tif.*\.nrrd")
    (tmp_path / "zero.tif").touch()
    says(tmp_path / "zero.tif", r"empty \(0 bytes\)")
    says(write(tmp_path / "none.npy", np.zeros((0, 5))), r"the image is empty \(shape 0 x 5\)")
    (tmp_path / "folder").mkdir()
    says(tmp_path / "folder", r"no TIFF or PNG files")
    says(write(tmp_path / "a.tif", GREY), r"only HDF5 files", dataset="scan")


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy", "a.h5", "a.nrrd", "a.mha", "a.nii"])
def test_text_under_an_image_name(tmp_path, name):
    if name[2:] in ("nrrd", "mha", "nii"):
        pytest.importorskip("SimpleITK")
    (tmp_path / name).write_text("this is not an image")
    says(tmp_path / name, r"it could not be read \(.+\)\. Check that")


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_cut_off_files(tmp_path, name, share):
    path = write(tmp_path / name, GREY)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    says(path, r"cut off" if name == "a.tif" else r"could not be read")


def test_cut_off_compressed_stack(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", metadata=None)
    path = tmp_path / "a.tif"
    path.write_bytes(path.read_bytes()[:-100])
    says(path, r"cut off|could not be read", thickness=None)


def test_unreadable_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", GREY)
    if os.geteuid() == 0:  # for root every file is readable: let opening fail as it would for others

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(tifffile, "TiffFile", refuse)
    else:
        path.chmod(0)
    says(path, r"could not be read \(.*Permission denied.*readable by you")


def test_colour_is_refused(tmp_path):
    rgb = np.stack([GREY] * 3, -1)
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    for name in ("a.tif", "a.png", "palette.png", "alpha.png", "a.npy"):
        if name == "palette.png":
            PIL.Image.fromarray(rgb).quantize(8).save(tmp_path / name)
        elif name == "alpha.png":
            PIL.Image.fromarray(GREY).convert("LA").save(tmp_path / name)
        elif not name.endswith("tif"):
            write(tmp_path / name, rgb)
        says(tmp_path / name, r"colour image.*Convert it to grey")


def test_inverted_tiff_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="miniswhite")
    says(tmp_path / "a.tif", r"0 is white.*not clear which end is bone")


def test_too_many_axes_and_pages_of_different_shape(tmp_path):
    says(write(tmp_path / "a.npy", np.ones((2, 3, 4, 5))), r"4 axes \(shape 2 x 3 x 4 x 5\)")
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(GREY, metadata=None)
        tif.write(GREY[:10], metadata=None)
    says(tmp_path / "a.tif", r"2 images of different shape")
    folder = tmp_path / "slices"
    folder.mkdir()
    write(folder / "s1.tif", GREY)
    write(folder / "s2.tif", GREY[:10])
    says(folder, r"s2\.tif has shape \(10, 30\).*s1\.tif has \(24, 30\)")
    write(folder / "s1.png", GREY)
    says(folder, r"both TIFF and PNG")


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy", "a.h5", "a.mha"])
def test_too_large_is_refused_before_reading(tmp_path, monkeypatch, name):
    monkeypatch.setattr(voxels, "MAX_VOXELS", 700)
    says(write(tmp_path / name, GREY), r"720 voxels|= 720 voxels.*Save a crop")


def test_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    says(write(tmp_path / "a.png", GREY), r"too large to be opened safely.*TIFF")


def test_hdf5_datasets_are_listed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw/scan"], file["raw/mask"], file["angle"] = GREY, GREY, 1.0
    says(tmp_path / "a.h5", r"no dataset is named\. The file holds raw/mask, raw/scan")
    says(
        tmp_path / "a.h5", r"no dataset 'raw/image'\. The file holds raw/mask, raw/scan", dataset="raw/image"
    )
    assert section_from_image(tmp_path / "a.h5", **flat(), dataset="raw/scan").record["dataset"] == "raw/scan"


def test_without_simpleitk_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.nrrd").write_text("NRRD0004")
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    says(
        tmp_path / "a.nrrd",
        r"needs SimpleITK, which is not installed\. Install it, in .* pip install -e \"\.\[images\]\", or"
        r" save",
    )


# --- bad values


FULL = np.full((8, 9), 200, np.uint8)
HOLE = np.where(np.eye(8, 9) > 0, np.nan, 1.0)


def test_a_blank_image_has_no_circle_to_find():
    with pytest.raises(InputError, match=r"one grey value everywhere, 200"):
        section_from_array(
            np.full((16, 16), 200, np.uint8),
            voxel=20.0,
            threshold="otsu",
            field_of_view="circle",
            thickness=20.0,
        )


@pytest.mark.parametrize(
    ("array", "options", "pattern"),
    [
        (GREY, {"voxel": 0.01}, r"section\.voxel is 0\.01 um.*0\.05 to 1000"),
        (GREY, {"voxel": 19500.0}, r"section\.voxel is 19500 um.*Check the unit"),
        (GREY, {"voxel": -1}, r"section\.voxel is -1 um"),
        (GREY, {"voxel": float("nan")}, r"section\.voxel is nan"),
        (GREY, {"voxel": (1.0, 2.0, 3.0)}, r"section\.voxel is .*2 axes \(y, x\)"),
        (GREY, {"voxel": "fine"}, r"section\.voxel is 'fine'"),
        (GREY, {"threshold": 255}, r"section\.threshold = 255 finds no bone.*from 0 to 219"),
        (GREY, {"threshold": -1}, r"section\.threshold = -1 finds nothing but bone"),
        (GREY, {"threshold": "bright"}, r"section\.threshold is 'bright'.*otsu, binary, fraction"),
        (GREY, {"threshold": float("nan")}, r"section\.threshold is nan"),
        (GREY, {"threshold": "binary"}, r"more than two values"),
        (GREY * 1.5, {"threshold": "fraction"}, r"\"fraction\", but the grey values.*between 0 and 1"),
        (-(GREY / 255), {"threshold": "fraction"}, r"\"fraction\", but the grey values"),
        (np.ones((8, 9)), {"threshold": "fraction"}, r"nothing but bone"),
        (FULL, {"threshold": "otsu"}, r"finds no bone.*from 200 to 200"),
        (FULL * 1.0, {"threshold": "otsu"}, r"finds no bone"),
        (FULL, {"threshold": "binary"}, r"nothing but bone"),
        (FULL * 0, {}, r"finds no bone"),
        (HOLE, {}, r"8 of 72 voxels are NaN or infinite"),
        (np.where(np.isnan(HOLE), np.inf, 0), {"threshold": 0.5}, r"are NaN or infinite"),
        (GREY * 1j, {}, r"values of type complex128"),
        (np.zeros((0, 4)), {}, r"section\.image: the image is empty"),
        (GREY, {"crop": ((0, 25), (0, 30))}, r"section\.crop is .*24 x 30 voxels"),
        (GREY, {"crop": ((5, 5), (0, 30))}, r"section\.crop"),
        (GREY, {"crop": ((-4, 10), (0, 30))}, r"section\.crop"),
        (GREY, {"crop": ((0, 10),)}, r"section\.crop.*each of its 2 axes"),
        (GREY, {"crop": ((0, 10.5), (0, 30))}, r"section\.crop"),
        (GREY, {"denoise": "strong"}, r"section\.denoise is 'strong'"),
        (GREY, {"denoise": 0}, r"section\.denoise is 0"),
        (GREY, {"spacing": 0}, r"section\.spacing is 0 um"),
        (GREY, {"spacing": 1000}, r"section\.spacing is 1000 um, wider than the image \(480 x 600 um\)"),
        (GREY, {"spacing": 1e-3}, r"section\.spacing is 0\.001 um: that makes 2\.88e\+11 cells"),
        (GREY, {"thickness": None}, r"section\.thickness is missing, and the image is 2D"),
        (GREY, {"thickness": -5}, r"section\.thickness is -5"),
        (STACK, {}, r"section\.thickness is 10.*the image is 3D"),
        (GREY, {"field_of_view": np.ones((5, 5))}, r"mask has shape 5 x 5, the image 24 x 30"),
        (GREY, {"field_of_view": np.zeros((24, 30))}, r"leave nothing of the image"),
        (GREY, {"field_of_view": {"diameter": 3}}, r"A circle has a radius"),
        (GREY, {"field_of_view": 5}, r"section\.field_of_view is 5"),
        (
            GREY,
            {"field_of_view": "no/mask.tif"},
            r"section\.field_of_view = \"no/mask\.tif\": there is no such file",
        ),
    ],
)
def test_bad_values_are_named(array, options, pattern):
    with pytest.raises(InputError, match=pattern):
        section_from_array(array, **flat(**options))


def test_key_names_the_place_in_the_config():
    with pytest.raises(InputError, match=r"^sweep\.section\.voxel is -1 um"):
        section_from_array(GREY, **flat(voxel=-1), key="sweep.section")
