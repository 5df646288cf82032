"""From which checkpoints a run starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...bundle.reading.reader import open_bundle
from ...errors import BundleError, SetupError
from .placing import specified_at

if TYPE_CHECKING:
    from ...model.changes import Specification
    from ...model.record import Hash

_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Lineage:
    """Upstream checkpoints, each with its specification where its bundle was at hand."""

    campaign: str = ""
    upstream: tuple[tuple[Hash, Specification | None], ...] = ()

    @property
    def ids(self) -> tuple[Hash, ...]:
        """The checkpoints' ids."""
        return tuple(id_ for id_, _ in self.upstream)


def trace(upstream: tuple[str, ...]) -> Lineage:
    """The lineage that the paths of bundles, or checkpoint ids, in `upstream` stand for.

    A bundle stands for its last checkpoint; the campaign is that of the first one. A checkpoint
    that is named several times counts once.

    Raises
    ------
    SetupError
        If an entry is neither a readable bundle nor a checkpoint id.
    """
    campaign = ""
    found: dict[Hash, Specification | None] = {}
    for entry in upstream:
        if _ID.fullmatch(entry):
            found.setdefault(entry, None)
            continue
        try:
            with open_bundle(entry) as bundle:
                if not bundle.checkpoints:
                    raise SetupError("upstream", entry, "has no checkpoint yet")
                last = bundle.checkpoints[-1]
                spec = specified_at(bundle, last)
                campaign = campaign or bundle.campaign
        except BundleError as error:
            raise SetupError(
                "upstream",
                entry,
                f"is neither a bundle that can be read nor a checkpoint id ({error.problem})",
            ) from error
        if found.get(last.id) is None:
            found[last.id] = spec
    return Lineage(campaign, tuple(found.items()))
