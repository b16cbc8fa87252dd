"""How data and progress look."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from anabranch.console.cli.exit_codes import MEANINGS, ExitCode
from anabranch.console.cli.output import cell, show_list, table
from anabranch.console.progress import Changes, Look, changes_of, clock
from anabranch.model.enums import RunKind, RunState
from anabranch.model.identity import RunId

ROWS = [{"name": "Ada", "count": 7}, {"name": "Bo", "count": 12}]


def a_look(**fields: object) -> Look:
    defaults = {
        "run": RunId(1),
        "profile": "hr-import",
        "kind": RunKind.FULL_IMPORT,
        "state": RunState.RUNNING,
        "phase": "apply",
        "phase_index": 2,
        "phase_count": 7,
        "processed": 457,
        "total": 1000,
        "changes": Changes(234, 198, 25),
        "errors": 0,
        "rate": 1240.0,
        "eta_seconds": 7.0,
        "elapsed_seconds": 3.0,
        "message": None,
    }
    return msgspec.convert(defaults | fields, Look)


def test_a_table_has_titles_and_aligned_columns() -> None:
    assert table(ROWS, ("name", "count")) == "NAME  COUNT\nAda       7\nBo       12"


def test_a_table_without_rows_says_so() -> None:
    assert table([], ("name",)) == "(none)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ({}, "-"),
        ([], "-"),
        (0, "0"),
        (True, "yes"),
        ({"read": 3}, "read=3"),
        (["a", "b"], "a, b"),
        ("two\nlines", "two lines"),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01 12:00:00"),
    ],
)
def test_a_cell_is_one_line_for_a_person(value: object, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("name", "Ada\nBo\n"),
        ("jsonl", '{"name":"Ada","count":7}\n{"name":"Bo","count":12}\n'),
        ("yaml", "- name: Ada\n  count: 7\n- name: Bo\n  count: 12\n"),
    ],
)
def test_programs_get_the_same_rows_in_their_form(output: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_list(ROWS, output, ("name",), "name")
    assert capsys.readouterr().out == text


def test_json_output_reads_back_as_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    show_list(ROWS, "json", ("name",), "name")
    assert msgspec.json.decode(capsys.readouterr().out) == ROWS


@pytest.mark.behaviour("PRG-9")
def test_the_one_line_form_of_progress() -> None:
    expected = "apply | processed 457/1000 | creates 234 updates 198 deletes 25 | 1,240/s | 00:07"
    assert a_look().line() == expected


@pytest.mark.behaviour("PRG-5")
def test_a_total_nobody_knows_yet_is_shown_as_such() -> None:
    assert "processed 457/? " in a_look(total=None, eta_seconds=None).line()


def test_a_run_that_has_ended_shows_how_long_it_took() -> None:
    assert a_look(state=RunState.COMPLETED).line().endswith("| 00:03")


def test_an_hour_is_shown_in_front_of_the_minutes() -> None:
    assert clock(3_725) == "1:02:05"


def test_the_creates_of_a_sync_are_its_projections() -> None:
    counters = {"projected": 3, "changed": 10, "mvos_deleted": 1}
    assert changes_of(RunKind.DELTA_SYNC, counters) == Changes(3, 7, 1)


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)
