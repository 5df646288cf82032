"""NVIDIA's devices as their management library tells them, where it is installed.

The library is loaded into this process and asked; no program is started. Where no driver is
loaded it is left alone: it might start one to create the devices' nodes.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...model.record import Facts
from ..probes import Findings, reason_of

LIBRARY = "libnvidia-ml.so.1"
_TEXT = 96

_COMPUTE_MODES = ("default", "exclusive thread", "prohibited", "exclusive process")


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


class NvmlError(Exception):
    """The library's own words for why it has no answer."""


def read_nvml(library: str = LIBRARY, root: Path = Path("/")) -> Findings:
    """Driver, CUDA version, and each kind of device with what bears on its results and speed."""
    if not any((root / place).exists() for place in ("proc/driver/nvidia", "dev/nvidiactl")):
        return Findings(unavailable={"nvml": "no NVIDIA driver is loaded"})
    try:
        with _opened(library) as nvml:
            return _read(nvml)
    except (OSError, NvmlError) as error:
        return Findings(unavailable={"nvml": reason_of(error)})


class _Nvml:
    """The functions of the library, each raising `NvmlError` in the place of an error code."""

    def __init__(self, library: str) -> None:
        self._library = ctypes.CDLL(library)

    def call(self, name: str, *arguments: Any) -> None:
        try:
            status = getattr(self._library, name)(*arguments)
        except AttributeError:
            raise NvmlError(f"this driver has no {name}") from None
        if status:
            raise NvmlError(f"{name}: {self._words(status)}")

    def text(self, name: str, *arguments: Any) -> str:
        buffer = ctypes.create_string_buffer(_TEXT)
        self.call(name, *arguments, buffer, ctypes.c_uint(_TEXT))
        return buffer.value.decode("utf-8", "replace")

    def numbers(self, name: str, *arguments: Any, count: int = 1) -> tuple[int, ...]:
        found = [ctypes.c_int() for _ in range(count)]
        self.call(name, *arguments, *map(ctypes.byref, found))
        return tuple(number.value for number in found)

    def _words(self, status: int) -> str:
        tell = self._library.nvmlErrorString
        tell.restype = ctypes.c_char_p
        return str((tell(status) or b"").decode("utf-8", "replace")) or f"error {status}"


@contextmanager
def _opened(library: str) -> Iterator[_Nvml]:
    nvml = _Nvml(library)
    nvml.call("nvmlInit_v2")
    try:
        yield nvml
    finally:
        nvml.call("nvmlShutdown")


def _read(nvml: _Nvml) -> Findings:
    facts: Facts = {}
    facts |= _known("driver", lambda: nvml.text("nvmlSystemGetDriverVersion"))
    facts |= _known("nvml", lambda: nvml.text("nvmlSystemGetNVMLVersion"))
    facts |= _known("cuda", lambda: _cuda(*nvml.numbers("nvmlSystemGetCudaDriverVersion_v2")))
    kinds: Counter[str] = Counter()
    settings: dict[str, Facts] = {}
    volatile: list[Facts] = []
    (count,) = nvml.numbers("nvmlDeviceGetCount_v2")
    for index in range(count):
        handle = ctypes.c_void_p()
        nvml.call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
        name = nvml.text("nvmlDeviceGetName", handle)
        kinds[name] += 1
        stable, now = _device(nvml, handle)
        # Devices of one model that are set up otherwise are told apart.
        while name in settings and settings[name] != stable:
            name += "+"
        settings[name] = stable
        volatile.append(now)
    facts |= {"count": dict(kinds), "devices": settings}
    return Findings(stable=facts, volatile={"devices": volatile} if volatile else {})


def _device(nvml: _Nvml, handle: Any) -> tuple[Facts, Facts]:
    memory = _Memory()
    nvml.call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
    stable: Facts = {"memory_MiB": memory.total // 2**20}
    wanted: dict[str, Callable[[], Any]] = {
        "compute_capability": lambda: ".".join(
            map(str, nvml.numbers("nvmlDeviceGetCudaComputeCapability", handle, count=2))
        ),
        "ecc": lambda: bool(nvml.numbers("nvmlDeviceGetEccMode", handle, count=2)[0]),
        "mig": lambda: bool(nvml.numbers("nvmlDeviceGetMigMode", handle, count=2)[0]),
        "compute_mode": lambda: _mode(*nvml.numbers("nvmlDeviceGetComputeMode", handle)),
        "power_limit_W": lambda: (
            nvml.numbers("nvmlDeviceGetPowerManagementLimit", handle)[0] / 1000
        ),
        "vbios": lambda: nvml.text("nvmlDeviceGetVbiosVersion", handle),
    }
    for fact, read in wanted.items():
        stable |= _known(fact, read)
    now: Facts = {"free_MiB": memory.free // 2**20}
    return stable, now | _known("uuid", lambda: nvml.text("nvmlDeviceGetUUID", handle))


def _known(name: str, read: Callable[[], Any]) -> Facts:
    """One fact, or none: not every model has each feature."""
    try:
        return {name: read()}
    except NvmlError:
        return {}


def _cuda(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _mode(number: int) -> str:
    return _COMPUTE_MODES[number] if number < len(_COMPUTE_MODES) else str(number)
