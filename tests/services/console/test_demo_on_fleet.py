"""The demonstration on a fleet that runs already, wherever it runs."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.compose_check import HASHES

from anabranch.console.cli import run_command
from anabranch.console.demo.showing import Showing
from anabranch.console.demo.stage import SETTINGS, DemoFailed, Stage
from anabranch.console.demo.visiting import Visit, play_on_fleet
from anabranch.console.local_fleet import LocalFleet, Service, Surroundings


@pytest.fixture
def stage(tmp_path: Path, database: str, redis_url: str) -> Stage:
    return Stage(tmp_path, database, redis_url, key_prefix="", logs=tmp_path / "logs")


@pytest.fixture
def fleet(tmp_path: Path, database: str, redis_url: str, key_prefix: str) -> Iterator[LocalFleet]:
    around = Surroundings(database_url=database, redis_url=redis_url, key_prefix=key_prefix, settings=SETTINGS)
    with LocalFleet(tmp_path, around) as fleet:
        for service in Service:
            fleet.add(service)
        fleet.wait_ready()
        yield fleet


def visit(stage: Stage, *, patience: float = 60.0) -> Visit:
    return Visit(database_url=stage.database_url, directory=stage.directory, people=120, seed=3, patience=patience)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("fleet")
def test_four_weeks_end_in_a_state_and_in_files_whose_hashes_are_told(stage: Stage) -> None:
    shown = io.StringIO()
    state = play_on_fleet(visit(stage), Showing(shown))
    assert state == asyncio.run(stage.state_hash())[0]
    assert sorted(stage.file_hash()) == ["directory.ldif", "phonebook.csv"]
    assert dict(HASHES.findall(shown.getvalue())) == {"state hash": state, **stage.file_hash()}
    with pytest.raises(DemoFailed, match="holds files already"):
        play_on_fleet(visit(stage), Showing(shown))


def test_a_fleet_that_has_a_configuration_is_left_alone(stage: Stage) -> None:
    asyncio.run(stage.prepare())
    with pytest.raises(DemoFailed, match="works by revision 1"):
        play_on_fleet(visit(stage), Showing(io.StringIO()))
    assert not stage.data.exists()


def test_what_is_missing_in_the_fleet_is_named(stage: Stage) -> None:
    with pytest.raises(DemoFailed, match="export, import, scheduler, sync; start the fleet"):
        play_on_fleet(visit(stage, patience=0.0), Showing(io.StringIO()))


def test_a_database_without_tables_is_told(empty_database: str, tmp_path: Path) -> None:
    wish = Visit(database_url=empty_database, directory=tmp_path, people=120, seed=3)
    with pytest.raises(DemoFailed, match="db migrate"):
        play_on_fleet(wish, Showing(io.StringIO()))


def test_nothing_is_kept_of_a_fleet_that_is_not_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["demo", "--on-fleet", "--keep", str(tmp_path)]) == 2
    assert "--keep" in capsys.readouterr().err
