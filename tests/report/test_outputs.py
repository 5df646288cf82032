"""What `simckpt verify --index` says of outputs."""

from __future__ import annotations

import io

from simckpt.report.text import show
from simckpt.report.verification import OutputLine, outputs_section


def lines_of(*outputs: OutputLine) -> list[str]:
    out = io.StringIO()
    show(outputs_section(outputs), out)
    return out.getvalue().splitlines()


def test_a_short_name_stands_on_one_line() -> None:
    missing = OutputLine(path="out/field-000.nc", status="missing", holds=False)
    long = OutputLine(path=f"out/{'x' * 70}.nc", status="changed", holds=False)
    assert "  missing  out/field-000.nc" in lines_of(missing)
    assert f"  changed  {long.path}" in lines_of(missing, long)


def test_what_differs_stands_behind_the_name() -> None:
    changed = OutputLine(path="a.nc", status="changed", holds=False, variables=("rho", "u"))
    same = OutputLine(path="b.nc", status="same", holds=True)
    found = lines_of(changed, same)
    assert "  changed  a.nc  in rho, u" in found
    assert "  1 of 2 outputs as indexed" in found
