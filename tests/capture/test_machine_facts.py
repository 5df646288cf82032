"""Facts of machines that are not this one, from made-up /proc and /sys trees."""

from __future__ import annotations

import ctypes
import platform
import struct
import uuid

import pytest

from simckpt.capture.hardware import count_list, read_accelerators, read_memory, read_processor
from simckpt.capture.software import (
    STABLE,
    VOLATILE,
    build_id,
    read_container,
    read_floating_point,
    read_libraries,
    read_operating_system,
    read_software_modules,
    read_variables,
)


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_an_x86_node_with_two_sockets(tmp_path):
    files = {
        "proc/cpuinfo": "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: EPYC\n"
        "microcode\t: 0xa0\nflags\t\t: sse2 avx2 fma\n\nprocessor\t: 1\nmodel name\t: other\n",
        "sys/devices/system/cpu/online": "0-3\n",
        "sys/devices/system/node/node0/cpulist": "0-1\n",
        "sys/devices/system/node/node1/cpulist": "2-3\n",
    }
    for cpu in range(4):
        top = f"sys/devices/system/cpu/cpu{cpu}/topology"
        files[f"{top}/physical_package_id"] = str(cpu // 2)
        files[f"{top}/thread_siblings_list"] = "0-1" if cpu < 2 else "2-3"
    facts = read_processor(write(tmp_path, files)).stable
    assert (facts["model"], facts["vendor"], facts["microcode"]) == ("EPYC", "AuthenticAMD", "0xa0")
    assert (facts["logical"], facts["cores"], facts["sockets"]) == (4, 2, 2)
    assert list(facts["flags"]) == ["avx2", "fma", "sse2"]
    assert facts["numa"] == {"node0": "0-1", "node1": "2-3"}


def test_an_arm_node(tmp_path):
    text = "processor\t: 0\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"
    facts = read_processor(write(tmp_path, {"proc/cpuinfo": text})).stable
    assert (facts["implementer"], facts["part"]) == ("0x41", "0xd40")
    assert "sve" in facts["flags"]


def test_equal_nodes_have_equal_memory_although_some_mebibytes_differ(tmp_path):
    one = write(tmp_path / "a", {"proc/meminfo": "MemTotal:  527955544 kB\nMemAvailable: 5 kB\n"})
    two = write(tmp_path / "b", {"proc/meminfo": "MemTotal:  527951300 kB\nMemAvailable: 7 kB\n"})
    assert read_memory(one).stable == read_memory(two).stable == {"total_GiB": 503}
    assert read_memory(one).volatile["available_KiB"] == 5


def test_the_memory_limit_of_a_job_is_the_lowest_of_its_control_groups(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/meminfo": "MemTotal: 1000 kB\n",
            "proc/self/cgroup": "0::/slurm/job_7/step_0\n",
            "sys/fs/cgroup/slurm/memory.max": "max\n",
            "sys/fs/cgroup/slurm/job_7/memory.max": "8388608\n",
            "sys/fs/cgroup/slurm/job_7/step_0/memory.max": "16777216\n",
        },
    )
    assert read_memory(root).volatile["job_limit_KiB"] == 8192


def test_accelerators_are_counted_by_model_and_their_serials_are_volatile(tmp_path):
    info = "Model: \t\t NVIDIA A100\nVideo BIOS: \t 92.00\nGPU UUID: \t GPU-{}\n"
    root = write(
        tmp_path,
        {
            "proc/driver/nvidia/gpus/0000:01:00.0/information": info.format("a"),
            "proc/driver/nvidia/gpus/0000:02:00.0/information": info.format("b"),
            "sys/module/nvidia/version": "550.1\n",
            "sys/class/kfd/kfd/topology/nodes/0/properties": "simd_count 0\n",
            "sys/class/kfd/kfd/topology/nodes/1/properties": "simd_count 4\nunique_id 99\n",
            "sys/class/kfd/kfd/topology/nodes/1/name": "gfx90a\n",
            "sys/bus/pci/devices/0000:05:00.0/class": "0x120000\n",
            "sys/bus/pci/devices/0000:05:00.0/vendor": "0x1002\n",
            "sys/bus/pci/devices/0000:05:00.0/device": "0x740f\n",
        },
    )
    found = read_accelerators(root)
    assert found.stable["nvidia"] == {"NVIDIA A100": 2}
    assert found.stable["nvidia_driver"] == "550.1"
    assert found.stable["amd"] == {"gfx90a": 1}
    assert found.stable["pci"] == {"processing accelerator 0x1002:0x740f": 1}
    assert found.volatile == {"nvidia_uuids": ["GPU-a", "GPU-b"], "amd_ids": ["99"]}
    assert read_accelerators(tmp_path / "none").stable == {}


