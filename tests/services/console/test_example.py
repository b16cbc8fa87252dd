"""The example configuration is one that a fleet would take."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from anabranch.config.load import load_directory
from anabranch.connectors.registry import check_options, known_connectors
from anabranch.console.demo.generator import found, write
from anabranch.console.demo.stage import configuration_directory
from anabranch.model.configuration import Configuration


@pytest.fixture(scope="module")
def example() -> Configuration:
    return load_directory(configuration_directory(), connectors=known_connectors(), check_options=check_options)


def test_the_example_has_no_fault(example: Configuration) -> None:
    assert set(example.systems) == {"hr", "training", "directory", "phonebook"}


def test_the_cycle_imports_syncs_exports_and_confirms(example: Configuration) -> None:
    kinds = [{example.run_profiles[name].kind.value for name in group} for group in example.executions["cycle"].groups]
    assert kinds == [{"full_import"}, {"delta_sync"}, {"delta_sync"}, {"export"}, {"full_import"}]


def test_the_demonstration_runs_the_configuration_of_the_example(project_root: Path) -> None:
    assert configuration_directory() == project_root / "examples" / "organisation" / "config"


def test_the_files_have_the_columns_the_configuration_reads(example: Configuration, tmp_path: Path) -> None:
    write(found(100, seed=1), tmp_path)
    for system in ("hr", "training"):
        for object_type in example.systems[system].object_types.values():
            with (tmp_path / system / object_type.source["file"]).open(newline="", encoding="utf-8") as file:
                header = next(csv.reader(file))
            assert sorted(header) == sorted(object_type.attributes)
