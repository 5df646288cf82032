"""Settings are read off live objects."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import random
import sys
import types
import warnings

import numpy as np
import pytest

from simckpt import describe
from simckpt.model.record import canonical_json


@dataclasses.dataclass
class Scheme:
    limiter: str
    cfl: float


def decay(t, y):
    return -y


@pytest.mark.parametrize("method", ["RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA"])
def test_the_solvers_of_scipy_tell_their_tolerances(method):
    integrate = pytest.importorskip("scipy.integrate")
    solver = getattr(integrate, method)(decay, 0.0, [1.0, 2.0], 3.0, rtol=1e-7, atol=1e-9)
    facts = describe(solver)
    assert facts["solver"] == method
    assert (facts["rtol"], facts["atol"]) == (1e-7, 1e-9)
    assert facts["size"] == 2
    assert facts["t_bound"] == 3.0
    solver.step()
    assert describe(solver) == facts


def test_the_tolerance_in_effect_is_told_and_not_the_one_asked_for():
    integrate = pytest.importorskip("scipy.integrate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solver = integrate.RK45(decay, 0.0, [1.0], 3.0, rtol=1e-30)
    assert describe(solver)["rtol"] > 1e-15


def test_the_result_of_solve_ivp_and_the_older_ode():
    integrate = pytest.importorskip("scipy.integrate")
    result = integrate.solve_ivp(decay, (0, 1), [1.0])
    facts = describe(result)
    assert (facts["nfev"], facts["success"]) == (result.nfev, True)
    assert "y" not in facts
    ode = integrate.ode(decay).set_integrator("dopri5", rtol=1e-5)
    assert describe(ode)["solver"] == "dopri5"
    assert describe(ode)["rtol"] == 1e-5


def test_a_simulation_of_pyro_tells_its_parameters_in_effect():
    pyro = pytest.importorskip("pyro")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        driver = pyro.Pyro("compressible")
        assert describe(driver)["solver"] == "compressible"
        driver.initialize_problem(
            "sod", inputs_dict={"mesh.nx": 16, "mesh.ny": 4, "driver.cfl": 0.5, "vis.dovis": 0}
        )
    facts = describe(driver)
    assert (facts["solver"], facts["problem"]) == ("compressible", "sod")
    assert facts["parameters"]["driver"]["cfl"] == 0.5
    assert facts["parameters"]["compressible"]["limiter"] == driver.sim.rp.get_param(
        "compressible.limiter"
    )
    assert facts["grid"]["nx"] == 16
    assert facts["boundaries"]["density"]["xlb"] == "outflow"
    assert describe(driver.sim) == facts
    canonical_json(facts)


def test_petsc_solvers_are_known_by_their_class_name(monkeypatch):
    """By a stand-in with petsc4py's methods: see the next test for the real one."""

    class PC:
        def getType(self):  # noqa: N802
            return "gamg"

    class KSP:
        def getTolerances(self):  # noqa: N802
            return 1e-8, 1e-50, 1e5, 200

        def getType(self):  # noqa: N802
            return "gmres"

        def getPC(self):  # noqa: N802
            return PC()

        def getNormType(self):  # noqa: N802
            return 1

        def getPCSide(self):  # noqa: N802
            return 0

        def getOptionsPrefix(self):  # noqa: N802
            return None

    KSP.__module__ = "petsc4py.PETSc"
    facts = describe(KSP())
    assert (facts["solver"], facts["preconditioner"]) == ("gmres", "gamg")
    assert (facts["rtol"], facts["max_iterations"]) == (1e-8, 200)


def test_the_solvers_of_diffrax_and_what_they_did():
    diffrax = pytest.importorskip("diffrax")
    import jax.numpy as jnp

    controller = diffrax.PIDController(rtol=1e-5, atol=1e-7)
    assert describe(diffrax.Tsit5())["solver"] == "Tsit5"
    assert describe(controller)["rtol"] == 1e-5
    term = diffrax.ODETerm(lambda t, y, args: -y)
    solution = diffrax.diffeqsolve(
        term, diffrax.Tsit5(), 0.0, 1.0, 0.1, jnp.ones(2), stepsize_controller=controller
    )
    facts = describe(solution)
    assert (facts["result"], facts["num_rejected_steps"]) == ("successful", 0)
    assert "ys" not in facts


def test_diffrax_is_known_by_its_class_names():
    """By stand-ins, where Diffrax is not installed."""

    @dataclasses.dataclass
    class AbstractStepSizeController:
        rtol: float
        dtmin: float | None = None

    class Solution:
        stats = {"num_steps": 4}
        result = "diffrax._solution.RESULTS<The maximum number of steps was reached>"
        ys = np.zeros(3)

    AbstractStepSizeController.__module__ = Solution.__module__ = "diffrax._stand_in"
    facts = describe(type("PIDController", (AbstractStepSizeController,), {})(1e-5))
    assert facts == {"stepsize_controller": "PIDController", "rtol": 1e-5}
    assert describe(Solution()) == {
        "num_steps": 4,
        "result": "The maximum number of steps was reached",
    }


def test_bags_of_settings_tell_their_fields():
    assert describe({"cfl": 0.4}) == {"cfl": 0.4}
    assert describe(argparse.Namespace(n=4)) == {"n": 4}
    assert describe(types.SimpleNamespace(n=4)) == {"n": 4}
    facts = describe(Scheme("mc", 0.4))
    assert (facts["limiter"], facts["cfl"]) == ("mc", 0.4)
    assert facts["type"].endswith("Scheme")


