"""What a target object lacks, row by row.

The desired values of an MVO are held against what the target holds or has been sent: the CSO's document, which carries
every value a target accepted. Rows merge by key, the attribute for single values, attribute and value for sets (EXP-3),
so a pending export always says the shortest way from what is there to what is wanted: a value the target already has is
not staged, an unsent row that has become needless is cancelled, a sent row stays until an import judges it (SYN-72).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from anabranch.engine.values import canonical_set, compare_key, same_values, set_difference
from anabranch.model.configuration import Attribute
from anabranch.model.enums import OnNull, RowOp, RowState, Writability
from anabranch.model.identity import MvoId
from anabranch.model.objects import CsoRef, Document, PendingRow

# Looked up once: a member of an enumeration costs more than the rest of a comparison.
_SET, _ADD, _REMOVE, _CLEAR = RowOp.SET, RowOp.ADD, RowOp.REMOVE, RowOp.CLEAR
_STAGED, _SENT, _NOT_CONFIRMED, _FAILED = RowState.STAGED, RowState.SENT, RowState.NOT_CONFIRMED, RowState.FAILED
RowKey = tuple[str, Any]


class Wish(msgspec.Struct, frozen=True):
    """What one outbound mapping wants of one target attribute; `value` is stored form, None for nothing.

    For a reference attribute `targets` names the MVOs to refer to and `value` is unused.
    """

    attribute: Attribute
    value: Any
    on_null: OnNull
    initial_only: bool
    targets: tuple[MvoId, ...] | None = None


def difference(
    wishes: Sequence[Wish],
    doc: Document,
    refs: Sequence[CsoRef],
    rows: Sequence[PendingRow],
    *,
    creating: bool,
) -> tuple[PendingRow, ...]:
    """The rows a pending export shall hold: needed ones, and those that were sent and wait for their confirmation.

    `doc` and `refs` are what the target holds or has been sent, `rows` the present pending rows. A row that is present
    and still right is kept with its state, whether staged, sent or failed (EXP-5, EXP-7, EXP-49).
    """
    attributes = {wish.attribute.name: wish.attribute for wish in wishes}
    present = {row_key(row, attributes.get(row.attr)): row for row in rows}
    wanted: dict[RowKey, PendingRow] = {}
    concerned: dict[str, _Desired] = {}
    by_attr: dict[str, list[CsoRef]] = {}
    for ref in refs:
        by_attr.setdefault(ref.attr, []).append(ref)
    for wish in wishes:
        if _is_left_alone(wish, creating=creating):
            continue
        concerned[wish.attribute.name] = _Desired(wish)
        if wish.targets is not None:
            needed = _reference_rows(wish, wish.targets, by_attr.get(wish.attribute.name, []), creating=creating)
        else:
            needed = _value_rows(wish, doc.get(wish.attribute.name), creating=creating)
        for row in needed:
            wanted[row_key(row, wish.attribute)] = row
    return _merge(present, wanted, concerned)


def row_key(row: PendingRow, attribute: Attribute | None) -> RowKey:
    """The key rows merge by: the attribute for single values, attribute and canonical value for sets (EXP-3)."""
    if row.op in {_SET, _CLEAR}:
        return (row.attr, None)
    if row.target_mvo_id is not None or row.raw:
        return (row.attr, ("ref", row.target_mvo_id or 0, "" if row.target_mvo_id else row.raw))
    return (row.attr, compare_key(row.value, attribute) if attribute is not None else str(row.value))


def _is_left_alone(wish: Wish, *, creating: bool) -> bool:
    """Initial-only mappings and create-only attributes are written by a create alone (SYN-75)."""
    initial = wish.initial_only or wish.attribute.writability is Writability.CREATE_ONLY
    return initial and not creating


def _value_rows(wish: Wish, held: Any, *, creating: bool) -> list[PendingRow]:
    attribute, value = wish.attribute, wish.value
    if value is None:
        if creating or held is None or wish.on_null is OnNull.KEEP:
            return []
        return [PendingRow(attribute.name, _CLEAR)]
    if not attribute.multi_valued:
        if held is not None and same_values(value, held, attribute):
            return []
        return [PendingRow(attribute.name, _SET, value)]
    added, removed = set_difference(held or [], value, attribute)
    return [PendingRow(attribute.name, _ADD, one) for one in added] + [
        PendingRow(attribute.name, _REMOVE, one) for one in removed
    ]


def _reference_rows(
    wish: Wish, targets: tuple[MvoId, ...], held: Sequence[CsoRef], *, creating: bool
) -> list[PendingRow]:
    name = wish.attribute.name
    there = {ref.target_mvo_id for ref in held if ref.target_mvo_id is not None}
    missing = [target for target in sorted(set(targets)) if target not in there]
    if not wish.attribute.multi_valued:
        if missing:
            return [PendingRow(name, _SET, target_mvo_id=missing[0])]
        if not targets and held and not creating and wish.on_null is OnNull.CLEAR:
            return [PendingRow(name, _CLEAR)]
        return []
    if not targets and wish.on_null is OnNull.KEEP:
        return []
    wished = set(targets)
    surplus = [ref for ref in held if ref.target_mvo_id not in wished]
    return [PendingRow(name, _ADD, target_mvo_id=target) for target in missing] + [
        PendingRow(name, _REMOVE, target_mvo_id=ref.target_mvo_id, raw=ref.raw)
        for ref in sorted(surplus, key=lambda one: one.raw)
    ]


def _merge(
    present: Mapping[RowKey, PendingRow], wanted: Mapping[RowKey, PendingRow], concerned: Mapping[str, _Desired]
) -> tuple[PendingRow, ...]:
    """Needed rows, and of the others those nobody judged again, those in flight, and those refuted but still desired: a
    refuted row is sent again, so one that nobody wants any more must go (SYN-72)."""
    merged: dict[RowKey, PendingRow] = {}
    removed = {(row.attr, row.raw) for row in wanted.values() if row.op is _REMOVE and row.raw}
    for key, row in present.items():
        if key in wanted:
            merged[key] = row if _says_the_same(row, wanted[key]) else wanted[key]
        elif row.op is _ADD and row.raw and (row.attr, row.raw) in removed:
            continue
        elif row.attr not in concerned or _stays(row, concerned[row.attr]):
            merged[key] = row
    for key, row in wanted.items():
        merged.setdefault(key, row)
    return tuple(sorted(merged.values(), key=row_order))


def _stays(row: PendingRow, desired: _Desired) -> bool:
    return row.state is _SENT or (row.state is _NOT_CONFIRMED and desired.agrees(row))


class _Desired:
    """What one wish says about a row that is already there; indexed at first use."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._known: set[Any] | None = None

    def agrees(self, row: PendingRow) -> bool:
        """True when carrying the row out leads towards the wish."""
        if row.op is _CLEAR:
            return not self._members()
        if self._wish.targets is not None:
            there = row.target_mvo_id in self._members()
        else:
            there = compare_key(row.value, self._wish.attribute) in self._members()
        return there is (row.op is not _REMOVE)

    def _members(self) -> set[Any]:
        if self._known is None:
            wish = self._wish
            if wish.targets is not None:
                self._known = set(wish.targets)
            else:
                values = wish.value if isinstance(wish.value, list) else [] if wish.value is None else [wish.value]
                self._known = {compare_key(one, wish.attribute) for one in values}
        return self._known


