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

RowKey = tuple[str, Any]
_SENT_STATES = frozenset({RowState.SENT, RowState.NOT_CONFIRMED})


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
    present = {row_key(row, wish_attribute(wishes, row.attr)): row for row in rows}
    wanted: dict[RowKey, PendingRow] = {}
    concerned: set[str] = set()
    by_attr: dict[str, list[CsoRef]] = {}
    for ref in refs:
        by_attr.setdefault(ref.attr, []).append(ref)
    for wish in wishes:
        if _is_left_alone(wish, creating=creating):
            continue
        concerned.add(wish.attribute.name)
        if wish.targets is not None:
            needed = _reference_rows(wish, wish.targets, by_attr.get(wish.attribute.name, []), creating=creating)
        else:
            needed = _value_rows(wish, doc.get(wish.attribute.name), creating=creating)
        for row in needed:
            wanted[row_key(row, wish.attribute)] = row
    return _merge(present, wanted, concerned)


def wish_attribute(wishes: Sequence[Wish], name: str) -> Attribute | None:
    """The attribute record of that name among the wishes, if any."""
    for wish in wishes:
        if wish.attribute.name == name:
            return wish.attribute
    return None


def row_key(row: PendingRow, attribute: Attribute | None) -> RowKey:
    """The key rows merge by: the attribute for single values, attribute and canonical value for sets (EXP-3)."""
    if row.op in {RowOp.SET, RowOp.CLEAR}:
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
        return [PendingRow(attribute.name, RowOp.CLEAR)]
    if not attribute.multi_valued:
        if held is not None and same_values(value, held, attribute):
            return []
        return [PendingRow(attribute.name, RowOp.SET, value)]
    added, removed = set_difference(held or [], value, attribute)
    return [PendingRow(attribute.name, RowOp.ADD, one) for one in added] + [
        PendingRow(attribute.name, RowOp.REMOVE, one) for one in removed
    ]


def _reference_rows(
    wish: Wish, targets: tuple[MvoId, ...], held: Sequence[CsoRef], *, creating: bool
) -> list[PendingRow]:
    name = wish.attribute.name
    there = {ref.target_mvo_id for ref in held if ref.target_mvo_id is not None}
    missing = [target for target in sorted(set(targets)) if target not in there]
    if not wish.attribute.multi_valued:
        if missing:
            return [PendingRow(name, RowOp.SET, target_mvo_id=missing[0])]
        if not targets and held and not creating and wish.on_null is OnNull.CLEAR:
            return [PendingRow(name, RowOp.CLEAR)]
        return []
    wished = set(targets)
    surplus = [ref for ref in held if ref.target_mvo_id not in wished]
    return [PendingRow(name, RowOp.ADD, target_mvo_id=target) for target in missing] + [
        PendingRow(name, RowOp.REMOVE, raw=ref.raw) for ref in sorted(surplus, key=lambda one: one.raw)
    ]


def _merge(
    present: Mapping[RowKey, PendingRow], wanted: Mapping[RowKey, PendingRow], concerned: set[str]
) -> tuple[PendingRow, ...]:
    merged: dict[RowKey, PendingRow] = {}
    for key, row in present.items():
        if key in wanted:
            merged[key] = row if _says_the_same(row, wanted[key]) else wanted[key]
        elif row.attr not in concerned or row.state in _SENT_STATES:
            merged[key] = row
    for key, row in wanted.items():
        merged.setdefault(key, row)
    return tuple(sorted(merged.values(), key=row_order))


def _says_the_same(present: PendingRow, wanted: PendingRow) -> bool:
    return (present.op, present.value, present.target_mvo_id, present.raw) == (
        wanted.op,
        wanted.value,
        wanted.target_mvo_id,
        wanted.raw,
    )


def row_order(row: PendingRow) -> tuple[str, str, str, int, str]:
    """A total order over the rows of one pending export that does not depend on when they were staged."""
    return (row.attr, row.op.value, "" if row.value is None else str(row.value), row.target_mvo_id or 0, row.raw)


def apply_rows(doc: Document, rows: Sequence[PendingRow], attributes: Mapping[str, Attribute]) -> Document:
    """The document after its plain rows took effect; reference rows live outside documents and are passed over."""
    result = dict(doc)
    for row in rows:
        attribute = attributes[row.attr]
        if row.target_mvo_id is not None or row.raw or row.state is RowState.FAILED:
            continue
        match row.op:
            case RowOp.SET:
                result[row.attr] = row.value
            case RowOp.CLEAR:
                result.pop(row.attr, None)
            case RowOp.ADD:
                result[row.attr] = canonical_set([*result.get(row.attr, []), row.value], attribute)
            case RowOp.REMOVE:
                gone = compare_key(row.value, attribute)
                left = [one for one in result.get(row.attr, []) if compare_key(one, attribute) != gone]
                if left:
                    result[row.attr] = left
                else:
                    result.pop(row.attr, None)
    return result


def staged_rows(rows: Sequence[PendingRow]) -> tuple[PendingRow, ...]:
    """The rows an export would send now: staged ones, and sent ones an import refuted."""
    return tuple(row for row in rows if row.state in {RowState.STAGED, RowState.NOT_CONFIRMED})
