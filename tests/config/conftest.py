"""Configurations from files that a test writes."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from tests.config.school import SCHOOL, Faults, Load

from anabranch.config.load import load_directory
from anabranch.model.configuration import Configuration
from anabranch.model.errors import BadInput


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Writes each keyword as NAME.yaml into a directory and loads the directory."""

    def write_and_load(**files: str) -> Configuration:
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
        return load_directory(tmp_path)

    return write_and_load


@pytest.fixture
def school(load: Load) -> Configuration:
    return load(school=SCHOOL)


@pytest.fixture
def faults(load: Load) -> Faults:
    """The messages that a changed school gets: pairs of old and new text are replaced in it, each exactly once."""

    def of(*changes: tuple[str, str], **further: str) -> list[str]:
        text = SCHOOL
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the school"
            text = text.replace(old, new)
        try:
            load(school=text, **further)
        except BadInput as error:
            return [str(fault) for fault in error.faults]
        return []

    return of
