"""Images damaged, byte by byte and field by field of their headers."""

from __future__ import annotations

import ast
import gzip
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import tifffile

from tests.fuzz.hdf5 import hdf5
from tests.fuzz.seeds import IMAGES
from tests.fuzz.values import PLACES, TEXTS, number, shake


def image(folder: Path, rng: Random) -> Path:
    path = folder / rng.choice(IMAGES)
    if rng.random() < 0.35:
        victim = path.with_suffix(".raw") if path.suffix == ".mhd" and rng.random() < 0.3 else path
        victim.write_bytes(shake(victim.read_bytes(), rng))
    else:
        FIELDS[path.suffix](path, rng)
    return path


def packed_tiff(path: Path, packed: bytes) -> None:
    """A TIFF of 24 x 30 pixels whose only strip is these bytes, deflated already."""
    tifffile.imwrite(
        path,
        iter([packed]),
        shape=(24, 30),
        dtype="u1",
        compression="zlib",
        rowsperstrip=24,
        metadata=None,
    )


def tiff(path: Path, rng: Random) -> None:
    """Entries of the first directory (classic, little-endian), and a bomb in a strip."""
    if rng.random() < 0.1:
        packed = (path.parent.parent / "bomb.zlib").read_bytes()
        packed_tiff(path, packed)
        return
    if rng.random() < 0.1:
        parts = "".join(
            f'<TiffData FirstZ="{z}"><UUID FileName="{f}">urn:uuid:{z}</UUID></TiffData>'
            for z, f in enumerate(("a.tif", "../b.tif"))
        )
        size = 'DimensionOrder="XYZCT" Type="uint8" SizeX="30" SizeY="24" SizeZ="2" SizeC="1" SizeT="1"'
        text = f'<OME UUID="urn:uuid:0"><Image><Pixels {size}>{parts}</Pixels></Image></OME>'
        tifffile.imwrite(path, np.ones((24, 30), "u1"), description=text, metadata=None)
        return
    data = bytearray(path.read_bytes())
    at = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, at)[0]
    for _ in range(rng.randint(1, 3)):
        entry = at + 2 + 12 * rng.randrange(count)
        match rng.randrange(4):
            case 0:
                struct.pack_into(
                    "<H",
                    data,
                    entry,
                    rng.choice(
                        (
                            256,
                            257,
                            258,
                            259,
                            262,
                            273,
                            277,
                            278,
                            279,
                            282,
                            322,
                            323,
                            324,
                            325,
                            330,
                            339,
                            number(rng) % 65536,
                        )
                    ),
                )
            case 1:
                struct.pack_into("<H", data, entry + 2, rng.randrange(20))
            case 2:
                struct.pack_into("<I", data, entry + 4, number(rng) % 2**32)
            case _:
                struct.pack_into("<I", data, entry + 8, number(rng) % 2**32)
    if rng.random() < 0.1:
        struct.pack_into("<I", data, at + 2 + 12 * count, at)  # the next directory is this one
    path.write_bytes(data)


def png(path: Path, rng: Random) -> None:
    data = path.read_bytes()
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    width, height = (rng.choice((n, number(rng) % 2**32, 13_000, 40_000)) for n in (width, height))
    depth, colour = rng.choice((depth, 1, 2, 16, 32)), rng.choice((colour, 2, 3, 4, 6, 9))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, rng.randrange(2))
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000)))]
    if rng.random() < 0.3:
        chunks[1:] = [
            (
                rng.choice((b"IDAT", b"zTXt", b"iCCP")),
                b"a\0\0" * rng.randrange(2) + (path.parent.parent / "bomb.zlib").read_bytes(),
            )
        ]
    made = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in [*chunks, (b"IEND", b"")]
    )
    path.write_bytes(data[:8] + made)


