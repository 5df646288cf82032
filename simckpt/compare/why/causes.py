"""Which recorded difference explains a divergence best.

Each difference is weighed by Bayes' rule against the others and against "nothing that was
recorded": prior of its role, times the likelihood of the onset, size and place that were seen
(`roles`). What happened at a known step is also held against the interval of the onset: before
it happened, it explains nothing. The shares add up to one; where nothing recorded has the
largest, that is the finding, and it points to nondeterminism, hardware, or a gap in the record.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...model.record import Record
from ..kind.classify import Classification, times
from ..kind.evidence import Evidence
from .differences import STREAMS, RecordedDifference
from .profiles import PROFILES, UNRECORDED, Profile, Role
from .roles import role

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
