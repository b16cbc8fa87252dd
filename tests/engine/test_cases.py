"""Scenario scripts: what they answer is what they say. `--rewrite` writes them anew, to be reviewed as a difference."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine.scenarios import replay

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_script_answers_as_written(case: Path, rewrites: bool) -> None:
    script = case.read_text(encoding="utf-8")
    answered = replay(script)
    if rewrites:
        case.write_text(answered, encoding="utf-8")
        return

    assert answered == script


def test_there_are_scripts() -> None:
    assert CASES


def test_a_script_that_expects_something_else_is_told_apart() -> None:
    script = "metaverse\nname: text\n----\n2 attributes\n"

    assert replay(script) == "metaverse\nname: text\n----\n1 attributes\n"
