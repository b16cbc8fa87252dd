"""The transition tables: what they allow, what they refuse, and that nothing in them is out of reach."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from anabranch.model.enums import BatchState, ExportState, RunState, StepState
from anabranch.protocol.transitions import (
    BATCH,
    EXPORT,
    RUN,
    STEP,
    BatchEvent,
    ExportEvent,
    IllegalTransition,
    Machine,
    RunEvent,
    as_markdown,
)

MACHINES: list[tuple[Machine[Any, Any, Any], type[StrEnum]]] = [
    (RUN, RunState),
    (STEP, StepState),
    (BATCH, BatchState),
    (EXPORT, ExportState),
]


@pytest.mark.parametrize(("machine", "states"), MACHINES, ids=lambda value: getattr(value, "name", ""))
def test_every_state_can_be_reached_or_is_kept_for_later(
    machine: Machine[Any, Any, Any], states: type[StrEnum]
) -> None:
    reached = {to for to in machine.table.values() if to is not None}
    unreached = set(states) - reached
    # Rejecting a pending export comes with approvals; a rejected one that is staged anew is already answered.
    assert unreached == ({ExportState.REJECTED} if states is ExportState else set())


def test_no_final_run_state_can_be_left() -> None:
    assert {state for state, _ in RUN.table if state is not None and state.is_final} == set()


def test_no_closed_step_reopens() -> None:
    assert {state for state, _ in STEP.table} == {None, StepState.OPEN, StepState.SEALED}


def test_a_done_batch_has_no_way_on() -> None:
    with pytest.raises(IllegalTransition, match=r"batch: 'committed under its claim' cannot happen in state done"):
        BATCH.after(BatchState.DONE, BatchEvent.COMMITTED)


def test_the_refusal_names_what_could_happen() -> None:
    with pytest.raises(IllegalTransition, match="what can is predecessor done"):
        BATCH.after(BatchState.BLOCKED, BatchEvent.CLAIMED)


def test_a_held_run_gives_no_way_to_completion() -> None:
    assert not RUN.allows(RunState.HELD, RunEvent.COMPLETED)


@pytest.mark.behaviour("EXP-27")
@pytest.mark.parametrize(
    ("event", "to"),
    [(ExportEvent.WORKER_LOST, ExportState.READY), (ExportEvent.OUTCOME_UNKNOWN, ExportState.AMBIGUOUS)],
)
def test_an_export_left_by_a_lost_worker_becomes_executable_or_ambiguous(event: ExportEvent, to: ExportState) -> None:
    assert EXPORT.after(ExportState.EXPORTING, event) is to


def test_a_row_cannot_be_staged_into_a_pending_export_that_is_being_sent() -> None:
    assert not EXPORT.allows(ExportState.EXPORTING, ExportEvent.STAGED)


def test_the_documentation_is_drawn_from_the_tables() -> None:
    drawn = as_markdown()
    rows = sum(len(machine.table) for machine, _ in MACHINES)
    assert drawn.count("\n| ") == rows + len(MACHINES)
    assert "| `cancelling` | last lease ended, led to failed | `failed` |" in drawn
    assert "| `exported` | an import sees every row | removed |" in drawn