def _says_the_same(present: PendingRow, wanted: PendingRow) -> bool:
    """A row that names an MVO is the same whatever identifier it was sent with."""
    if present.op is not wanted.op or present.target_mvo_id != wanted.target_mvo_id:
        return False
    if wanted.target_mvo_id is not None:
        return wanted.op is not _REMOVE or present.raw == wanted.raw
    return bool(present.value == wanted.value and present.raw == wanted.raw)


def row_order(row: PendingRow) -> tuple[bool, str, bool, str, str, int, str]:
    """A total order over the rows of one pending export that does not depend on when they were staged: first those that
    name no MVO, as they are stored. The clear of an attribute comes before what is added beside it, because it is
    carried out first (EXP-6)."""
    if row.target_mvo_id is not None:
        return (True, row.attr, True, "", "", row.target_mvo_id, row.raw)
    value = "" if row.value is None else str(row.value)
    return (False, row.attr, row.op is not _CLEAR, row.op.value, value, 0, row.raw)


def apply_rows(doc: Document, rows: Sequence[PendingRow], attributes: Mapping[str, Attribute]) -> Document:
    """The document after its plain rows took effect; reference rows live outside documents and are passed over.

    Members are gathered first and merged once an attribute, so that a large set costs its size (MOD-12).
    """
    result = dict(doc)
    single: Document = {}
    members: dict[str, list[PendingRow]] = {}
    for row in rows:
        if row.target_mvo_id is not None or row.raw or row.state is _FAILED:
            continue
        if row.op is _SET:
            single[row.attr] = row.value
        elif row.op is _CLEAR:
            result.pop(row.attr, None)
        else:
            members.setdefault(row.attr, []).append(row)
    result.update(single)  # after every clear, wherever that stood (EXP-6)
    for attr, some in members.items():
        left = _with_members(result.get(attr, []), some, attributes[attr])
        if left:
            result[attr] = left
        else:
            result.pop(attr, None)
    return result


def _with_members(held: Sequence[Any], rows: Sequence[PendingRow], attribute: Attribute) -> list[Any]:
    """The set after the rows; a value that is there already keeps its spelling (MOD-9)."""
    by_key = {compare_key(one, attribute): one for one in held}
    for row in rows:
        key = compare_key(row.value, attribute)
        if row.op is _ADD:
            by_key.setdefault(key, row.value)
        else:
            by_key.pop(key, None)
    return canonical_set(by_key.values(), attribute)


def staged_rows(rows: Sequence[PendingRow]) -> tuple[PendingRow, ...]:
    """The rows an export would send now: staged ones, and sent ones an import refuted."""
    return tuple([row for row in rows if row.state is _STAGED or row.state is _NOT_CONFIRMED])
