"""Whether a bundle is what its run wrote: checksums, the chain of records, and identities.

The chain testifies that records were not altered one by one, dropped, put in or moved. Someone
who rewrites every record from some place on, with all checkpoint ids, makes another consistent
run; compare the id of its last checkpoint with one that was noted elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal

import msgspec

from ..errors import DamagedBundleError
from ..model.record import Hash, hash_bytes
from .reader import Stored, open_recorded, stored
from .recorded import Recorded
from .records import FIRST_LINK, KINDS, Kind, UnreadablePayload, decode, next_link, short

Severity = Literal["note", "damage"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that `verify` has to say.

    Parameters
    ----------
    what : str
        A sentence.
    where : str
        The file, and the record or byte in it.
    severity : {"note", "damage"}
        A note is what any killed run leaves; damage is what should not be.
    """

    what: str
    where: str
    severity: Severity


def verify(path: str | os.PathLike[str]) -> tuple[Finding, ...]:
    """Test all that a bundle says of itself.

    Parameters
    ----------
    path : str or path
        Any name of the bundle.

    Returns
    -------
    tuple of Finding
        Empty if the bundle is whole and its records continue each other. At most one finding
        names a record: the first that was altered, dropped, put in or moved.

    Raises
    ------
    NotABundleError, NewerFormatError
        If there is no bundle that could be tested.
    """
    try:
        recorded = open_recorded(path)
    except DamagedBundleError as damage:
        return (Finding(what=damage.problem, where=damage.path, severity="damage"),)
    with recorded:
        try:
            return tuple(_findings(recorded))
        except DamagedBundleError as damage:
            return (Finding(what=damage.problem, where=damage.path, severity="damage"),)


def _findings(recorded: Recorded) -> Iterator[Finding]:
    recorded.run  # noqa: B018 - raises where not even the record of the run is there
    journal = recorded.journal
    if journal is not None and journal.broken is not None:
        yield Finding(
            what=f"the run was stopped while it wrote: {journal.broken}",
            where=str(journal.path),
            severity="note",
        )
    yield from _seam(recorded)
    yield from _chain(recorded)
    yield from _references(recorded)


def _seam(recorded: Recorded) -> Iterator[Finding]:
    """Whether the journal continues the very records that the ``.h5`` ends with."""
    folded, journal = recorded.folded, recorded.journal
    if folded is None or journal is None:
        return
    if journal.header.first == folded.next:
        same = journal.header.link == folded.seal.link
    else:
        chain = journal.last_skipped_chain
        same = chain is None or chain == short(folded.seal.link)
    if not same:
        yield _damage(recorded, folded.next, "the journal does not continue the records of the .h5")


def _chain(recorded: Recorded) -> Iterator[Finding]:
    link, last = FIRST_LINK, None
    for record, following in _pairs(recorded):
        after = next_link(link, record.kind, record.payload)
        if short(after) != record.chain:
            yield _damage(recorded, record.number, _broken_chain(link, record, following))
            return
        if record.kind == Kind.CHECKPOINT and (problem := _checkpoint(record.payload, link)):
            yield _damage(recorded, record.number, problem)
            return
        link, last = after, record
    folded = recorded.folded
    if folded is not None and recorded.journal is None and last and link != folded.seal.link:
        yield _damage(
            recorded, last.number, "the last record is not the one the file was sealed on"
        )


def _broken_chain(link: bytes, record: Stored, following: Stored | None) -> str:
    kind = KINDS[record.kind].name.lower()
    if following is not None:
        skipped = next_link(link, following.kind, following.payload)
        if short(skipped) == following.chain:
            return f"this {kind} record was put in, or exchanged with the next"
    return f"this {kind} record was altered, or records before it were dropped or moved"


def _checkpoint(payload: bytes, link: bytes) -> str:
    try:
        checkpoint = decode(Kind.CHECKPOINT, payload)
    except UnreadablePayload as problem:
        return str(problem)
    if getattr(checkpoint, "records", "") != link.hex():
        return "the checkpoint was made after other records than those before it"
    if identity_of(payload) != getattr(checkpoint, "id", ""):
        return "the checkpoint's id is not that of its contents"
    return ""


def identity_of(checkpoint: bytes) -> Hash:
    """The id that the text of a checkpoint gives it.

    It is taken from the text, not from the struct: what a later version adds to the struct
    changes no id that was given before.
    """
    fields = msgspec.json.decode(checkpoint)
    fields.pop("id", None)
    return hash_bytes(msgspec.json.encode(fields, order="sorted"))


def _references(recorded: Recorded) -> Iterator[Finding]:
    """Whether every document that a checkpoint refers to is there, under its own hash."""
    if recorded.folded is not None:
        hashes = recorded.folded.document_column("hash")
        for hash_, document in zip(hashes, recorded.documents, strict=False):
            if hash_ != document.hash:
                yield Finding(
                    what=f"the text of document {hash_} was altered",
                    where=f"{recorded.path}, /documents",
                    severity="damage",
                )
    missing: set[str] = set()
    for checkpoint in recorded.texts(Kind.CHECKPOINT):
        parts = msgspec.structs.asdict(checkpoint.parts)
        references = {*parts.pop("configuration"), *(v for v in parts.values() if v is not None)}
        for hash_ in sorted(h for h in references - missing if h not in recorded.documents):
            missing.add(hash_)
            yield Finding(
                what=f"document {hash_} is missing, which checkpoint {checkpoint.index} refers to",
                where=str(recorded.path),
                severity="damage",
            )


def _pairs(recorded: Recorded) -> Iterator[tuple[Stored, Stored | None]]:
    former: Stored | None = None
    for record in stored(recorded):
        if former is not None:
            yield former, record
        former = record
    if former is not None:
        yield former, None


def _damage(recorded: Recorded, number: int, what: str) -> Finding:
    folded = recorded.folded
    inside = folded is not None and number < folded.next
    path = folded.path if folded is not None and inside else recorded.path
    if recorded.journal is not None and not inside:
        path = recorded.journal.path
    return Finding(what=what, where=f"{path}, record {number}", severity="damage")
