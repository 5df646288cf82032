"""Make the golden bundles of format version 1: ``python tests/golden/make.py``.

They are read on every run of the tests, by every later version. They are made once for a
version of the format and never again: a reader that no longer reads them is wrong.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from simckpt import Bundle, Intent
from simckpt import open as open_bundle
from simckpt.bundle import BundleWriter
from simckpt.bundle.framing import Origin, decode_header, encode_header
from simckpt.model.series import (
    Checkpoint,
    Column,
    Cost,
    Event,
    FieldTiles,
    Parts,
    RunOpened,
    Sample,
    Segment,
    SegmentEnd,
    SegmentSchema,
    SeriesSchema,
    StateDescriptor,
    TileRow,
)

HERE = Path(__file__).resolve().parent
TILES = FieldTiles(field="rho", dtype="<f8", global_shape=(8, 6), edges=((0, 4, 8), (0, 3, 6)))
FIRST = SeriesSchema(
    columns=(
        Column(name="mass", kind="conserved", of="rho"),
        Column(name="rho.min", kind="minimum", of="rho"),
    ),
    tiles=(TILES,),
)
SECOND = SeriesSchema(
    columns=(Column(name="mass", kind="conserved", of="rho"), Column(name="step", kind="scalar")),
    tiles=(TILES, FieldTiles(field="p", dtype="<f4", global_shape=(5,), edges=((0, 2, 5),))),
)


def sample(schema: SeriesSchema, step: int) -> Sample:
    values = [1.0 / (step + i + 1) for i in range(len(schema.columns))]
    if step == 3:
        values[-1] = math.nan
    digests = [(step * 0x9E3779B97F4A7C15 + i) % 2**64 for i in range(schema.digests)]
    return Sample(
        step=step,
        t=step / 8,
        wall=1.7e9 + step,
        values=np.array(values, "<f8").tobytes(),
        digests=np.array(digests, "<u8").tobytes(),
        faults=int(step == 3),
    )


def segment(writer: BundleWriter, index: int, schema: SeriesSchema, start: int) -> None:
    writer.append(Segment(index=index, started=1.7e9, ranks=4, start_step=start))
    writer.append(SegmentSchema(segment=index, schema=writer.store(schema), start_step=start))


def checkpoint(writer: BundleWriter, index: int, parents: tuple[str, ...], step: int) -> Checkpoint:
    for field in ("rho",):
        ramp = np.arange(4.0) + step
        writer.append(
            TileRow(
                step=step,
                field=field,
                minimum=ramp.tobytes(),
                maximum=(ramp + 1).tobytes(),
                mean=(ramp + 0.5).tobytes(),
            )
        )
    return writer.commit(
        Checkpoint(
            parents=parents,
            segment=index,
            index=index,
            label=f"checkpoint {index}",
            reason="schedule",
            step=step,
            t=step / 8,
            wall=1.7e9 + step,
            parts=Parts(intent=writer.store(Intent(goal="a golden bundle", assumptions=["ä"]))),
            state=StateDescriptor(step=step, t=step / 8, values={"mass": 0.25}),
            samples=step,
            cost=Cost(wall=2.0, samples=0.125),
        )
    )


def record(path: Path, *, fold: bool, end: bool) -> None:
    opened = RunOpened(
        run_id="golden", campaign="golden", created=1.7e9, simckpt_version="0.1.0", format_version=1
    )
    writer = BundleWriter.create(path, opened)
    segment(writer, 0, FIRST, 0)
    for step in range(6):
        writer.append(sample(FIRST, step))
    first = checkpoint(writer, 0, (), 5)
    if fold:
        writer.close()
        writer = BundleWriter.resume(path)
    writer.append(
        Event(
            name="diagnostic_failed",
            severity="warning",
            step=3,
            wall=1.7e9,
            text="sound speed of a negative pressure",
            facts={"column": "rho.min", "count": 2},
        )
    )
    segment(writer, 1, SECOND, 4)
    for step in range(4, 8):
        writer.append(sample(SECOND, step))
    checkpoint(writer, 1, (first.id,), 7)
    writer.append(sample(SECOND, 8))
    if end:
        writer.append(SegmentEnd(segment=1, ending="finished", ended=1.7e9, step=8))
        writer.close()
    else:
        writer.flush()


def anonymous(journal: Path) -> bytes:
    """The journal under a lease that names no machine."""
    data = journal.read_bytes()
    header = decode_header(data)
    return encode_header(Origin(run_id="golden"), header.first, header.link) + data[header.size :]


def told(bundle: Bundle) -> dict[str, Any]:
    """What a reader has to see, in JSON: float64 and uint64 as hexadecimal text."""
    series = bundle.series()
    return {
        "run": msgspec.to_builtins(bundle.run),
        "checkpoints": [msgspec.to_builtins(c) for c in bundle.checkpoints],
        "events": [msgspec.to_builtins(e) for e in bundle.events],
        "segments": [
            {
                "segment": msgspec.to_builtins(s.segment),
                "start": s.start_step,
                "schema": msgspec.to_builtins(s.schema),
                "end": msgspec.to_builtins(s.end),
            }
            for s in bundle.segments
        ],
        "documents": {
            hash_: {"kind": kind, "json": bundle.document_json(hash_).decode()}
            for hash_, kind in bundle.documents.items()
        },
        "uncommitted": bundle.uncommitted,
        "series": {name: _hex(values) for name, values in series.items()},
        "samples": {
            name: _hex(getattr(series, name)) for name in ("step", "t", "wall", "segment", "faults")
        },
        "digests": {f: _hex(bundle.digests(f).values) for f in bundle.fields},
        "tiles": {
            f: {
                n: _hex(getattr(bundle.tiles(f), n)) for n in ("step", "minimum", "maximum", "mean")
            }
            for f in bundle.fields
        },
    }


def _hex(values: np.ndarray[Any, Any]) -> list[Any]:
    if values.dtype == np.int64:
        return list(values.tolist())
    return [f"{word:016x}" for word in values.ravel().view(np.uint64).tolist()]


def main() -> int:
    if any(HERE.glob("v1-*")):
        print("the golden bundles of version 1 are there, and are never made again")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        for name, fold, end in (
            ("ended", False, True),
            ("killed", False, False),
            ("going", True, False),
        ):
            path = Path(folder) / f"v1-{name}"
            record(path, fold=fold, end=end)
            with open_bundle(path) as bundle:
                expected = told(bundle)
            for suffix in (".simckpt.h5", ".simckpt.journal"):
                made = path.with_name(path.name + suffix)
                if made.exists():
                    data = anonymous(made) if suffix.endswith("journal") else made.read_bytes()
                    (HERE / made.name).write_bytes(data + (b"torn" if name == "killed" else b""))
            text = json.dumps(expected, indent=1, ensure_ascii=False, sort_keys=True)
            (HERE / f"v1-{name}.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
