"""Images that declare axes, directions, calibrations and compressions, well-formed and not, some of them
shaken after that.
"""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import h5py
import imagecodecs
import numpy as np
import tifffile

from tests.fuzz.values import PLACES, TEXTS, number, shake

WORDS = (
    "z",
    "y",
    "x",
    "t",
    "c",
    "time",
    "channel",
    "space",
    "slices",
    "energy",
    "",
    "???",
    "none",
    "dim_0",
    "Z",
    "\u202e",
    "list",
    "q",
)
KINDS = (
    "domain",
    "space",
    "time",
    "list",
    "vector",
    "RGB-color",
    "3-vector",
    "complex",
    "scalar",
    "stub",
    "none",
    "???",
    "2D-matrix",
    "x",
)
NUMBERS = (
    *("1", "5", "0.02", "20", "-200") * 6,
    "0",
    "-1",
    "nan",
    "inf",
    "1e400",
    "1e-300",
    "x",
    "",
    "1 2",
    "0x10",
)
PACKINGS = {2: 1, 3: 1, 4: 1, 5: 8, 7: 8, 8: 8, 32773: 8, 1: 12, 34712: 8, 50000: 8, 6: 8}


def declared(folder: Path, rng: Random) -> Path:
    """A file of a kind that says what it holds; it may say anything."""
    rng_of = np.random.default_rng(rng.getrandbits(32))
    values = rng_of.integers(0, 256, (rng.choice((1, 3, 4, 6)), 24, 30)).astype("u1")
    name = rng.choice(tuple(MAKERS))
    path = folder / name
    MAKERS[name](path, values, rng)
    if rng.random() < 0.25:
        path.write_bytes(shake(path.read_bytes(), rng))
    return path


def words(rng: Random, count: int, among: tuple[str, ...] = WORDS) -> list[str]:
    usual = ["z", "y", "x"] if rng.random() < 0.5 else [*WORDS[3:5], "z", "y", "x"]
    found = usual[-count:] if rng.random() < 0.6 else []
    return [
        w if rng.random() < 0.8 else rng.choice(among)
        for w in found or [rng.choice(among) for _ in range(count)]
    ]


def ome(path: Path, values: np.ndarray, rng: Random) -> None:
    sizes = {a: rng.choice((1, 1, len(values), number(rng))) for a in "ZCT"} | {"X": 30, "Y": 24}
    sizes[rng.choice("ZCT")] = len(values)
    order = rng.choice(("XYZCT", "XYCTZ", "XYTZC", "YXZCT", "XYZ", "XYQCT", ""))
    size = " ".join(f'Size{a}="{n}"' for a, n in sizes.items())
    units = (
        f'PhysicalSizeX="{rng.choice(NUMBERS)}" PhysicalSizeZ="20"'
        f' PhysicalSizeZUnit="{rng.choice(("um", "mm", "parsec", ""))}"'
    )
    names = "".join(
        f'<Channel ID="Channel:0:{i}"'
        f' Name="{rng.choice(("bone", "DAPI", "slices", "&lt;b&gt;", "&#27;[2J", ""))}"/>'
        for i in range(rng.randint(0, 7))
    )
    parts = "".join(
        f'<TiffData IFD="{rng.randint(0, 9)}" First{rng.choice("ZCT")}="{number(rng)}"/>'
        for _ in range(rng.randint(0, 3))
    )
    kind = rng.choice(("uint8", "uint8", "uint16", "float", "bit", "x"))
    text = (
        f'<?xml version="1.0"?><OME><Image ID="Image:0"><Pixels ID="Pixels:0" Type="{kind}"'
        f' DimensionOrder="{order}" {size} {units}>'
    )
    text += f"{names}{parts}</Pixels></Image>{'<Image/>' * rng.randrange(2)}</OME>"
    tifffile.imwrite(
        path,
        values,
        photometric="minisblack",
        description=text[: rng.choice((len(text), 200))],
        metadata=None,
    )


