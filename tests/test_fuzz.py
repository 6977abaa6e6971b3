"""Files from strangers: nothing that is read may crash, hang, fill the memory, execute anything or reach for
other files.
"""

import ast
import re
import struct
import zlib

import h5py
import numpy as np
import pytest
import tifffile

from rdsolver.config.load import load_config
from rdsolver.errors import InputError
from rdsolver.images.load import section_from_image
from rdsolver.output import layout
from rdsolver.output.describe import describe
from rdsolver.output.reader import open_run
from rdsolver.runs import checkpoint_file
from rdsolver.runs.run import resume
from rdsolver.utils import safe_files
from tests.fuzz import campaign, seeds
from tests.fuzz.images import packed_tiff
from tests.support.places import ROOT

GREY = np.arange(720, dtype="u1").reshape(24, 30)
SECRET = np.arange(64.0).reshape(8, 8)


@pytest.mark.long
@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_so_many_damaged_files(count, tmp_path):
    tally = campaign.fuzz(list(range(count)), 1, None, tmp_path)
    assert [(n, kind, said) for n, kind, said in tally.failures] == []
    assert tally.counts["worked"] + tally.counts["refused"] == count
    assert tally.counts["worked"] > count / 10  # what is harmless is still read


@pytest.fixture
def stopped(tmp_path):
    seeds.stopped(tmp_path)
    return tmp_path / "run.h5"


def refused(path, said, **options):
    with pytest.raises(InputError, match=said) as caught:
        section_from_image(path, **{"voxel": 20, "threshold": 110, "thickness": 10} | options)
    return str(caught.value)


# --- other files of this machine ----------------------------------------------------------------------------


def external_link(file, name):
    file[name] = h5py.ExternalLink("other.h5", "/secret")


def external_storage(file, name):
    file.create_dataset(name, (8, 8), "f8", external=[("other.h5", 0, 512)])


def virtual(file, name):
    source = h5py.VirtualLayout((8, 8), "f8")
    source[...] = h5py.VirtualSource("other.h5", "secret", (8, 8))
    file.create_virtual_dataset(name, source)


@pytest.mark.parametrize("elsewhere", [external_link, external_storage, virtual])
def test_hdf5_stays_in_its_file(stopped, elsewhere):
    image = stopped.with_name("scan.h5")
    with h5py.File(image, "w") as file:
        elsewhere(file, "scan")
    refused(image, "scan is in another file", dataset="scan")
    kept = stopped.with_name("checkpoint.h5")
    with h5py.File(kept, "r+") as file:
        del file["u/opg"]
        elsewhere(file["u"], "opg")
    data = kept.read_bytes()[checkpoint_file.HEAD :]
    import hashlib

    kept.write_bytes(
        f"{checkpoint_file.MARK} {hashlib.sha256(data).hexdigest()}\n".encode().ljust(
            checkpoint_file.HEAD, b"\0"
        )
        + data
    )
    with pytest.raises(InputError, match="u/opg is in another file"):
        resume(stopped)
    with h5py.File(stopped, "r+") as file:
        del file["state/opg"]
        elsewhere(file["state"], "opg")
    with pytest.raises(InputError, match=r"run\.h5: state/opg is in another file"):
        open_run(stopped)


@pytest.mark.parametrize("name", ["../values.raw", "/etc/passwd", "%d.raw 1 4 1", "LIST"])
def test_headers_name_values_in_their_own_folder(tmp_path, name):
    pytest.importorskip("SimpleITK")
    (tmp_path / "values.raw").write_bytes(GREY.tobytes())
    folder = tmp_path / "scan"
    folder.mkdir()
    (folder / "a.mhd").write_text(
        f"NDims = 2\nDimSize = 30 24\nElementType = MET_UCHAR\nElementDataFile = {name}\n"
    )
    (folder / "a.nrrd").write_text(
        f"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 30 24\nencoding: raw\ndata file: {name}\n"
    )
    for kind in ("mhd", "nrrd"):
        refused(folder / f"a.{kind}", "not a file in the same folder")
    (folder / "inside.raw").write_bytes(GREY.tobytes())
    for kind in ("mhd", "nrrd"):
        path = folder / f"a.{kind}"
        path.write_text(path.read_text().replace(name, "inside.raw"))
        assert section_from_image(path, voxel=20, threshold=110, thickness=10).bone.shape == (24, 30)


