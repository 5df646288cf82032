"""Make the catalogue's runs and say how well comparisons explain them.

``python -m benchmarks.forensics`` makes what was not made before, compares each pair, and prints
a line for each case and the totals. ``--ablation`` leaves out each part of the bundle in turn.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console

from .ablation import ablate
from .case import Case
from .catalogue import CASES
from .judging import Judge
from .making import OPTIONAL, Workshop
from .printing import ablation_table, case_table, totals, totals_table


def main() -> int:
    """The exit status is 0 if no divergence was missed and nothing unchanged was blamed."""
    options = _options()
    console, progress = Console(), Console(stderr=True)
    cases = [c for c in CASES if _wanted(c, options)]
    workshop = Workshop(options.work)
    if options.fresh:
        workshop.forget()
    workshop.prepare()
    failed = _made(workshop, cases, options.jobs, progress)
    judge = Judge(workshop)
    cases = [c for c in cases if not {c.a.key, c.b.key} & failed]
    scores = [judge.score(c) for c in cases]
    found = totals(scores)
    if options.json:
        told = {"cases": [asdict(s) for s in scores], "totals": found, "failed": sorted(failed)}
        if options.ablation:
            told["ablation"] = [asdict(row) for row in ablate(judge, cases, totals)]
        json.dump(told, sys.stdout, indent=1)
        print()
    else:
        console.print(case_table(scores))
        console.print(totals_table(scores))
        if options.ablation:
            console.print(ablation_table(ablate(judge, cases, totals)))
    missed = any(s.found is False for s in scores)
    return 1 if missed or failed or any(s.false_alarm for s in scores) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forensics", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        default=[],
        help="cases whose name matches, * and ? allowed",
    )
    parser.add_argument("--half", choices=("development", "held out"))
    parser.add_argument("--ablation", action="store_true", help="leave out parts of the bundle")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--jobs", type=int, default=2, help="programs that run at one time")
    parser.add_argument("--fresh", action="store_true", help="make all runs anew")
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="where runs are made and kept",
        default=Path(tempfile.gettempdir()) / "simckpt-forensics",
    )
    return parser.parse_args()


def _wanted(case: Case, options: argparse.Namespace) -> bool:
    if options.half and case.half != options.half:
        return False
    return not options.only or any(fnmatchcase(case.name, f"*{p}*") for p in options.only)


def _made(workshop: Workshop, cases: Sequence[Case], jobs: int, console: Console) -> set[str]:
    """Make the runs; the keys of those that failed."""
    failed: set[str] = set()
    programs = [p for c in cases for p in (c.a, c.b)]
    lacking = {d for d, package in OPTIONAL.items() if not _installed(package)}
    if lacking:
        console.print(f"left out, since their packages are missing: {', '.join(sorted(lacking))}")
        failed |= {p.key for p in programs if p.driver in lacking}
    runnable = [p for p in programs if p.driver not in lacking]
    with console.status("making the runs"):
        for done, (program, problem) in enumerate(workshop.make(runnable, jobs), start=1):
            console.print(f"{done:4d} {program.key} {problem or 'made'}")
            if problem:
                failed.add(program.key)
    return failed


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


if __name__ == "__main__":
    raise SystemExit(main())
