"""Run files, checkpoints and images in HDF5, damaged object by object. libhdf5 writes most of it, so it is
well-formed HDF5.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from rdsolver.output import layout
from tests.fuzz.values import TEXTS, number, places, value


def hdf5(path: Path, rng: Random) -> None:
    """One or two objects, links or attributes become others. libhdf5 is asked to write all of it, so it is
    well-formed HDF5.
    """
    with h5py.File(path, "r+") as file:
        for _ in range(rng.randint(1, 2)):
            names: list[str] = [""]
            file.visit(names.append)
            name = rng.choice(names)
            if not name or rng.random() < 0.3:
                with contextlib.suppress(OSError, TypeError, ValueError, KeyError):
                    attribute(file[name or "/"], rng)
            else:
                # an edit that HDF5 refuses
                with contextlib.suppress(OSError, ValueError, KeyError, RuntimeError):
                    replaced(file, name, rng)


def attribute(node: Any, rng: Random) -> None:
    names = list(node.attrs) or ["units"]
    name, fate = rng.choice(names), rng.randrange(8)
    if fate == 0:
        del node.attrs[name]
        return
    odd = (
        rng.choice(TEXTS)[:60_000].replace("\0", ""),
        number(rng),
        float("nan"),
        np.zeros((0,)),
        np.arange(5000.0),
        b"\xff\xfe\xff",
        ["a", "b"],
        h5py.Empty("f4"),
        -1e308,
        np.ones((2, 2, 2)),
    )
    node.attrs[name] = rng.choice(odd) if fate < 6 else np.array(rng.choice((b"bad", b"\xff", b"")), "S8")


def replaced(file: h5py.File, name: str, rng: Random) -> None:
    old = file[name]
    shape, dtype = (old.shape, old.dtype) if isinstance(old, h5py.Dataset) else ((8, 8), np.dtype("f4"))
    attrs = {
        k: v for k, v in old.attrs.items() if k not in ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME")
    }
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
        file[name] = h5py.SoftLink(
            rng.choice((f"/{name}", "/nowhere", "/", "/time", "/meta", "/series/time"))
        )
        return
    if fate == 2:
        file[name] = h5py.ExternalLink(
            rng.choice(("other.h5", "/etc/passwd", "/dev/zero", "../run.h5")),
            rng.choice(("/secret", "/", f"/{name}")),
        )
        return
    if fate == 3:
        file[name] = file["/"]
        return
    if fate == 4:
        file.create_group(name)
    elif fate == 5:
        file.create_dataset(name, huge, rng.choice(("f4", "f8", "u1")), chunks=True)
    elif fate == 6:
        file.create_dataset(
            name,
            (64,) * rank,
            "f8",
            external=[(rng.choice(("/etc/passwd", "/dev/zero", "other.h5")), 0, 8 * 64**rank)],
        )
    elif fate == 7:
        virtual = h5py.VirtualLayout(shape or (8,), dtype)
        virtual[...] = h5py.VirtualSource(
            rng.choice(("other.h5", "/etc/passwd", ".")), "secret", shape or (8,)
        )
        file.create_virtual_dataset(name, virtual)
    elif fate == 8:
        node = file.create_dataset(
            name,
            shape or (8,),
            "f8",
            chunks=tuple(max(n, 1) for n in shape or (8,)),
            maxshape=(None,) * rank,
            compression="gzip",
        )
        node.id.write_direct_chunk((0,) * rank, packed())
    elif fate == 9:
        file.create_dataset(
            name,
            shape or (8,),
            "f4",
            maxshape=(None,) * rank,
            chunks=(2**28, *(1,) * (rank - 1)),
            compression="gzip",
        )
    elif fate == 10:
        file.create_dataset(
            name, data=["a", "b"] if rng.random() < 0.5 else "text", dtype=h5py.string_dtype()
        )
    elif fate == 11:
        file.create_dataset(name, (3,), h5py.vlen_dtype(np.dtype("f8")))
    elif fate == 12:
        file.create_dataset(name, data=np.zeros((3,), [("a", "f4"), ("b", "i8", (2, 2))]))
    elif fate == 13 and text:
        nested = rng.choice(
            (
                "[" * 100_000,
                '{"a":' * 100_000,
                "[" * 500 + "]" * 500,
                "{",
                "null",
                "[1]",
                '{"a": 1e999}',
                '"x"',
                "{}",
                "\x1b[2J",
            )
        )
        file.create_dataset(name, data=np.bytes_(nested.encode()))
    elif fate == 13 or fate == 14:
        node = file.create_dataset(
            name, data=np.full(np.shape(values), rng.choice((np.nan, np.inf, -1.0, 0.0, 1e300)))
        )
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
            holder, key = rng.choice(places(tree) or [({"": 0}, "")])
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
                layout.put(
                    meta,
                    name.replace("\0", "0")[:200],
                    (
                        json.dumps(item)
                        if name == "config"
                        else item
                        if not isinstance(item, int) or abs(item) < 2**63
                        else 7
                    ),
                )
