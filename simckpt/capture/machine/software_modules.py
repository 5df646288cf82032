"""Environment modules (Lmod, Tcl): what was loaded when the run began."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..probes import Findings
from ..secrets.redaction import redact_text


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
