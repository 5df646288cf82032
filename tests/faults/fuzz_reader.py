"""Mutate bundles and read all of them: ``fuzz_reader.py FOLDER SEED COUNT``, within 256 MiB.

Each mutated bundle must end in an error of simckpt, or read as a part of what was written. A
checksum that was made to fit again may read as anything, but neither crash, hang nor grow.
It prints how the reads ended, as JSON.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import forged_hdf5

from simckpt import SimckptError
from simckpt import open as open_bundle
from simckpt.bundle import verify
from simckpt.bundle.framing import FRAME_MAGIC, FRAME_SIZE, decode_header
from simckpt.bundle.reader import open_recorded, stored

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SEEDS = (
    ("v1-ended.simckpt.h5",),
    ("v1-going.simckpt.h5", "v1-going.simckpt.journal"),
    *[("v1-killed.simckpt.journal",)] * 4,
)
MEMORY = 256 << 20
SECONDS = 60

Mutation = Callable[[random.Random, bytearray], bytearray]


def flip_bits(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def cut(rng: random.Random, data: bytearray) -> bytearray:
    return data[: rng.randrange(len(data))]


def cut_out(rng: random.Random, data: bytearray) -> bytearray:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 4, 64, 512, 5000))]
    return data


def repeat(rng: random.Random, data: bytearray) -> bytearray:
    start, size = rng.randrange(len(data)), rng.choice((1, 4, 64, 512, 5000))
    at = rng.randrange(len(data))
    data[at:at] = data[start : start + size]
    return data


def overwrite(rng: random.Random, data: bytearray) -> bytearray:
    start, size = rng.randrange(len(data)), rng.choice((1, 8, 512, 4096))
    size = min(size, len(data) - start)
    data[start : start + size] = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))
    return data


def large_number(rng: random.Random, data: bytearray) -> bytearray:
    number = rng.choice((2**63, 2**63 - 1, 2**64 - 1, 2**32 - 1, 2**31, 2**27, 2**40))
    at = rng.randrange(max(1, len(data) - 8))
    data[at : at + 8] = struct.pack("<Q", number)
    return data


def shuffle_frames(rng: random.Random, data: bytearray) -> bytearray:
    """Whole frames repeated, dropped or exchanged; their checksums still hold."""
    frames = split_frames(data)
    if len(frames) < 4:
        return flip_bits(rng, data)
    head, frames = frames[0], frames[1:]
    a, b = rng.randrange(len(frames)), rng.randrange(len(frames))
    what = rng.randrange(3)
    if what == 0:
        frames[a], frames[b] = frames[b], frames[a]
    elif what == 1:
        del frames[min(a, b) : max(a, b)]
    else:
        frames[a:a] = frames[b : b + 3]
    return bytearray(b"".join([head, *frames]))


def split_frames(data: bytearray) -> list[bytes]:
    if not data.startswith(b"SIMCKPTJ"):
        return []
    at = decode_header(bytes(data)).size
    parts = [bytes(data[:at])]
    while at + FRAME_SIZE <= len(data) and data[at : at + 4] == FRAME_MAGIC:
        size = FRAME_SIZE + struct.unpack_from("<I", data, at + 8)[0]
        parts.append(bytes(data[at : at + size]))
        at += size
    return parts


def deep_nesting(rng: random.Random, data: bytearray) -> bytearray:
    """A record's text is replaced by one that is nested without end, under a fitting checksum."""
    frames = split_frames(data)
    if len(frames) < 4:
        return overwrite(rng, data)
    i = rng.randrange(1, len(frames))
    depth = rng.choice((100, 5000, 100_000))
    text = rng.choice((b'{"facts":' + b'{"a":' * depth, b"[" * depth, b"\x91" * depth))
    frames[i] = refit(frames[i][:FRAME_SIZE] + text)
    return bytearray(b"".join(frames))


def refit(frame: bytes) -> bytes:
    fixed = bytearray(frame)
    fixed[8:12] = struct.pack("<I", len(frame) - FRAME_SIZE)
    fixed[4:8] = struct.pack("<I", crc32(fixed[8:]))
    return bytes(fixed)


def forge(rng: random.Random, data: bytearray) -> bytearray:
    """Damage in a journal under a checksum that was made to fit, as a hostile writer would."""
    frames = split_frames(data)
    if frames:
        i = rng.randrange(1, len(frames))
        frame = frames[i]
        payload = rng.choice((flip_bits, cut_out, repeat, overwrite, large_number))(
            rng, bytearray(frame[FRAME_SIZE:] or b"x")
        )
        frames[i] = refit(frame[:FRAME_SIZE] + bytes(payload))
        return bytearray(b"".join(frames))
    if rng.random() < 0.5:
        return bytearray(forged_hdf5.forge_header(rng, data))
    return bytearray(forged_hdf5.forge_bytes(rng, data, [*HONEST[:-1]]))


HONEST: tuple[Mutation, ...] = (
    flip_bits, flip_bits, cut, cut_out, repeat, overwrite, large_number, shuffle_frames,
)  # fmt: skip
FORGED: tuple[Mutation, ...] = (forge, forge, deep_nesting)


def read_all(path: Path) -> list[bytes]:
    """Everything that a reader can ask for; the payloads of all records."""
    with open_bundle(path) as bundle:
        for effective in (True, False):
            series = bundle.series(effective)
            for name in series:
                series[name].sum()
            for field in bundle.fields:
                bundle.digests(field, effective).whole.sum()
        for field in bundle.fields:
            bundle.tiles(field).mean.sum()
        list(bundle.events)
        list(bundle.checkpoints)
        for segment in bundle.segments:
            repr((segment.schema, segment.decomposition, segment.ending))
        for hash_ in bundle.documents:
            bundle.document(hash_)
    with open_recorded(path) as recorded:
        return [record.payload for record in stored(recorded)]


def one(folder: Path, rng: random.Random) -> str:
    names = rng.choice(SEEDS)
    for name in names:
        shutil.copy(GOLDEN / name, folder)
    target = folder / rng.choice(names)
    mutation = rng.choice(rng.choice((HONEST, HONEST, HONEST, FORGED)))
    former = target.read_bytes()
    if mutation is forge and target.suffix == ".h5" and rng.random() < 0.4:
        target.write_bytes(forged_hdf5.forge_values(rng, target, former))
    else:
        target.write_bytes(mutation(rng, bytearray(former)))
    path = folder / names[0]
    try:
        sound = not any(f.severity == "damage" for f in verify(path))
        found = read_all(path)
    except SimckptError as error:
        str(error)
        return "error"
    finally:
        for name in names:
            (folder / name).unlink()
    if mutation in FORGED:
        return "forged and read"
    whole = WHOLE[names]
    if not sound:
        return "damage named"
    assert found == whole[: len(found)], f"{mutation.__name__} of {names} read as something else"
    return "read"


WHOLE = {}
for _names in set(SEEDS):
    with open_recorded(GOLDEN / _names[0]) as _recorded:
        WHOLE[_names] = [record.payload for record in stored(_recorded)]


def hung(*_: object) -> None:
    raise SystemExit("a read took longer than a minute")


def main(folder: Path, seed: int, count: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, hung)
    ends: Counter[str] = Counter()
    for number in range(count):
        rng = random.Random(seed * 1_000_003 + number)
        signal.alarm(SECONDS)
        try:
            ends[one(folder, rng)] += 1
        except BaseException:
            print(f"mutation {number} of seed {seed}", file=sys.stderr)
            raise
    signal.alarm(0)
    # ru_maxrss would start from the size of the process that started this one.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) << 10
    print(json.dumps({"peak": peak, **ends}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
