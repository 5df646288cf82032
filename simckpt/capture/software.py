"""Operating system, kernel and C library."""

from __future__ import annotations

import os
import platform
import re
import resource
import struct
import sys
import sysconfig
import uuid
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from ..model.record import Facts
from .artifacts import hash_file
from .hardware import read_line
from .packages import version_of
from .probes import Findings, reason_of
from .redaction import redact_text
from .values import clean_text


def read_operating_system(root: Path = Path("/")) -> Findings:
    """From uname, ``/etc/os-release`` and confstr; the host name is volatile."""
    name = os.uname()
    release = _os_release(root)
    stable = {
        "system": name.sysname,
        "kernel": name.release,
        "kernel_build": name.version,
        "machine": name.machine,
        "distribution": release.get("PRETTY_NAME") or release.get("NAME", ""),
        "version": release.get("VERSION_ID", ""),
        "libc": _libc(),
    }
    return Findings(
        stable={k: v for k, v in stable.items() if v},
        volatile={"host": name.nodename},
    )


def _os_release(root: Path) -> dict[str, str]:
    for place in ("etc/os-release", "usr/lib/os-release"):
        try:
            lines = (root / place).read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        pairs = (line.partition("=") for line in lines if "=" in line and line[:1] != "#")
        return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
    return {}


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""


# The Python interpreter and the environment it belongs to.


def read_interpreter() -> Findings:
    """Version and build of the interpreter; the paths are volatile."""
    stable: Facts = {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "build": " ".join(platform.python_build()),
        "compiler": platform.python_compiler(),
        "abi": sysconfig.get_config_var("SOABI") or "",
        "optimize": sys.flags.optimize,
        "hash_randomization": bool(sys.flags.hash_randomization),
    }
    enabled = getattr(sys, "_is_gil_enabled", None)
    if enabled is not None:
        stable["gil"] = bool(enabled())
    volatile: Facts = {
        "executable": clean_text(sys.executable or ""),
        "prefix": clean_text(sys.prefix),
        "base_prefix": clean_text(sys.base_prefix),
    }
    return Findings(stable=stable, volatile=volatile)


def read_virtual_environment(prefix: Path | None = None) -> Findings:
    """Whether the interpreter is in a conda environment or a virtual one, and which."""
    prefix = Path(sys.prefix) if prefix is None else prefix
    if (prefix / "conda-meta").is_dir():
        stable: Facts = {"kind": "conda"}
        name = os.environ.get("CONDA_DEFAULT_ENV", "")
        # A path in place of a name is an environment made with --prefix.
        if name and os.sep not in name and os.environ.get("CONDA_PREFIX") == str(prefix):
            stable["name"] = clean_text(name)
        return Findings(stable=stable)
    try:
        lines = (prefix / "pyvenv.cfg").read_text("utf-8", "replace").splitlines()
    except OSError:
        return Findings(stable={"kind": "system"})
    pairs = (line.partition("=") for line in lines)
    settings = {name.strip(): value.strip() for name, _, value in pairs}
    system = settings.get("include-system-site-packages", "").lower() == "true"
    return Findings(stable={"kind": "venv", "system_packages": system})


# Just-in-time compilers: versions, and what they compile for.


def read_compilers() -> Findings:
    """Numba's and LLVM's versions without importing them; LLVM's target once it is loaded."""
    stable: Facts = {
        name: version
        for name in ("numba", "llvmlite", "jax", "jaxlib", "torch", "cupy")
        if (version := version_of(name))
    }
    return Findings(stable=stable, volatile=_llvm())


def _llvm() -> Facts:
    # What is known only once Numba is loaded cannot be stable: a resumed run may load it later.
    binding: Any = sys.modules.get("llvmlite.binding")
    if binding is None or not hasattr(binding, "llvm_version_info"):
        return {}
    return {
        "llvm": ".".join(map(str, binding.llvm_version_info)),
        "target": binding.get_process_triple(),
        "cpu": binding.get_host_cpu_name(),
    }


# Thread pools of the linear algebra and OpenMP libraries that are loaded.


