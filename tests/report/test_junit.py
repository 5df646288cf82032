from xml.etree import ElementTree as ET

from recorded_twins import Setup, run

from simckpt.compare.comparison import Options, compare
from simckpt.compare.many import compare_many
from simckpt.compare.tolerance import Limits, Override, Tolerance
from simckpt.report.exports import junit

SMALL = Setup(name="small", n=8, steps=8, every=2, checkpoint_every=8)


def suite(result):
    (found,) = ET.fromstring(junit(result))
    return found


def outcomes(result):
    cases = suite(result).findall("testcase")
    return {
        f"{c.get('classname')}.{c.get('name')}": next((e.tag for e in c), "passed") for c in cases
    }


def of(options=None, **changes):
    return compare(run(SMALL), run(SMALL, **changes), options)


def test_the_same_runs_pass_in_every_case():
    found = outcomes(of(ranks=2))
    assert set(found.values()) == {"passed"}
    assert {"simckpt.verdict.verdict", "simckpt.field.x", "simckpt.quantity.mass"} <= set(found)


def test_what_differs_fails_and_what_does_not_passes():
    found = outcomes(of(rate=0.6))
    assert found["simckpt.verdict.verdict"] == "failure"
    assert found["simckpt.field.x"] == "failure"
    assert found["simckpt.quantity.dt"] == "passed"


def test_what_had_to_be_compared_and_could_not_is_an_error_and_no_pass():
    found = outcomes(of(fields=("x", "y")))
    assert found["simckpt.verdict.verdict"] == "error"
    assert found["simckpt.field.y is only in B"] == "error"


def test_what_was_left_out_is_skipped_and_counted():
    result = of(Options(renames={"mass": "x.max"}))
    left = [name for name, tag in outcomes(result).items() if tag == "skipped"]
    assert [name.partition(" (")[0] for name in left] == [
        "simckpt.column.mass is a conserved in A and a maximum in B",
        "simckpt.column.mass is only in B",
    ]
    assert int(suite(result).get("skipped")) == list(outcomes(result).values()).count("skipped")


def test_the_counts_are_those_of_the_cases():
    for result in (of(rate=0.6), of(fields=("x", "y")), of()):
        found = list(outcomes(result).values())
        told = suite(result)
        assert int(told.get("tests")) == len(found)
        assert int(told.get("failures")) == found.count("failure")
        assert int(told.get("errors")) == found.count("error")


def test_bits_that_the_tolerance_accepts_pass_and_are_told():
    loose = Options(tolerance=Tolerance(default=Limits(rtol=1e-9)))
    result = of(loose, reordered=True)
    assert result.fields
    case = suite(result).find("testcase[@classname='simckpt.field']")
    assert case.find("failure") is None
    assert "accepts" in case.findtext("system-out")
    strict = Tolerance(overrides=(Override(pattern="x", rtol=1e-3),))
    found = outcomes(of(Options(tolerance=strict), rate=0.500001))
    assert found["simckpt.quantity.mass"] == "failure"
    assert found["simckpt.field.x"] == "system-out"


def test_a_record_that_ends_early_fails_though_all_it_has_agrees():
    found = outcomes(of(steps=6))
    assert found["simckpt.verdict.verdict"] == "failure"
    assert found["simckpt.field.x"] == "passed"


def test_of_many_runs_each_is_a_case():
    runs = [run(SMALL, name=n, rate=r) for n, r in (("a", 0.5), ("b", 0.5), ("c", 0.6))]
    found = outcomes(compare_many(runs))
    assert found["simckpt.run.a.simckpt.h5"] == found["simckpt.run.b.simckpt.h5"] == "passed"
    assert found["simckpt.run.c.simckpt.h5"] == "failure"


def test_text_that_xml_cannot_hold_is_shown_as_escapes():
    evil = "a\x00\x1b]]><testcase/>&\uffff"
    result = compare(run(SMALL, name=evil), run(SMALL, rate=0.6))
    text = junit(result)
    assert "<testcase/>&" not in text
    assert "\x1b" not in text
    assert len(ET.fromstring(text)) == 1
