"""The state of every random number generator that can be seen, as hashes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ..model.documents import RandomState
from ..model.record import Facts, canonical_json, hash_bytes
from .probes import reason_of
from .random_state import WORDS, read_generator, state_of, was_seeded
from .values import plain, qualified_name

PYTHON_GLOBAL = "random"
NUMPY_GLOBAL = "numpy.random"
MOST_GENERATORS = 256
"""Generators within one declared value that are told one by one."""

_DEEPEST = 4
_FINGERPRINT_DIGITS = 12


def capture_random(
    declared: Mapping[str, object], arguments: Mapping[str, object] | None = None
) -> RandomState:
    """Seeds and generator states, now.

    Parameters
    ----------
    declared : mapping of str to object
        By the user's names: integers (and sequences of them) are seeds; NumPy generators, bit
        generators, seed sequences, ``random.Random`` and JAX keys have their state hashed. Those
        in a list or dict are told one by one, as ``members[0]`` or ``noise.a``.
    arguments : mapping of str to object, optional
        Generators that the driver was called with, by name: see `generators_in`.

    Returns
    -------
    RandomState
        With the global generators of ``random`` and ``numpy.random`` where they are loaded;
        those have ``declared: false``. One from which nothing was drawn is ``fresh`` and has no
        state, unless somebody seeded it: unseeded, that differs in every process and means
        nothing. ``entropy`` is the seed of a NumPy generator, also where the operating system
        chose it; with it the run can be repeated.
    """
    seeds: Facts = {}
    generators: dict[str, Facts] = {}
    for name, value in declared.items():
        own_generators = generators_in({name: value})
        if name not in own_generators:
            seeds |= plain({name: value})
        generators |= _descriptions(own_generators)
    for name, facts in _descriptions(arguments or {}).items():
        generators.setdefault(name, facts)
    for name, value in _globals():
        facts = describe_generator(value) or {}
        if facts:
            if _is_fresh(value):
                facts = {"kind": facts["kind"], "fresh": True}
            generators.setdefault(name, facts | {"declared": False})
    return RandomState(seeds=seeds, generators=generators)


def generators_in(values: Mapping[str, object]) -> dict[str, object]:
    """The generators among values and in lists and dicts among them, by name and path."""
    generators: dict[str, object] = {}
    for path, value in _parts(values, "", 0):
        if len(generators) >= MOST_GENERATORS:
            break
        if describe_generator(value) is not None:
            generators[path] = value
    return generators


def _parts(value: object, path: str, depth: int) -> Iterator[tuple[str, object]]:
    """What may be a generator, in containers of the plain kinds."""
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for key in list(value)[:MOST_GENERATORS]:
            yield from _parts(value[key], f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value[:MOST_GENERATORS]):
            yield from _parts(item, f"{path}[{i}]", depth + 1)
    elif not isinstance(value, str | bytes | int | float):
        yield path, value


def _descriptions(generators: Mapping[str, object]) -> dict[str, Facts]:
    descriptions: dict[str, Facts] = {}
    for name, value in generators.items():
        facts = describe_generator(value)
        if facts is not None:
            descriptions |= plain({name: facts | {"declared": True}})
    return descriptions


def stream_fingerprint(declared: Mapping[str, object]) -> str:
    """A short hash of the declared seeds and generator states; "" if none is declared.

    Ranks that draw from streams of their own tell them apart by it.
    """
    if not declared:
        return ""
    state = capture_random(declared)
    own = {name: facts for name, facts in state.generators.items() if facts["declared"]}
    return hash_bytes(canonical_json([state.seeds, own]))[:_FINGERPRINT_DIGITS]


def describe_generator(value: object) -> Facts | None:
    """Kind, state hash and entropy of a generator; None for what is none."""
    try:
        return read_generator(value)
    except Exception as error:  # noqa: BLE001 - a foreign object may raise anything
        return {"kind": qualified_name(type(value)), "unavailable": reason_of(error)}


def _globals() -> list[tuple[str, object]]:
    generators: list[tuple[str, object]] = []
    python: Any = sys.modules.get("random")
    if python is not None:
        generators.append((PYTHON_GLOBAL, getattr(python, "_inst", None)))
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        generators.append((NUMPY_GLOBAL, getattr(getattr(numpy, "mtrand", None), "_rand", None)))
    return generators


def _is_fresh(generator: Any) -> bool:
    """Whether nothing was drawn from a global generator that the user did not seed."""
    numpy: Any = sys.modules.get("numpy.random")
    try:
        if numpy is not None and isinstance(generator, numpy.RandomState):
            sequence = generator._bit_generator.seed_seq  # noqa: SLF001 - it has no public name
            if sequence is None:  # the user has called numpy.random.seed
                return False
            new = numpy.RandomState(numpy.MT19937(sequence))
            return bool(state_of(new) == state_of(generator))
        # Mersenne Twister hands out 624 words, then makes new ones: the last entry counts them.
        _, words, spare = generator.getstate()
        return words[-1] == WORDS and spare is None and not was_seeded(words[:WORDS])
    except (AttributeError, TypeError, ValueError):
        return False