def test_ome_tiff_does_not_open_its_siblings(tmp_path):
    parts = "".join(
        f'<TiffData FirstZ="{z}"><UUID FileName="{n}">urn:uuid:{z}</UUID></TiffData>'
        for z, n in enumerate(("a.tif", "../b.tif"))
    )
    size = 'DimensionOrder="XYZCT" Type="uint8" SizeX="30" SizeY="24" SizeZ="2" SizeC="1" SizeT="1"'
    text = f'<OME UUID="urn:uuid:0"><Image><Pixels {size}>{parts}</Pixels></Image></OME>'
    tifffile.imwrite(tmp_path / "a.tif", GREY, description=text, metadata=None)
    refused(tmp_path / "a.tif", "is in other files")


# --- bombs --------------------------------------------------------------------------------------------------


def test_a_tiff_whose_pages_go_round_in_a_circle(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack([GREY] * 3), photometric="minisblack", metadata=None)
    data = bytearray(path.read_bytes())
    first = struct.unpack_from("<I", data, 4)[0]
    struct.pack_into("<I", data, first + 2 + 12 * struct.unpack_from("<H", data, first)[0], first)
    path.write_bytes(data)
    refused(path, "round in a circle", thickness=None)


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    packed = zlib.compress(bytes(2**22))
    monkeypatch.setattr(safe_files, "SMALL", 2**20)
    packed_tiff(tmp_path / "a.tif", packed)
    refused(tmp_path / "a.tif", "unpacks to more than the 720 bytes")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        node = file.create_dataset("scan", (24, 30), "u1", chunks=(24, 30), compression="gzip")
        node.id.write_direct_chunk((0, 0), packed)
    refused(tmp_path / "a.h5", "unpacks to more than the 720 bytes")


def test_sizes_are_compared_with_the_memory_before_they_are_allocated(tmp_path, monkeypatch, stopped):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("scan", (50_000, 70_000), "f8", chunks=True, compression="gzip")
    monkeypatch.setattr(safe_files, "host_memory", lambda: 2**30)
    refused(tmp_path / "a.h5", r"29\.3 GiB of memory are needed, and 1 GiB are free")
    head = (
        b"\x93NUMPY\x01\0"
        + struct.pack("<H", 118)
        + repr({"descr": "<f8", "fortran_order": False, "shape": (50_000, 70_000)}).encode().ljust(118)
    )
    (tmp_path / "a.npy").write_bytes(head)
    refused(tmp_path / "a.npy", "GiB of memory are needed")
    with h5py.File(stopped, "r+") as file:
        del file["state/opg"]
        file["state"].create_dataset("opg", (50_000, 70_000), "f8", chunks=True)
    with open_run(stopped) as run, pytest.raises(InputError, match=r"state/opg.*GiB of memory are needed"):
        run.state  # noqa: B018


def test_object_arrays_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1, "x"]] * 20, object), allow_pickle=True)
    refused(tmp_path / "a.npy", "could not be read")


def test_a_heap_of_hdf5_with_a_piece_of_no_size(tmp_path):
    """libhdf5 would look for its end for ever.

    Texts of no fixed length and references to scales lie in such a heap.
    """
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["scan"] = GREY
        file["scan"].attrs["axes"] = "yx"
    data = bytearray(path.read_bytes())
    at = data.index(b"GCOL")
    assert section_from_image(path, voxel=20, threshold=110, thickness=10).bone.shape == (24, 30)
    data[at + 16 + 24 : at + 16 + 24 + 16] = bytes(16)  # what follows the text is free, and of no size
    path.write_bytes(data)
    refused(path, "is damaged: a heap of it, at byte")


# --- run files ----------------------------------------------------------------------------------------------


