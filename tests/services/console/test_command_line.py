"""The command line without a server: help, bad input, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from anabranch.console.cli import cli, run_command
from anabranch.console.cli.exit_codes import ExitCode
from anabranch.console.cli.reference import reference

FAULTY = """\
systems:
  hr: {connector: csvv, options: {directory: data}}
run-profiles:
  nightly: {kind: full-imprt, system: hr}
  other: {kind: export, system: nowhere}
"""


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No fleet is known: neither by the environment nor by a state file."""
    for name in ("ANABRANCH_DATABASE_URL", "ANABRANCH_REDIS_URL", "ANABRANCH_KEY_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        yield (*path, name)


@pytest.mark.parametrize("path", list(_commands(cli)), ids=" ".join)
def test_every_command_helps_with_an_example(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command([*path, "--help"])
    shown = capsys.readouterr().out
    assert code == ExitCode.OK
    assert "Commands:" in shown or "Example" in shown


def test_the_first_help_page_tells_what_each_command_tells_itself() -> None:
    context = click.Context(cli)
    for name, (_, line) in cli.lazy.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(200) == line.rstrip(".") or (command.help or "").startswith(line)


def test_help_imports_neither_database_nor_redis_nor_rich() -> None:
    code = (
        "import sys; from anabranch.console.cli import run_command; run_command(['--help']); "
        "heavy = {'asyncpg', 'redis', 'rich', 'numpy', 'yaml', 'opentelemetry', 'asyncio'} & set(sys.modules); "
        "print('heavy:', sorted(heavy))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.stdout.endswith("heavy: []\n")


def test_the_reference_page_says_what_help_says(project_root: Path) -> None:
    page = (project_root / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert page == reference(), "run `python -m anabranch.console.cli.reference > docs/reference/cli.md`"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run", "start"], ["run", "show", "x"], ["up", "--sync-workers", "-1"]]
)
def test_a_wrong_call_ends_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(arguments) == ExitCode.USAGE
    assert "Usage:" in capsys.readouterr().err


def test_a_command_without_a_database_says_how_to_name_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", "ls"]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert "anabranch up" in err
    assert "ANABRANCH_DATABASE_URL" in err


def test_a_database_that_is_away_is_one_sentence_without_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command(["run", "ls", "--database-url", "postgresql://me:sesame@127.0.0.1:9/nothing"])
    err = capsys.readouterr().err
    assert code == ExitCode.FAILED
    assert "does not answer" in err
    assert "sesame" not in err
    assert "Traceback" not in err


def test_a_secret_file_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANABRANCH_DATABASE_URL_FILE", str(tmp_path / "none"))
    assert run_command(["run", "ls"]) == ExitCode.USAGE
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_validate_tells_every_fault_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "all.yaml").write_text(FAULTY, encoding="utf-8")
    code = run_command(["config", "validate", str(tmp_path)])
    err = capsys.readouterr().err
    assert code == ExitCode.FAILED
    assert ["all.yaml:2:" in err, "all.yaml:4:" in err, "all.yaml:5:" in err] == [True, True, True]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_validate_refuses_a_directory_without_files(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert run_command(["config", "validate", str(tmp_path / name)]) == ExitCode.FAILED
    assert name in capsys.readouterr().err


def test_down_where_nothing_runs_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["down"]) == ExitCode.OK
    assert "nothing was running" in capsys.readouterr().err


def test_doctor_without_a_fleet_names_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["doctor"]) == ExitCode.FAILED
    out = capsys.readouterr().out
    assert ["PostgreSQL" in out, "Redis" in out, "anabranch up" in out] == [True, True, True]


def test_the_demonstration_refuses_a_directory_that_is_in_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert run_command(["demo", str(tmp_path)]) == ExitCode.FAILED
    assert "not empty" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
