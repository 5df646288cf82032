"""Random number generators by kind and state, with nothing drawn from them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..model.record import Facts, canonical_json, hash_bytes


def read_generator(value: object) -> Facts | None:
    """Kind, hash of the state, and entropy of a generator; None for what is none.

    Known are NumPy's generators, bit generators and seed sequences, ``random.Random``, and JAX
    keys. Raises whatever a foreign object does.
    """
    for read in (_numpy_generator, _seed_sequence, _python_generator, _jax_key):
        facts_read = read(value)
        if facts_read is not None:
            return facts_read
    return None


def state_of(generator: Any) -> bytes:
    """The state of a legacy generator of NumPy as bytes."""
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
    entropy = getattr(sequence, "entropy", None)
    if entropy is None:
        return {}
    facts: Facts = {"entropy": _json_integers(entropy)}
    if sequence.spawn_key:
        facts["spawn_key"] = [int(k) for k in sequence.spawn_key]
    return facts


def _json_integers(entropy: Any) -> Any:
    """Integers as JSON can hold them: those past 64 bits as their digits."""
    if hasattr(entropy, "__index__"):
        number = int(entropy)
        return number if number < 2**64 else str(number)
    return [_json_integers(part) for part in entropy]


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
    elif str(value.dtype) != "uint32" or value.shape not in ((2,), (4,)):
        return None  # an array of numbers, and no key of the older kind
    numpy: Any = sys.modules["numpy"]
    return {"kind": kind, "state": hash_bytes(numpy.asarray(data).tobytes())}


def _exact(state: Any) -> Any:
    """A state dict with its arrays as bytes and its integers as digits."""
    if isinstance(state, Mapping):
        return {str(key): _exact(item) for key, item in state.items()}
    if hasattr(state, "tobytes"):
        return state.tobytes().hex()
    return str(state)


# Whether somebody seeded a Mersenne Twister, or the operating system did.
#
# Python seeds its generator by ``init_by_array`` (M. Matsumoto and T. Nishimura, 2002), which adds
# the words of a key to the state in turn, again and again until all 624 words are mixed. Each of
# its steps can be undone, so that a state from which nothing was drawn gives the words back in
# the order in which they were added. A seed has few words, and they come round; the 624 words
# that the operating system gives to a generator without a seed do not.


WORDS = 624
_MASK = 0xFFFFFFFF
_START, _SPREAD, _FIRST, _SECOND = 19650218, 1812433253, 1664525, 1566083941


@lru_cache(maxsize=4)  # each checkpoint asks for the same state again
def was_seeded(state: tuple[int, ...]) -> bool:
    """Whether the 624 words of a generator that was not drawn from come from a short key."""
    added = _added(state)
    return any(added[n:] == added[:-n] for n in range(1, len(added) // 2 + 1))


def _added(state: Sequence[int]) -> list[int]:
    """What the first pass added to the words 3 to 623: the words of the key and their numbers."""
    mixed = _before_second_pass(state)
    blank = _START
    added = []
    for i in range(1, WORDS):
        blank = (_SPREAD * _fold(blank) + i) & _MASK
        if i >= 3:
            added.append((mixed[i] - (blank ^ (_fold(mixed[i - 1]) * _FIRST & _MASK))) & _MASK)
    return added


def _before_second_pass(state: Sequence[int]) -> list[int]:
    """The words between the two passes; the first of them is not known any more."""
    before = [0] * WORDS
    before[1] = _undone(state[1], state[WORDS - 1], 1)
    before[2] = _undone(state[2], before[1], 2)
    for i in range(3, WORDS):
        before[i] = _undone(state[i], state[i - 1], i)
    return before


def _undone(word: int, previous: int, number: int) -> int:
    return ((word + number) & _MASK) ^ (_fold(previous) * _SECOND & _MASK)


def _fold(word: int) -> int:
    return word ^ (word >> 30)