def read_thread_pools() -> Findings:
    """Vendor, version, kernel and threads of each pool, by threadpoolctl."""
    from threadpoolctl import threadpool_info

    stable: Facts = {}
    volatile: Facts = {}
    for pool in sorted(threadpool_info(), key=_order):
        library = PurePath(pool.get("filepath", "")).name
        name = pool.get("internal_api") or library
        while name in stable:
            name += "+"
        facts = {
            "library": library,
            "version": pool.get("version"),
            "threads": pool.get("num_threads"),
            "threading_layer": pool.get("threading_layer"),
            "kernel": pool.get("architecture"),
        }
        stable[name] = {k: v for k, v in facts.items() if v is not None}
        volatile[name] = {"path": pool.get("filepath", "")}
    return Findings(stable=stable, volatile=volatile)


def _order(pool: Facts) -> tuple[str, str]:
    return str(pool.get("internal_api")), PurePath(str(pool.get("filepath"))).name


# The build id of an ELF file: a hash of its contents that the linker wrote into it.


_NOTE_SEGMENT = 4
_BUILD_ID = 3
_MOST_SEGMENTS = 256
_LONGEST_NOTE = 65_536


def build_id(path: Path) -> str:
    """The GNU build id as hexadecimal digits; "" if the file has none or is no ELF file.

    From the notes in the program headers (System V ABI, "Note Section"): name size,
    description size, type, then name and description, each padded to four bytes.
    """
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2):
            return ""
        wide = head[4] == 2
        order = ">" if head[5] == 2 else "<"
        for offset, size in _notes(file, head, wide=wide, order=order):
            file.seek(offset)
            match = _find(file.read(min(size, _LONGEST_NOTE)), order)
            if match:
                return match
    return ""


