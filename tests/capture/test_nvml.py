"""NVIDIA's management library is loaded and asked: here, one that was compiled for the test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from simckpt.capture.hardware import read_nvml

# Two devices of a model, of which one has its ECC off; features that a model lacks answer 3.
SOURCE = r"""
#include <string.h>
typedef struct { unsigned long long total, free, used; } Memory;
static char devices[2];
static int ready = 0;
#ifndef STATUS
#define STATUS 0
#endif
static int put(char *to, unsigned n, const char *text) {
    if (!ready) return 1;
    strncpy(to, text, n);
    return 0;
}
int nvmlInit_v2(void) { ready = !STATUS; return STATUS; }
int nvmlShutdown(void) { ready = 0; return 0; }
const char *nvmlErrorString(int status) {
    return status == 9 ? "Driver Not Loaded" : status == 3 ? "Not Supported" : "Unknown Error";
}
int nvmlSystemGetDriverVersion(char *to, unsigned n) { return put(to, n, "550.54.15"); }
int nvmlSystemGetNVMLVersion(char *to, unsigned n) { return put(to, n, "12.550.54.15"); }
int nvmlSystemGetCudaDriverVersion_v2(int *v) { *v = 12040; return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return ready ? 0 : 1; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **h) { *h = &devices[i]; return 0; }
int nvmlDeviceGetName(void *h, char *to, unsigned n) { return put(to, n, "NVIDIA H100 80GB HBM3"); }
int nvmlDeviceGetUUID(void *h, char *to, unsigned n) {
    return put(to, n, h == &devices[0] ? "GPU-0000" : "GPU-1111");
}
int nvmlDeviceGetVbiosVersion(void *h, char *to, unsigned n) { return put(to, n, "96.00.74"); }
int nvmlDeviceGetMemoryInfo(void *h, Memory *m) {
    m->total = 81920ULL << 20; m->free = 80000ULL << 20; m->used = 1920ULL << 20;
    return 0;
}
int nvmlDeviceGetCudaComputeCapability(void *h, int *a, int *b) { *a = 9; *b = 0; return 0; }
int nvmlDeviceGetEccMode(void *h, int *a, int *b) { *a = *b = h == &devices[0]; return 0; }
int nvmlDeviceGetMigMode(void *h, int *a, int *b) { return 3; }
int nvmlDeviceGetComputeMode(void *h, int *a) { *a = 3; return 0; }
"""


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    return tmp_path


def compiled(folder: Path, *options: str) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = folder / "nvml.c", folder / "libnvidia-ml.so.1"
    source.write_text(SOURCE)
    subprocess.run(
        (compiler, "-shared", "-fPIC", "-o", str(library), str(source), *options), check=True
    )
    return str(library)


def test_devices_are_told_by_model_and_setting(driver: Path) -> None:
    found = read_nvml(compiled(driver), driver)
    assert found.unavailable == {}
    assert found.stable["driver"] == "550.54.15"
    assert found.stable["cuda"] == "12.4"
    assert found.stable["count"] == {"NVIDIA H100 80GB HBM3": 2}
    first = found.stable["devices"]["NVIDIA H100 80GB HBM3"]
    assert first == {
        "memory_MiB": 81920,
        "compute_capability": "9.0",
        "ecc": True,
        "compute_mode": "exclusive process",
        "vbios": "96.00.74",
    }
    assert found.stable["devices"]["NVIDIA H100 80GB HBM3+"] == first | {"ecc": False}


def test_serial_numbers_and_free_memory_are_volatile(driver: Path) -> None:
    found = read_nvml(compiled(driver), driver)
    assert [d["uuid"] for d in found.volatile["devices"]] == ["GPU-0000", "GPU-1111"]
    assert "GPU-0000" not in str(found.stable)
    assert "80000" not in str(found.stable)


def test_a_library_that_refuses_says_why(driver: Path) -> None:
    found = read_nvml(compiled(driver, "-DSTATUS=9"), driver)
    assert found.unavailable == {"nvml": "NvmlError: nvmlInit_v2: Driver Not Loaded"}
    assert not found.stable


def test_without_the_library_the_reason_is_recorded(driver: Path) -> None:
    found = read_nvml(str(driver / "libnvidia-ml.so.1"), driver)
    assert found.unavailable["nvml"].startswith("OSError")


def test_without_a_driver_the_library_is_not_even_loaded(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("no library")
    found = read_nvml(str(tmp_path / "libnvidia-ml.so.1"), tmp_path)
    assert found.unavailable == {"nvml": "no NVIDIA driver is loaded"}