def test_the_image_of_an_apptainer_container_is_known_by_its_header(tmp_path):
    identity = uuid.UUID(int=0x1234)
    header = (
        b"#!/usr/bin/env run-singularity\n".ljust(32, b"\0") + b"SIF_MAGIC\0" + b"01\0" + b"02\0"
    )
    (tmp_path / "sim.sif").write_bytes(header + identity.bytes + bytes(100))
    found = read_container(tmp_path, {"APPTAINER_CONTAINER": "/sim.sif"})
    assert found.stable == {"runtime": "apptainer", "image": "sim.sif", "image_id": str(identity)}
    (tmp_path / "sim.sif").write_bytes(b"#!/bin/sh")
    assert "image_id" not in read_container(tmp_path, {"APPTAINER_CONTAINER": "/sim.sif"}).stable


def test_podman_tells_its_image_and_docker_only_this_instance(tmp_path):
    text = 'engine="podman"\nimage="reg/sim:1"\nimageid="abc"\nid="123"\n'
    podman = read_container(write(tmp_path / "p", {"run/.containerenv": text}), {})
    assert podman.stable == {"runtime": "podman", "image": "reg/sim:1", "image_id": "abc"}
    assert podman.volatile == {"id": "123"}
    instance = "ab" * 32
    files = {".dockerenv": "", "proc/self/mountinfo": f"1 2 /var/lib/docker/{instance}/hosts"}
    docker = read_container(write(tmp_path / "d", files), {})
    assert docker.stable == {"runtime": "docker"}
    assert docker.volatile == {"id": instance}
    assert read_container(tmp_path / "none", {}).stable == {}


def test_loaded_modules_by_name_and_version():
    found = read_software_modules(
        {"LOADEDMODULES": "gcc/12.2:lib/fftw/3.3:plain", "_LMFILES_": "/m/gcc/12.2.lua:/m/f"}
    ).stable
    assert found["loaded"] == {"gcc": "12.2", "lib/fftw": "3.3", "plain": ""}
    assert found["order"] == "gcc lib/fftw plain"
    assert read_software_modules({}).stable == {}


def test_only_allow_listed_variables_are_read():
    found = read_variables(
        {"OMP_NUM_THREADS": "4", "omp_num_threads": "5", "MY_VARIABLE": "1", "LD_PRELOAD": "/x.so"}
    )
    assert found.stable == {"OMP_NUM_THREADS": "4"}
    assert found.volatile == {"LD_PRELOAD": "/x.so"}
    assert not STABLE & VOLATILE


