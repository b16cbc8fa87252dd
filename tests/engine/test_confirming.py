"""Whether a target holds what was sent to it, judged by an import that read it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import altered, an_attribute, an_export

from anabranch.engine.confirming import MAX_REFUTATIONS, confirm, refute_create, state_of
from anabranch.model.enums import ExportKind, ExportState, RowOp, RowState, ValueType
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import CsoRef, Document, PendingRow

SET, CLEAR, ADD, REMOVE = RowOp.SET, RowOp.CLEAR, RowOp.ADD, RowOp.REMOVE
STAGED, SENT, REFUTED, FAILED = RowState.STAGED, RowState.SENT, RowState.NOT_CONFIRMED, RowState.FAILED
ATTRIBUTES = {
    "title": an_attribute("title", case_sensitive=False),
    "tags": an_attribute("tags", multi_valued=True),
    "members": an_attribute("members", type=ValueType.REFERENCE, multi_valued=True),
    "manager": an_attribute("manager", type=ValueType.REFERENCE),
}
TWO = MvoId(2)


def row(attr: str, op: RowOp, value: Any = None, **fields: Any) -> PendingRow:
    """A sent row."""
    return PendingRow(attr, op, value, **({"state": SENT} | fields))


def a_ref(raw: str, attr: str = "members", mvo: MvoId | None = None) -> CsoRef:
    return CsoRef(CsoId(1), attr, raw, None, mvo)


def judged(*rows: PendingRow, doc: Document | None = None, refs: tuple[CsoRef, ...] = (), **export: Any) -> Any:
    return confirm(an_export(rows=rows, state=state_of(rows), **export), doc or {}, refs, ATTRIBUTES)


@pytest.mark.behaviour("EXP-38")
@pytest.mark.parametrize(
    ("sent", "doc", "refs"),
    [
        (row("title", SET, "Boss"), {"title": "Boss"}, ()),
        (row("title", SET, "Boss"), {"title": "BOSS"}, ()),
        (row("title", CLEAR), {}, ()),
        (row("tags", ADD, "a"), {"tags": ["a", "b"]}, ()),
        (row("tags", REMOVE, "a"), {"tags": ["b"]}, ()),
        (row("tags", REMOVE, "a"), {}, ()),
        (row("tags", CLEAR), {"title": "x"}, ()),
        (row("manager", SET, target_mvo_id=TWO), {}, (a_ref("x", "manager", TWO),)),
        (row("members", ADD, target_mvo_id=TWO, raw="x"), {}, (a_ref("x"),)),
        (row("members", REMOVE, raw="x"), {}, (a_ref("y"),)),
        (row("members", REMOVE, target_mvo_id=TWO, raw="x"), {}, ()),
        (row("members", CLEAR), {}, (a_ref("x", "manager"),)),
    ],
)
def test_a_row_is_confirmed_when_the_object_looks_as_it_wants(
    sent: PendingRow, doc: Document, refs: tuple[CsoRef, ...]
) -> None:
    outcome = judged(sent, doc=doc, refs=refs)

    assert (outcome.left, outcome.confirmed) == (None, 1)


@pytest.mark.behaviour("EXP-38", "EXP-40")
@pytest.mark.parametrize(
    ("sent", "doc", "refs"),
    [
        (row("title", SET, "Boss"), {"title": "Clerk"}, ()),
        (row("title", SET, "Boss"), {}, ()),
        (row("title", CLEAR), {"title": "Clerk"}, ()),
        (row("tags", ADD, "a"), {"tags": ["A"]}, ()),
        (row("tags", REMOVE, "a"), {"tags": ["a"]}, ()),
        (row("tags", CLEAR), {"tags": ["a"]}, ()),
        (row("members", ADD, target_mvo_id=TWO, raw="x"), {}, (a_ref("y"),)),
        (row("members", REMOVE, target_mvo_id=TWO, raw="x"), {}, (a_ref("x"),)),
        (row("members", CLEAR), {}, (a_ref("x"),)),
    ],
)
def test_a_row_that_is_not_found_is_refuted_and_will_be_sent_again(
    sent: PendingRow, doc: Document, refs: tuple[CsoRef, ...]
) -> None:
    outcome = judged(sent, doc=doc, refs=refs)

    assert outcome.left.rows == (altered(sent, state=REFUTED, refuted=1),)
    assert outcome.left.state is ExportState.UNCONFIRMED


@pytest.mark.behaviour("EXP-6", "EXP-38")
@pytest.mark.parametrize(
    ("rows", "doc", "refs"),
    [
        ((row("tags", CLEAR), row("tags", ADD, "a")), {"tags": ["a"]}, ()),
        (
            (row("members", CLEAR), row("members", ADD, target_mvo_id=TWO, raw="x")),
            {},
            (a_ref("x", mvo=TWO),),
        ),
    ],
)
def test_a_clear_is_confirmed_though_something_was_added_after_it(
    rows: tuple[PendingRow, ...], doc: Document, refs: tuple[CsoRef, ...]
) -> None:
    assert judged(*rows, doc=doc, refs=refs).left is None


@pytest.mark.behaviour("EXP-6")
def test_a_clear_is_refuted_when_more_is_there_than_was_added_after_it() -> None:
    outcome = judged(row("tags", CLEAR), row("tags", ADD, "a"), doc={"tags": ["a", "old"]})

    assert [(one.op, one.state) for one in outcome.left.rows] == [(CLEAR, REFUTED)]


@pytest.mark.behaviour("EXP-40")
def test_after_five_refutations_a_row_has_failed() -> None:
    outcome = judged(row("title", SET, "Boss", state=REFUTED, refuted=MAX_REFUTATIONS - 1))

    assert (outcome.left.rows[0].state, outcome.left.state) == (FAILED, ExportState.DEAD_LETTER)
    assert (outcome.refuted, len(outcome.exhausted)) == ((), 1)


@pytest.mark.behaviour("EXP-40")
def test_a_refuted_row_that_is_found_after_all_is_confirmed() -> None:
    assert judged(row("title", SET, "Boss", state=REFUTED, refuted=3), doc={"title": "Boss"}).left is None


@pytest.mark.behaviour("EXP-41")
def test_confirmed_refuted_failed_and_unsent_rows_go_their_own_ways() -> None:
    failed, unsent = row("tags", ADD, "f", state=FAILED, refuted=5), row("tags", ADD, "u", state=STAGED)

    outcome = judged(row("title", SET, "Boss"), row("tags", ADD, "a"), failed, unsent, doc={"title": "Boss"})

    assert [(one.value, one.state) for one in outcome.left.rows] == [("a", REFUTED), ("f", FAILED), ("u", STAGED)]
    assert (outcome.confirmed, outcome.left.state) == (1, ExportState.READY)


@pytest.mark.behaviour("EXP-41")
def test_a_create_whose_object_was_seen_becomes_an_update_of_the_rest() -> None:
    outcome = judged(row("title", SET, "Boss"), row("tags", ADD, "a"), doc={"title": "Boss"}, kind=ExportKind.CREATE)

    assert (outcome.left.kind, len(outcome.left.rows)) == (ExportKind.UPDATE, 1)


@pytest.mark.behaviour("EXP-39")
def test_an_unsent_row_is_neither_confirmed_nor_refuted() -> None:
    export = an_export(rows=(row("title", SET, "Boss", state=STAGED),))

    assert confirm(export, {"title": "Boss"}, (), ATTRIBUTES).left == export


@pytest.mark.behaviour("EXP-48")
def test_a_create_that_a_complete_import_lacks_is_refuted_and_stays_a_create() -> None:
    rows = (row("title", SET, "Boss"), row("tags", ADD, "u", state=STAGED))

    left = refute_create(an_export(rows=rows, kind=ExportKind.CREATE))

    assert [(one.state, one.refuted) for one in left.rows] == [(REFUTED, 1), (STAGED, 0)]
    assert (left.kind, left.state) == (ExportKind.CREATE, ExportState.READY)


@pytest.mark.behaviour("EXP-2")
@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([STAGED, SENT, REFUTED, FAILED], ExportState.READY),
        ([SENT, REFUTED, FAILED], ExportState.UNCONFIRMED),
        ([SENT, FAILED], ExportState.EXPORTED),
        ([FAILED], ExportState.DEAD_LETTER),
    ],
)
def test_the_state_of_a_pending_export_follows_from_its_rows(states: list[RowState], expected: ExportState) -> None:
    assert state_of([row("title", SET, str(n), state=state) for n, state in enumerate(states)]) is expected
