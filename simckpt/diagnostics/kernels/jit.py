"""The one place where compiler options are set.

No fast-math and no contraction: every kernel does the arithmetic that its source says, so that
results have the same bits on every machine.
"""

# ruff: noqa: ARG001
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import contextlib
import hashlib
import inspect
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    _CacheLocator,
)
from numba.extending import intrinsic as _intrinsic
from numba.np import arrayobj

from ..kernel_cache import cache_folder, condition, source_hash

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": False,
    "error_model": "numpy",
    "boundscheck": False,
}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function`, which makes no arrays, keeping the machine code where it can be kept.

    References to arrays are not counted: on a short chunk, counting costs as much as arithmetic,
    and threads would take turns at the counters.
    """
    return _compiled(function, _nrt=False)


def allocating_kernel(function: Callable[..., Any]) -> Any:
    """Compile a `function` that makes arrays of its own."""
    return _compiled(function)


def _compiled(function: Callable[..., Any], **more: Any) -> Any:
    dispatcher = numba.njit(**_OPTIONS, **more)(function)
    if dispatcher is not function:  # as it is where NUMBA_DISABLE_JIT is set
        try:
            dispatcher._cache = KernelCache(function)  # noqa: SLF001 - what cache=True does
        except Exception as error:  # noqa: BLE001 - a Numba with other insides keeps nothing
            condition.refused(error)
    return dispatcher


# Machine operations that Python has no word for.


intrinsic: Any = _intrinsic


@intrinsic
def bits(typingctx, x):
    """The bits of a float64, as uint64."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.uint64(types.float64), generate


@intrinsic
def from_bits(typingctx, x):
    """The float64 with the bits of a uint64."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), generate


@intrinsic
def single_from_bits(typingctx, x):
    """The float32 whose bits are the low half of a uint64, as float64."""

    def generate(context, builder, signature, args):
        low = builder.trunc(args[0], ir.IntType(32))
        return builder.fpext(builder.bitcast(low, ir.FloatType()), ir.DoubleType())

    return types.float64(types.uint64), generate


@intrinsic
def fma(typingctx, a, b, c):
    """The sum ``a * b + c`` with one rounding."""

    def generate(context, builder, signature, args):
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), generate


def _extremum(name):
    @intrinsic
    def extremum(typingctx, a, b):
        def generate(context, builder, signature, args):
            double = ir.DoubleType()
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(double, [double, double]), name
            )
            # Without these flags the loop does not vectorize to one instruction. Callers throw
            # the result away where there was a NaN, and do not care which zero they get.
            return builder.call(function, args, fastmath=("nnan", "nsz"))

        return types.float64(types.float64, types.float64), generate

    return extremum


least = _extremum("llvm.minimum.f64")
greatest = _extremum("llvm.maximum.f64")


@intrinsic
def prefetch(typingctx, address):
    """Ask for the cache line at `address`; an address that is not mapped does no harm."""

    def generate(context, builder, signature, args):
        i32 = ir.IntType(32)
        pointer = ir.IntType(8).as_pointer()
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32]),
            "llvm.prefetch.p0",
        )
        where = builder.inttoptr(args[0], pointer)
        builder.call(function, [where, i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return types.void(types.uint64), generate


@intrinsic
def widest_vectors(typingctx):
    """Let the calling function use the widest vectors there are, and keep it a function."""

    def generate(context, builder, signature, args):
        # llvmlite's set of known attributes leaves out those that are strings.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def kept_apart(typingctx):
    """Keep the calling function a function: inlined everywhere, it would compile many times."""

    def generate(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def part_of_callers(typingctx):
    """Make the calling function a part of its callers: to hand over its tables costs too much."""

    def generate(context, builder, signature, args):
        builder.function.attributes.add("alwaysinline")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def next_number(typingctx, address):
    """The int64 at `address`, which is one more from now on: for one thread at a time."""

    def generate(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", pointer, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(types.uint64), generate


def _pointer(to):
    @intrinsic
    def pointer(typingctx, address):
        def generate(context, builder, signature, args):
            return builder.inttoptr(args[0], context.get_value_type(types.CPointer(to)))

        return types.CPointer(to)(types.uint64), generate

    return pointer


f8_at = _pointer(types.float64)
i8_at = _pointer(types.int64)
u8_at = _pointer(types.uint64)
u4_at = _pointer(types.uint32)
u2_at = _pointer(types.uint16)
u1_at = _pointer(types.uint8)


def _array(of):
    @intrinsic
    def array(typingctx, address, n):
        kind = types.Array(of, 1, "C")

        def generate(context, builder, signature, args):
            result = arrayobj.make_array(kind)(context, builder)
            item = context.get_constant(types.intp, 8)
            arrayobj.populate_array(
                result,
                data=builder.inttoptr(args[0], result.data.type),
                shape=(args[1],),
                strides=(item,),
                itemsize=item,
                meminfo=None,
            )
            return result._getvalue()  # noqa: SLF001 - Numba's word for it

        return kind(types.uint64, types.int64), generate

    return array


floats_at = _array(types.float64)
"""The `n` float64 values from an address on, as an array that owns nothing."""

words_at = _array(types.uint64)
"""The `n` 64-bit words from an address on, as an array that owns nothing."""


def _byte_swap(width):
    @intrinsic
    def byte_swap(typingctx, x):
        def generate(context, builder, signature, args):
            narrow = ir.IntType(width)
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(narrow, [narrow]), f"llvm.bswap.i{width}"
            )
            value = args[0] if width == 64 else builder.trunc(args[0], narrow)
            swapped = builder.call(function, [value])
            return swapped if width == 64 else builder.zext(swapped, ir.IntType(64))

        return types.uint64(types.uint64), generate

    return byte_swap


swap8 = _byte_swap(64)
swap4 = _byte_swap(32)
swap2 = _byte_swap(16)


# Numba's cache of machine code, such that nothing that befalls it costs a value.
#
# A kernel is found whole in the cache or it is compiled: what is damaged is discarded and made
# anew, what cannot be kept is used from memory. Machine code is not looked at before it runs, so
# each file stands under a checksum and names the signature that it was compiled for.


_DIGEST = 16


class _Folder(_CacheLocator):
    """The folder of this version's kernels, whether or not it can be written to."""

    def __init__(self, function: Callable[..., Any], source: str) -> None:
        self._py_file = source  # which a warning of Numba's names
        self._line = function.__code__.co_firstlineno
        self._path = cache_folder() / self.get_suitable_cache_subpath(source)

    def get_cache_path(self) -> str:
        return str(self._path)

    def get_source_stamp(self) -> str:
        return source_hash()

    def get_disambiguator(self) -> str:
        return str(self._line)


class _Kernels(CompileResultCacheImpl):
    # Numba's own would look for a folder that can be written to, or that the user's settings name.
    def __init__(self, function: Callable[..., Any]) -> None:
        source = inspect.getfile(function)
        name = f"{Path(source).stem}.{function.__qualname__}"
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Folder(function, source)
        self._filename_base = self.get_filename_base(name, sys.abiflags)


class _Files(IndexDataCacheFile):
    """An index and its files of machine code, each of which may be missing, damaged, or refused."""

    def save(self, key: Any, data: Any) -> None:
        super().save(key, (key, data))

    def load(self, key: Any) -> Any:
        # Processes that wrote an index at the same time may have chosen one name for two kernels.
        stored_key, data = super().load(key) or (None, None)
        return data if stored_key == key else None

    def _load_index(self) -> dict[Any, str]:
        try:
            index: dict[Any, str] = super()._load_index()
        except OSError:
            return {}
        except Exception as error:  # noqa: BLE001 - unpickling what is damaged may raise anything
            _discard(Path(self._index_path), error)
            return {}
        return index

    def _load_data(self, name: str) -> Any:
        path = Path(self._data_path(name))
        content = path.read_bytes()
        if _digest(content[_DIGEST:]) != content[:_DIGEST]:
            _discard(path, ValueError("its checksum does not fit"))
            return None
        return pickle.loads(content[_DIGEST:])  # noqa: S301 - this user's own, under a checksum

    def _save_data(self, name: str, data: Any) -> None:
        packed = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(_digest(packed))
            file.write(packed)


class KernelCache(FunctionCache):
    """The cache of one function: a load that fails is a miss, and a save never raises."""

    _impl_class = _Kernels

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _Files(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # noqa: BLE001 - whatever it is, the kernel can be compiled
            condition.damaged(Path(self._cache_path), error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the kernel is compiled
            condition.refused(error)


def _discard(path: Path, error: Exception) -> None:
    condition.damaged(path, error)
    with contextlib.suppress(OSError):
        path.unlink()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()