def imagej(path: Path, values: np.ndarray, rng: Random) -> None:
    lines = ["ImageJ=1.53t", f"images={len(values)}"]
    for name in ("channels", "slices", "frames"):
        if rng.random() < 0.4:
            lines.append(f"{name}={rng.choice((1, 2, len(values), number(rng), 'x'))}")
    lines.append("hyperstack=true")
    for name, odd in (
        ("cf", (*(0, 0, 20) * 5, 7, 21, -1, 99, "x", "0.0", "")),
        ("c0", NUMBERS),
        ("c1", NUMBERS),
        ("vunit", (*TEXTS[:1], "mg HA/cm3", "Gray Value", "\x1b[31m", "x" * 5000)),
        ("spacing", NUMBERS),
        ("unit", ("um", "mm", "\\u00B5m", "inch", "parsec", "")),
        ("zeroclip", ("true", "false", "x")),
    ):
        if rng.random() < 0.6:
            lines.append(f"{name}={rng.choice(odd)}")
    kind = rng.choice(("u1", "u2", "f4", "i2"))
    options: Any = {"resolution": (0.05, 0.05)} if rng.random() < 0.5 else {}
    description = ("\n".join(lines) + "\n").encode(errors="replace")
    tifffile.imwrite(
        path, values.astype(kind), photometric="minisblack", description=description, metadata=None, **options
    )


def packed(path: Path, values: np.ndarray, rng: Random) -> None:
    """One strip, in a compression and of a depth that are told, of what that makes or of something else."""
    code = rng.choice(tuple(PACKINGS))
    bits = rng.choice((PACKINGS[code], PACKINGS[code], 1, 2, 4, 12, 16, 24, 32, 7))
    plane = values[0]
    with contextlib.suppress(Exception):
        made = {
            5: lambda: imagecodecs.lzw_encode(rng.choice((plane.tobytes(), bytes(2**20)))),
            7: lambda: imagecodecs.jpeg8_encode(
                rng.choice((plane, np.zeros((4000, 4000), "u1"), np.zeros((24, 30, 3), "u1")))
            ),
            8: lambda: imagecodecs.zlib_encode(plane.tobytes()),
            32773: lambda: rng.choice((imagecodecs.packbits_encode(plane.tobytes()), b"\x81\0" * 20_000)),
            50000: lambda: imagecodecs.zstd_encode(bytes(2**20)),
        }.get(code, lambda: plane.tobytes())()
        data = shake(bytes(made), rng) if rng.random() < 0.5 else bytes(made)
    tags = [
        (256, 30),
        (257, 24),
        (258, bits),
        (259, code),
        (262, rng.choice((1, 1, 1, 0, 2, 6))),
        (273, 8),
        (277, rng.choice((1, 1, 1, 3))),
    ]
    tags += [
        (278, rng.choice((24, 24, 8, number(rng) % 2**32))),
        (279, rng.choice((len(data), len(data), number(rng) % 2**32))),
    ]
    if rng.random() < 0.2:
        tags += [
            rng.choice(
                ((266, 2), (317, 2), (317, 3), (292, 1), (292, 4), (339, 2), (339, 3), (338, 1), (284, 2))
            )
        ]
    if rng.random() < 0.2:
        i = rng.randrange(2)
        tags[i] = (tags[i][0], number(rng) % 2**32)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags))
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)
    )