def _notes(file: BinaryIO, head: bytes, *, wide: bool, order: str) -> list[tuple[int, int]]:
    """Offset and size of each note segment."""
    if wide:
        (start,) = struct.unpack_from(order + "Q", head, 32)
        size, count = struct.unpack_from(order + "HH", head, 54)
    else:
        (start,) = struct.unpack_from(order + "I", head, 28)
        size, count = struct.unpack_from(order + "HH", head, 42)
    if size < (56 if wide else 32) or count > _MOST_SEGMENTS:
        return []
    file.seek(start)
    table = file.read(size * count)
    notes = []
    for i in range(len(table) // size):
        (kind,) = struct.unpack_from(order + "I", table, i * size)
        if kind == _NOTE_SEGMENT:
            if wide:
                offset, length = (
                    struct.unpack_from(order + "Q", table, i * size + at)[0] for at in (8, 32)
                )
            else:
                offset, length = (
                    struct.unpack_from(order + "I", table, i * size + at)[0] for at in (4, 16)
                )
            notes.append((offset, length))
    return notes


def _find(notes: bytes, order: str) -> str:
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from(order + "III", notes, at)
        name_at = at + 12
        at = name_at + (name_size + 3) // 4 * 4
        if kind == _BUILD_ID and notes[name_at : name_at + name_size] == b"GNU\0":
            return notes[at : at + size].hex()
        at += (size + 3) // 4 * 4
    return ""


# The shared libraries that are mapped into this process, by build id.


_SHARED = re.compile(r"\.so(?:\.[0-9.]+)?\Z")
_EXTENSION = re.compile(r"\.(?:cpython-[^/]*|abi3|pypy[^/]*)\.so\Z")
_NAMED_BY_HASH = re.compile(r"-[0-9a-f]{8}(?=[-.])")
_LARGEST_HASHED = 64 * 2**20

COMMON = re.compile(
    r"(?:libc|libm|ld-linux[^.]*|ld64|libmpi\w*|libmpich\w*|libpmix?\w*|libfabric"
    r"|libuc[pst]|libpsm\w*|libibverbs|libcuda|libmkl_\w+|libblis\w*|libatlas\w*"
    r"|lib\w*openblas\w*)(?:[-._].*)?\Z"
)
"""Libraries that every rank of a program maps and that bear on its results; others, such as
the HDF5 that only the writing rank loads, differ between ranks of one sound run."""

INCIDENTAL = re.compile(
    # What Python's own modules, HDF5, netCDF and LLVM bring along: it comes and goes with the
    # order of imports and with whether a run is resumed, and the packages' versions tell it.
    r"(?:libffi|libuuid|libbz2|liblzma|libz|libzstd|libssl|libcrypto|libsqlite3|libreadline"
    r"|libncurses\w*|libtinfo\w*|libexpat|libcrypt|libnss_\w+|libresolv|libnsl|libdl|librt"
    r"|libutil|libpthread|libdb|libgdbm\w*|libanl|libcurl|libnghttp2|libssh2?|libkrb5\w*"
    r"|libgssapi_krb5|libk5crypto|libcom_err|libkeyutils|libldap\w*|liblber|libsasl2|libxml2"
    r"|libidn2?|libunistring|libpsl|librtmp|libbrotli\w*|libhdf5\w*|libnetcdf\w*|libsz|libaec"
    r"|libblosc\w*|liblz4|libsnappy|libzip|libjpeg\w*|libtiff|libmfhdf\w*|libdf\w*|libllvmlite"
    r"|libLLVM\w*)(?:[-._].*)?\Z"
)


def read_libraries(maps: Path = Path("/proc/self/maps"), *, common: bool = False) -> Findings:
    """Name and build id of each mapped library; the paths are volatile.

    Python's extension modules are left out, since they belong to installed packages or to
    the user's own code, which are recorded by version and by hash. Libraries that come and
    go with unrelated imports are volatile, build id and all. A library without build id is
    told by the BLAKE3 of the file, or by the hash that its name has from a wheel.
    """
    stable: Facts = {}
    volatile: Facts = {}
    unavailable: dict[str, str] = {}
    for path in _mapped(maps):
        name = PurePath(path).name
        if common and not COMMON.match(name):
            continue
        try:
            identity = build_id(Path(path)) or _content(Path(path))
        except OSError as error:
            unavailable[clean_text(name)] = reason_of(error)
            continue
        name = clean_text(name)
        while name in stable and stable[name] != identity:
            name += "+"
        if INCIDENTAL.match(name):
            volatile[name] = {"path": clean_text(path), "id": identity}
        else:
            stable[name] = identity
            volatile[name] = {"path": clean_text(path)}
    return Findings(stable=stable, volatile=volatile, unavailable=unavailable)


def _mapped(maps: Path) -> list[str]:
    """Paths of the mapped libraries, sorted by name so that the order of loading is no fact."""
    paths = set()
    for line in maps.read_bytes().splitlines():
        # address, permissions, offset, device, inode, path
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[5].startswith(b"/"):
            path = fields[5].decode("utf-8", "surrogateescape")
            if _SHARED.search(path) and not _EXTENSION.search(path):
                paths.add(path)
    return sorted(paths, key=lambda p: (PurePath(p).name, p))


def _content(path: Path) -> str:
    # auditwheel puts the first digits of the file's hash into its name.
    if _NAMED_BY_HASH.search(path.name):
        return f"{path.stat().st_size} bytes, hash in its name"
    if path.stat().st_size > _LARGEST_HASHED:
        return f"{path.stat().st_size} bytes"
    return f"blake3:{hash_file(path).hash}"


# Environment modules (Lmod, Tcl): what was loaded when the run began.


def read_software_modules(variables: Mapping[str, str] = os.environ) -> Findings:
    """``LOADEDMODULES`` as name to version, and the module files of ``_LMFILES_``.

    The order of loading is kept because it decides which library is found first.
    """
    loaded = [m for m in redact_text(variables.get("LOADEDMODULES", "")).split(":") if m]
    if not loaded:
        return Findings()
    versions: dict[str, str] = {}
    for module in loaded:
        name, slash, version = module.rpartition("/")
        versions[name if slash else module] = version if slash else ""
    files = [f for f in redact_text(variables.get("_LMFILES_", "")).split(":") if f]
    stable = {"loaded": versions, "order": " ".join(versions)}
    return Findings(stable=stable | ({"files": files} if files else {}))


# The container a run is in, and the image it was made from.


_CONTAINER_ID = re.compile(r"\b[0-9a-f]{64}\b")
_SIF_HEADER = slice(0, 64)


def read_container(root: Path = Path("/"), variables: Mapping[str, str] = os.environ) -> Findings:
    """Runtime and image, from the files and variables that each runtime leaves.

    The id of an Apptainer image is the UUID in its header; Podman tells the image's digest;
    Docker tells nothing of the image, only of this instance, which is volatile.
    """
    for stable, volatile in (
        _apptainer(root, variables),
        _podman(root),
        _other_runtimes(root, variables),
    ):
        if stable:
            return Findings(stable=stable, volatile=volatile)
    if (root / ".dockerenv").exists():
        return Findings(stable={"runtime": "docker"}, volatile=_instance(root))
    return Findings()


def _apptainer(root: Path, variables: Mapping[str, str]) -> tuple[Facts, Facts]:
    image = variables.get("APPTAINER_CONTAINER") or variables.get("SINGULARITY_CONTAINER")
    if not image:
        return {}, {}
    facts: Facts = {"runtime": "apptainer", "image": redact_text(Path(image).name)}
    identity = _sif_identity(root / image.lstrip("/"))
    if identity:
        facts["image_id"] = identity
    return facts, {"image_path": redact_text(image)}


def _sif_identity(image: Path) -> str:
    """The UUID in the header of a SIF file: 32 bytes launcher, 10 magic, 3 version, 3 machine."""
    try:
        with image.open("rb") as file:
            header = file.read(_SIF_HEADER.stop)
    except OSError:
        return ""
    if len(header) < _SIF_HEADER.stop or header[32:41] != b"SIF_MAGIC":
        return ""
    return str(uuid.UUID(bytes=header[48:64]))


def _podman(root: Path) -> tuple[Facts, Facts]:
    place = root / "run/.containerenv"
    if not place.exists():
        return {}, {}
    lines = (line.partition("=") for line in read_line(place).splitlines())
    pairs = {name.strip(): value.strip().strip('"') for name, _, value in lines}
    facts: Facts = {"runtime": "podman"}
    if pairs.get("image"):
        facts["image"] = redact_text(pairs["image"])
    if pairs.get("imageid"):
        facts["image_id"] = pairs["imageid"]
    return facts, ({"id": pairs["id"]} if pairs.get("id") else {})


def _other_runtimes(root: Path, variables: Mapping[str, str]) -> tuple[Facts, Facts]:
    for runtime, name in (
        ("shifter", "SHIFTER_IMAGEREQUEST"),
        ("charliecloud", "CH_RUNNING"),
        ("pyxis", "SLURM_CONTAINER"),
    ):
        if variables.get(name):
            return {"runtime": runtime, "image": redact_text(variables[name])}, {}
    if variables.get("KUBERNETES_SERVICE_HOST"):
        return {"runtime": "kubernetes"}, _instance(root)
    return {}, {}


def _instance(root: Path) -> Facts:
    for place in ("proc/self/cgroup", "proc/self/mountinfo"):
        try:
            match = _CONTAINER_ID.search((root / place).read_text("utf-8", "replace"))
        except OSError:
            continue
        if match:
            return {"id": match.group()}
    return {}


# The environment variables that are recorded: these names, exactly, and no other.


_LONGEST = 2_000

_STABLE_NAMES = """
OMP_NUM_THREADS OMP_SCHEDULE OMP_PROC_BIND OMP_PLACES OMP_DYNAMIC OMP_NESTED OMP_STACKSIZE
OMP_MAX_ACTIVE_LEVELS OMP_WAIT_POLICY OMP_THREAD_LIMIT OMP_TARGET_OFFLOAD OMP_CANCELLATION
KMP_AFFINITY KMP_BLOCKTIME KMP_DETERMINISTIC_REDUCTION KMP_HW_SUBSET GOMP_CPU_AFFINITY
OPENBLAS_NUM_THREADS OPENBLAS_CORETYPE OPENBLAS_MAIN_FREE OPENBLAS_THREAD_TIMEOUT
GOTO_NUM_THREADS BLIS_NUM_THREADS BLIS_ARCH_TYPE VECLIB_MAXIMUM_THREADS MKL_NUM_THREADS
MKL_DOMAIN_NUM_THREADS MKL_DYNAMIC MKL_CBWR MKL_ENABLE_INSTRUCTIONS MKL_THREADING_LAYER
MKL_INTERFACE_LAYER MKL_DEBUG_CPU_TYPE MKL_VML_MODE NUMEXPR_NUM_THREADS NUMEXPR_MAX_THREADS
NPY_DISABLE_CPU_FEATURES NPY_ENABLE_CPU_FEATURES NPY_PROMOTION_STATE NUMBA_NUM_THREADS
NUMBA_THREADING_LAYER NUMBA_THREADING_LAYER_PRIORITY NUMBA_CPU_NAME NUMBA_CPU_FEATURES
NUMBA_DISABLE_JIT NUMBA_ENABLE_AVX NUMBA_OPT NUMBA_LOOP_VECTORIZE NUMBA_SLP_VECTORIZE
NUMBA_DISABLE_INTEL_SVML NUMBA_BOUNDSCHECK NUMBA_DEBUG NUMBA_CUDA_DRIVER
NUMBA_ENABLE_CUDASIM NUMBA_DISABLE_CUDA XLA_FLAGS JAX_ENABLE_X64 JAX_PLATFORMS JAX_PLATFORM_NAME
JAX_DEFAULT_MATMUL_PRECISION JAX_DISABLE_JIT JAX_DEFAULT_PRNG_IMPL JAX_THREEFRY_PARTITIONABLE
NVIDIA_TF32_OVERRIDE CUBLAS_WORKSPACE_CONFIG CUDA_LAUNCH_BLOCKING CUDA_DEVICE_ORDER
CUDA_DEVICE_MAX_CONNECTIONS NCCL_ALGO NCCL_PROTO TF_DETERMINISTIC_OPS GLIBC_TUNABLES
MALLOC_ARENA_MAX LD_BIND_NOW MPICH_ALLREDUCE_NO_SMP MPICH_REDUCE_NO_SMP MPICH_COLL_OPT_OFF
MPICH_COLL_SYNC MPICH_OFI_NIC_POLICY MPICH_RANK_REORDER_METHOD MPICH_ASYNC_PROGRESS
MPICH_MAX_THREAD_SAFETY MPICH_GPU_SUPPORT_ENABLED MPICH_VERSION_DISPLAY
MPICH_SHARED_MEM_COLL_OPT MPIR_CVAR_ALLREDUCE_INTRA_ALGORITHM MPIR_CVAR_REDUCE_INTRA_ALGORITHM
MPIR_CVAR_ENABLE_GPU MPIR_CVAR_DEVICE_COLLECTIVES MPIR_CVAR_COLLECTIVE_FALLBACK
MPIR_CVAR_ASYNC_PROGRESS MPIR_CVAR_CH4_NUM_VCIS MPIR_CVAR_CH4_OFI_ENABLE_TAGGED OMPI_MCA_btl
OMPI_MCA_pml OMPI_MCA_mtl OMPI_MCA_coll OMPI_MCA_io OMPI_MCA_osc
OMPI_MCA_coll_tuned_use_dynamic_rules OMPI_MCA_coll_tuned_allreduce_algorithm
OMPI_MCA_coll_tuned_reduce_algorithm OMPI_MCA_coll_hcoll_enable OMPI_MCA_mpi_yield_when_idle
OMPI_MCA_rmaps_base_mapping_policy OMPI_MCA_hwloc_base_binding_policy
PRTE_MCA_rmaps_default_mapping_policy PRTE_MCA_hwloc_default_binding_policy I_MPI_CBWR
I_MPI_FABRICS I_MPI_ADJUST_ALLREDUCE I_MPI_ADJUST_REDUCE I_MPI_PIN_DOMAIN I_MPI_PMI_LIBRARY_NAME
MV2_ENABLE_AFFINITY MV2_CPU_MAPPING MV2_USE_CUDA UCX_TLS UCX_NET_DEVICES UCX_RNDV_SCHEME
FI_PROVIDER FI_CXI_RX_MATCH_MODE PSM2_DEVICES HDF5_USE_FILE_LOCKING HDF5_PLUGIN_PRELOAD
PYTHONHASHSEED PYTHONOPTIMIZE PYTHONMALLOC LANG LC_ALL LC_NUMERIC TZ GFORTRAN_CONVERT_UNIT
F_UFMTENDIAN FOR_COARRAY_NUM_IMAGES
"""
STABLE = frozenset(_STABLE_NAMES.split())
"""Settings that bear on results or speed and do not change from job to job."""

_VOLATILE_NAMES = """
CUDA_VISIBLE_DEVICES ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES GPU_DEVICE_ORDINAL
ZE_AFFINITY_MASK NUMBA_CACHE_DIR SIMCKPT_CACHE_DIR SIMCKPT_WHY SIMCKPT_UPSTREAM LD_LIBRARY_PATH
LD_PRELOAD PYTHONPATH OMPI_COMM_WORLD_SIZE OMPI_COMM_WORLD_LOCAL_SIZE PMI_SIZE MPI_LOCALNRANKS
"""
VOLATILE = frozenset(_VOLATILE_NAMES.split())
"""Settings that name folders, or what this job was given."""


def read_variables(variables: Mapping[str, str] = os.environ) -> Findings:
    """The allow-listed variables that are set; a secret inside a value is taken out."""
    return Findings(
        stable=_set_variables(STABLE, variables), volatile=_set_variables(VOLATILE, variables)
    )


def _set_variables(names: frozenset[str], variables: Mapping[str, str]) -> dict[str, str]:
    return {
        name: redact_text(clean_text(variables[name]))[:_LONGEST]
        for name in sorted(names)
        if name in variables
    }


# The floating-point mode of this thread, found out by arithmetic.


def read_floating_point() -> Findings:
    """Rounding direction, and whether subnormal numbers are flushed to zero.

    Has to run in the thread that computes: the mode belongs to a thread. Some libraries
    built with ``-ffast-math`` set flush-to-zero for the whole process when they are loaded.
    """
    smallest = sys.float_info.min
    return Findings(
        stable={
            "rounding": rounding(),
            "flush_to_zero": _bits(_scaled(smallest, 0.5)) == 0,
            "denormals_are_zero": _subnormal_reads_as_zero(),
            "radix": sys.float_info.radix,
            "digits": sys.float_info.mant_dig,
        }
    )


def rounding() -> str:
    """``nearest``, ``up``, ``down`` or ``to zero``: what adding less than half an ULP does."""
    quarter = sys.float_info.epsilon / 4
    above = _sum(1.0, quarter) > 1.0
    below = _sum(-1.0, -quarter) < -1.0
    if above and below:
        return "away from zero"
    if above:
        return "up"
    if below:
        return "down"
    return "nearest" if _sum(1.0, 3 * quarter) > 1.0 else "to zero"


def _subnormal_reads_as_zero() -> bool:
    # Made from bits, since arithmetic that flushes results cannot make a subnormal number.
    (subnormal,) = struct.unpack("<d", struct.pack("<Q", 1 << 42))
    return _bits(_scaled(subnormal, 2.0**60)) == 0


def _bits(x: float) -> int:
    # A comparison with zero would read a subnormal number as zero itself.
    (bits,) = struct.unpack("<Q", struct.pack("<d", x))
    return int(bits)


# Functions, so that the compiler cannot work the results out beforehand.
def _scaled(x: float, factor: float) -> float:
    return x * factor


def _sum(x: float, y: float) -> float:
    return x + y


# This process: volatile facts only.


_LIMITS = {
    "stack": resource.RLIMIT_STACK,
    "address_space": resource.RLIMIT_AS,
    "core": resource.RLIMIT_CORE,
    "open_files": resource.RLIMIT_NOFILE,
    "locked_memory": resource.RLIMIT_MEMLOCK,
    "processor_seconds": resource.RLIMIT_CPU,
}


def read_process() -> Findings:
    """Process id, resource limits (None for no limit) and the load of the node."""
    limits = {name: resource.getrlimit(which)[0] for name, which in _LIMITS.items()}
    return Findings(
        volatile={
            "pid": os.getpid(),
            "limits": {k: None if v == resource.RLIM_INFINITY else v for k, v in limits.items()},
            "load": [round(x, 2) for x in os.getloadavg()],
        }
    )


# The node and this process: hardware, system, libraries, interpreter.
