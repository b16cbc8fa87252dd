"""The reference says what the code does: its pages are made from it, and a page that lags behind is a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import reference_pages

from anabranch.engine.expressions import REGISTRY

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", sorted(reference_pages.PAGES))
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    written = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert written == reference_pages.PAGES[name](), "run `make docs`"


def test_a_page_that_differs_is_named_and_written_anew(tmp_path: Path) -> None:
    reference_pages.write(tmp_path)
    (tmp_path / "settings.md").write_text("something else", encoding="utf-8")
    named = reference_pages.outdated(tmp_path)
    assert (named, reference_pages.write(tmp_path), reference_pages.outdated(tmp_path)) == (named, ["settings.md"], [])


def test_the_guide_explains_every_function_of_the_language() -> None:
    guide = (DOCS / "guide" / "configuration.md").read_text(encoding="utf-8")
    assert [name for name in REGISTRY if f"`{name}(" not in guide] == []
