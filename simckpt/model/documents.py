"""The run manifest: what ran, on which inputs, from which code and seeds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec.structs import force_setattr

from ..errors import SetupError
from .record import Document, Facts, Hash, Record, content_hash


class InputFile(Record, frozen=True, kw_only=True):
    """One input, by content.

    `contents` maps the variables of an HDF5 or netCDF file to hashes that ignore volatile
    attributes; it is None for other files. `problem` says why `hash` is None.
    """

    path: str
    size: int = 0
    mtime: float = 0.0
    hash: Hash | None = None
    contents: dict[str, Hash] | None = None
    problem: str = ""


class CodeModule(Record, frozen=True, kw_only=True):
    """One of the user's own modules that was imported: not the standard library, not a package.

    `repository` is the root of the git work tree it lies in; `source` refers to its text where
    there is none. `hash` is that of the file when it was captured; `edited` says that the file
    was written after the process had begun, so that what is loaded may be an older text.
    """

    name: str
    path: str
    hash: Hash
    repository: str = ""
    source: Hash | None = None
    edited: bool = False


class Repository(Record, frozen=True, kw_only=True):
    """The state of a git work tree that holds some of the modules that ran.

    `dirty` is None where it could not be found out, and `problem` says why. `diff` leads from
    `commit` to the work tree, with the modules that ran and are not in git as new files;
    `untracked` names those.
    """

    root: str
    commit: str
    branch: str = ""
    dirty: bool | None = False
    remote: str = ""
    diff: Hash | None = None
    untracked: tuple[str, ...] = ()
    problem: str = ""


class Stage(Record, frozen=True, kw_only=True):
    """The place of this run in a chain of short-lived steps."""

    name: str = ""
    role: str = "simulation"


class Manifest(Document, tag="manifest", frozen=True, kw_only=True):
    """What ran. `command` is redacted; `parameters` are the driver's bound arguments.

    `loaded` names the packages of which a module was imported when the run began. `unavailable`
    names the parts that could not be had, with the reason.
    """

    stage: Stage
    command: tuple[str, ...]
    working_directory: str
    driver: str
    parameters: Facts
    inputs: tuple[InputFile, ...] = ()
    outputs: tuple[str, ...] = ()
    modules: tuple[CodeModule, ...] = ()
    repositories: tuple[Repository, ...] = ()
    packages: Hash | None = None
    loaded: tuple[str, ...] = ()
    upstream: tuple[Hash, ...] = ()
    simckpt_version: str = ""
    unavailable: dict[str, str] = {}


class Packages(Document, tag="packages", frozen=True, kw_only=True):
    """Installed distributions: name to version, and the commit of editable ones.

    `conda` has the packages of a conda environment, Python or not, as ``"version build"``.
    """

    versions: dict[str, str]
    editable: dict[str, str] = {}
    conda: dict[str, str] = {}


class RandomState(Document, tag="random_state", frozen=True, kw_only=True):
    """Seeds the user declared, and the state of each generator that could be seen.

    `generators` maps a name to its kind, and to a hash of its state, on rank 0. `streams` has a
    short hash of what each rank declared, seeds and generators, when the run began.
    """

    seeds: Facts = {}
    generators: dict[str, Facts] = {}
    streams: tuple[str, ...] = ()


class Text(Document, tag="text", frozen=True, kw_only=True):
    """A text kept by content: a configuration file, a diff, the tail of a log.

    `problem` says why there is no text.
    """

    name: str
    text: str
    truncated: bool = False
    problem: str = ""


# The artifact index: where the outputs are and what they contained, never the outputs.


class Artifact(Record, frozen=True, kw_only=True):
    """One output file. `hash` is None while the file was still changing when last looked at."""

    path: str
    size: int
    mtime: float
    hash: Hash | None
    contents: dict[str, Hash] | None = None
    status: Literal["stable", "changing", "missing", "unreadable"] = "stable"


class ArtifactIndex(Document, tag="artifacts", frozen=True, kw_only=True):
    """Outputs that matched `patterns`; paths are relative to `root` where they lie below it."""

    root: str = ""
    patterns: tuple[str, ...] = ()
    entries: tuple[Artifact, ...] = ()


# Why a run is made, in a few lines that a person can read weeks later.


_MENDS = {
    "goal": "Say in one line what the run is for.",
    "conclusion": "Say in one line what will be concluded.",
}

LONGEST_LINE = 240
MOST_ASSUMPTIONS = 8


class Intent(Document, tag="intent", frozen=True, kw_only=True):
    """Goal, key assumptions, and what will be concluded.

    Parameters
    ----------
    goal : str
        What the run is for, one line of at most 240 characters.
    assumptions : list of str
        At most 8 lines: what the result rests on.
    conclusion : str
        What will be concluded, and by which criterion.

    Raises
    ------
    SetupError
        If the goal is empty, a line is too long, or there are too many lines.

    Examples
    --------
    >>> Intent(goal="growth rate of mode 2", assumptions=["inviscid", "periodic"]).goal
    'growth rate of mode 2'
    """

    goal: str
    assumptions: tuple[str, ...] = ()
    conclusion: str = ""

    def __post_init__(self) -> None:
        for name in ("goal", "conclusion"):
            if not isinstance(getattr(self, name), str):
                raise SetupError(
                    f"Intent.{name}", getattr(self, name), "is not a text", mend=_MENDS[name]
                )
        if not self.goal.strip():
            raise SetupError("Intent.goal", self.goal, "is empty", mend=_MENDS["goal"])
        if isinstance(self.assumptions, str) or not isinstance(self.assumptions, Iterable):
            one = isinstance(self.assumptions, str)
            raise SetupError(
                "Intent.assumptions",
                self.assumptions,
                "is one string, not a list of lines" if one else "is not a list of lines",
                mend="Write assumptions=['...'].",
            )
        if not isinstance(self.assumptions, tuple):
            force_setattr(self, "assumptions", tuple(self.assumptions))
        if len(self.assumptions) > MOST_ASSUMPTIONS:
            raise SetupError(
                "Intent.assumptions",
                list(self.assumptions),
                f"has {len(self.assumptions)} lines, more than {MOST_ASSUMPTIONS}",
                mend="Keep the assumptions that the conclusion rests on.",
            )
        lines = {"goal": self.goal, "conclusion": self.conclusion}
        lines |= {f"assumptions[{i}]": line for i, line in enumerate(self.assumptions)}
        for name, line in lines.items():
            if not isinstance(line, str):
                raise SetupError(
                    f"Intent.{name}", line, "is not a text", mend="Write assumptions=['...']."
                )
            if len(line) > LONGEST_LINE:
                raise SetupError(
                    f"Intent.{name}",
                    line,
                    f"has {len(line)} characters, more than {LONGEST_LINE}",
                    mend="An intent is 3 to 10 short lines; put the rest in a document.",
                )


# Where a run ran. Stable facts are hashed and compared; volatile ones are only kept.
#
# Facts come in sections (``os``, ``cpu``, ``python``, ``mpi``, ``blas``, ``libraries``,
# ``floating_point``, ``variables``, ...), each a dict of JSON values. A probe that failed or
# ran out of time leaves its reason in `unavailable` under ``section`` or ``section.fact``.


class Environment(Document, tag="environment", frozen=True, kw_only=True):
    """The stable facts of one node: its content hash is the fingerprint.

    Two runs on the same machine with the same software have equal fingerprints; no host
    name, date, process id, load or path of a temporary folder is among them.
    """

    sections: dict[str, Facts] = {}
    unavailable: dict[str, str] = {}

    @property
    def fingerprint(self) -> Hash:
        return content_hash(self)


class Circumstances(Document, tag="circumstances", frozen=True, kw_only=True):
    """The volatile facts of one segment: host name, process id, free memory, job id."""

    sections: dict[str, Facts] = {}
    unavailable: dict[str, str] = {}


class Node(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One node of a run: its name, the ranks it held, and its environment's hash.

    `differs` names the facts (``section.fact``) in which it differs from the node of rank 0.
    `circumstances` are the volatile facts of its first rank, where that is not rank 0.
    """

    host: str
    ranks: tuple[int, ...]
    environment: Hash
    differs: tuple[str, ...] = ()
    circumstances: Hash | None = None


# The flight recorder's dump: the last samples at full tile resolution.


class TileExtremes(Record, frozen=True, kw_only=True):
    """Statistics of the tiles of one field, float64, little-endian, C order over the tiles."""

    minimum: bytes
    maximum: bytes
    mean: bytes


class FlightSample(Record, frozen=True, kw_only=True):
    """One sample as it was kept in memory: its row of the series, and its tile statistics.

    `values` and `digests` are encoded as in a `Sample`; `tiles` is by field.
    """

    step: int
    t: float | None
    wall: float
    values: bytes
    digests: bytes = b""
    faults: int = 0
    tiles: dict[str, TileExtremes] = {}


class Flight(Document, tag="flight", frozen=True, kw_only=True):
    """The last samples before a trigger fired, oldest first; `schema` says what they mean.

    `omitted` counts older ones that were in memory and had no room here.
    """

    schema: Hash
    samples: tuple[FlightSample, ...]
    omitted: int = 0
