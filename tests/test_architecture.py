"""The house as it is meant to stand: imports point down only, and heavy ones have one room."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import simckpt

PACKAGE = Path(simckpt.__file__).parent

LEVELS = {
    "analysis": 4,
    "errors": 0,
    "model": 0,
    "parallel": 1,
    "bundle": 2,
    "capture": 2,
    "diagnostics": 3,
    "compare": 3,
    "recording": 4,
    "report": 4,
    "cli": 5,
}
HOMES = {"h5py": "bundle", "mpi4py": "parallel", "click": "cli", "rich": "report"}
SHARED = {"rich": {"report", "cli"}}
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if not {"_examples", "_slurm"} & set(p.parts))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, str]]:
    """(room or top-level package, full name) of each import, those inside functions too."""
    depth = len(path.relative_to(PACKAGE).parts)
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name.split(".")[0], alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append((node.module.split(".")[0], node.module))
        elif isinstance(node, ast.ImportFrom):
            base = list(path.relative_to(PACKAGE).parts[: depth - node.level])
            full = base + (node.module.split(".") if node.module else [])
            if full:
                found.append((full[0], ".".join(full)))
            else:
                found += [(alias.name, alias.name) for alias in node.names]
    return found


def edges() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        if room(path) in ("__init__", "__main__"):
            continue
        for target, _ in imports(path):
            if target in LEVELS and target != room(path):
                graph.setdefault(room(path), set()).add(target)
    return graph


def test_every_module_has_a_room_in_the_house() -> None:
    assert {room(p) for p in MODULES} - {"__init__", "__main__"} == set(LEVELS)


def test_imports_point_down_only() -> None:
    upward = [
        (source, target)
        for source, targets in edges().items()
        for target in targets
        if LEVELS[target] > LEVELS[source]
    ]
    assert upward == []


def test_rooms_on_one_floor_do_not_need_each_other_in_a_circle() -> None:
    graph = edges()
    circles = [(a, b) for a in graph for b in graph[a] if a in graph.get(b, set())]
    assert circles == []


def test_comparison_needs_bundle_and_model_only() -> None:
    assert edges().get("compare", set()) <= {"bundle", "model", "errors"}


@pytest.mark.parametrize("package", sorted(HOMES))
def test_a_heavy_package_has_one_home(package: str) -> None:
    allowed = SHARED.get(package, {HOMES[package]})
    users = {room(p) for p in MODULES for top, _ in imports(p) if top == package}
    assert users <= allowed
    assert HOMES[package] in users


def test_only_one_module_imports_mpi4py() -> None:
    users = [p.name for p in MODULES if any(top == "mpi4py" for top, _ in imports(p))]
    assert users == ["mpi.py"]


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("simckpt", *(parts[:-1] if parts[-1] == "__init__" else parts)))


NAMES = {module_name(path): path for path in MODULES}


def module_graph(*, at_load: bool) -> dict[str, set[str]]:
    """The modules that each one imports: when it is loaded or type-checked, or ever."""
    graph: dict[str, set[str]] = {}
    for name, path in NAMES.items():
        package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
        tree = ast.parse(path.read_text())
        targets = set()
        for node in nodes_at_load(tree.body) if at_load else ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                source = ".".join([*base, *filter(None, [node.module])])
                targets |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
        graph[name] = targets & NAMES.keys() - {name}
    return graph


def nodes_at_load(body: list[ast.stmt]) -> Iterator[ast.ImportFrom]:
    for node in body:
        if isinstance(node, ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If):
            yield from nodes_at_load([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from nodes_at_load(node.body)


def test_no_module_needs_itself_through_others_type_hints_included() -> None:
    graph = module_graph(at_load=True)
    # A package's own file only says which names it has.
    packages = {name for name, path in NAMES.items() if path.stem == "__init__"}
    try:
        order = tuple(TopologicalSorter({m: t - packages for m, t in graph.items()}).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
    assert set(order) == set(NAMES)


def test_no_small_module_serves_one_other_alone() -> None:
    graph = module_graph(at_load=False)
    importers = {name: sum(name in targets for targets in graph.values()) for name in NAMES}
    small = [
        name
        for name, path in NAMES.items()
        if path.stem not in ("__init__", "__main__")
        and len(path.read_text().splitlines()) < 60
        and importers[name] <= 1
    ]
    assert small == []


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_importing_simckpt_loads_nothing_heavy() -> None:
    heavy = {"numpy", "numba", "h5py", "mpi4py", "rich", "click", "dulwich", "xarray"}
    assert loaded_after("import simckpt") & heavy == set()


def test_declaring_a_run_loads_no_numba_h5py_or_mpi4py() -> None:
    statement = (
        "import simckpt; simckpt.Grid((8, 8)); simckpt.CFL('u'); "
        "simckpt.step(fields=dict, conserved={'mass': 'rho'}); "
        "simckpt.Intent(goal='x'); simckpt.Numerics(solver='x')"
    )
    assert loaded_after(statement) & {"numba", "h5py", "mpi4py"} == set()


def test_opening_and_comparing_loads_no_numba_and_no_mpi4py() -> None:
    statement = "import simckpt.bundle.reader, simckpt.compare.comparison, simckpt.cli.compare"
    assert loaded_after(statement) & {"numba", "mpi4py"} == set()
