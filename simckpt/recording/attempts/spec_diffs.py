"""What changed in the specification since the last checkpoint and since the upstream ones, and why.

The reason that the user gives belongs to a change. One that stands in the environment of a whole
job (``SIMCKPT_WHY``) is that of the job's first checkpoint and of those at which something
changed; the others have none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ...model.changes import SpecDiff, UpstreamDiff, diff
from ..disclosed import redacted
from .declared import alike, comparable

if TYPE_CHECKING:
    from ...model.changes import Specification
    from ...model.record import Hash


class SpecDiffs:
    """The spec diffs of one job attempt.

    Parameters
    ----------
    last : Specification or None
        That of the last checkpoint of the run's earlier segments.
    upstream : tuple of (Hash, Specification or None)
        Ids of the checkpoints this run starts from, and what was specified there.
    """

    def __init__(
        self,
        last: Specification | None,
        upstream: tuple[tuple[Hash, Specification | None], ...],
    ) -> None:
        self._last = last
        self._upstream = upstream
        self._began = False
        self._since: SpecDiff | None = None
        self._why = ""

    def next(self, specification: Specification, why: str) -> tuple[SpecDiff, str]:
        """The diff of the next checkpoint, and the reason that the checkpoint itself tells.

        `why` is what the driver says at this checkpoint.
        """
        last, self._last = self._last, specification
        same = last == specification
        changes = () if last is None or same else diff(*comparable(last, specification))
        reason = redacted(why)
        if not reason and (changes or not self._began):
            reason = redacted(os.environ.get("SIMCKPT_WHY", ""))
        if not self._began:
            self._began = True
            self._why = reason
        if self._since is None or not same:
            self._since = self._since_upstream(specification)
        if changes:
            return replace(self._since, changes=changes, why=reason), reason
        differs = self._since.since_upstream or self._since.further
        return replace(self._since, why=self._why if differs else ""), reason

    def _since_upstream(self, specification: Specification) -> SpecDiff:
        found: list[UpstreamDiff] = []
        unlike: list[Hash] = []
        for id_, before in self._upstream:
            if before is None:
                continue
            if alike(before, specification):
                changes = diff(*comparable(before, specification))
                found.append(UpstreamDiff(upstream=id_, changes=changes))
            else:
                unlike.append(id_)
        return SpecDiff(
            upstream=found[0].upstream if found else None,
            since_upstream=found[0].changes if found else (),
            further=tuple(found[1:]),
            unlike=tuple(unlike),
        )
