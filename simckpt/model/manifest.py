"""The run manifest: what ran, on which inputs, from which code and seeds."""

from __future__ import annotations

from .record import Document, Facts, Hash, Record


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
