"""Valid files made invalid, byte by byte and field by field. What `python -m tests.fuzz` feeds the readers with."""

from __future__ import annotations

import ast
import contextlib
import gzip
import hashlib
import json
import re
import shutil
import struct
import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
import PIL.Image
import tifffile

from rdsolver import checkpoint
from rdsolver.output import layout
from rdsolver.output.reader import open_run

DATA = Path(__file__).parent / "data"
IMAGES = ("a.tif", "packed.tif", "imagej.tif", "a.png", "a.npy", "a.h5", "packed.h5", "a.nrrd", "a.mha", "a.mhd", "a.nii", "a.nii.gz")
BLOCK = 2**26  # bytes
BOMB = 64 * BLOCK  # 4 GiB, of 4 MiB
NUMBERS = (0, 1, -1, 2, 3, 7, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, -(2**31))
TEXTS = ("", "x" * 100_000, "nan", "inf um", "1e9 um", "1e-9 d", "1e400 d", "-3 d", "1 1 1 d", "\0", "\x1b[31mred", "é\u202e", "all", "circle", "otsu")
PLACES = ("../../../etc/passwd", "/dev/zero", "/proc/self/mem", "~nobody_here/x.tif", "a" * 5000 + ".tif", "/etc/hosts.png", ".", "other.h5", "LOCAL")
CONFIGS = (
    """
title = "a slab"
[section]
kind = "slab"
size = ["240 um", "240 um"]
spacing = "10 um"
thickness = "10 um"
[model.parameters]
rankl_loss = "10.13 /d"
[[agent]]
name = "my_decoy"
like = "rank_fc"
[[dose]]
agent = "fc_opg"
amount = "3 mg/kg"
every = "1 d"
times = 3
[[dose]]
agent = "my_decoy"
amount = 1
at = [0, "2 d"]
[[change]]
parameter = "rankl_production"
factor = 2
at = "1 d"
until = "3 d"
[[border]]
field = "rankl"
side = "x-low"
value = "0.01 nM"
[time]
end = "10 d"
save = "1 d"
[solver]
integrator = "auto"
tolerance = 1e-3
precision = "float64"
[output]
fields = ["rankl", "bone"]
stride = 2
crop = [[0, 12], [2, 20]]
""",
    """
[section]
kind = "trabecular"
size = [240, 240]
spacing = 10
thickness = 10
bone_fraction = 0.3
trabecular_thickness = 40
seed = 3
borders = "periodic"
[tumour]
kind = "myeloma"
at = [[120, 120]]
nests = 1
seed = 2
radius = "20 um"
density = 0.4
spread = 0.01
[time]
end = 5
save = [0, 1, 5]
""",
    """
[section]
kind = "rings"
size = [400, 400]
spacing = 20
thickness = 10
radius = 60
wall = 40
count = 2
seed = 1
[model]
name = "artery"
[time]
end = "4 weeks"
""",
    """
[section]
kind = "image"
image = "a.tif"
voxel = ["20 um", "20 um"]
threshold = "otsu"
denoise = "median"
field_of_view = "circle"
crop = [[2, 22], [2, 26]]
spacing = "40 um"
thickness = "20 um"
[initial]
from = "run.h5"
[time]
end = 3
""",
)


