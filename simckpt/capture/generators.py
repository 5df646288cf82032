"""Random number generators by kind and state, with nothing drawn from them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..model.record import Facts, canonical_json, hash_bytes


def read_generator(value: object) -> Facts | None:
    """Kind, hash of the state, and entropy of a generator; None for what is none.

    Known are NumPy's generators, bit generators and seed sequences, ``random.Random``, and JAX
    keys. Raises whatever a foreign object does.
    """
    for read in (_numpy_generator, _seed_sequence, _python_generator, _jax_key):
        found = read(value)
        if found is not None:
            return found
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
    facts: Facts = {"entropy": _whole(entropy)}
    if sequence.spawn_key:
        facts["spawn_key"] = [int(k) for k in sequence.spawn_key]
    return facts


def _whole(entropy: Any) -> Any:
    """Integers as JSON can hold them: those past 64 bits as their digits."""
    if hasattr(entropy, "__index__"):
        number = int(entropy)
        return number if number < 2**64 else str(number)
    return [_whole(part) for part in entropy]


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