def npy(path: Path, rng: Random) -> None:
    data = path.read_bytes()
    fields = ast.literal_eval(data[10:128].decode())
    which = rng.choice(("shape", "descr", "fortran_order"))
    odd = {
        "shape": (
            (2**40,),
            (100_000, 100_000),
            (0, 5),
            (-1, 4),
            (4, 24, 30, 0),
            (),
            5,
            "x",
            (1.5, 2),
            (2**63, 2**63),
            (1,) * 100,
            (True, 7),
        ),
        "descr": (
            "|O",
            "|V1000000000",
            "<f2",
            "<c16",
            "<M8[s]",
            "|S1000000000",
            [("a", "<f4"), ("b", "|O")],
            "junk",
            "",
            3,
            "<f16",
            "<U3",
        ),
        "fortran_order": (True, 1, "x", None),
    }
    fields[which] = rng.choice(odd[which])
    text = (
        repr(fields)
        if rng.random() < 0.9
        else rng.choice(("(" * 5000, "{'shape': " + "-" * 3000 + "1}", "__import__('os')", ""))
    )
    made = text.encode().ljust(rng.choice((118, len(text))), b" ")
    path.write_bytes(data[:8] + struct.pack("<H", min(len(made), 65535)) + made + data[128:])


def text_header(path: Path, rng: Random) -> None:
    """A line of NRRD or MetaImage gets another value."""
    data = path.read_bytes()
    end = data.find(b"\n\n") if path.suffix == ".nrrd" else data.find(b"\n", data.find(b"ElementDataFile"))
    lines = data[:end].decode().split("\n")
    for _ in range(rng.randint(1, 2)):
        i = rng.randrange(len(lines))
        name, mark, old = lines[i].partition(":" if path.suffix == ".nrrd" else "=")
        count = len(old.split())
        given = rng.choice(
            (
                " ".join(str(number(rng)) for _ in range(count)),
                str(number(rng)),
                rng.choice(TEXTS),
                rng.choice(PLACES),
                "nan " * 3,
                "1 " * 5000,
                "LIST",
                "x%03d.raw 1 3 1",
            )
        )
        lines[i] = f"{name}{mark} {given}"
        if rng.random() < 0.2:
            lines.insert(
                rng.randrange(1, len(lines)),
                rng.choice(
                    (
                        "data file: ../other.h5",
                        "data file: LIST",
                        "datafile: other.h5",
                        "ElementDataFile = /etc/passwd",
                        "NDims = 1000",
                        "CompressedData = True",
                        "CompressedDataSize = 99999999999",
                        "encoding: gzip",
                        "ElementType = MET_DOUBLE",
                        "dimension: 16",
                        "HeaderSize = -1",
                    )
                ),
            )
    path.write_bytes("\n".join(lines).encode(errors="replace") + data[end:])


def nifti(path: Path, rng: Random) -> None:
    if path.suffix == ".gz" and rng.random() < 0.3:
        path.write_bytes((path.parent.parent / "bomb.gz").read_bytes())
        return
    data = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    for _ in range(rng.randint(1, 3)):
        match rng.randrange(5):
            case 0 | 1:
                struct.pack_into("<h", data, rng.randrange(40, 56, 2), number(rng) % 2**16 - 2**15)
            case 2:
                struct.pack_into(
                    "<h", data, rng.choice((70, 72)), rng.choice((0, 1, 2, 16, 64, 128, 1536, 2304, 30_000))
                )
            case 3:
                struct.pack_into(
                    "<f",
                    data,
                    rng.choice((76, 80, 84, 88, 108, 112, 116)),
                    rng.choice((0.0, -1.0, 1e38, float("nan"), float("inf"), 1e9)),
                )
            case _:
                struct.pack_into(
                    "<i", data, rng.choice((0, 123, 252, 344, 348, 352)), number(rng) % 2**32 - 2**31
                )
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


FIELDS: dict[str, Callable[[Path, Random], None]] = {
    ".tif": tiff,
    ".png": png,
    ".npy": npy,
    ".h5": hdf5,
    ".nrrd": text_header,
    ".mha": text_header,
    ".mhd": text_header,
    ".nii": nifti,
    ".gz": nifti,
}
