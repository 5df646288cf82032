"""Cases that share a program: each is that program with one thing changed."""

from __future__ import annotations

from ..case import Case, Half, Json, Program


class Family:
    """Collects cases; their halves take turns unless a case says otherwise."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.cases: list[Case] = []

    def add(
        self,
        name: str,
        a: Program,
        kinds: str | tuple[str, ...] = (),
        causes: str | tuple[str, ...] = (),
        figures: str | tuple[str, ...] = (),
        **changes: Json,
    ) -> None:
        """Add `a` against `a` with `changes`."""
        half: Half = "development" if len(self.cases) % 2 == 0 else "held out"
        self.cases.append(
            Case(
                name=f"{self._prefix} {name}",
                half=half,
                a=a,
                b=a.but(**changes),
                kinds=_tuple(kinds),
                causes=_tuple(causes),
                figures=_tuple(figures),
            )
        )


def _tuple(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names
