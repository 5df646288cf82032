"""The recorded facts of one run as flat tables, part by part: what a comparison may hold against
another run.

Facts that two runs of the same thing never share are left out here, once and for all: host
names, dates, process ids, paths of working directories, sizes and times of files. A fact keeps
the first value it had; a later one is a change in mid-run, with the step at which it was seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec

from ..model.changes import Specification, flatten
from ..model.documents import Environment, Intent, Manifest, Packages, RandomState, Repository, Text
from ..model.numerics import NumericalSettings
from ..model.record import Facts, Hash, Json, Record, hash_bytes
from ..model.series import Checkpoint, Decomposition
from ..model.transform import Dataset, TransformManifest
from .quantities import columns
from .run_view import RunView, SegmentView

# The options on a run's command line, for drivers whose parameters are recorded nowhere else.


WORD = "word"
"""What words without a name are called, with their number."""


def options(command: Sequence[str]) -> Facts:
    """What follows the program: options by name, and the other words by their number.

    ``--t-end 2``, ``--t-end=2`` and ``t_end=2`` all say that `t_end` is 2. Of a path only its last
    part counts: where a file lies is no setting.
    """
    words = _after_program(command)
    table: Facts = {}
    plain = 0
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        name, equals, value = word.partition("=")
        if word.startswith("-") and not _number(word):
            if not equals and at < len(words) and _is_value(words[at]):
                value, equals = words[at], "="
                at += 1
            table[name.lstrip("-").replace("-", "_")] = _value(value) if equals else True
        elif equals and name.isidentifier():
            table[name] = _value(value)
        else:
            plain += 1
            table[f"{WORD} {plain}"] = _value(word)
    return table


def _after_program(command: Sequence[str]) -> Sequence[str]:
    """The words behind the last program that is started: ``python -m mpi4py solver.py`` is one."""
    last = -1
    for i, word in enumerate(command):
        if word == "-m" and i + 1 < len(command) and last < 0:
            last = i + 1
        elif word.endswith(".py"):
            return command[i + 1 :]
    return command[max(last, 0) + 1 :]


def _is_value(word: str) -> bool:
    return not word.startswith("-") or _number(word)


def _number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _value(word: str) -> Json:
    try:
        value = json.loads(word)
    except ValueError:
        return PurePath(word).name if "/" in word else word
    return value if isinstance(value, int | float | bool | str) else word


# What two runs' configuration files said: setting by setting where both records know them.
#
# A file is in a table as a whole, by the hash of its text under its name, and with each of its
# settings under its name and theirs. Records of earlier versions have the text alone.


SETTING = ": "
"""Stands between the name of a file and that of a setting in it."""


def configuration_table(configuration: Json) -> Facts:
    """The table of what a specification has of its configuration files."""
    table: Facts = {}
    files = configuration if isinstance(configuration, dict) else {}
    for file, settings in files.items():
        if not isinstance(settings, dict | list):
            table[file] = settings
            continue
        for path, value in flatten(settings):
            table[f"{file}{SETTING}{path}"] = value
    return table


def text_table(text: Text) -> Facts:
    """The table of a text alone."""
    value = f"({text.problem})" if text.problem else hash_bytes(text.text.encode())
    return {PurePath(text.name).name: value}


def align_configurations(*tables: Facts) -> tuple[Facts, ...]:
    """The tables with each file in one form: by its settings if all that have it know them."""
    files = {path for table in tables for path in table if SETTING not in path}
    for file in files:
        begins = f"{file}{SETTING}"
        settings = [any(path.startswith(begins) for path in table) for table in tables]
        in_all = all(
            setting or file not in table for setting, table in zip(settings, tables, strict=True)
        )
        if in_all and any(settings):
            tables = tuple({k: v for k, v in t.items() if k != file} for t in tables)
        else:
            tables = tuple({k: v for k, v in t.items() if not k.startswith(begins)} for t in tables)
    return tables


D = TypeVar("D")

MOST_DOCUMENTS = 64
"""Of a part that changes at every checkpoint, so many versions are read, evenly spread."""

OWN_PLACES = frozenset(
    {"bundle", "out", "out_dir", "outdir", "outfile", "output", "output_dir", "output_path"}
)
"""Names under which drivers commonly take the place to write to."""


class MidRunChange(Record, frozen=True, kw_only=True):
    """A fact that changed while the run went on.

    The checkpoint at `step` is the first to show it, and the one at `since` was the last not to.
    """

    part: str
    path: str
    old: Json
    new: Json
    step: int
    since: int


class RunFacts(Record, frozen=True, kw_only=True):
    """The facts of a run: `parts` maps a part to its flat table.

    `idle` names the random number generators whose state no checkpoint saw changed: the run
    did not draw from them after it began. `unloaded` names installed packages of which no module
    was loaded when it began. `own` names parameters that say where the run writes. `unread` names
    facts of the environment that could not be read: what they are is not known.
    """

    parts: dict[str, Facts]
    changes: tuple[MidRunChange, ...] = ()
    idle: frozenset[str] = frozenset()
    unloaded: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()


def run_facts(run: RunView) -> RunFacts:
    """Gather what a run recorded about itself."""
    table = FactTable(list(_steps(run).values()))
    own_parameters, unloaded = _add_manifests(run, table)
    own = set(own_parameters)
    for step, texts in _configurations(run):
        table.add(step, "configuration", texts)
    for step, settings in _documents(run, NumericalSettings, lambda c: c.parts.numerics):
        table.add(step, "numerics", {"requested": settings.requested})
        # Settings in effect may follow the state (an adaptive step), so only the first counts.
        table.add(None, "numerics", {"effective": settings.effective})
    states = [random for _, random in _documents(run, RandomState, lambda c: c.parts.random)]
    for random in states:
        table.add(None, "random", {"seeds": random.seeds, "generators": _generators(random)})
        table.add(None, "random", {"streams": _streams(random)})
    unread: set[str] = set()
    for step, environment in _documents(run, Environment, lambda c: c.parts.environment):
        unread |= environment.unavailable.keys()
        table.add(step, "environment", environment.sections)
    for step, intent in _documents(run, Intent, lambda c: c.parts.intent):
        table.add(
            step,
            "intent",
            {
                "goal": intent.goal,
                "assumptions": "; ".join(intent.assumptions),
                "conclusion": intent.conclusion,
            },
        )
    for step, spec in _documents(run, Specification, lambda c: c.parts.specification):
        for part in ("parameters", "numerics", "inputs", "code"):
            if part not in table.parts and part in spec.facts:
                table.add(step, part, spec.facts[part])
        configuration = configuration_table(spec.facts.get("configuration"))
        table.add(
            step, "configuration", {k: v for k, v in configuration.items() if not _is_own_place(k)}
        )
        own |= {path for path in configuration if _names_own(run, configuration[path])}
        if isinstance(rules := spec.facts.get("captures"), dict):
            table.add(step, "captures", rules)
    for _, manifest in _documents(run, TransformManifest, lambda c: c.parts.transforms):
        table.add(None, "transforms", _transforms(manifest))
    declarations = {name: c.of for name, c in columns(run).items() if c.of}
    table.add(None, "declarations", declarations)
    _add_segments(run, table)
    idle = frozenset(
        f"generators.{name}"
        for name in (_generators(states[0]) if states else ())
        if len({str(_generators(random).get(name)) for random in states}) == 1
    )
    return RunFacts(
        parts=table.parts,
        changes=tuple(c for c in table.changes if not _covered_by_settings(c, table.parts)),
        idle=idle,
        unloaded=unloaded,
        own=frozenset(own),
        unread=frozenset(unread),
    )


def _add_manifests(run: RunView, table: FactTable) -> tuple[frozenset[str], frozenset[str]]:
    """What the manifests say; the parameters that name own places, and packages never loaded."""
    own: set[str] = set()
    installed: set[str] = set()
    loaded: set[str] = set()
    for step, manifest in _documents(run, Manifest, lambda c: c.parts.manifest):
        table.add(step, "parameters", _parameters(manifest))
        own |= set(_own_places(run, manifest.parameters, manifest))
        words = options(manifest.command)
        places = {*_own_places(run, words, manifest), *OWN_PLACES}
        table.add(None, "command", {k: v for k, v in words.items() if k not in places})
        table.add(step, "inputs", _inputs(manifest))
        table.add(step, "code", _code(manifest))
        table.add(step, "upstream", {"upstream": ", ".join(manifest.upstream) or "none"})
        table.add(step, "outputs", {"patterns": ", ".join(manifest.outputs)})
        table.add(step, "simckpt", {"version": manifest.simckpt_version})
        packages = read_document(run, manifest.packages, Packages)
        if packages is not None:
            table.add(step, "packages", packages.versions | packages.editable)
            # Records of earlier versions do not say what was loaded.
            installed |= packages.versions.keys() if manifest.loaded else set()
        loaded |= set(manifest.loaded)
    return frozenset(own), frozenset(installed - loaded)


def last_transforms(run: RunView) -> TransformManifest | None:
    """What an analysis did to its data, as the run recorded it last; None for no analysis."""
    manifests = [
        manifest for _, manifest in _documents(run, TransformManifest, lambda c: c.parts.transforms)
    ]
    return manifests[-1] if manifests else None


def _transforms(manifest: TransformManifest) -> Facts:
    """The steps of an analysis: by which rule each selects, and what it left."""
    by_id = {dataset.id: dataset for dataset in manifest.datasets}
    steps: Facts = {
        f"{number} {step.name or step.kind}": {
            "selection": step.selection,
            "parameters": step.parameters,
            "result": ", ".join(_size_text(by_id[id_]) for id_ in step.results if id_ in by_id),
        }
        for number, step in enumerate(manifest.transforms, start=1)
    }
    return steps | ({"cohort": manifest.cohort} if manifest.cohort else {})


def _size_text(dataset: Dataset) -> str:
    size: Facts = dict(dataset.dims) or {"rows": dataset.rows, "columns": dataset.columns}
    counts = " ".join(f"{name} {n}" for name, n in size.items() if n is not None)
    return f"{dataset.id[:12]} {counts}" if dataset.identified == "content" else counts


class FactTable:
    """Facts that keep their first value, and the changes since."""

    def __init__(self, checkpoints: Sequence[int]) -> None:
        self._checkpoints = checkpoints
        self.parts: dict[str, Facts] = {}
        self.changes: list[MidRunChange] = []
        self._latest: dict[tuple[str, str], Json] = {}

    def add(self, step: int | None, part: str, facts: Facts) -> None:
        """Add facts seen at `step`; None if their changes are of no interest."""
        first_values = self.parts.setdefault(part, {})
        for path, value in flatten(facts):
            if not path or value in ({}, []):
                continue
            first = first_values.setdefault(path, value)
            before = self._latest.get((part, path), first)
            if step is not None and before != value:
                since = max((at for at in self._checkpoints if at < step), default=step)
                self.changes.append(
                    MidRunChange(
                        part=part, path=path, old=before, new=value, step=step, since=since
                    )
                )
            self._latest[part, path] = value


def _steps(run: RunView) -> dict[int, int]:
    """The step of each checkpoint, by its index.

    A job makes its first one before the driver has reported which step it goes on from.
    """
    starts = {view.segment.index: view.start_step for view in run.segments}
    return {c.index: max(c.step, starts.get(c.segment, 0)) for c in run.checkpoints}


def _documents(
    run: RunView, kind: type[D], reference: Callable[[Checkpoint], Hash | None]
) -> Iterator[tuple[int, D]]:
    """The distinct documents of one part with the step at which each was first seen."""
    first_steps: dict[Hash, int] = {}
    steps = _steps(run)
    for checkpoint in run.checkpoints:
        at = reference(checkpoint)
        if at is not None:
            first_steps.setdefault(at, steps[checkpoint.index])
    items = list(first_steps.items())
    if len(items) > MOST_DOCUMENTS:
        stride = (len(items) - 1) / (MOST_DOCUMENTS - 1)
        items = [items[round(i * stride)] for i in range(MOST_DOCUMENTS)]
    for at, step in items:
        document = read_document(run, at, kind)
        if document is not None:
            yield step, document


def read_document(run: RunView, at: Hash | None, kind: type[D]) -> D | None:
    if at is None:
        return None
    try:
        document: Any = run.document(at)
    except KeyError:
        return None
    return document if isinstance(document, kind) else None


def _parameters(manifest: Manifest) -> Facts:
    return {
        name: value for name, value in manifest.parameters.items() if name.lower() not in OWN_PLACES
    }


def _own_places(run: RunView, values: Facts, manifest: Manifest) -> Iterator[str]:
    """Parameters whose value names this run's bundle or outputs."""
    for name, value in values.items():
        if _names_own(run, value) or (value and value in manifest.outputs):
            yield name


