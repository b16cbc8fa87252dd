"""The same with a real fleet and the command line, as one would do it by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services.organisation import an_organisation

from anabranch.console.cli import run_command
from anabranch.console.cli.exit_codes import ExitCode
from anabranch.console.local_fleet import LocalFleet, Service, Surroundings

PEOPLE = "id,name,dept,phone,manager\n" + "".join(f"{n},Person {n},Research,,1\n" for n in range(1, 51))


@pytest.fixture
def fleet(
    tmp_path: Path, database: str, redis_url: str, key_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalFleet]:
    """A scheduler and one worker of each kind; the commands find them by the environment."""
    monkeypatch.setenv("ANABRANCH_DATABASE_URL", database)
    monkeypatch.setenv("ANABRANCH_REDIS_URL", redis_url)
    monkeypatch.setenv("ANABRANCH_KEY_PREFIX", key_prefix)
    quick = {"sweep_seconds": "0.1", "idle_poll_seconds": "0.5"}
    around = Surroundings(database_url=database, redis_url=redis_url, key_prefix=key_prefix, settings=quick)
    with LocalFleet(tmp_path, around) as fleet:
        for service in Service:
            fleet.add(service)
        fleet.wait_ready()
        yield fleet


def test_from_files_to_a_directory_by_the_command_line(
    fleet: LocalFleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "all.yaml").write_text(json.dumps(an_organisation(tmp_path)), encoding="utf-8")
    (tmp_path / "hr").mkdir()
    (tmp_path / "hr" / "people.csv").write_text(PEOPLE, encoding="utf-8")
    (tmp_path / "hr" / "teams.csv").write_text("id,name,members\nT1,Research,1;2;3\n", encoding="utf-8")

    assert run_command(["config", "apply", str(tmp_path / "config")]) == ExitCode.OK
    assert run_command(["run", "start", "cycle", "--follow", "--timeout", "60"]) == ExitCode.OK
    capsys.readouterr()
    assert run_command(["object", "show", "mv", "person", "7", "-o", "json"]) == ExitCode.OK
    person = json.loads(capsys.readouterr().out)

    assert {row["attribute"]: row["value"] for row in person["values"]}["name"] == "Person 7"
    assert (tmp_path / "directory.ldif").read_text(encoding="utf-8").count("\nuid: ") == 50
    (tmp_path / "hr" / "people.csv").write_text(PEOPLE.splitlines()[0] + "\n", encoding="utf-8")
    assert run_command(["run", "start", "cycle", "--wait", "--timeout", "60"]) == ExitCode.HELD
