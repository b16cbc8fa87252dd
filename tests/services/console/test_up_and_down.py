"""`anabranch up` and `down`: servers and fleet of one's own, found again by later commands, scaled, and gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from anabranch.console.cli import run_command
from anabranch.console.cli.exit_codes import ExitCode
from anabranch.console.detached import any_running, bring_down, read_state
from anabranch.console.local_fleet import FleetMember, Service
from anabranch.runtime.local_servers import LocalServers

SMALL = ["up", "--import-workers", "0", "--export-workers", "0", "--sync-workers"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; nothing that was started in it is left behind."""
    for name in ("ANABRANCH_DATABASE_URL", "ANABRANCH_REDIS_URL", "ANABRANCH_KEY_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    try:
        yield tmp_path
    finally:
        bring_down(tmp_path / ".anabranch", purge=True)


def _members(place: Path, service: Service) -> list[FleetMember]:
    state = read_state(place / ".anabranch")
    assert state is not None
    return [member for member in state.members if member.service is service and member.is_running()]


def test_up_runs_a_fleet_that_later_commands_find_and_down_ends_it(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*SMALL, "1"]) == ExitCode.OK
    shown = capsys.readouterr()
    password = (place / ".anabranch" / "password").read_text(encoding="ascii").strip()
    assert password not in shown.out + shown.err

    assert run_command(["worker", "ls", "-o", "json"]) == ExitCode.OK
    beating = {row["pid"] for row in json.loads(capsys.readouterr().out)}
    (first,) = _members(place, Service.SYNC)
    assert first.pid in beating

    assert run_command([*SMALL, "2"]) == ExitCode.OK
    assert first in _members(place, Service.SYNC)
    assert len(_members(place, Service.SYNC)) == 2

    assert run_command([*SMALL, "0"]) == ExitCode.OK
    assert _members(place, Service.SYNC) == []

    state = read_state(place / ".anabranch")
    assert state is not None
    assert run_command(["down", "--purge"]) == ExitCode.OK
    assert not any_running(state)
    assert LocalServers.find_detached(place / ".anabranch") is None
    assert not (place / ".anabranch").exists()


def test_a_command_after_the_servers_died_says_to_start_them(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([*SMALL, "0"]) == ExitCode.OK
    servers = LocalServers.find_detached(place / ".anabranch")
    assert servers is not None
    assert servers.postgres is not None
    servers.postgres.signal(9)
    assert servers.postgres.wait_gone(10)
    assert run_command(["run", "ls"]) == ExitCode.FAILED
    assert "anabranch up" in capsys.readouterr().err