def test_the_distribution_is_read_from_os_release(tmp_path):
    text = '# comment\nPRETTY_NAME="Rocky Linux 9.3"\nVERSION_ID="9.3"\n'
    facts = read_operating_system(write(tmp_path, {"etc/os-release": text})).stable
    assert (facts["distribution"], facts["version"]) == ("Rocky Linux 9.3", "9.3")


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_build_id_is_read_from_any_elf_file(tmp_path, wide, order):
    identity = bytes(range(20))
    other = struct.pack(order + "III", 4, 4, 1) + b"GNU\0" + b"\1\2\3\4"
    note = other + struct.pack(order + "III", 4, 20, 3) + b"GNU\0" + identity
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    if wide:
        rest = struct.pack(order + "HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        load = struct.pack(order + "IIQQQQQQ", 1, 5, 0, 0, 0, 0, 0, 0)
        segment = struct.pack(order + "IIQQQQQQ", 4, 4, 64 + 112, 0, 0, len(note), len(note), 4)
    else:
        rest = struct.pack(order + "HHIIIIIHHHHHH", 3, 3, 1, 0, 52, 0, 0, 52, 32, 2, 0, 0, 0)
        load = struct.pack(order + "IIIIIIII", 1, 0, 0, 0, 0, 0, 5, 0)
        segment = struct.pack(order + "IIIIIIII", 4, 52 + 64, 0, 0, len(note), len(note), 4, 4)
    path = tmp_path / "lib.so"
    path.write_bytes(ident + rest + load + segment + note)
    assert build_id(path) == identity.hex()
    path.write_bytes((ident + rest + load + segment + note)[:-30])
    assert build_id(path) != identity.hex()
    path.write_bytes(b"no library")
    assert build_id(path) == ""


def test_mapped_libraries_are_told_once_by_name_without_extension_modules(tmp_path):
    for name in ("libfoo.so.1", "mod.cpython-311-x86_64-linux-gnu.so", "libz.so.1", "my lib.so"):
        (tmp_path / name).write_bytes(name.encode())
    lines = [
        f"7f00-7f01 r--p 00000000 fe:00 1 {tmp_path}/{name}"
        for name in ("libfoo.so.1", "libfoo.so.1", "mod.cpython-311-x86_64-linux-gnu.so")
    ]
    lines += [
        f"7f00-7f01 r-xp 0 fe:00 1 {tmp_path}/{n}" for n in ("libz.so.1", "my lib.so", "no.so")
    ]
    lines += ["7f00-7f01 rw-p 00000000 00:00 0 [heap]", "7f00-7f01 rw-p 0 00:00 0"]
    maps = tmp_path / "maps"
    maps.write_text("\n".join(lines))
    found = read_libraries(maps)
    assert set(found.stable) == {"libfoo.so.1", "my lib.so"}
    assert all(v.startswith("blake3:") for v in found.stable.values())
    assert found.volatile["libz.so.1"]["id"].startswith("blake3:")
    assert list(found.unavailable) == ["no.so"]


@pytest.fixture
def libm():
    """The C library's mathematics, with the floating-point mode put back afterwards."""
    if platform.machine() != "x86_64":
        pytest.skip("the numbers of the modes are those of x86-64")
    library = ctypes.CDLL("libm.so.6")
    before = ctypes.create_string_buffer(32)
    library.fegetenv(before)
    yield library
    library.fesetenv(before)


@pytest.mark.parametrize(("mode", "name"), [(0x400, "down"), (0x800, "up"), (0xC00, "to zero")])
def test_the_rounding_direction_of_this_thread_is_seen(libm, mode, name):
    assert read_floating_point().stable["rounding"] == "nearest"
    libm.fesetround(mode)
    seen = read_floating_point().stable["rounding"]
    libm.fesetround(0)
    assert seen == name


@pytest.mark.parametrize(("bit", "flushed", "read"), [(0x8000, True, False), (0x40, False, True)])
def test_flushing_of_subnormal_numbers_is_seen(libm, bit, flushed, read):
    before = read_floating_point().stable
    assert (before["flush_to_zero"], before["denormals_are_zero"]) == (False, False)
    environment = ctypes.create_string_buffer(32)
    libm.fegetenv(environment)
    # The control word of SSE is the last one of glibc's fenv_t.
    (control,) = struct.unpack_from("<I", environment, 28)
    struct.pack_into("<I", environment, 28, control | bit)
    libm.fesetenv(environment)
    seen = read_floating_point().stable
    assert (seen["flush_to_zero"], seen["denormals_are_zero"]) == (flushed, read)


def test_kernel_lists_are_counted():
    assert count_list("0-3,8-11") == 8
    assert count_list("0") == 1
    assert count_list("") == 0
