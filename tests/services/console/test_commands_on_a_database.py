"""The commands on a real database: what they answer, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from anabranch.console.cli import run_command
from anabranch.console.cli.exit_codes import ExitCode
from anabranch.console.cli.runs import after_cancel
from anabranch.model.enums import RunState

CONFIGURATION = """\
metaverse:
  person: {attributes: {number: {type: text}, name: {type: text}}}
systems:
  hr:
    connector: csv
    options: {directory: data}
    object-types:
      person: {source: {file: people.csv}, anchor: id, attributes: {id: {type: text}, name: {type: text}}}
rules:
  person-in:
    direction: inbound
    system: hr
    object-type: person
    metaverse-type: person
    project: true
    mappings: {id: {to: number, from: {attribute: id}}, name: {to: name, from: {attribute: name}}}
run-profiles:
  hr-import: {kind: full-import, system: hr}
"""


class Told(NamedTuple):
    code: int
    out: str
    err: str


class Here:
    """Runs commands against one database and Redis."""

    def __init__(self, capsys: pytest.CaptureFixture[str], database: str, redis_url: str, prefix: str) -> None:
        self._capsys = capsys
        self.urls = ["--database-url", database, "--redis-url", redis_url, "--key-prefix", prefix]

    def __call__(self, *arguments: str) -> Told:
        self._capsys.readouterr()
        code = run_command([*arguments, *self.urls])
        return Told(code, *self._capsys.readouterr())


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], database: str, redis_url: str, key_prefix: str) -> Here:
    return Here(capsys, database, redis_url, key_prefix)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "all.yaml").write_text(CONFIGURATION, encoding="utf-8")
    return tmp_path


@pytest.fixture
def applied(here: Here, files: Path) -> Here:
    assert here("config", "apply", str(files), "--author", "Ada", "--reason", "first").code == ExitCode.OK
    return here


def test_migrate_names_what_it_applied_and_then_nothing(
    capsys: pytest.CaptureFixture[str], empty_database: str, redis_url: str, key_prefix: str
) -> None:
    here = Here(capsys, empty_database, redis_url, key_prefix)
    assert "no schema of anabranch" in here("db", "check").err
    assert here("run", "ls").err.count("anabranch db migrate") == 1
    assert here("db", "migrate").out.startswith("0001_")
    assert here("db", "migrate").out == ""
    assert "schema" not in here("db", "check").err


def test_plan_ends_with_two_until_the_configuration_is_applied(here: Here, files: Path) -> None:
    before = here("config", "plan", str(files))
    here("config", "apply", str(files))
    after = here("config", "plan", str(files))
    assert (before.code, after.code, after.out) == (2, 0, "no changes\n")


def test_applying_the_same_files_again_makes_no_revision(applied: Here, files: Path) -> None:
    again = applied("config", "apply", str(files))
    assert (again.code, again.out) == (ExitCode.OK, "")
    assert applied("config", "history", "-o", "name").out == "1\n"


@pytest.mark.behaviour("MOD-30")
def test_a_destructive_change_is_applied_only_when_confirmed(applied: Here, files: Path) -> None:
    file = files / "all.yaml"
    file.write_text(
        CONFIGURATION.replace(", name: {type: text}}}\nsystems", "}}\nsystems").replace(
            ", name: {to: name, from: {attribute: name}}", ""
        ),
        encoding="utf-8",
    )
    refused = applied("config", "apply", str(files))
    confirmed = applied("config", "apply", str(files), "--confirm-destructive")
    assert (refused.code, confirmed.code) == (ExitCode.NOT_ALLOWED, ExitCode.OK)
    assert "--confirm-destructive" in refused.err
    assert "metaverse.person.attributes.name" in refused.err


def test_history_names_author_and_reason(applied: Here) -> None:
    rows = json.loads(applied("config", "history", "-o", "json").out)
    assert [(row["version"], row["author"], row["reason"]) for row in rows] == [(1, "Ada", "first")]


def test_what_is_exported_plans_no_change(applied: Here, tmp_path: Path) -> None:
    text = applied("config", "export").out
    exported = tmp_path / "exported"
    exported.mkdir()
    (exported / "all.yaml").write_text(text, encoding="utf-8")
    assert applied("config", "plan", str(exported)).out == "no changes\n"


def test_a_revision_that_does_not_exist_is_not_found(applied: Here) -> None:
    assert applied("config", "export", "--version", "7").code == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "show", "77"],
        ["run", "watch", "77"],
        ["run", "cancel", "77"],
        ["run", "release", "77"],
        ["run", "start", "nightly"],
        ["object", "show", "hr", "person", "E1"],
        ["object", "show", "hr", "group", "E1"],
        ["object", "show", "nowhere", "person", "E1"],
        ["object", "show", "mv", "person", "E1"],
    ],
    ids=" ".join,
)
def test_what_does_not_exist_is_not_found(applied: Here, arguments: list[str]) -> None:
    told = applied(*arguments)
    assert (told.code, told.out) == (ExitCode.NOT_FOUND, "")
    assert told.err.startswith("anabranch: there is no ") or "has no type" in told.err


def test_starting_before_anything_was_applied_says_what_to_do(here: Here) -> None:
    told = here("run", "start", "hr-import")
    assert told.code == ExitCode.FAILED
    assert "apply one first" in told.err


@pytest.mark.behaviour("SCH-24")
def test_a_profile_that_is_queued_already_is_the_answer(applied: Here) -> None:
    first = applied("run", "start", "hr-import", "-o", "name")
    second = applied("run", "start", "hr-import", "-o", "name")
    assert first.out == second.out == "1\n"


def test_waiting_without_a_fleet_ends_when_the_time_is_over(applied: Here) -> None:
    told = applied("run", "start", "hr-import", "--wait", "--timeout", "0.2")
    assert told.code == ExitCode.TIMEOUT
    assert "it goes on" in told.err


def test_a_cancelled_run_is_shown_as_such_and_cannot_be_cancelled_twice(applied: Here) -> None:
    applied("run", "start", "hr-import")
    assert "cancelled" in applied("run", "cancel", "1").err
    assert json.loads(applied("run", "show", "1", "-o", "json").out)["state"] == "cancelled"
    assert "has ended already" in applied("run", "cancel", "1").err
    assert "when what it wrote is recorded" in after_cancel(RunState.RUNNING)
    assert after_cancel(RunState.CANCELLING) == "cancelling"
    assert applied("run", "watch", "1").code == ExitCode.FAILED


def test_a_run_that_is_not_held_cannot_be_released(applied: Here) -> None:
    applied("run", "start", "hr-import")
    told = applied("run", "release", "1")
    assert told.code == ExitCode.FAILED
    assert "not held" in told.err


def test_empty_databases_have_one_state_hash(applied: Here) -> None:
    told = applied("state", "hash", "-o", "json")
    assert len(json.loads(told.out)["overall"]) == 64


def test_queues_show_streams_and_rows(applied: Here) -> None:
    rows = json.loads(applied("queue", "ls", "-o", "json").out)
    assert [row["stream"].split(":")[-1] for row in rows] == ["import-tasks", "sync-batches", "export-tasks"]
    assert [row["hints"] for row in rows] == [0, 0, 0]


def test_queues_are_shown_from_the_database_when_redis_is_away(applied: Here) -> None:
    applied.urls[3] = "redis://127.0.0.1:9/0"
    told = applied("queue", "ls", "-o", "json")
    assert told.code == ExitCode.OK
    assert "only PostgreSQL was asked" in told.err
    assert [row["hints"] for row in json.loads(told.out)] == [None, None, None]


def test_doctor_finds_the_fleet_that_is_missing(applied: Here) -> None:
    told = applied("doctor", "-o", "json")
    verdicts = {finding["check"]: finding["verdict"] for finding in json.loads(told.out)}
    assert told.code == ExitCode.FAILED
    assert (verdicts["workers"], verdicts["configuration"], verdicts["Redis"]) == ("wrong", "ok", "ok")