def hdf5(path: Path, values: np.ndarray, rng: Random) -> None:
    values = values if rng.random() < 0.7 else np.stack([values, values])
    with h5py.File(path, "w") as file:
        file["scan"] = values.astype(rng.choice(("u1", "i2", "f4", "u8")))
        node, count = file["scan"], values.ndim
        odd = [
            *TEXTS[:6],
            "[" * 50_000,
            "{}",
            "null",
            "[1, null]",
            '{"axes": [1, 2, 3]}',
            '{"axes": 3}',
            "zyx",
            "tzyx",
            "z, y, x",
        ]
        tags = json.dumps({"axes": [{"key": w} for w in words(rng, count)]})
        tables = json.dumps([{"name": w, "type": w} for w in words(rng, count)])
        for name in ("axistags", "DIMENSION_LABELS", "_ARRAY_DIMENSIONS", "axes", "dims"):
            if rng.random() < 0.2:
                given = rng.choice(
                    (
                        tags,
                        tables,
                        words(rng, count),
                        words(rng, rng.randint(1, 5)),
                        rng.choice(odd),
                        7,
                        np.arange(3.0),
                    )
                )
                with contextlib.suppress(OSError, ValueError, TypeError):
                    node.attrs[name] = given.replace("\0", "") if isinstance(given, str) else given
        numbers = (
            5.0,
            -200,
            0,
            float("nan"),
            float("inf"),
            np.ones(3),
            "x",
            b"5",
            np.uint8(7),
            h5py.Empty("f4"),
            1e308,
            2**60,
        )
        for name in ("scale_factor", "add_offset", "_FillValue", "missing_value", "units"):
            if rng.random() < 0.12:
                node.attrs[name] = rng.choice(numbers)
        if rng.random() < 0.3:
            node.attrs["element_size_um"] = rng.choice(
                ([20.0] * count, [0.0] * count, ["a"] * count, 3, [1e308] * count)
            )
        if rng.random() < 0.5:
            for i, word in enumerate(words(rng, count)):
                name = word.replace("\0", "").replace("/", "") or f"s{i}"
                with contextlib.suppress(Exception):
                    shape = rng.choice(((values.shape[i],), (values.shape[i],), (3,), (2, 2), ()))
                    file.create_dataset(
                        name,
                        data=np.arange(np.prod(shape, dtype=int))
                        .reshape(shape)
                        .astype(rng.choice(("f8", "i4", "S3"))),
                    )
                    file[name].attrs["units"] = rng.choice(("um", "mm", "s", "", 7, "\x1b"))
                    file[name].attrs["axis"] = rng.choice(("X", "Y", "Z", "T", "Q", 3))
                    node.dims[i].attach_scale(file[name])
        if rng.random() < 0.15:
            refs = np.empty(rng.choice((count, 1)), h5py.vlen_dtype(h5py.ref_dtype))
            refs[:] = [
                np.array([rng.choice((h5py.Reference(), file["/"].ref, node.ref))], h5py.ref_dtype)
                for _ in refs
            ]
            with contextlib.suppress(Exception):
                node.attrs.create("DIMENSION_LIST", refs, dtype=h5py.vlen_dtype(h5py.ref_dtype))
        gone = [name for name in file if name != "scan"]
        if gone and rng.random() < 0.2:
            del file[rng.choice(gone)]


def vectors(rng: Random, count: int) -> list[list[float]]:
    found = np.eye(count) * 0.02
    if rng.random() < 0.7:
        found = found[rng.sample(range(count), count)]
    if rng.random() < 0.5:
        found[rng.randrange(count), rng.randrange(count)] = rng.choice(
            (0.01, -0.02, 0.0, float("nan"), float("inf"), 1e30, 1e-30)
        )
    return found.tolist()


def nrrd(path: Path, values: np.ndarray, rng: Random) -> None:
    count = rng.choice((3, 3, 3, 2, 4))
    sizes = {2: (30, 24), 3: (30, 24, len(values)), 4: (1, 30, 24, len(values))}[count]
    sizes = tuple(n if rng.random() < 0.95 else number(rng) for n in sizes)
    lines = [
        "NRRD0005",
        f"type: {rng.choice(('uchar', 'uint8', 'short', 'float', 'block'))}",
        f"dimension: {count}",
    ]
    lines += [f"sizes: {' '.join(map(str, sizes))}", "encoding: raw"]
    told = {
        "kinds": lambda: " ".join(
            rng.choice(KINDS) if rng.random() < 0.2 else "domain"
            for _ in range(rng.choice((count, count, 2)))
        ),
        "labels": lambda: " ".join(f'"{w}"' for w in words(rng, count)),
        "units": lambda: " ".join(f'"{rng.choice(("um", "mm", "s", "", "parsec"))}"' for _ in range(count)),
        "spacings": lambda: " ".join(
            rng.choice(("0.02", "0.02", "nan", "-1", "0", "1e308")) for _ in range(count)
        ),
        "space": lambda: rng.choice(
            ("left-posterior-superior", "left-posterior-superior-time", "scanner-xyz", "3D-right-handed", "x")
        ),
        "space directions": lambda: " ".join(
            "none" if rng.random() < 0.1 else "(" + ",".join(f"{x:g}" for x in v) + ")"
            for v in vectors(rng, count)
        ),
        "space units": lambda: '"um" "um" "mm"',
        "old min": lambda: rng.choice(NUMBERS),
        "endian": lambda: "little",
        "data file": lambda: rng.choice(("LIST", "a.raw", "%d.raw 1 3 1", *PLACES)),
    }
    usual = {"kinds": 0.7, "space": 0.4, "space directions": 0.4, "data file": 0.05, "old min": 0.05}
    lines += [f"{name}: {make()}" for name, make in told.items() if rng.random() < usual.get(name, 0.3)]
    path.write_bytes("\n".join(lines).encode(errors="replace") + b"\n\n" + values.tobytes())