def seeds(folder: Path) -> None:
    """The valid files: configs, images, a run with its checkpoint, and four bombs' worth of packed zeros."""
    rng = np.random.default_rng(1)
    grey = rng.integers(0, 100, (24, 30)).astype(np.uint8)
    grey[6:18, 5:20] += 120
    stack = np.stack([np.roll(grey, i, 0) for i in range(4)])
    for i, text in enumerate(CONFIGS):
        (folder / f"{i}.toml").write_text(text)
    tifffile.imwrite(folder / "a.tif", grey, photometric="minisblack", metadata=None)
    tifffile.imwrite(folder / "packed.tif", stack, photometric="minisblack", compression="zlib", rowsperstrip=8, metadata=None)
    tifffile.imwrite(folder / "imagej.tif", stack, imagej=True, resolution=(0.05, 0.05), metadata={"unit": "um", "spacing": 20})
    PIL.Image.fromarray(grey).save(folder / "a.png")
    np.save(folder / "a.npy", stack.astype("f4"))
    with h5py.File(folder / "a.h5", "w") as file:
        file["scan"] = stack
    with h5py.File(folder / "packed.h5", "w") as file:
        file.create_dataset("raw/scan", data=stack, compression="gzip", shuffle=True, chunks=(1, 24, 30), maxshape=(None, None, None))
    import SimpleITK as sitk

    for name in IMAGES[-5:]:
        sitk.WriteImage(sitk.GetImageFromArray(stack), str(folder / name), useCompression=name == "a.nrrd")
    stopped(folder)
    part = zlib.compressobj(wbits=-15)
    block = part.compress(bytes(BLOCK)) + part.flush(zlib.Z_FULL_FLUSH)
    body = block * (BOMB // BLOCK) + part.flush()
    (folder.parent / "work" / "bomb.zlib").write_bytes(b"\x78\x9c" + body + struct.pack(">I", (BOMB % 65521) << 16 | 1))
    head = struct.pack("<i10s18sh8h", 348, b"", b"", 0, 3, 24, 30, 4, 1, 1, 1, 1)
    start = gzip.compress(head.ljust(352, b"\0"))
    (folder.parent / "work" / "bomb.gz").write_bytes(start + b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + body + bytes(8))


def stopped(folder: Path) -> None:
    """A run that was stopped, and its checkpoint."""
    from rdsolver.run import fingerprint, problem_of

    path = folder / "run.h5"
    shutil.copy(DATA / "layout_1.h5", path)
    with open_run(path) as run:
        marks = {"run_id": run.provenance["run_id"], "fingerprint": fingerprint(problem_of(run))}
        arrays = {k: v for k, v in run.state.items() if np.ndim(v) == 2}
    with h5py.File(path, "r+") as file:
        layout.put(file["meta"], "status", "stopped")
    rest = {"times": 1, "rows": 1, "first": {}, "last": {}, "spent": 1.0, "simulation": {"t": 1.0, "totals": {}}, "account": {}}
    checkpoint.save(path, marks | rest, {"u": arrays, "slope": arrays})
    with h5py.File(folder / "other.h5", "w") as file:
        file["secret"] = np.arange(64.0).reshape(8, 8)


# --- bytes ------------------------------------------------------------------------------------------------------------


def shake(data: bytes, rng: Random) -> bytes:
    """One to four accidents."""
    for _ in range(rng.randint(1, 4)):
        n = len(data)
        if not n:
            break
        a, b = sorted(rng.randrange(n + 1) for _ in range(2))
        b = min(b, a + rng.choice((1, 8, 64, 512)))
        edit = bytearray(data)
        match rng.randrange(8):
            case 0:
                edit = edit[: rng.choice((a, n - 1, n // 2))]
            case 1 | 2:
                for _ in range(rng.choice((1, 1, 4, 32))):
                    edit[rng.randrange(n)] ^= 1 << rng.randrange(8)
            case 3:
                edit[a:b] = bytes(b - a)
            case 4:
                edit[a:b] = b"\xff" * (b - a)
            case 5:
                c = rng.randrange(n)
                edit[a:b], edit[c : c + b - a] = edit[c : c + b - a], edit[a:b]
            case 6:
                edit[a:a] = edit[a:b] * rng.choice((1, 2, 100))
            case _:
                edit += rng.randbytes(rng.choice((1, 100, 5000)))
        data = bytes(edit)
    return data


def number(rng: Random) -> int:
    return rng.choice(NUMBERS) if rng.random() < 0.7 else rng.getrandbits(rng.choice((8, 16, 32, 63)))


# --- configs ----------------------------------------------------------------------------------------------------------


def value(rng: Random) -> Any:
    """Anything that TOML can say."""
    kind = rng.randrange(10)
    if kind < 3:
        return rng.choice((*NUMBERS, 10**30, 1.5, -0.0, 1e308, -1e308, 5e-324, 1e9, 1e-9, float("nan"), float("inf"), -float("inf")))
    if kind < 5:
        return rng.choice(TEXTS)
    if kind == 5:
        return rng.choice(PLACES)
    if kind == 6:
        nested: Any = 1
        for _ in range(rng.choice((1, 2, 50, 200))):
            nested = [nested] if rng.random() < 0.5 else {"a": nested}
        return nested
    if kind == 7:
        return [value(rng) for _ in range(rng.randrange(5))]
    if kind == 8:
        return [rng.choice((0, 1.5, "1 d"))] * rng.choice((3, 1000, 50_000))
    return rng.choice((True, False, [], {}, {"x": 1}))


def toml(item: Any) -> str:
    if isinstance(item, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in item.items()) + "}"
    if isinstance(item, list):
        return "[" + ", ".join(map(toml, item)) + "]"
    if isinstance(item, float):
        return repr(item)
    return json.dumps(item)


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a tree."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    return [place for k in keys for place in ((tree, k), *places(tree[k]))]


def config(folder: Path, rng: Random) -> Path:
    path = folder / f"{rng.randrange(len(CONFIGS))}.toml"
    text = path.read_text()
    if rng.random() < 0.15:
        path.write_bytes(shake(text.encode(), rng))
        return path
    if rng.random() < 0.1:
        n = rng.choice((100, 2000, 100_000, 400_000))
        odd = (f"a = {'[' * n}{']' * n}", f"{'a.' * n}a = 1", f"[{'a.' * n}a]", "[[dose]]\n" * (n // 10), f"x = {'9' * n}", "a = {b=" * n, f"k{'k' * n} = 1")
        path.write_text(rng.choice((text + "\n", "")) + rng.choice(odd))
        return path
    tree = tomllib.loads(text)
    for _ in range(rng.randint(1, 3)):
        holder, key = rng.choice(places(tree))
        fate = rng.randrange(8)
        if fate == 0:
            del holder[key]
        elif fate == 1 and isinstance(holder, dict):
            holder[rng.choice((*TEXTS, "from", "kind", "at"))] = holder.pop(key)
        elif fate == 2 and isinstance(holder, list):
            holder.extend([holder[key]] * rng.choice((1, 100, 3000)))
        else:
            holder[key] = value(rng)
        if not places(tree):
            break
    path.write_text("\n".join(f"{json.dumps(k)} = {toml(v)}" for k, v in tree.items()), errors="replace")
    return path


# --- images -----------------------------------------------------------------------------------------------------------


def image(folder: Path, rng: Random) -> Path:
    path = folder / rng.choice(IMAGES)
    if rng.random() < 0.35:
        victim = path.with_suffix(".raw") if path.suffix == ".mhd" and rng.random() < 0.3 else path
        victim.write_bytes(shake(victim.read_bytes(), rng))
    else:
        FIELDS[path.suffix](path, rng)
    return path


def tiff(path: Path, rng: Random) -> None:
    """Entries of the first directory (classic, little-endian), and a bomb in a strip."""
    if rng.random() < 0.1:
        packed = (path.parent.parent / "bomb.zlib").read_bytes()
        tifffile.imwrite(path, iter([packed]), shape=(24, 30), dtype="u1", compression="zlib", rowsperstrip=24, metadata=None)
        return
    if rng.random() < 0.1:
        parts = "".join(f'<TiffData FirstZ="{z}"><UUID FileName="{f}">urn:uuid:{z}</UUID></TiffData>' for z, f in enumerate(("a.tif", "../b.tif")))
        text = f'<OME UUID="urn:uuid:0"><Image><Pixels DimensionOrder="XYZCT" Type="uint8" SizeX="30" SizeY="24" SizeZ="2" SizeC="1" SizeT="1">{parts}</Pixels></Image></OME>'
        tifffile.imwrite(path, np.ones((24, 30), "u1"), description=text, metadata=None)
        return
    data = bytearray(path.read_bytes())
    at = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, at)[0]
    for _ in range(rng.randint(1, 3)):
        entry = at + 2 + 12 * rng.randrange(count)
        match rng.randrange(4):
            case 0:
                struct.pack_into("<H", data, entry, rng.choice((256, 257, 258, 259, 262, 273, 277, 278, 279, 282, 322, 323, 324, 325, 330, 339, number(rng) % 65536)))
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
        chunks[1:] = [(rng.choice((b"IDAT", b"zTXt", b"iCCP")), b"a\0\0" * rng.randrange(2) + (path.parent.parent / "bomb.zlib").read_bytes())]
    made = b"".join(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in [*chunks, (b"IEND", b"")])
    path.write_bytes(data[:8] + made)


def npy(path: Path, rng: Random) -> None:
    data = path.read_bytes()
    fields = ast.literal_eval(data[10:128].decode())
    which = rng.choice(("shape", "descr", "fortran_order"))
    odd = {
        "shape": ((2**40,), (100_000, 100_000), (0, 5), (-1, 4), (4, 24, 30, 0), (), 5, "x", (1.5, 2), (2**63, 2**63), (1,) * 100, (True, 7)),
        "descr": ("|O", "|V1000000000", "<f2", "<c16", "<M8[s]", "|S1000000000", [("a", "<f4"), ("b", "|O")], "junk", "", 3, "<f16", "<U3"),
        "fortran_order": (True, 1, "x", None),
    }
    fields[which] = rng.choice(odd[which])
    text = repr(fields) if rng.random() < 0.9 else rng.choice(("(" * 5000, "{'shape': " + "-" * 3000 + "1}", "__import__('os')", ""))
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
        given = rng.choice((" ".join(str(number(rng)) for _ in range(count)), str(number(rng)), rng.choice(TEXTS), rng.choice(PLACES), "nan " * 3, "1 " * 5000, "LIST", "x%03d.raw 1 3 1"))
        lines[i] = f"{name}{mark} {given}"
        if rng.random() < 0.2:
            lines.insert(rng.randrange(1, len(lines)), rng.choice(("data file: ../other.h5", "data file: LIST", "datafile: other.h5", "ElementDataFile = /etc/passwd", "NDims = 1000", "CompressedData = True", "CompressedDataSize = 99999999999", "encoding: gzip", "ElementType = MET_DOUBLE", "dimension: 16", "HeaderSize = -1")))
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
                struct.pack_into("<h", data, rng.choice((70, 72)), rng.choice((0, 1, 2, 16, 64, 128, 1536, 2304, 30_000)))
            case 3:
                struct.pack_into("<f", data, rng.choice((76, 80, 84, 88, 108, 112, 116)), rng.choice((0.0, -1.0, 1e38, float("nan"), float("inf"), 1e9)))
            case _:
                struct.pack_into("<i", data, rng.choice((0, 123, 252, 344, 348, 352)), number(rng) % 2**32 - 2**31)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


FIELDS: dict[str, Callable[[Path, Random], None]] = {
    ".tif": tiff,
    ".png": png,
    ".npy": npy,
    ".h5": lambda path, rng: hdf5(path, rng),
    ".nrrd": text_header,
    ".mha": text_header,
    ".mhd": text_header,
    ".nii": nifti,
    ".gz": nifti,
}


# --- HDF5: runs, checkpoints, images ----------------------------------------------------------------------------------


def hdf5(path: Path, rng: Random) -> None:
    """One or two objects, links or attributes become others. libhdf5 is asked to write all of it, so it is well-formed HDF5."""
    with h5py.File(path, "r+") as file:
        for _ in range(rng.randint(1, 2)):
            names: list[str] = [""]
            file.visit(names.append)
            name = rng.choice(names)
            if not name or rng.random() < 0.3:
                with contextlib.suppress(OSError, TypeError, ValueError, KeyError):
                    attribute(file[name or "/"], rng)
            else:
                with contextlib.suppress(OSError, ValueError, KeyError, RuntimeError):  # an edit that HDF5 refuses
                    replaced(file, name, rng)


def attribute(node: Any, rng: Random) -> None:
    names = list(node.attrs) or ["units"]
    name, fate = rng.choice(names), rng.randrange(8)
    if fate == 0:
        del node.attrs[name]
        return
    odd = (rng.choice(TEXTS)[:60_000].replace("\0", ""), number(rng), float("nan"), np.zeros((0,)), np.arange(5000.0), b"\xff\xfe\xff", ["a", "b"], h5py.Empty("f4"), -1e308, np.ones((2, 2, 2)))
    node.attrs[name] = rng.choice(odd) if fate < 6 else np.array(rng.choice((b"bad", b"\xff", b"")), "S8")


def replaced(file: h5py.File, name: str, rng: Random) -> None:
    old = file[name]
    shape, dtype = (old.shape, old.dtype) if isinstance(old, h5py.Dataset) else ((8, 8), np.dtype("f4"))
    attrs = {k: v for k, v in old.attrs.items() if k not in ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME")}
    text = isinstance(old, h5py.Dataset) and dtype.kind == "S"
    values = old[()] if isinstance(old, h5py.Dataset) and (old.size or 0) < 10**6 else 0
    packed = (Path(file.filename).parent.parent / "bomb.zlib").read_bytes
    huge = rng.choice(((2**40,), (10**6,) * 3, (2**20, 2**20), (200_000_000,)))
    del file[name]
    rank = max(len(shape or ()), 1)
    fate = rng.randrange(17)
    if fate == 0:
        return
    if fate == 1:
        file[name] = h5py.SoftLink(rng.choice((f"/{name}", "/nowhere", "/", "/time", "/meta", "/series/time")))
        return
    if fate == 2:
        file[name] = h5py.ExternalLink(rng.choice(("other.h5", "/etc/passwd", "/dev/zero", "../run.h5")), rng.choice(("/secret", "/", f"/{name}")))
        return
    if fate == 3:
        file[name] = file["/"]
        return
    if fate == 4:
        file.create_group(name)
    elif fate == 5:
        file.create_dataset(name, huge, rng.choice(("f4", "f8", "u1")), chunks=True)
    elif fate == 6:
        file.create_dataset(name, (64,) * rank, "f8", external=[(rng.choice(("/etc/passwd", "/dev/zero", "other.h5")), 0, 8 * 64**rank)])
    elif fate == 7:
        virtual = h5py.VirtualLayout(shape or (8,), dtype)
        virtual[...] = h5py.VirtualSource(rng.choice(("other.h5", "/etc/passwd", ".")), "secret", shape or (8,))
        file.create_virtual_dataset(name, virtual)
    elif fate == 8:
        node = file.create_dataset(name, shape or (8,), "f8", chunks=tuple(max(n, 1) for n in shape or (8,)), maxshape=(None,) * rank, compression="gzip")
        node.id.write_direct_chunk((0,) * rank, packed())
    elif fate == 9:
        file.create_dataset(name, shape or (8,), "f4", maxshape=(None,) * rank, chunks=(2**28, *(1,) * (rank - 1)), compression="gzip")
    elif fate == 10:
        file.create_dataset(name, data=["a", "b"] if rng.random() < 0.5 else "text", dtype=h5py.string_dtype())
    elif fate == 11:
        file.create_dataset(name, (3,), h5py.vlen_dtype(np.dtype("f8")))
    elif fate == 12:
        file.create_dataset(name, data=np.zeros((3,), [("a", "f4"), ("b", "i8", (2, 2))]))
    elif fate == 13 and text:
        nested = rng.choice(("[" * 100_000, '{"a":' * 100_000, "[" * 500 + "]" * 500, "{", "null", "[1]", '{"a": 1e999}', '"x"', "{}", "\x1b[2J"))
        file.create_dataset(name, data=np.bytes_(nested.encode()))
    elif fate == 13 or fate == 14:
        node = file.create_dataset(name, data=np.full(np.shape(values), rng.choice((np.nan, np.inf, -1.0, 0.0, 1e300))))
    elif fate == 15:
        wrong = rng.choice(((), (0,), (1,), (3, 3), (2, 3, 4, 5), (*(shape or ()), 2), (shape or (2,))[:-1]))
        file.create_dataset(name, data=np.ones(wrong, rng.choice(("f4", "i8", "u1", "c8", "?", "S5"))))
    else:
        odd = np.asarray(values)[::-1] if np.ndim(values) else np.asarray(values)
        file.create_dataset(name, data=odd)
    if rng.random() < 0.8:
        for key, kept in attrs.items():
            file[name].attrs[key] = kept


def tables(path: Path, rng: Random) -> None:
    """The config, the parameters, the provenance or the numbers of a checkpoint, field by field."""
    with h5py.File(path, "r+") as file:
        meta = file["meta" if "meta" in file else "numbers"]
        kept = layout.take(meta)
        tree = {k: json.loads(v) if k == "config" else v for k, v in kept.items()}
        for _ in range(rng.randint(1, 2)):
            holder, key = rng.choice(places(tree))
            if rng.random() < 0.3:
                del holder[key]
            else:
                holder[key] = rng.choice((value(rng), None))
        for name in list(meta):
            del meta[name]
        for name in list(meta.attrs):
            del meta.attrs[name]
        for name, item in tree.items():
            if name:
                layout.put(meta, name.replace("\0", "0")[:200], json.dumps(item) if name == "config" else item if not isinstance(item, int) or abs(item) < 2**63 else 7)


def run_file(folder: Path, rng: Random) -> Path:
    path = folder / "run.h5"
    damage(path, rng)
    return path


def damage(path: Path, rng: Random) -> None:
    kind = rng.random()
    if kind < 0.3:
        path.write_bytes(shake(path.read_bytes(), rng))
    elif kind < 0.8:
        hdf5(path, rng)
    else:
        tables(path, rng)


def checkpoint_file(folder: Path, rng: Random) -> Path:
    """Mostly with the SHA-256 that belongs to it."""
    path = folder / "checkpoint.h5"
    damage(path, rng)
    data = path.read_bytes()
    if rng.random() < 0.8 and re.match(checkpoint.MARK.encode(), data):
        head = f"{checkpoint.MARK} {hashlib.sha256(data[checkpoint.HEAD :]).hexdigest()}\n".encode()
        path.write_bytes(head.ljust(checkpoint.HEAD, b"\0") + data[checkpoint.HEAD :])
    return path


KINDS: dict[str, Callable[[Path, Random], Path]] = {"config": config, "image": image, "run": run_file, "checkpoint": checkpoint_file}
