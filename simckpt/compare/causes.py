"""Which recorded difference explains a divergence best.

Each difference is weighed by Bayes' rule against the others and against "nothing that was
recorded": prior of its role, times the likelihood of the onset, size and place that were seen
(`roles`). What happened at a known step is also held against the interval of the onset: before
it happened, it explains nothing. The shares add up to one; where nothing recorded has the
largest, that is the finding, and it points to nondeterminism, hardware, or a gap in the record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

from ..model.record import Record
from .classify import Classification, Evidence, times
from .differences import IDLE, SEED, STREAMS, UNLOADED, RecordedDifference

# What the effect of a recorded difference would look like, by the part that it plays.
#
# Each role has a profile: how readily such a difference changes an answer at all, and how likely
# it then is to be seen first at step 0, in the first interval, or later; at roundoff level or
# above; in one place or everywhere. The numbers are judgements, one set for all cases, and they
# are in this file alone.


Role: TypeAlias = Literal[
    "initial state",
    "seed",
    "streams",
    "idle generator",
    "scheme",
    "boundary",
    "time step",
    "tolerance",
    "precision",
    "parameter",
    "extent",
    "code",
    "package in use",
    "numerical package",
    "arithmetic",
    "floating-point mode",
    "ranks",
    "nodes",
    "restart",
    "event",
    "bystander",
]


class Profile(Record, frozen=True, kw_only=True):
    """How a difference shows itself.

    Parameters
    ----------
    prior : float
        How readily it changes an answer, 0 to 1.
    onset : tuple of float
        Likelihood of being seen first at step 0, in the first interval, and later.
    size : tuple of float
        Likelihood of being at roundoff level, small, or large where it is first seen.
    place : tuple of float
        Likelihood of differing tiles everywhere or widely, in one place, or in the shape of
        ranks.
    edge : float
        Likelihood of tiles at the edge of the domain alone, if above that of their figure.
    time : float
        Likelihood of changing the simulated time more than the state.
    acts : str
        How it acts, for the reason: completes "it ...".
    """

    prior: float
    onset: tuple[float, float, float]
    size: tuple[float, float, float]
    place: tuple[float, float, float] = (1.0, 0.3, 0.1)
    edge: float = 0.0
    time: float = 0.1
    acts: str


PROFILES: dict[Role, Profile] = {
    "initial state": Profile(
        prior=0.9,
        onset=(1.0, 0.2, 0.05),
        size=(0.2, 0.8, 1.0),
        place=(1.0, 0.6, 0.1),
        acts="sets the initial state",
    ),
    "seed": Profile(
        prior=0.9,
        onset=(0.9, 0.8, 0.2),
        size=(0.05, 0.6, 1.0),
        place=(1.0, 0.2, 0.1),
        acts="changes every random number drawn",
    ),
    "streams": Profile(
        prior=0.9,
        onset=(0.6, 0.9, 0.3),
        size=(0.05, 0.6, 1.0),
        place=(0.7, 0.4, 1.0),
        acts="changes the random numbers drawn on those ranks",
    ),
    "idle generator": Profile(
        prior=0.4,
        onset=(1.0, 0.01, 0.01),
        size=(0.05, 0.6, 1.0),
        acts="may have been drawn from before the run began",
    ),
    "scheme": Profile(
        prior=1.0,
        onset=(0.03, 1.0, 0.2),
        size=(0.1, 0.9, 1.0),
        place=(1.0, 0.6, 0.2),
        acts="acts in every step from the first",
    ),
    "boundary": Profile(
        prior=1.0,
        onset=(0.03, 1.0, 0.5),
        size=(0.1, 0.9, 1.0),
        place=(0.7, 0.6, 0.1),
        edge=1.0,
        acts="acts at the edge of the domain",
    ),
    "time step": Profile(
        prior=1.0,
        onset=(0.02, 1.0, 0.3),
        size=(0.1, 0.9, 1.0),
        time=1.0,
        acts="sets the length of every step",
    ),
    "tolerance": Profile(
        prior=0.8,
        onset=(0.02, 1.0, 0.6),
        size=(0.6, 1.0, 0.5),
        acts="ends inner iterations elsewhere",
    ),
    "precision": Profile(
        prior=1.0,
        onset=(0.6, 1.0, 0.2),
        size=(0.3, 1.0, 0.4),
        acts="rounds every operation differently",
    ),
    "parameter": Profile(
        prior=0.6,
        onset=(0.6, 0.8, 0.3),
        size=(0.2, 0.8, 1.0),
        place=(1.0, 0.5, 0.15),
        acts="is a parameter of the run",
    ),
    "extent": Profile(
        prior=0.05,
        onset=(0.02, 0.05, 0.2),
        size=(0.2, 0.5, 0.5),
        acts="says how long the run goes on",
    ),
    "code": Profile(
        prior=0.8,
        onset=(0.3, 0.9, 0.5),
        size=(0.5, 0.9, 1.0),
        place=(1.0, 0.6, 0.4),
        acts="is code that ran",
    ),
    "package in use": Profile(
        prior=0.4,
        onset=(0.3, 0.9, 0.5),
        size=(0.5, 0.9, 1.0),
        place=(1.0, 0.6, 0.4),
        acts="is a package that the run had loaded",
    ),
    "numerical package": Profile(
        prior=0.3,
        onset=(0.1, 1.0, 0.4),
        size=(1.0, 0.3, 0.1),
        place=(1.0, 0.15, 0.1),
        acts="may order or round operations differently",
    ),
    "arithmetic": Profile(
        prior=0.3,
        onset=(0.1, 1.0, 0.4),
        size=(1.0, 0.2, 0.05),
        place=(1.0, 0.15, 0.1),
        acts="may order or round operations differently",
    ),
    "floating-point mode": Profile(
        prior=0.4,
        onset=(0.2, 1.0, 0.6),
        size=(1.0, 0.2, 0.05),
        place=(1.0, 0.4, 0.1),
        acts="changes how results are rounded, or vanish",
    ),
    "ranks": Profile(
        prior=0.5,
        onset=(0.03, 1.0, 0.4),
        size=(1.0, 0.3, 0.3),
        place=(0.8, 0.1, 1.0),
        acts="changes where halos lie and the order of reductions",
    ),
    "nodes": Profile(
        prior=0.2,
        onset=(0.1, 0.8, 1.0),
        size=(1.0, 0.4, 0.3),
        place=(0.4, 0.4, 1.0),
        acts="lets ranks on other nodes compute otherwise",
    ),
    "restart": Profile(
        prior=0.8,
        onset=(0.05, 0.5, 1.0),
        size=(0.8, 0.8, 0.8),
        place=(1.0, 0.4, 0.3),
        acts="loads the state from a file",
    ),
    "event": Profile(
        prior=0.3,
        onset=(0.2, 0.5, 1.0),
        size=(0.5, 0.8, 1.0),
        place=(0.7, 1.0, 0.8),
        acts="happened in one run and not in the other",
    ),
    "bystander": Profile(
        prior=0.01,
        onset=(0.3, 0.5, 0.5),
        size=(0.5, 0.5, 0.5),
        acts="is not known to act on the state",
    ),
}

UNRECORDED: dict[str, Profile] = {
    "nondeterminism": Profile(
        prior=0.03,
        onset=(0.1, 0.8, 0.7),
        size=(1.0, 0.1, 0.05),
        place=(0.8, 0.4, 0.3),
        time=0.05,
        acts="order of threads or of reductions",
    ),
    "fault": Profile(
        prior=0.03,
        onset=(0.05, 0.2, 1.0),
        size=(0.3, 0.8, 1.0),
        place=(0.2, 1.0, 0.9),
        time=0.05,
        acts="hardware, a race, or a missed exchange",
    ),
    "gap": Profile(
        prior=0.02,
        onset=(0.5, 1.0, 0.4),
        size=(0.1, 0.8, 1.0),
        place=(0.8, 0.4, 0.1),
        time=0.1,
        acts="something that is not recorded",
    ),
}
"""The rivals of all recorded differences: what no record can hold, or this one does not."""


# What part a recorded difference plays in a computation, by where it is recorded and its name.


_INITIAL = re.compile(r"^(problem|case|setup|ics?|init(ial)?(_.*)?|amplitude|perturb.*|noise.*)$")
_TIME_STEP = re.compile(r"^(dt|cfl|courant|time_?step|step_?size|d?t_?(max|min)|dt_.*|cfl_.*)$")
_EXTENT = re.compile(
    r"^(t_?end|t_?final|t_?max|tstop|end_?time|(n|num|max)?_?steps?|n_?steps|steps_.*|duration)$"
)
_TOLERANCE = re.compile(r"^([ar]?_?tol.*|tolerance.*|max_?it.*|n_?iter.*)$")
_PRECISION = re.compile(r"^(precision|dtype|real|float_?type|single|double)$")
_SCHEME = re.compile(
    r"^(solver|riemann.*|integrator|scheme|method|order|limiter|reconstruction|flux.*|recon.*"
    r"|precond.*|grid|theta|stencil|interp.*|filter.*)$"
)
_BOUNDARY = re.compile(
    r"^((.*_)?boundar(y|ies)(_.*)?|.*boundary|(.*_)?bcs?(_.*)?|[xyz][lr]b|walls?|sides?(\[\d+\])?"
    r"|inflow.*|outflow.*)$"
)
_DESCRIBES = re.compile(
    r"^(verbose|quiet|debug|log(_?level|_?file)?|label|title|comment|name|notes?|plot.*|vis.*"
    r"|(n_?)?(out|print|save|dump|write|checkpoint|sample)_?(every|freq.*|interval|steps?)|every"
    r"|progress|colou?r|tag|(job|run)_?(name|id))$"
)
_ELSEWHERE = re.compile(
    r"^(TZ|LANG|LC_.*|HDF5_.*|MALLOC_.*|PYTHONMALLOC|LD_BIND_NOW|.*_VERSION_DISPLAY)$"
)
"""Variables of the environment that no arithmetic depends on."""

NUMERICAL_PACKAGES = frozenset(
    {
        "cupy", "dask", "fenics-dolfinx", "jax", "jaxlib", "llvmlite", "mkl", "mpi4py", "mpich",
        "numba", "numexpr", "numpy", "openmpi", "petsc", "petsc4py", "pyfftw", "scikit-sparse",
        "scipy", "slepc4py", "tensorflow", "torch", "mpi4py-fft", "openblas",
        "scikit-umfpack", "pythran", "pyccel", "triton", "impi-rt", "intel-openmp",
    }
)  # fmt: skip
"""Distributions that compute; others count as bystanders."""

INSTRUMENTS = frozenset(
    {
        "blake3", "certifi", "click", "cffi", "h5py", "markdown-it-py", "matplotlib", "mdurl",
        "msgspec", "netcdf4", "packaging", "pip", "pluggy", "psutil", "pygments", "pytest", "rich",
        "setuptools", "simckpt", "six", "threadpoolctl", "tqdm", "typing-extensions", "wheel",
    }
)  # fmt: skip
"""Distributions that are loaded to record, to read and to show, and do not compute."""

_ARITHMETIC = frozenset(
    {
        "accelerator", "accelerators", "blas", "compiler", "cpu", "gpu",
        "jit", "libraries", "mpi", "modules", "processor", "python", "threads", "variables",
        "numba",
    }
)  # fmt: skip


def role(difference: RecordedDifference) -> Role:
    """The part that a recorded difference plays."""
    by_part: dict[str, Role] = {
        "inputs": "initial state",
        "upstream": "initial state",
        "random": "seed",
        "ranks": "ranks",
        "nodes": "nodes",
        "restarts": "restart",
    }
    part = difference.part
    if part == "random" and difference.path.endswith(IDLE):
        return "idle generator"
    if part == "random" and difference.path == STREAMS:
        return "streams"
    if part in by_part:
        return by_part[part]
    if difference.weight == "describes":
        return "bystander"
    if part in ("numerics", "parameters", "command", "configuration"):
        return _setting(part, difference.name.lower())
    if part == "code":
        return "code"
    if part == "events":
        return "event"
    if part == "packages":
        return _package(difference.path.lower().replace("_", "-"))
    if part == "environment":
        return _circumstance(difference.path)
    return "bystander"


def _circumstance(path: str) -> Role:
    section, _, name = path.partition(".")
    if section == "floating_point":
        return "floating-point mode"
    if section == "variables" and _ELSEWHERE.match(name):
        return "bystander"
    return "arithmetic" if section in _ARITHMETIC or name.startswith("libc") else "bystander"


def _package(name: str) -> Role:
    if name.endswith(UNLOADED) or name in INSTRUMENTS:
        return "bystander"
    return "numerical package" if name in NUMERICAL_PACKAGES else "package in use"


def _setting(part: str, name: str) -> Role:
    patterns: tuple[tuple[re.Pattern[str], Role], ...] = (
        (_EXTENT, "extent"),
        (_TIME_STEP, "time step"),
        (_TOLERANCE, "tolerance"),
        (_PRECISION, "precision"),
        (SEED, "seed"),
        (_DESCRIBES, "bystander"),
        (_BOUNDARY, "boundary"),
        (_INITIAL, "initial state"),
        (_SCHEME, "scheme"),
    )
    if part == "numerics" and name in ("eps", "epsilon"):
        # Of a solver it is what ends an iteration; elsewhere it may be anything small.
        return "tolerance"
    for expression, found in patterns:
        if expression.match(name):
            return found
    return "scheme" if part == "numerics" else "parameter"


MOST_CAUSES = 10
MOST_ALIKE = 4
"""More differences than this that play the same part are one cause."""
LEAST_SHARE = 0.005
HAPPENED: frozenset[Role] = frozenset({"event", "nodes", "restart", "streams"})
"""Roles that are themselves bound to a time or a place."""


class Cause(Record, frozen=True, kw_only=True):
    """A recorded difference as a cause: its share of the explanation, 0 to 1, and why.

    It stands for `alike` others too, which play the same part and came with it, as the
    libraries of another machine do.
    """

    difference: RecordedDifference
    share: float
    reason: str
    alike: int = 0


class Explanation(Record, frozen=True, kw_only=True):
    """Causes, the best first, and the share of "nothing that was recorded"."""

    causes: tuple[Cause, ...] = ()
    unexplained: float = 0.0
    finding: str = ""

    @property
    def explained(self) -> bool:
        """Whether some recorded difference explains more than nothing recorded does."""
        return bool(self.causes) and self.causes[0].share > self.unexplained

    @property
    def acted(self) -> bool:
        """Whether that difference acts by itself, where and when the solution lets it."""
        return self.explained and role(self.causes[0].difference) not in HAPPENED


def explain(
    differences: Sequence[RecordedDifference], evidence: Evidence, kind: Classification
) -> Explanation:
    """Rank the recorded differences by how well each explains what was seen."""
    able = [d for d in differences if d.weight != "describes"]
    if any(role(d) == "seed" and not _is_generator(d) for d in able):
        # The states of generators follow from the seed that differs.
        able = [d for d in able if not _is_generator(d)]
    weighed = _pooled([(d, *_weigh(d, evidence)) for d in able])
    against = sum(_likelihood(rival, evidence) for rival in UNRECORDED.values())
    total = against + sum(weight for _, weight, _, _ in weighed)
    causes = [
        Cause(difference=d, share=weight / total, reason=reason, alike=alike)
        for d, weight, reason, alike in sorted(weighed, key=lambda w: -w[1])
        if weight / total >= LEAST_SHARE
    ]
    unexplained = against / total
    best = causes[0].share if causes else 0.0
    finding = ""
    if unexplained >= best:
        finding = _unexplained(evidence, kind, bool(able))
    return Explanation(causes=tuple(causes[:MOST_CAUSES]), unexplained=unexplained, finding=finding)


def explain_by_design(
    differences: Sequence[RecordedDifference], parts: Sequence[str], reason: str
) -> Explanation:
    """The differences in `parts`, where the kind of difference itself names what to look at."""
    named = [d for d in differences if d.part in parts]
    return Explanation(
        causes=tuple(
            Cause(difference=d, share=1.0 / len(named), reason=reason) for d in named[:MOST_CAUSES]
        ),
        finding="" if named else "No recorded difference explains this.",
    )


def explain_length(differences: Sequence[RecordedDifference]) -> Explanation:
    """What may have ended one run before the other."""
    ended = [d for d in differences if d.part == "ending"]
    told = [d for d in differences if role(d) == "extent"]
    named = [*told, *ended]
    reasons = {"ending": "The runs ended in different ways."}
    return Explanation(
        causes=tuple(
            Cause(
                difference=d,
                share=1.0 / len(named),
                reason=reasons.get(d.part, "It says how long the run goes on."),
            )
            for d in named
        ),
        finding="" if named else "No recorded difference explains why one record is shorter.",
    )


def _pooled(
    weighed: Sequence[tuple[RecordedDifference, float, str]],
) -> list[tuple[RecordedDifference, float, str, int]]:
    """One entry for many differences of one kind: together they explain no more than one would."""
    groups: dict[tuple[Role, str, int | None], list[tuple[RecordedDifference, float, str]]] = {}
    for item in weighed:
        difference = item[0]
        key = (role(difference), difference.part, difference.step)
        groups.setdefault(key, []).append(item)
    found = []
    for members in groups.values():
        if len(members) <= MOST_ALIKE:
            found += [(*member, 0) for member in members]
        else:
            first = max(members, key=lambda member: (member[1], *_chosen(member[0])))
            found.append((*first, len(members) - 1))
    return found


def _chosen(difference: RecordedDifference) -> tuple[bool, int, int]:
    """What a user sets comes before what follows from it, and a short name before a long one."""
    said = ("parameters", "command", "configuration")
    asked = difference.part in said or difference.path.startswith("requested.")
    return asked, len(difference.also), -difference.path.count(".")


def _is_generator(difference: RecordedDifference) -> bool:
    derived = difference.path.startswith("generators.") or difference.path == STREAMS
    return difference.part == "random" and derived


def _weigh(difference: RecordedDifference, e: Evidence) -> tuple[float, str]:
    part = role(difference)
    profile = PROFILES[part]
    weight = _likelihood(profile, e)
    loaded = (*e.restarts, *e.shared_restarts)
    if difference.part == "inputs" and loaded and e.onset != "initial":
        weight = max(weight, 3.0 * _likelihood(PROFILES["restart"], e))
        return weight, f"A restart loads its state at step {loaded[0]}, and there the runs part."
    if difference.step is not None or part == "restart":
        return _dated(difference, part, weight, e)
    return weight, f"It {profile.acts}, and {_seen(part, e)}."


def _likelihood(profile: Profile, e: Evidence) -> float:
    initial, first, later = profile.onset
    onset = {
        "initial": initial,
        "first interval": first,
        "early": max(initial, first),
        "later": later,
    }[e.onset]
    roundoff, small, large = profile.size
    size = {"roundoff": roundoff, "small": small, "large": large, "unseen": roundoff}[e.size]
    wide, local, rankish = profile.place
    if not e.resolved:
        place = 1.0
    elif e.figure in ("one rank", "one node", "rank borders"):
        place = rankish
    elif e.figure == "one tile":
        place = local
    elif e.figure in ("box", "plane"):
        place = max(local, 0.5 * wide)
    else:
        place = wide
    if e.edge:
        place = max(place, profile.edge)
    moved = e.time_differs is not None and e.time_differs >= 0.3 * (e.observed or 0.0)
    if not e.state_differs:
        return profile.prior * profile.time if moved else profile.prior
    time = profile.time if moved and e.onset != "initial" else 1.0
    return profile.prior * onset * size * place * time


def _dated(
    difference: RecordedDifference, part: Role, weight: float, e: Evidence
) -> tuple[float, str]:
    steps = e.restarts if part == "restart" else ()
    if part == "restart":
        if steps:
            return 3.0 * weight, f"The restart at step {steps[0]} lies where the runs part."
        return 0.02 * weight, "No restart lies in the interval in which the runs part."
    step = difference.step if difference.step is not None else 0
    since = difference.since if difference.since is not None else step
    after = e.after if e.after is not None else -1
    profile = PROFILES[part]
    if after <= step and since <= e.step and (step > 0 or e.onset != "later"):
        certain = 3.0 * profile.prior * _coincidence(e)
        when = f"At step {step}" if since == step else f"Between steps {since} and {step}"
        return max(weight, certain), f"{when} it lies in the interval in which they part."
    if since > e.step:
        return 0.0, f"At step {since} it comes after the runs have parted."
    return 0.05 * weight, f"At step {step} it lies well before step {e.step}, where they part."


def _coincidence(e: Evidence) -> float:
    """How telling it is that something dated falls in the interval: less so at the beginning."""
    return 1.0 if e.onset == "later" else 0.4


def _seen(part: Role, e: Evidence) -> str:
    """What of the evidence speaks for or against this role most, as half a sentence."""
    if e.time_differs is not None and part == "time step":
        ratio = f"; the step ratio is {times(e.step_ratio)}" if e.step_ratio is not None else ""
        return f"the same step is another time{ratio}"
    if not e.state_differs:
        return _unseen(e)
    if e.onset == "initial":
        if PROFILES[part].onset[0] >= 0.3:
            return f"the runs differ at step {e.step}{_begin(e)}"
        return f"it does not act before the first step, yet the runs differ at step {e.step}"
    if part == "initial state" or e.onset == "early":
        return _since_the_first(e)
    if e.size in ("roundoff", "unseen"):
        if PROFILES[part].size[0] < 0.3:
            return "it would change more than the last digits, which is all that differs"
        return f"the runs part at roundoff level{_where(e)}"
    if PROFILES[part].size[2] <= 0.1:
        return "such changes stay at roundoff level at first, but this one is larger"
    if e.onset == "first interval":
        return f"the runs part within the first interval, by step {e.step}"
    if e.onset == "later" and PROFILES[part].onset[2] < 0.4:
        return f"the runs agree up to step {e.after} all the same"
    return f"the runs part by step {e.step}{_where(e)}"


def _since_the_first(e: Evidence) -> str:
    if e.onset == "early":
        return f"the runs differ at the first step they share, {e.step}{_where(e)}"
    return f"the runs agree at the first sample and part by step {e.step}"


def _unseen(e: Evidence) -> str:
    if e.fields_compared:
        return "the state is the same at every common step"
    return "no recorded number of the state differs"


def _begin(e: Evidence) -> str:
    return ", where both records begin" if e.step else ""


def _where(e: Evidence) -> str:
    return {
        "one tile": " in a single tile",
        "one rank": " on one rank",
        "one node": " on one node",
        "rank borders": " along the borders between ranks",
    }.get(e.figure, "")


def _unexplained(e: Evidence, kind: Classification, any_recorded: bool) -> str:
    start = "No recorded difference explains this"
    if not any_recorded:
        start = "Nothing was recorded differently"
    if kind.kind == "decomposition or halo":
        return f"{start}: the borders between ranks point to the exchange of halos."
    if kind.kind == "blow-up":
        return f"{start}: look for what first turned non-finite, and for nondeterminism before it."
    if kind.kind == "local event":
        return f"{start}: a change in one place points to hardware or a race between threads."
    if e.size in ("roundoff", "unseen"):
        return f"{start}: the code may not be deterministic (order of threads or of reductions)."
    return f"{start}: something that is not recorded differs, or the code is not deterministic."
