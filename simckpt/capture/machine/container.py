"""The container a run is in, and the image it was made from."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path

from ...model.record import Facts
from ..probes import Findings
from ..secrets.redaction import redact_text
from .pseudo_files import read_line

_CONTAINER_ID = re.compile(r"\b[0-9a-f]{64}\b")
_SIF_HEADER = slice(0, 64)


def read_container(root: Path = Path("/"), variables: Mapping[str, str] = os.environ) -> Findings:
    """Runtime and image, from the files and variables that each runtime leaves.

    The id of an Apptainer image is the UUID in its header; Podman tells the image's digest;
    Docker tells nothing of the image, only of this instance, which is volatile.
    """
    for stable, volatile in (_apptainer(root, variables), _podman(root), _named(root, variables)):
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
    pairs = (line.partition("=") for line in read_line(place).splitlines())
    told = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
    facts: Facts = {"runtime": "podman"}
    if told.get("image"):
        facts["image"] = redact_text(told["image"])
    if told.get("imageid"):
        facts["image_id"] = told["imageid"]
    return facts, ({"id": told["id"]} if told.get("id") else {})


def _named(root: Path, variables: Mapping[str, str]) -> tuple[Facts, Facts]:
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
            found = _CONTAINER_ID.search((root / place).read_text("utf-8", "replace"))
        except OSError:
            continue
        if found:
            return {"id": found.group()}
    return {}
