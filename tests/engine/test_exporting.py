"""What a target object lacks, row by row, and what it holds once the rows took effect."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import altered, an_attribute

from anabranch.engine.exporting import Wish, apply_rows, difference, row_order, staged_rows
from anabranch.engine.values import canonical_set, same_values
from anabranch.model.configuration import Attribute
from anabranch.model.enums import OnNull, RowOp, RowState, ValueType, Writability
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import CsoRef, Document, PendingRow

TITLE, FOLDED = an_attribute("title"), an_attribute("title", case_sensitive=False)
TAGS = an_attribute("tags", multi_valued=True)
MANAGER = an_attribute("manager", type=ValueType.REFERENCE)
MEMBERS = an_attribute("members", type=ValueType.REFERENCE, multi_valued=True)
SET, CLEAR, ADD, REMOVE = RowOp.SET, RowOp.CLEAR, RowOp.ADD, RowOp.REMOVE
SENT, REFUTED, FAILED = RowState.SENT, RowState.NOT_CONFIRMED, RowState.FAILED


def a_wish(value: Any, attribute: Attribute = TITLE, **fields: Any) -> Wish:
    return Wish(**({"attribute": attribute, "value": value, "on_null": OnNull.CLEAR, "initial_only": False} | fields))


def to_refer(*targets: int, attribute: Attribute = MEMBERS, **fields: Any) -> Wish:
    return a_wish(None, attribute, targets=tuple(MvoId(one) for one in targets), **fields)


def held(raw: str, mvo: int | None = None, attr: str = "members") -> CsoRef:
    """A reference the target object holds, to the account of that MVO."""
    return CsoRef(CsoId(1), attr, raw, None, None if mvo is None else MvoId(mvo))


def row(attr: str, op: RowOp, value: Any = None, state: RowState = RowState.STAGED, **fields: Any) -> PendingRow:
    return PendingRow(attr, op, value, state, **fields)


def naming(attr: str, op: RowOp, target: int | None, **fields: Any) -> PendingRow:
    return PendingRow(attr, op, target_mvo_id=None if target is None else MvoId(target), **fields)


def rows_for(
    *wishes: Wish,
    doc: Document | None = None,
    refs: tuple[CsoRef, ...] = (),
    rows: tuple[PendingRow, ...] = (),
    creating: bool = False,
) -> tuple[PendingRow, ...]:
    return difference(wishes, doc or {}, refs, rows, creating=creating)


# --- the difference


@pytest.mark.behaviour("SYN-71", "SYN-72", "EXP-2")
@pytest.mark.parametrize(
    ("wish", "doc", "expected"),
    [
        (a_wish("B"), {"title": "A"}, [row("title", SET, "B")]),
        (a_wish("B"), {}, [row("title", SET, "B")]),
        (a_wish("A"), {"title": "A"}, []),
        (a_wish("BOSS", FOLDED), {"title": "boss"}, []),
        (a_wish("BOSS", TITLE), {"title": "boss"}, [row("title", SET, "BOSS")]),
        (a_wish(None), {"title": "A"}, [row("title", CLEAR)]),
        (a_wish(None), {}, []),
        (a_wish(["a", "c"], TAGS), {"tags": ["a", "b"]}, [row("tags", ADD, "c"), row("tags", REMOVE, "b")]),
        (a_wish(["a"], TAGS), {"tags": ["a"]}, []),
        (a_wish(None, TAGS), {"tags": ["a"]}, [row("tags", CLEAR)]),
    ],
)
def test_only_what_differs_is_staged(wish: Wish, doc: Document, expected: list[PendingRow]) -> None:
    assert rows_for(wish, doc=doc) == tuple(expected)


@pytest.mark.behaviour("SYN-71", "SYN-73")
def test_a_create_carries_every_value_and_never_a_clear() -> None:
    assert rows_for(a_wish("B"), a_wish(None, TAGS), creating=True) == (row("title", SET, "B"),)


@pytest.mark.behaviour("SYN-73")
@pytest.mark.parametrize(
    ("wish", "doc", "refs"),
    [
        (a_wish(None, on_null=OnNull.KEEP), {"title": "A"}, ()),
        (a_wish(None, TAGS, on_null=OnNull.KEEP), {"tags": ["a"]}, ()),
        (to_refer(attribute=MANAGER, on_null=OnNull.KEEP), {}, (held("x", 2, "manager"),)),
        (to_refer(on_null=OnNull.KEEP), {}, (held("x", 2),)),
    ],
)
def test_a_mapping_may_leave_the_target_alone_when_it_gives_nothing(
    wish: Wish, doc: Document, refs: tuple[CsoRef, ...]
) -> None:
    assert rows_for(wish, doc=doc, refs=refs) == ()


@pytest.mark.behaviour("SYN-75")
@pytest.mark.parametrize(
    "wish", [a_wish("B", initial_only=True), a_wish("B", altered(TITLE, writability=Writability.CREATE_ONLY))]
)
@pytest.mark.parametrize(("creating", "staged"), [(True, 1), (False, 0)])
def test_initial_values_are_written_by_a_create_only(wish: Wish, creating: bool, staged: int) -> None:
    assert len(rows_for(wish, doc={"title": "A"} if not creating else {}, creating=creating)) == staged


@pytest.mark.behaviour("SYN-71", "EXP-2")
@pytest.mark.parametrize(
    ("wish", "refs", "expected"),
    [
        (to_refer(2, attribute=MANAGER), (), [naming("manager", SET, 2)]),
        (to_refer(2, attribute=MANAGER), (held("x", 2, "manager"),), []),
        (to_refer(3, attribute=MANAGER), (held("x", 2, "manager"),), [naming("manager", SET, 3)]),
        (to_refer(attribute=MANAGER), (held("x", 2, "manager"),), [row("manager", CLEAR)]),
        (
            to_refer(2, 3),
            (held("x", 2), held("y", 4)),
            [naming("members", ADD, 3), naming("members", REMOVE, 4, raw="y")],
        ),
        (to_refer(2), (held("x", 2), held("stranger")), [row("members", REMOVE, raw="stranger")]),
    ],
)
def test_references_differ_by_whom_they_name(wish: Wish, refs: tuple[CsoRef, ...], expected: list[PendingRow]) -> None:
    assert sorted(rows_for(wish, refs=refs), key=row_order) == sorted(expected, key=row_order)


# --- rows that are there already


@pytest.mark.behaviour("SYN-72")
@pytest.mark.parametrize(
    ("wish", "present"),
    [(a_wish("A"), row("title", SET, "B")), (a_wish(["a"], TAGS), row("tags", ADD, "b"))],
)
def test_an_unsent_row_that_has_become_needless_is_cancelled(wish: Wish, present: PendingRow) -> None:
    assert rows_for(wish, doc={"title": "A", "tags": ["a"]}, rows=(present,)) == ()


@pytest.mark.behaviour("SYN-72", "EXP-40")
@pytest.mark.parametrize(
    ("wish", "doc", "refs", "present"),
    [
        (a_wish("A"), {"title": "A"}, (), row("title", SET, "B", REFUTED)),
        (a_wish(["a"], TAGS), {"tags": ["a"]}, (), row("tags", ADD, "b", REFUTED)),
        (a_wish(["a"], TAGS), {"tags": ["a"]}, (), row("tags", CLEAR, state=REFUTED)),
        (to_refer(2), {}, (held("x", 2),), naming("members", ADD, 3, state=REFUTED, raw="y")),
        (to_refer(2), {}, (held("x", 2),), naming("members", REMOVE, 2, state=REFUTED, raw="x")),
    ],
)
def test_a_refuted_row_that_nobody_wants_any_more_is_not_sent_again(
    wish: Wish, doc: Document, refs: tuple[CsoRef, ...], present: PendingRow
) -> None:
    assert rows_for(wish, doc=doc, refs=refs, rows=(present,)) == ()


@pytest.mark.behaviour("EXP-40", "EXP-48")
def test_a_refuted_row_that_is_still_wanted_stays_though_the_object_seems_to_hold_it() -> None:
    present = row("title", SET, "B", REFUTED, refuted=2)

    assert rows_for(a_wish("B"), doc={"title": "B"}, rows=(present,)) == (present,)


@pytest.mark.behaviour("EXP-3")
@pytest.mark.parametrize(
    ("wish", "present", "expected"),
    [
        (a_wish("B"), row("title", CLEAR), row("title", SET, "B")),
        (a_wish(["a"], TAGS), row("tags", REMOVE, "a"), row("tags", ADD, "a")),
        (
            a_wish(["ANN"], altered(TAGS, case_sensitive=False)),
            row("tags", REMOVE, "ann", SENT),
            row("tags", ADD, "ANN"),
        ),
        (to_refer(2), naming("members", REMOVE, 2, raw="x", state=SENT), naming("members", ADD, 2)),
    ],
)
def test_rows_of_one_key_are_one_row_whatever_their_operation(
    wish: Wish, present: PendingRow, expected: PendingRow
) -> None:
    assert rows_for(wish, rows=(present,)) == (expected,)


@pytest.mark.behaviour("EXP-3", "EXP-7")
@pytest.mark.parametrize("mvo", [2, None], ids=["the member is known", "the member is gone"])
def test_a_removal_replaces_the_sent_add_of_the_same_member(mvo: int | None) -> None:
    sent = naming("members", ADD, 2, raw="x", state=SENT)

    (left,) = rows_for(to_refer(), refs=(held("x", mvo),), rows=(sent,))

    assert (left.op, left.raw, left.state) == (REMOVE, "x", RowState.STAGED)


@pytest.mark.behaviour("EXP-5")
@pytest.mark.parametrize(
    "present",
    [
        row("other", SET, "x"),
        row("other", ADD, "x", FAILED),
        row("other", SET, "x", REFUTED, refuted=3),
        naming("other", ADD, 5),
    ],
)
def test_rows_of_other_attributes_stay_as_they_are(present: PendingRow) -> None:
    assert present in rows_for(a_wish("B"), doc={"title": "A"}, rows=(present,))


@pytest.mark.behaviour("EXP-5", "EXP-49")
@pytest.mark.parametrize(
    ("wish", "present"),
    [
        (a_wish("B"), row("title", SET, "B", REFUTED, refuted=2)),
        (a_wish("B"), row("title", SET, "B", FAILED, refuted=5)),
        (to_refer(2), naming("members", ADD, 2, state=FAILED, refuted=5, raw="x")),
        (to_refer(2), naming("members", ADD, 2, state=REFUTED, refuted=2, raw="x")),
    ],
)
def test_a_row_that_is_still_right_keeps_its_state_and_its_count(wish: Wish, present: PendingRow) -> None:
    assert rows_for(wish, doc={"title": "A"}, rows=(present,)) == (present,)


@pytest.mark.behaviour("EXP-7")
def test_a_sent_row_is_replaced_only_by_a_different_desired_value() -> None:
    sent = row("title", SET, "B", SENT)

    assert rows_for(a_wish("B"), doc={"title": "B"}, rows=(sent,)) == (sent,)
    assert rows_for(a_wish("C"), doc={"title": "B"}, rows=(sent,)) == (row("title", SET, "C"),)


@pytest.mark.behaviour("EXP-6")
def test_a_clear_replaces_the_unsent_rows_of_its_attribute() -> None:
    present = (row("tags", ADD, "b"), row("tags", REMOVE, "a"))

    assert rows_for(a_wish(None, TAGS), doc={"tags": ["a"]}, rows=present) == (row("tags", CLEAR),)


@pytest.mark.behaviour("EXP-6")
def test_what_is_added_after_a_sent_clear_stands_beside_it_and_comes_after_it() -> None:
    sent = row("tags", CLEAR, state=SENT)

    assert rows_for(a_wish(["a"], TAGS), rows=(sent,)) == (sent, row("tags", ADD, "a"))


def test_rows_stand_in_the_order_in_which_they_are_stored() -> None:
    wishes = (to_refer(3, 2), a_wish("B"), a_wish(["a"], TAGS))

    assert [(one.attr, one.value, one.target_mvo_id) for one in rows_for(*wishes)] == [
        ("tags", "a", None),
        ("title", "B", None),
        ("members", None, 2),
        ("members", None, 3),
    ]


VALUES = st.lists(st.sampled_from(["a", "A", "b", "c"]), max_size=4)


@pytest.mark.behaviour("SYN-71", "EXP-3")
@given(had=VALUES, first=VALUES, then=VALUES, fold=st.booleans())
def test_staging_again_and_again_gives_the_rows_of_the_last_wish_alone(
    had: list[str], first: list[str], then: list[str], fold: bool
) -> None:
    tags = altered(TAGS, case_sensitive=not fold)
    doc = {"tags": canonical_set(had, tags)} if had else {}
    wishes = [a_wish(canonical_set(one, tags) or None, tags) for one in (first, then)]
    once = rows_for(wishes[1], doc=doc)

    assert rows_for(wishes[1], doc=doc, rows=rows_for(wishes[0], doc=doc)) == once
    assert rows_for(wishes[1], doc=doc, rows=once) == once
    assert same_values(apply_rows(doc, once, {"tags": tags}).get("tags"), wishes[1].value, tags)


# --- carrying rows out


@pytest.mark.behaviour("EXP-2")
@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("title", SET, "B")], {"title": "B", "tags": ["b"]}),
        ([row("title", CLEAR)], {"tags": ["b"]}),
        ([row("tags", ADD, "a"), row("tags", ADD, "b")], {"title": "A", "tags": ["a", "b"]}),
        ([row("tags", REMOVE, "b")], {"title": "A"}),
        ([row("tags", ADD, "a"), row("tags", CLEAR)], {"title": "A", "tags": ["a"]}),
        ([row("title", SET, "B", FAILED)], {"title": "A", "tags": ["b"]}),
        ([naming("tags", ADD, 7), row("tags", REMOVE, raw="x")], {"title": "A", "tags": ["b"]}),
    ],
)
def test_rows_take_effect_on_a_document(rows: list[PendingRow], expected: Document) -> None:
    doc: Document = {"title": "A", "tags": ["b"]}

    assert apply_rows(doc, rows, {"title": TITLE, "tags": TAGS}) == expected
    assert doc == {"title": "A", "tags": ["b"]}


def test_staged_and_refuted_rows_are_sent() -> None:
    rows = [row("title", SET, state, state=state) for state in RowState]

    assert [one.state for one in staged_rows(rows)] == [RowState.STAGED, RowState.NOT_CONFIRMED]


class Counted(str):
    """Text that counts how often it is compared, equal or less."""

    seen = 0
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        Counted.seen += 1
        return str.__eq__(self, other)

    def __lt__(self, other: str) -> bool:
        Counted.seen += 1
        return str.__lt__(self, other)

    __hash__ = str.__hash__


MANY = 100_000


def counted(*numbers: int) -> list[str]:
    return [Counted(f"{n:06d}") for n in numbers]


@pytest.mark.behaviour("MOD-12")
def test_one_changed_member_of_a_hundred_thousand_is_one_row() -> None:
    Counted.seen = 0

    rows = rows_for(a_wish(counted(*range(1, MANY + 1)), TAGS), doc={"tags": counted(*range(MANY))})

    assert rows == (row("tags", ADD, f"{MANY:06d}"), row("tags", REMOVE, "000000"))
    assert Counted.seen < 5 * MANY


@pytest.mark.behaviour("MOD-12")
def test_carrying_out_as_many_rows_costs_their_number_and_not_its_square() -> None:
    doc: Document = {"tags": counted(*range(MANY))}
    adds = [row("tags", ADD, one) for one in counted(*range(MANY, 2 * MANY))]
    removes = [row("tags", REMOVE, one) for one in counted(*range(MANY - 1))]
    Counted.seen = 0

    left = apply_rows(doc, [*adds, *removes], {"tags": TAGS})["tags"]

    assert (len(left), left[0]) == (MANY + 1, f"{MANY - 1:06d}")
    assert Counted.seen < 40 * MANY  # a sort of 200,000; the square would be 10,000,000,000


@pytest.mark.behaviour("MOD-12")
def test_so_many_references_differ_by_the_one_that_left() -> None:
    refs = tuple(held(f"{n:06d}", n) for n in range(1, MANY))

    rows = rows_for(to_refer(*range(2, MANY)), refs=refs)

    assert rows == (naming("members", REMOVE, 1, raw="000001"),)
