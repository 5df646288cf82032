"""`simckpt.analysis.stage`: around a step of an analysis, as `simckpt.run` is around a driver."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, overload

from ..errors import SetupError
from ..model.manifest import Stage
from ..recording.run import Run, run
from .profile import AnalysisProfile

F = TypeVar("F", bound=Callable[..., Any])

ROLE = "analysis"


@overload
def stage(bundle: F) -> F: ...
@overload
def stage(
    bundle: str | os.PathLike[str] | None = None,
    *,
    name: str = "",
    cohort: str = "",
    **settings: Any,
) -> Run: ...
def stage(bundle: Any = None, *, name: str = "", cohort: str = "", **settings: Any) -> Any:
    """Record a step of an analysis: a decorator around a function, or a context manager.

    What is recorded is what a simulation records (manifest, spec diff, environment, intent,
    index of the outputs) and the ordered manifest of the transforms that happen inside; see
    `simckpt.analysis.transform`.

    Parameters
    ----------
    bundle : str or path
        Where the bundle goes; ``{name}`` is replaced by a parameter of the function. By default
        the function's name, in the working directory.
    name : str
        The name of this step in a chain, such as ``"growth rates"``.
    cohort : str
        What the stage as a whole is about: which runs, which members, which times.
    **settings
        The arguments of `simckpt.run`. ``upstream=`` names the bundles whose output is
        analysed, so that a figure leads back to the run; ``inputs=`` and ``outputs=`` are
        hashed.

    Returns
    -------
    simckpt.recording.run.Run
        A decorator and context manager.

    Raises
    ------
    SetupError, BundleError
        As `simckpt.run`.

    Examples
    --------
    ::

        @simckpt.analysis.stage(
            "growth.simckpt.h5",
            upstream=["kh.simckpt.h5"],
            inputs=["kh.nc"],
            outputs=["growth.png"],
        )
        def growth(source="kh.nc"): ...
    """
    if callable(bundle):
        return stage()(bundle)
    if "stage" in settings:
        raise SetupError(
            "stage",
            settings["stage"],
            "is no argument of analysis.stage",
            mend="Write name=, and cohort= for what the stage is about.",
        )
    if "profile" in settings:
        raise SetupError("profile", settings["profile"], "is no argument of analysis.stage")
    if not isinstance(cohort, str):
        raise SetupError("cohort", cohort, "is not a text")
    return run(
        bundle,
        stage=Stage(name=name, role=ROLE),
        profile=partial(AnalysisProfile, cohort),
        **settings,
    )
