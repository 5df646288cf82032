"""Where a run ran. Stable facts are hashed and compared; volatile ones are only kept.

Facts come in sections (``os``, ``cpu``, ``python``, ``mpi``, ``blas``, ``libraries``,
``floating_point``, ``variables``, ...), each a dict of JSON values. A probe that failed or
ran out of time leaves its reason in `unavailable` under ``section`` or ``section.fact``.
"""

from __future__ import annotations

from .record import Document, Facts, Hash, Record, content_hash


class Environment(Document, tag="environment", frozen=True, kw_only=True):
    """The stable facts of one node: its content hash is the fingerprint.

    Two runs on the same machine with the same software have equal fingerprints; no host
    name, date, process id, load or path of a temporary folder is among them.
    """

    sections: dict[str, Facts] = {}
    unavailable: dict[str, str] = {}

    @property
    def fingerprint(self) -> Hash:
        return content_hash(self)


class Circumstances(Document, tag="circumstances", frozen=True, kw_only=True):
    """The volatile facts of one segment: host name, process id, free memory, job id."""

    sections: dict[str, Facts] = {}
    unavailable: dict[str, str] = {}


class Node(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One node of a run: its name, the ranks it held, and its environment's hash.

    `differs` names the facts (``section.fact``) in which it differs from the node of rank 0.
    `circumstances` are the volatile facts of its first rank, where that is not rank 0.
    """

    host: str
    ranks: tuple[int, ...]
    environment: Hash
    differs: tuple[str, ...] = ()
    circumstances: Hash | None = None
