"""Folded files that were altered inside, under checksums that were made to fit again."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import blake3
import h5py
import numpy as np

from simckpt.bundle.framing import USER_BLOCK, Seal, decode_seal, encode_seal

Mutation = Callable[[random.Random, bytearray], bytearray]
WORD = 0xFFFFFFFF


def sealed_again(data: bytes, former: bytes) -> bytes:
    """`data`, past its user block, under the seal of `former` made to fit."""
    seal = decode_seal(Path("golden"), bytes(former[:USER_BLOCK]))
    rest = bytes(data[USER_BLOCK:])
    fitting = Seal(len(rest), seal.records, seal.link, blake3.blake3(rest).digest())
    return encode_seal(fitting) + rest


def forge_bytes(rng: random.Random, data: bytearray, mutations: list[Mutation]) -> bytes:
    """Bytes of the HDF5 file altered, where HDF5 keeps checksums often with these mended too."""
    rest = rng.choice(mutations)(rng, bytearray(data[USER_BLOCK:]))
    return sealed_again(bytes(data[:USER_BLOCK]) + bytes(rest), data)


def forge_header(rng: random.Random, data: bytearray) -> bytes:
    """A few bytes of one object header altered, its checksum made to fit."""
    new = bytearray(data)
    start, end = rng.choice(object_headers(data))
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(start + 6, end)
        if rng.random() < 0.3 and at + 8 < end:
            large = rng.choice((2**63, 2**64 - 1, 2**40, 2**32 - 1, rng.randrange(len(data))))
            new[at : at + 8] = struct.pack("<Q", large)
        else:
            new[at] = rng.choice((0, 255, new[at] ^ (1 << rng.randrange(8)), rng.randrange(256)))
    new[end : end + 4] = struct.pack("<I", lookup3(bytes(new[start:end])))
    return sealed_again(bytes(new), data)


def forge_values(rng: random.Random, path: Path, former: bytes) -> bytes:
    """Values of one array altered through HDF5 itself, or an array put in another's place."""
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(lambda n, o: names.append(n) if isinstance(o, h5py.Dataset) else None)
        dataset = file[rng.choice([n for n in names if file[n].size])]
        what = rng.randrange(4)
        if dataset.dtype.kind == "O" or what == 0:
            replace(rng, file, dataset)
        else:
            values = dataset[...]
            raw = values.reshape(-1).view(np.uint8)
            for _ in range(rng.choice((1, 1, 3, 20))):
                at = rng.randrange(len(raw))
                raw[at] = rng.choice((0, 255, rng.randrange(256)))
            dataset[...] = values
    return sealed_again(path.read_bytes(), former)


def replace(rng: random.Random, file: h5py.File, dataset: h5py.Dataset) -> None:
    name, dtype, shape = dataset.name, dataset.dtype, dataset.shape
    if dtype.kind == "O" and rng.random() < 0.5:
        texts = ("", "{", "[" * 50_000, "é" * 9000, '{"kind":7}')
        dataset[rng.randrange(shape[0])] = rng.choice(texts)
        return
    del file[name]
    what = rng.randrange(6)
    if what == 0:
        return
    if what == 1:
        file.create_group(name)
    elif what == 2:
        file[name] = h5py.SoftLink("/records/kind")
    elif what == 3:
        # No chunk is there: it stands for many values, and takes no space.
        file.create_dataset(name, (10 ** rng.randrange(3, 13),), "i8", chunks=(1000,))
    elif what == 4:
        zeros = np.zeros(2_000_000 if shape else 1, np.uint8)
        file.create_dataset(name, data=zeros, compression=9)
    else:
        file.create_dataset(name, (*shape, 2), rng.choice(("i4", "f4", "S3", "u1")))


def object_headers(data: bytes) -> list[tuple[int, int]]:
    """Where the object headers of version 2 begin, and where their checksums do."""
    found = []
    at = data.find(b"OHDR")
    while at >= 0:
        flags = data[at + 5]
        head = 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
        width = 1 << (flags & 3)
        size = int.from_bytes(data[at + head : at + head + width], "little")
        end = at + head + width + size
        if end + 4 <= len(data) and lookup3(bytes(data[at:end])) == int.from_bytes(
            data[end : end + 4], "little"
        ):
            found.append((at, end))
        at = data.find(b"OHDR", at + 1)
    return found


def lookup3(key: bytes) -> int:
    """Bob Jenkins' hash of `key`, by which HDF5 checks its metadata."""
    a = b = c = (0xDEADBEEF + len(key)) & WORD
    at, left = 0, len(key)
    while left > 12:
        x, y, z = struct.unpack_from("<3I", key, at)
        a, b, c = (a + x) & WORD, (b + y) & WORD, (c + z) & WORD
        a, b, c = _mixed(a, b, c)
        at, left = at + 12, left - 12
    if not left:
        return c
    x, y, z = struct.unpack("<3I", key[at:].ljust(12, b"\0"))
    a, b, c = (a + x) & WORD, (b + y) & WORD, (c + z) & WORD
    for rotation in ((14, 11, 25), (16, 4, 14), (24, 0, 0)):
        c = ((c ^ b) - _turned(b, rotation[0])) & WORD
        if rotation[0] == 24:
            break
        a = ((a ^ c) - _turned(c, rotation[1])) & WORD
        b = ((b ^ a) - _turned(a, rotation[2])) & WORD
    return c


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for x, y, z in ((4, 6, 8), (16, 19, 4)):
        a = ((a - c) & WORD) ^ _turned(c, x)
        c = (c + b) & WORD
        b = ((b - a) & WORD) ^ _turned(a, y)
        a = (a + c) & WORD
        c = ((c - b) & WORD) ^ _turned(b, z)
        b = (b + a) & WORD
    return a, b, c


def _turned(x: int, k: int) -> int:
    return ((x << k) | (x >> (32 - k))) & WORD
