"""Numba's cache of machine code, such that nothing that befalls it costs a value.

A kernel is found whole in the cache or it is compiled: what is damaged is discarded and made
anew, what cannot be kept is used from memory. Machine code is not looked at before it runs, so
each file stands under a checksum and names the signature that it was compiled for.
"""

# Numba's classes have no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import contextlib
import hashlib
import inspect
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    _CacheLocator,
)

from .cache import cache_folder, condition, source_hash

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
        theirs, data = super().load(key) or (None, None)
        return data if theirs == key else None

    def _load_index(self) -> dict[Any, str]:
        try:
            found: dict[Any, str] = super()._load_index()
        except OSError:
            return {}
        except Exception as error:  # noqa: BLE001 - unpickling what is damaged may raise anything
            _discard(Path(self._index_path), error)
            return {}
        return found

    def _load_data(self, name: str) -> Any:
        path = Path(self._data_path(name))
        whole = path.read_bytes()
        if _digest(whole[_DIGEST:]) != whole[:_DIGEST]:
            _discard(path, ValueError("its checksum does not fit"))
            return None
        return pickle.loads(whole[_DIGEST:])  # noqa: S301 - this user's own, under a checksum

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
