"""The documents claim nothing that does not happen: their examples are run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from simckpt import SetupError
from simckpt.diagnostics.expressions import CONSTANTS, FUNCTIONS, parse

DOCS = Path(__file__).resolve().parent.parent / "docs"
EXPRESSIONS = (DOCS / "expressions.md").read_text()
BLOCK = re.compile(r"```python\n(>>> .*?)```", flags=re.DOTALL)
WITH_EXAMPLES = sorted(p.name for p in DOCS.glob("*.md") if BLOCK.search(p.read_text()))


def test_there_are_examples_to_run() -> None:
    assert "expressions.md" in WITH_EXAMPLES


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_print_what_the_document_says(name: str) -> None:
    text = "\n".join(BLOCK.findall((DOCS / name).read_text()))
    examples = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    outcome = runner.run(examples, out=said.append)
    assert outcome.attempted
    assert outcome.failed == 0, "".join(said)


def test_the_page_on_expressions_names_every_function_and_constant() -> None:
    listed = EXPRESSIONS.partition("## What may stand in it")[2].partition("\n## ")[0]
    for name in (*FUNCTIONS, *CONSTANTS):
        assert re.search(rf"`{name}\b", listed), name


def test_the_depth_that_the_page_tells_is_the_one_that_is_refused() -> None:
    (said,) = re.findall(r"a sum of more than (\d+) terms", EXPRESSIONS)
    assert parse("+".join(["a"] * int(said))).tree
    with pytest.raises(SetupError, match="derived"):
        parse("+".join(["a"] * (int(said) + 1)))


def test_what_the_page_says_to_write_is_what_the_error_says() -> None:
    """Each row of the table: what stands on the left is refused, what is on the right is not."""
    table = EXPRESSIONS.partition("| in place of | write |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [re.split(r"(?<!\\)\|", row)[1:3] for row in table.splitlines()]
    assert len(rows) > 10
    for refused, written in rows:
        others = [t.replace("\\|", "|") for t in re.findall(r"`([^`]+)`", refused)]
        ours = re.findall(r"`([^`]+)`", written)
        for text in others:
            whole = text if text.strip("&|or ") else f"(a < 1) {text} (b < 2)"
            with pytest.raises(SetupError) as caught:
                parse(whole)
            assert caught.value.mend, text
        for text in ours:
            if text.endswith("="):
                continue
            if text == "Components":
                continue
            assert parse(text).tree