def _names_own(run: RunView, value: Json) -> bool:
    """Whether a value is the name of the run's own bundle."""
    own = PurePath(str(run.path)).name.partition(".simckpt")[0]
    return isinstance(value, str) and PurePath(value).name.partition(".simckpt")[0] == own


def _is_own_place(path: str) -> bool:
    """Whether a setting of a configuration file says where the run writes."""
    return path.rpartition(".")[2].lower() in OWN_PLACES


def _covered_by_settings(change: MidRunChange, parts: dict[str, Facts]) -> bool:
    """Whether a file changed of which each setting is known: those say what changed."""
    if change.part != "configuration" or SETTING in change.path:
        return False
    return any(path.startswith(f"{change.path}{SETTING}") for path in parts["configuration"])


def _configurations(run: RunView) -> Iterator[tuple[int, Facts]]:
    """Each configuration file as a whole, with the step at which it was seen."""
    steps = _steps(run)
    tables: dict[Hash, Facts] = {}
    for checkpoint in run.checkpoints:
        new = [at for at in checkpoint.parts.configuration if at not in tables]
        for at in new[: MOST_DOCUMENTS - len(tables)]:
            text = read_document(run, at, Text)
            tables[at] = {} if text is None else text_table(text)
            yield steps[checkpoint.index], tables[at]


