"""The state of every random number generator that can be seen, as hashes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..model.manifest import RandomState
from ..model.record import Facts, canonical_json, hash_bytes
from .probes import reason_of
from .values import plain, qualified_name

PYTHON_GLOBAL = "random"
NUMPY_GLOBAL = "numpy.random"
_WORDS = 624
_MARK = 12


def capture_random(declared: Mapping[str, object]) -> RandomState:
    """Seeds and generator states, now.

    Parameters
    ----------
    declared : mapping of str to object
        By the user's names: integers (and sequences of them) are seeds; NumPy generators, bit
        generators, seed sequences, ``random.Random`` and JAX keys have their state hashed.

    Returns
    -------
    RandomState
        With the global generators of ``random`` and ``numpy.random`` where they are loaded;
        those have ``declared: false``. One from which nothing was drawn is ``fresh`` and has no
        state: unseeded, that differs in every process and means nothing. ``entropy`` is the
        seed of a NumPy generator, also where the operating system chose it; with it the run
        can be repeated.
    """
    seeds: Facts = {}
    generators: dict[str, Facts] = {}
    for name, value in declared.items():
        found = describe_generator(value)
        if found is None:
            seeds |= plain({name: value})
        else:
            generators |= plain({name: found | {"declared": True}})
    for name, value in _globals():
        found = describe_generator(value)
        if found is not None:
            if _is_fresh(value):
                found = {"kind": found["kind"], "fresh": True}
            generators.setdefault(name, found | {"declared": False})
    return RandomState(seeds=seeds, generators=generators)


def stream_mark(declared: Mapping[str, object]) -> str:
    """A short hash of the declared seeds and generator states; "" if none is declared.

    Ranks that draw from streams of their own tell them apart by it.
    """
    if not declared:
        return ""
    found = capture_random(declared)
    own = {name: facts for name, facts in found.generators.items() if facts["declared"]}
    return hash_bytes(canonical_json([found.seeds, own]))[:_MARK]


def describe_generator(value: object) -> Facts | None:
    """Kind, state hash and entropy of a generator; None for what is none."""
    for read in (_numpy_generator, _seed_sequence, _python_generator, _jax_key):
        try:
            found = read(value)
        except Exception as error:  # noqa: BLE001 - a foreign object may raise anything
            return {"kind": qualified_name(type(value)), "unavailable": reason_of(error)}
        if found is not None:
            return found
    return None


def _globals() -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    python: Any = sys.modules.get("random")
    if python is not None:
        found.append((PYTHON_GLOBAL, getattr(python, "_inst", None)))
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        found.append((NUMPY_GLOBAL, getattr(getattr(numpy, "mtrand", None), "_rand", None)))
    return found


def _is_fresh(generator: Any) -> bool:
    """Whether nothing was drawn from a global generator that the user did not seed."""
    numpy: Any = sys.modules.get("numpy.random")
    try:
        if numpy is not None and isinstance(generator, numpy.RandomState):
            sequence = generator._bit_generator.seed_seq  # noqa: SLF001 - it has no public name
            if sequence is None:  # the user has called numpy.random.seed
                return False
            new = numpy.RandomState(numpy.MT19937(sequence))
            return bool(_state_of(new) == _state_of(generator))
        # Mersenne Twister hands out 624 words, then makes new ones: the last entry counts them.
        _, words, spare = generator.getstate()
        return words[-1] == _WORDS and spare is None
    except (AttributeError, TypeError, ValueError):
        return False


def _state_of(generator: Any) -> bytes:
    return canonical_json(_exact(generator.get_state(legacy=False)))


def _numpy_generator(value: Any) -> Facts | None:
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is None:
        return None
    if isinstance(value, numpy.Generator):
        bits = value.bit_generator
    elif isinstance(value, numpy.RandomState):
        bits = value._bit_generator  # noqa: SLF001 - RandomState has no public name for it
    elif isinstance(value, numpy.BitGenerator):
        bits = value
    else:
        return None
    facts: Facts = {"kind": f"{type(value).__name__}({type(bits).__name__})"}
    # The legacy state is asked for by its owner: it holds the spare normal deviate too.
    state = value.get_state(legacy=False) if isinstance(value, numpy.RandomState) else bits.state
    facts["state"] = hash_bytes(canonical_json(_exact(state)))
    return facts | _entropy(getattr(bits, "seed_seq", None))


def _seed_sequence(value: Any) -> Facts | None:
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is None or not isinstance(value, numpy.SeedSequence):
        return None
    state = {"state": value.state, "children": value.n_children_spawned}
    facts = {"kind": "SeedSequence", "state": hash_bytes(canonical_json(_exact(state)))}
    return facts | _entropy(value)


def _entropy(sequence: Any) -> Facts:
    if getattr(sequence, "entropy", None) is None:
        return {}
    facts: Facts = {"entropy": plain(sequence.entropy)}
    if sequence.spawn_key:
        facts["spawn_key"] = [int(k) for k in sequence.spawn_key]
    return facts


def _python_generator(value: Any) -> Facts | None:
    python: Any = sys.modules.get("random")
    if python is None or not isinstance(value, python.Random):
        return None
    if isinstance(value, python.SystemRandom):
        return {"kind": "SystemRandom", "unavailable": "it has no state and cannot be repeated"}
    return {"kind": type(value).__name__, "state": hash_bytes(repr(value.getstate()).encode())}


def _jax_key(value: Any) -> Facts | None:
    jax: Any = sys.modules.get("jax")
    if jax is None or not isinstance(value, jax.Array):
        return None
    data = value
    kind = "JAX key"
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        data = jax.random.key_data(value)
        kind = f"JAX key({jax.random.key_impl(value)})"
    numpy: Any = sys.modules["numpy"]
    return {"kind": kind, "state": hash_bytes(numpy.asarray(data).tobytes())}


def _exact(state: Any) -> Any:
    """A state dict with its arrays as bytes and its integers as digits."""
    if isinstance(state, Mapping):
        return {str(key): _exact(item) for key, item in state.items()}
    if hasattr(state, "tobytes"):
        return state.tobytes().hex()
    return str(state)
