"""Whatever a page points to is there: other pages, tests, and the code it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changes.d").glob("*.md")])
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"`((?:tests|shared|services|docs|examples|tools)/[\w./*-]+)")
_MODULE = re.compile(
    r"`((?:\w+_worker|store|engine|config|protocol|runtime|model|bus|connectors)/[\w./*]+\.(?:py|sql))"
)
_ROOMS = ("shared/anabranch", "services/*/anabranch")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_points_to_what_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [one for one in _LINK.findall(text) if not (page.parent / one).exists()]
    missing += [one for one in _PATH.findall(text) if not any(ROOT.glob(one.rstrip("/.")))]
    missing += [one for one in _MODULE.findall(text) if not any(any(ROOT.glob(f"{room}/{one}")) for room in _ROOMS)]
    assert missing == []


def test_every_decision_is_listed() -> None:
    listed = _LINK.findall((ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
