"""Which recorded difference explains a divergence best.

Each difference is weighed by Bayes' rule against the others and against "nothing that was
recorded": the prior of its role, times the likelihood of the observed onset, size and location
(`roles`). A difference with a known step is also compared with the interval of the onset: before
it happened, it explains nothing. The shares add up to one. Where nothing recorded has the largest
share, that is the result; it points to nondeterminism, hardware, or a gap in the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..model.record import Record
from .classify import Classification, times
from .differences import SETTINGS, STREAMS, RecordedDifference
from .divergence import RunDivergence
from .roles import BY_NAME, RESTART, UNRECORDED, Likelihoods, Role, role_of

MOST_CAUSES = 10
MOST_SIMILAR = 4
"""More differences than this that play the same role are one cause."""
LEAST_SHARE = 0.005
CERTAIN = 3.0
"""Weight of a difference whose step lies in the interval of the onset."""


class Cause(Record, frozen=True, kw_only=True):
    """A recorded difference as a cause: its role, its share of the explanation (0 to 1), and why.

    It stands for `similar` other differences too, which play the same role and came with it, as
    the libraries of another machine do.
    """

    difference: RecordedDifference
    role: str
    share: float
    reason: str
    similar: int = 0


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
    def acts_anywhere(self) -> bool:
        """Whether the best cause acts by itself, where and when the solution lets it."""
        return self.explained and not BY_NAME[self.causes[0].role].dated


@dataclass(frozen=True, slots=True)
class _Candidate:
    difference: RecordedDifference
    role: Role
    weight: float = 0.0
    reason: str = ""
    similar: int = 0


def explain(
    differences: Sequence[RecordedDifference], divergence: RunDivergence, kind: Classification
) -> Explanation:
    """Rank the recorded differences by how well each explains the divergence."""
    able = [(d, role_of(d)) for d in differences if d.weight != "describes"]
    if any(role.name == "seed" and not _is_generator(d) for d, role in able):
        # The states of generators follow from the seed that differs.
        able = [(d, role) for d, role in able if not _is_generator(d)]
    candidates = _pool([_weigh(d, role, divergence) for d, role in able])
    rivals = sum(_likelihood(rival, divergence) for rival in UNRECORDED.values())
    total = rivals + sum(c.weight for c in candidates)
    causes = [
        Cause(
            difference=c.difference,
            role=c.role.name,
            share=c.weight / total,
            reason=c.reason,
            similar=c.similar,
        )
        for c in sorted(candidates, key=lambda c: -c.weight)
        if c.weight / total >= LEAST_SHARE
    ]
    unexplained = rivals / total
    finding = ""
    if not causes or unexplained >= causes[0].share:
        finding = _unexplained(divergence, kind, bool(able))
    return Explanation(causes=tuple(causes[:MOST_CAUSES]), unexplained=unexplained, finding=finding)


def explain_by_design(
    differences: Sequence[RecordedDifference], parts: Sequence[str], reason: str
) -> Explanation:
    """The differences in `parts`, where the type of difference itself says what to look at."""
    candidates = [d for d in differences if d.part in parts]
    return _equal_shares(
        ((d, reason) for d in candidates[:MOST_CAUSES]),
        len(candidates),
        "No recorded difference explains this.",
    )


def explain_length(differences: Sequence[RecordedDifference]) -> Explanation:
    """What may have ended one run before the other."""
    extents = [d for d in differences if role_of(d).name == "extent"]
    endings = [d for d in differences if d.part == "ending"]
    reasons = [(d, "It says how long the run goes on.") for d in extents]
    reasons += [(d, "The runs ended in different ways.") for d in endings]
    return _equal_shares(
        reasons, len(reasons), "No recorded difference explains why one record is shorter."
    )


def _equal_shares(
    reasons: Iterable[tuple[RecordedDifference, str]], count: int, otherwise: str
) -> Explanation:
    causes = tuple(
        Cause(difference=d, role=role_of(d).name, share=1.0 / count, reason=reason)
        for d, reason in reasons
    )
    return Explanation(causes=causes, finding="" if causes else otherwise)


def _pool(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """One entry for many differences of one role: together they explain no more than one would."""
    groups: dict[tuple[str, str, int | None], list[_Candidate]] = {}
    for c in candidates:
        groups.setdefault((c.role.name, c.difference.part, c.difference.step), []).append(c)
    pool = []
    for members in groups.values():
        if len(members) <= MOST_SIMILAR:
            pool += members
        else:
            first = max(members, key=lambda c: (c.weight, *_prominence(c.difference)))
            pool.append(replace(first, similar=len(members) - 1))
    return pool


def _prominence(difference: RecordedDifference) -> tuple[bool, int, int]:
    """What a user sets comes before what follows from it, and a short name before a long one."""
    by_user = difference.part in SETTINGS and difference.part != "numerics"
    requested = by_user or difference.path.startswith("requested.")
    return requested, len(difference.also), -difference.path.count(".")


def _is_generator(difference: RecordedDifference) -> bool:
    derived = difference.path.startswith("generators.") or difference.path == STREAMS
    return difference.part == "random" and derived


def _weigh(difference: RecordedDifference, role: Role, e: RunDivergence) -> _Candidate:
    weight = _likelihood(role.likelihoods, e)
    restarts = (*e.restarts, *e.shared_restarts)
    if difference.part == "inputs" and restarts and e.onset != "initial":
        weight = max(weight, CERTAIN * _likelihood(RESTART.likelihoods, e))
        reason = f"A restart loads its state at step {restarts[0]}, where the runs diverge."
    elif role is RESTART and e.restarts:
        weight *= CERTAIN
        reason = f"The restart at step {e.restarts[0]} is where the runs diverge."
    elif role is RESTART:
        weight *= 0.02
        reason = "No restart lies in the interval in which the runs diverge."
    elif difference.step is not None:
        weight, reason = _dated(difference, difference.step, role, weight, e)
    else:
        reason = f"It {role.acts}, and {_observation(role, e)}."
    return _Candidate(difference, role, weight, reason)


def _likelihood(likelihoods: Likelihoods, e: RunDivergence) -> float:
    time_moved = e.time_differs is not None and e.time_differs >= 0.3 * (e.observed or 0.0)
    if not e.state_differs:
        return likelihoods.prior * likelihoods.time if time_moved else likelihoods.prior
    initial, first, later = likelihoods.onset
    onset = {
        "initial": initial,
        "first interval": first,
        "early": max(initial, first),
        "later": later,
    }[e.onset]
    roundoff, small, large = likelihoods.size
    size = {"roundoff": roundoff, "small": small, "large": large, "unseen": roundoff}[e.size]
    wide, local, by_rank = likelihoods.location
    location = {
        "one rank": by_rank,
        "one node": by_rank,
        "rank borders": by_rank,
        "one tile": local,
        "box": max(local, 0.5 * wide),
        "plane": max(local, 0.5 * wide),
    }.get(e.pattern, wide)
    if not e.resolved:
        location = 1.0
    if e.at_boundary:
        location = max(location, likelihoods.boundary)
    time = likelihoods.time if time_moved and e.onset != "initial" else 1.0
    return likelihoods.prior * onset * size * location * time


def _dated(
    difference: RecordedDifference, step: int, role: Role, weight: float, e: RunDivergence
) -> tuple[float, str]:
    """The weight and the reason of a difference of which the step is known."""
    since = difference.since if difference.since is not None else step
    after = e.after if e.after is not None else -1
    if after <= step and since <= e.step and (step > 0 or e.onset != "later"):
        # At the beginning it says less that something lies in the interval.
        coincidence = 1.0 if e.onset == "later" else 0.4
        when = f"At step {step}" if since == step else f"Between steps {since} and {step}"
        certain = CERTAIN * role.likelihoods.prior * coincidence
        return max(weight, certain), f"{when} it lies in the interval in which they diverge."
    if since > e.step:
        return 0.0, f"At step {since} it comes after the runs have diverged."
    return 0.05 * weight, f"At step {step} it lies well before step {e.step}, where they diverge."


def _observation(role: Role, e: RunDivergence) -> str:
    """What of the divergence speaks for or against this role most, as half a sentence."""
    likelihoods = role.likelihoods
    if e.time_differs is not None and role.name == "time step":
        ratio = f"; the step ratio is {times(e.step_ratio)}" if e.step_ratio is not None else ""
        return f"the same step number has a different simulated time{ratio}"
    if not e.state_differs:
        if e.fields_compared:
            return "the state is the same at every matching step"
        return "no recorded number of the state differs"
    if e.onset == "initial" and likelihoods.onset[0] < 0.3:
        return f"it does not act before the first step, yet the runs differ at step {e.step}"
    if e.onset == "initial":
        return f"the runs differ at step {e.step}" + ", where both records begin" * (e.step > 0)
    return _later_observation(role, e)


def _later_observation(role: Role, e: RunDivergence) -> str:
    likelihoods = role.likelihoods
    if e.onset == "early":
        return f"the runs differ at the first step they share, {e.step}{_location(e)}"
    if role.name == "initial state":
        return f"the runs agree at the first sample and diverge by step {e.step}"
    if e.size in ("roundoff", "unseen"):
        if likelihoods.size[0] < 0.3:
            return "it would change more than the last digits, which is all that differs"
        return f"the runs diverge at roundoff level{_location(e)}"
    if likelihoods.size[2] <= 0.1:
        return "such changes stay at roundoff level at first, but this one is larger"
    if e.onset == "first interval":
        return f"the runs diverge within the first interval, by step {e.step}"
    if likelihoods.onset[2] < 0.4:
        return f"the runs agree up to step {e.after} all the same"
    return f"the runs diverge by step {e.step}{_location(e)}"


def _location(e: RunDivergence) -> str:
    return {
        "one tile": " in a single tile",
        "one rank": " on one rank",
        "one node": " on one node",
        "rank borders": " along the borders between ranks",
    }.get(e.pattern, "")


def _unexplained(e: RunDivergence, kind: Classification, any_recorded: bool) -> str:
    start = "No recorded difference explains this"
    if not any_recorded:
        start = "Nothing was recorded differently"
    advice = {
        "decomposition or halo": "the borders between ranks point to the exchange of halos.",
        "blow-up": "look for what first turned non-finite, and for nondeterminism before it.",
        "local event": "a change in one place points to hardware or a race between threads.",
    }.get(kind.kind)
    if advice is None and e.size in ("roundoff", "unseen"):
        advice = "the code may not be deterministic (order of threads or of reductions)."
    if advice is None:
        advice = "something that is not recorded differs, or the code is not deterministic."
    return f"{start}: {advice}"