def test_generators_tell_their_state():
    assert describe(np.random.default_rng(4))["entropy"] == 4
    assert describe(random.Random(4))["kind"] == "Random"


def test_other_values_stand_for_themselves():
    assert describe(3) == {"value": 3}
    assert describe("HLLC") == {"value": "HLLC"}
    assert describe(object()) == {"type": "object"}


def test_a_class_of_the_user_is_taught_by_registration():
    class Mine:
        cfl = 0.4

    class Finer(Mine):
        cfl = 0.2

    @describe.register(Mine)
    def _(solver):
        return {"cfl": solver.cfl}

    assert describe(Mine()) == {"cfl": 0.4}
    assert describe(Finer()) == {"cfl": 0.2}


def test_an_object_that_cannot_be_read_gives_the_reason():
    broken = type("ode", (), {"__module__": "scipy.integrate"})
    facts = describe(broken())
    assert facts["type"] == "scipy.integrate.ode"
    assert facts["unavailable"].startswith("AttributeError")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.toml", "[run]\ncfl = 0.4\n", {"run": {"cfl": 0.4}}),
        ("a.json", '{"n": 3, "password": "hunter2xyz"}', {"n": 3, "password": "***"}),
        ("a.ini", "[run]\ncfl = 0.4%\n", {"run": {"cfl": "0.4%"}}),
    ],
)
def test_settings_files_are_read_by_suffix(tmp_path, name, text, expected):
    path = tmp_path / name
    path.write_text(text)
    assert describe(path) == describe(str(path)) == expected


def test_formats_of_other_packages_are_read_where_these_are(tmp_path, monkeypatch):
    yaml, nml = tmp_path / "a.yaml", tmp_path / "a.nml"
    yaml.write_text("cfl: 0.4\n")
    nml.write_text("&run cfl = 0.4 /\n")
    monkeypatch.setitem(sys.modules, "yaml", types.SimpleNamespace(safe_load=lambda t: {"t": t}))
    assert describe(yaml) == {"t": "cfl: 0.4\n"}
    monkeypatch.setitem(sys.modules, "f90nml", None)
    assert describe(nml)["file"] == "a.nml"
    assert "f90nml" in describe(nml)["unavailable"]


def test_a_namelist_is_read_by_f90nml(tmp_path):
    pytest.importorskip("f90nml")
    path = tmp_path / "a.nml"
    path.write_text("&run cfl = 0.4, n = 3 /\n")
    assert describe(path) == {"run": {"cfl": 0.4, "n": 3}}


def test_groups_of_one_name_in_a_namelist_are_a_list(tmp_path):
    pytest.importorskip("f90nml")
    path = tmp_path / "run.nml"
    path.write_text("&g\n n = 1\n/\n&h\n m = 0\n/\n&g\n n = 2\n/\n")
    assert describe(path) == {"g": [{"n": 1}, {"n": 2}], "h": {"m": 0}}


def test_a_yaml_file_is_read_by_pyyaml(tmp_path):
    pytest.importorskip("yaml")
    path = tmp_path / "a.yaml"
    path.write_text("run:\n  cfl: 0.4\n  limiters: [mc, minmod]\n")
    assert describe(path) == {"run": {"cfl": 0.4, "limiters": ["mc", "minmod"]}}


def test_a_damaged_settings_file_gives_the_reason(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("[[[")
    assert describe(path)["unavailable"].startswith("TOMLDecodeError")


@pytest.mark.parametrize(("method", "order"), [("adams", 12), ("bdf", 5)])
def test_vode_tells_its_method_and_the_highest_order_of_it(method, order):
    solver = pytest.importorskip("scipy.integrate").ode(lambda t, y: -y)
    told = describe(solver.set_integrator("vode", method=method))
    assert (told["method"], told["order"]) == (method, order)


def test_a_bound_solve_ivp_has_the_tolerances_of_the_installed_version():
    integrate = pytest.importorskip("scipy.integrate")
    told = describe(functools.partial(integrate.solve_ivp, method="BDF"))
    fresh = describe(integrate.BDF(lambda t, y: -y, 0.0, [1.0], 1.0))
    assert (told["rtol"], told["atol"]) == (fresh["rtol"], fresh["atol"])
    given = describe(functools.partial(integrate.solve_ivp, method=integrate.RK45, rtol=1e-9))
    assert (given["rtol"], given["atol"]) == (1e-9, fresh["atol"])


def test_krylov_solvers_tell_the_limits_that_they_were_not_given():
    linalg = pytest.importorskip("scipy.sparse.linalg")
    bare = describe(functools.partial(linalg.gmres))
    assert (bare["restart"], bare["maxiter"]) == (20, "10 times the size")
    bound = describe(functools.partial(linalg.gmres, np.eye(7), restart=None))
    assert (bound["restart"], bound["maxiter"]) == (7, 70)
    given = describe(functools.partial(linalg.gmres, restart=30, maxiter=5))
    assert (given["restart"], given["maxiter"]) == (30, 5)
    assert describe(functools.partial(linalg.cg, maxiter=9))["maxiter"] == 9
