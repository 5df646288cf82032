"""Where compiled kernels are kept: a folder for each version of their source.

Numba looks at the age of a function's own file only. A kernel whose callee has changed in another
file, or a package that was installed over an older one, would be answered with stale code; so the
folder's name holds a hash of all kernel sources.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

KERNELS = Path(__file__).parent / "kernels"


@cache
def source_hash() -> str:
    """16 hexadecimal digits that change with any kernel's source."""
    whole = hashlib.blake2b(digest_size=8)
    for path in sorted(KERNELS.glob("*.py")):
        whole.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()


def cache_folder() -> Path:
    """The folder of this version's kernels.

    It lies in SIMCKPT_CACHE_DIR, else in NUMBA_CACHE_DIR, else in the user's cache folder.
    """
    base = os.environ.get("SIMCKPT_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    if not base:
        users = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - does not raise without a home
        base = str(Path(users) / "simckpt")
    return Path(base) / f"kernels-{source_hash()}"