def metaimage(path: Path, values: np.ndarray, rng: Random) -> None:
    count, channels = rng.choice(((3, None), (3, 1), (2, len(values)), (4, None), (3, number(rng))))
    sizes = {2: "30 24", 3: f"30 24 {len(values)}", 4: f"30 24 {len(values)} 1"}[count]
    lines = [
        "ObjectType = Image",
        f"NDims = {count}",
        f"DimSize = {sizes}",
        "ElementType = MET_UCHAR",
        "BinaryData = True",
    ]
    turned = np.array(vectors(rng, count)) / rng.choice((0.02, 0.02, 0.02, 1))
    told = {
        "ElementSpacing": (
            " ".join(rng.choice(NUMBERS) for _ in range(count)) if rng.random() < 0.3 else "0.02 " * count
        ),
        "TransformMatrix": " ".join(f"{x:g}" for x in turned.ravel()[: rng.choice((99, 99, 2))]),
        "ElementToIntensityFunctionSlope": rng.choice(NUMBERS),
        "ElementToIntensityFunctionOffset": rng.choice(NUMBERS),
    }
    lines += [f"{name} = {text}" for name, text in told.items() if rng.random() < 0.4]
    lines += [f"ElementNumberOfChannels = {channels}"] if channels is not None else []
    lines += [f"ElementDataFile = {rng.choice((*('LOCAL', 'local') * 8, 'LIST', 'a.raw', '%d.raw 1 3 1'))}"]
    path.write_bytes("\n".join(lines).encode() + b"\n" + values.tobytes())


def nifti(path: Path, values: np.ndarray, rng: Random) -> None:
    head = bytearray(352)
    order = rng.choice("<<<>")
    usual = (
        (3, 30, 24, len(values), 1, 1, 1, 1),
        (4, 30, 24, 1, len(values), 1, 1, 1),
        (5, 30, 24, 1, 1, len(values), 1, 1),
    )
    dim = [n if rng.random() < 0.97 else number(rng) % 2**15 for n in rng.choice(usual)]
    odd = (0.0, 1.0, 5.0, -200.0, float("nan"), float("inf"), 1e38, 1e-38)
    struct.pack_into(f"{order}i36x8h", head, 0, 348, *dim)
    struct.pack_into(
        f"{order}3h",
        head,
        68,
        rng.choice((0, 0, 1007, 1002, number(rng) % 2**15)),
        rng.choice((*(2,) * 20, 128, 2304, 32, 1)),
        8,
    )
    sizes = [20.0 if rng.random() < 0.9 else rng.choice(odd) for _ in range(3)]
    struct.pack_into(
        f"{order}8f3f",
        head,
        76,
        rng.choice((1, -1, 0)),
        *sizes,
        1,
        1,
        1,
        1,
        352,
        *(rng.choice(odd[: rng.choice((4, 4, 4, 8))]) for _ in range(2)),
    )
    head[123] = rng.choice((3, 2, 1, 0, 8 + 2, 255, 127))
    struct.pack_into(f"{order}2h", head, 252, rng.choice((0, 1, 2)), rng.choice((0, 1, 2, -1)))
    struct.pack_into(f"{order}6f", head, 256, *(rng.choice((0.0, 0.0, 0.5, *odd)) for _ in range(6)))
    rows = [[1000 * x for x in row] + [0.0] for row in vectors(rng, 3)]
    struct.pack_into(f"{order}12f", head, 280, *(min(max(x, -3e38), 3e38) for row in rows for x in row))
    head[344:348] = b"n+1\0"
    path.write_bytes(bytes(head) + values.tobytes())


MAKERS: dict[str, Callable[[Path, np.ndarray, Random], None]] = {
    "said.ome.tif": ome,
    "said.ij.tif": imagej,
    "said.packed.tif": packed,
    "said.h5": hdf5,
    "said.nrrd": nrrd,
    "said.mha": metaimage,
    "said.nii": nifti,
}
