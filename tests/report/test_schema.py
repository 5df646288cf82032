"""What --json prints is what the published schema says."""

import io
import json
from pathlib import Path

import jsonschema
import pytest
from recorded_twins import Setup, run

from simckpt.compare.comparison import Options, compare
from simckpt.compare.many import compare_many
from simckpt.compare.tolerance import Limits, Tolerance
from simckpt.report.exports import comparison_schema, schema_text
from simckpt.report.text import show_json

SMALL = Setup(name="small", n=8, steps=16, every=1, checkpoint_every=8)
PUBLISHED = Path(__file__).parents[2] / "docs" / "compare-schema.json"


def printed(result):
    out = io.StringIO()
    show_json(result, out)
    return json.loads(out.getvalue())


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(PUBLISHED.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def fields(schema):
    """{part: (its fields, those that are always there)}, whatever else a schema says of them."""
    return {
        name: (set(part.get("properties", ())), set(part.get("required", ())))
        for name, part in schema["$defs"].items()
    }


def test_the_published_schema_has_the_parts_and_fields_of_the_code():
    mend = "mend by: simckpt compare --schema > docs/compare-schema.json"
    assert fields(json.loads(PUBLISHED.read_text())) == fields(json.loads(schema_text())), mend


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rate": 0.6},
        {"poison": 3},
        {"fields": ("x", "y")},
        {"steps": 12},
        {"n": 16},
        {"chaotic": True},
        {"restart": 8, "lossy_restart": True},
        {"bit": (5, 40), "killed": True},
    ],
)
def test_every_kind_of_result_is_valid(validator, changes):
    validator.validate(printed(compare(run(SMALL), run(SMALL, **changes))))


def test_a_result_under_a_tolerance_and_numbers_that_are_not_finite_are_valid(validator):
    loose = Options(by="time", tolerance=Tolerance(default=Limits(rtol=1e-9)))
    validator.validate(printed(compare(run(SMALL), run(SMALL, dt=0.04), loose)))
    blown = printed(compare(run(SMALL, poison=2), run(SMALL, poison=4)))
    assert any(q["a"] is None or q["b"] is None for q in blown["quantities"])
    validator.validate(blown)


def test_many_runs_are_valid(validator):
    runs = [run(SMALL, name=n, rate=r) for n, r in (("a", 0.5), ("b", 0.5), ("c", 0.6))]
    validator.validate(printed(compare_many(runs)))


def test_the_schema_refuses_what_is_no_result(validator):
    found = printed(compare(run(SMALL), run(SMALL)))
    found["verdict"] = "maybe"
    assert not validator.is_valid(found)
    assert not validator.is_valid({})


def test_the_schema_names_its_draft_and_both_results():
    schema = comparison_schema()
    assert {"Comparison", "ManyRuns"} <= set(schema["$defs"])
    assert schema["$schema"].endswith("2020-12/schema")
