"""NVIDIA's management library is loaded and asked: here, one that was compiled for the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
int nvmlInitWithFlags(unsigned flags) { ready = !STATUS; return STATUS; }
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


READ = """
import json, sys
from pathlib import Path
from simckpt.capture.hardware import read_nvml
found = read_nvml(Path(sys.argv[1]))
print(json.dumps([found.stable, found.volatile, found.unavailable]))
"""


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    pytest.importorskip("pynvml")
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    return tmp_path


def compile_library(folder: Path, *options: str) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = folder / "nvml.c", folder / "libnvidia-ml.so.1"
    source.write_text(SOURCE)
    subprocess.run(
        (compiler, "-shared", "-fPIC", "-o", str(library), str(source), *options), check=True
    )


def read(folder: Path) -> list[dict]:
    """Stable and volatile facts and what is unavailable, with the library in `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder)],
        env=os.environ | {"LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_devices_are_recorded_by_model_and_setting(driver: Path) -> None:
    compile_library(driver)
    stable, volatile, unavailable = read(driver)
    assert unavailable == {}
    assert stable["driver"] == "550.54.15"
    assert stable["cuda"] == "12.4"
    assert stable["count"] == {"NVIDIA H100 80GB HBM3": 2}
    first = stable["devices"]["NVIDIA H100 80GB HBM3"]
    assert first == {
        "memory_MiB": 81920,
        "compute_capability": "9.0",
        "ecc": True,
        "compute_mode": "exclusive process",
        "vbios": "96.00.74",
    }
    assert stable["devices"]["NVIDIA H100 80GB HBM3+"] == first | {"ecc": False}
    # Serial numbers and free memory are volatile.
    assert [d["uuid"] for d in volatile["devices"]] == ["GPU-0000", "GPU-1111"]
    assert "GPU-0000" not in str(stable)
    assert "80000" not in str(stable)


def test_a_library_that_refuses_says_why(driver: Path) -> None:
    compile_library(driver, "-DSTATUS=9")
    stable, _, unavailable = read(driver)
    assert "Driver Not Loaded" in unavailable["nvml"]
    assert not stable


def test_without_the_library_the_reason_is_recorded(driver: Path) -> None:
    _, _, unavailable = read(driver)
    assert "NVML" in unavailable["nvml"]


def test_without_a_driver_the_library_is_not_even_loaded(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("no library")
    _, _, unavailable = read(tmp_path)
    assert unavailable == {"nvml": "no NVIDIA driver is loaded"}