BROKEN = {
    "times": lambda file: file["time"].__setitem__(slice(None), [1.0, 0.0]),
    "json": lambda file: change(file["meta"], "config", "[" * 100_000),
    "config": lambda file: change(file["meta"], "config", "[]"),
    "status": lambda file: file["meta"].attrs.__setitem__("status", 7),
    "meta": lambda file: file.__delitem__("meta"),
    "cycle": lambda file: change(file, "active", h5py.SoftLink("/active")),
    "dangling": lambda file: change(file["state"], "opg", h5py.SoftLink("/nowhere")),
    "rank": lambda file: change(file, "active", np.ones((8, 8, 8))),
    "text": lambda file: change(file["reference"], "bone", ["a", "b"]),
    "cells": lambda file: change(file, "y", np.arange(5.0)),
}


def change(group, name, value):
    attrs = (
        {}
        if name not in group
        else {k: v for k, v in group[name].attrs.items() if k in ("units", "long_name", "media_type")}
    )
    del group[name]
    group[name] = np.bytes_(value.encode()) if isinstance(value, str) else value
    if not isinstance(value, h5py.SoftLink):
        group[name].attrs.update(attrs)


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_damaged_run_says_so_wherever_it_is_read(stopped, broken):
    with h5py.File(stopped, "r+") as file:
        broken(file)
    with pytest.raises(InputError, match=r"run\.h5.*(is damaged|holds object)"), open_run(stopped) as run:
        describe(run), run.config, run.state, run.reference


def test_what_is_told_steers_no_terminal(stopped):
    with h5py.File(stopped, "r+") as file:
        file.attrs["title"] = layout.text("\x1b]0;owned\x07")
        layout.put(file["meta"], "message", "\x1b[2J\u202e")
        file.attrs["status"] = layout.text("\x1b[31mred")
    with open_run(stopped) as run:
        assert "?]0;owned?" in describe(run)
        assert not re.search("[\x1b\x07\u202e]", describe(run) + repr(run))
    assert str(InputError("\x1b[31m" + "x" * 10_000)).startswith("?[31mxxx")
    assert len(str(InputError("x" * 10_000))) < 2000


# --- configs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a." * 200_000 + "a = 1",
        "[" + "a . " * 9_999 + "a]",
        "x = " + "9" * 5000,
        "k" * 900_000 + " = 1",
    ],
)
def test_configs_made_to_keep_the_parser_busy(tmp_path, text):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_config(tmp_path / "a.toml")
    assert len(str(caught.value)) < 2000


def test_absurd_sizes_are_refused_before_anything_is_made(tmp_path):
    for key, value in {
        "section.size": '["1e9 um", "1e9 um"]',
        "section.spacing": '"1e-300 um"',
        "time.save": '"1e-9 d"',
        "time.end": "1e300",
        "dose": "[" + '{agent = "fc_opg", amount = 1, every = 1e-6, times = 10000}, ' * 2 + "]",
    }.items():
        (tmp_path / "a.toml").write_text(seeds.CONFIGS[2])
        with pytest.raises(InputError, match=key if key != "section.spacing" else "spacing coarser"):
            load_config(tmp_path / "a.toml", [f"{key}={value}"]).problem()


# --- no pickle, no eval, no shell ---------------------------------------------------------------------------


def test_nothing_that_is_read_is_executed():
    """But for a model of one's own, behind --allow-python."""
    found = set()
    for path in (ROOT / "rdsolver").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func if isinstance(node, ast.Call) else None
            if isinstance(name, ast.Name) and name.id in ("eval", "exec", "compile", "__import__"):
                found.add((path.name, name.id))
            if isinstance(name, ast.Attribute) and name.attr in (
                "system",
                "popen",
                "literal_eval",
                "unsafe_load",
            ):
                found.add((path.name, name.attr))
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
                found |= {
                    (path.name, n)
                    for n in names
                    if n.partition(".")[0] in ("pickle", "dill", "joblib", "marshal", "shelve", "yaml")
                }
            if (
                isinstance(node, ast.keyword)
                and node.arg in ("shell", "allow_pickle")
                and not (isinstance(node.value, ast.Constant) and node.value.value is False)
            ):
                found.add((path.name, node.arg))
    assert found == {("user_file.py", "compile"), ("user_file.py", "exec")}
