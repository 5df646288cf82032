"""What tells two objects of a class of the user's own apart: attributes, bound values, code.

Equal objects give equal facts in any process, so that nothing that belongs to the process alone
is taken for a fact: memory addresses, threads, locks, open files, and times of day.
"""

from __future__ import annotations

import functools
import re
import sys
import sysconfig
import types
from typing import Any

from ..model.record import Facts, hash_bytes

_ADDRESS = re.compile(r"(?: at)? 0x[0-9a-fA-F]{4,}")
_HANDLE = re.compile(r"(?<![\w.])\d{5,}(?![\w.])")
_OF_THE_MOMENT = re.compile(
    r"_*(pid|tid|host_?name|uuid|(start_?|creation_?)?(time_?stamp|wall_?(time|clock))"
    r"|(started|created|modified)_?(at|on)|creation_?time)",
    re.IGNORECASE,
)
_KEPT_ASIDE = re.compile(
    r"_+(.*(cache|hash|lock|callback|weak|memo).*|u?id|mangled.*)", re.IGNORECASE
)
_OF_THE_PROCESS = frozenset(
    {
        "_asyncio", "_io", "_queue", "_socket", "_thread", "_weakref", "asyncio", "concurrent",
        "io", "logging", "mpi4py", "multiprocessing", "queue", "select", "selectors", "socket",
        "ssl", "subprocess", "tempfile", "threading", "weakref", "_weakrefset",
    }
)  # fmt: skip
"""Packages whose objects are nothing outside of the process that made them."""

_PACKAGE_FOLDERS = ("site-packages", "dist-packages")
_MOST_CONSTANTS = 1_000


def name_of(thing: Any) -> str:
    """``module.name`` of a class or callable, without the ``builtins``; of others their type's."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    if not isinstance(name, str):
        return name_of(type(thing))
    module = getattr(thing, "__module__", None)
    text = name if module in (None, "builtins") else f"{module}.{name}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def without_addresses(text: str) -> str:
    """A repr without what differs from process to process."""
    text = _ADDRESS.sub("", text)
    # Between such brackets stands a description and no value: long numbers are handles.
    return _HANDLE.sub("", text) if text.startswith("<") else text


def belongs_to_process(value: object) -> bool:
    """Whether an object is nothing outside of this process: a thread, a lock, an open file."""
    modules = (base.__module__ for base in type(value).__mro__[:-1])
    return any(str(module).partition(".")[0] in _OF_THE_PROCESS for module in modules)


def is_users_own(cls: type) -> bool:
    """Whether a class comes from neither the standard library nor an installed package."""
    name = str(cls.__module__)
    if name in ("__main__", "__mp_main__"):
        return True
    if name.partition(".")[0] in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(file, str):
        # A cell of a notebook, or a class made by hand; an extension without a file is installed.
        return name not in sys.builtin_module_names
    return not any(folder in file for folder in (*_PACKAGE_FOLDERS, _standard_library()))


@functools.cache
def _standard_library() -> str:
    return sysconfig.get_path("stdlib") + "/"


def attributes_of(value: Any) -> Facts | None:
    """The attributes that an object holds itself, by name; None for one that holds none.

    Nothing is computed: properties are not asked. Of a class from an installed package, what it
    keeps for itself under names such as ``_cache`` is left out.
    """
    if isinstance(value, type | types.ModuleType) or belongs_to_process(value):
        return None
    kind = type(value)
    own = is_users_own(kind)
    if not own and kind.__module__.partition(".")[0] in sys.stdlib_module_names:
        return None
    held = dict(getattr(value, "__dict__", None) or {})
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            place = f"_{base.__name__.lstrip('_')}{name}" if _is_private(name) else name
            if hasattr(value, place):
                held.setdefault(name, getattr(value, place))
    found = {
        name: item
        for name, item in held.items()
        if isinstance(name, str)
        and not (name.startswith("__") and name.endswith("__"))
        and name != "__weakref__"
        and (own or not _KEPT_ASIDE.fullmatch(name))
        and not _OF_THE_MOMENT.fullmatch(name)
    }
    return found or None


def _is_private(name: str) -> bool:
    return name.startswith("__") and not name.endswith("__")


def bound_values(function: Any) -> Facts | None:
    """What sets a function apart from others of its name; None where its name says all.

    A closure has the values it closes over, one that was made in passing its constants and
    defaults too, a bound method its object.
    """
    if isinstance(function, types.MethodType | types.BuiltinMethodType):
        owner = function.__self__
        if owner is None or isinstance(owner, type | types.ModuleType):
            return None
        return {"of": owner}
    # What Numba compiles, and NumPy vectorizes, is a function of Python's too.
    plain = getattr(function, "py_func", getattr(function, "pyfunc", function))
    code = getattr(plain, "__code__", None)
    if not isinstance(plain, types.FunctionType) or not isinstance(code, types.CodeType):
        return None
    if "<" not in plain.__qualname__:
        return None
    facts: Facts = {"code": hash_bytes("\n".join(_code(code)).encode("utf-8", "backslashreplace"))}
    cells = zip(code.co_freevars, plain.__closure__ or (), strict=True)
    closed = {name: _contents(cell) for name, cell in cells}
    if closed:
        facts["closure"] = closed
    names = code.co_varnames[: code.co_argcount]
    defaults = dict(zip(reversed(names), reversed(plain.__defaults__ or ()), strict=False))
    if defaults | (plain.__kwdefaults__ or {}):
        facts["defaults"] = defaults | (plain.__kwdefaults__ or {})
    return facts


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet, as that of a function that calls itself
        return None


def _code(code: types.CodeType) -> list[str]:
    """What a function computes: its instructions and constants, of it and those within it."""
    found = [code.co_code.hex(), repr(code.co_names)]
    for constant in code.co_consts[:_MOST_CONSTANTS]:
        if isinstance(constant, types.CodeType):
            found += _code(constant)
        elif not isinstance(constant, frozenset):  # in another order in each process
            found.append(repr(constant))
    return found