def _generators(random: RandomState) -> Facts:
    """Each generator as one value: its state says all that its seed and entropy do."""
    return {
        name: facts.get("state", facts.get("unavailable", "(unknown)"))
        for name, facts in random.generators.items()
    }


def _streams(random: RandomState) -> Facts:
    """What each rank declared, among as many others: ranks of other numbers have other streams."""
    size = len(random.streams)
    return {f"rank {rank} of {size}": stream for rank, stream in enumerate(random.streams)}


def _inputs(manifest: Manifest) -> Facts:
    facts: Facts = {}
    for file in manifest.inputs:
        if file.contents is not None:
            facts[file.path] = dict(file.contents)
        else:
            facts[file.path] = file.hash or file.problem or "(not hashed)"
    return facts


def _code(manifest: Manifest) -> Facts:
    facts: Facts = {module.name: module.hash for module in manifest.modules}
    for repository in manifest.repositories:
        facts[f"git {_repository_name(repository)}"] = {
            "commit": repository.commit + (" with changes" if repository.dirty else ""),
            "diff": repository.diff or "none",
        }
    return facts


def _repository_name(repository: Repository) -> str:
    return PurePath(repository.remote or repository.root).name.removesuffix(".git")


def _add_segments(run: RunView, table: FactTable) -> None:
    segments = list(run.segments)
    if not segments:
        return
    first = segments[0]
    table.add(None, "ranks", {"layout": _layout(first)})
    if first.decomposition is not None:
        table.add(None, "ranks", {"patches": _patches(first.decomposition)})
    nodes = first.segment.nodes
    if nodes:
        odd = {n.host: n.differs for n in nodes if n.environment != nodes[0].environment}
        different = sorted({fact for differs in odd.values() for fact in differs})
        table.add(None, "nodes", {"count": len(nodes)})
        table.add(None, "nodes", {"facts that differ among nodes": ", ".join(different) or "none"})
    restarts = [
        f"step {view.start_step} on {_layout(view)}"
        for view in segments[1:]
        if view.start_step or view.resumed_from
    ]
    table.add(None, "restarts", {"at": "; ".join(restarts) or "none"})
    table.add(None, "ending", {"ending": ending(segments[-1])})


def ending(view: SegmentView) -> str:
    """How a segment ended, in words."""
    return view.end.ending if view.end is not None else "killed, or still running"


def _layout(view: SegmentView) -> str:
    ranks = view.segment.ranks
    text = f"{ranks} rank" + ("s" if ranks != 1 else "")
    decomposition = view.decomposition
    if decomposition is None or ranks < 2:
        return text
    cuts = [
        len({p.start[axis] for patches in decomposition.patches for p in patches if p.level == 0})
        for axis in range(len(decomposition.global_shape))
    ]
    return f"{text}, {' x '.join(str(n) for n in cuts)}"


def _patches(decomposition: Decomposition) -> str:
    """The patches as one value: a difference in any is one difference."""
    return msgspec.json.encode(decomposition.patches).decode()
