"""The shared libraries that are mapped into this process, by build id."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from ...model.record import Facts
from ..files.hashing import hash_file
from ..probes import Findings, reason_of
from ..values import clean_text
from .elf import build_id

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
