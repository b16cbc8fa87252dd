"""Whether a target holds what was sent to it.

An import that read the object after the rows were sent judges them one by one (EXP-38): a value that is there confirms
its `set` or `add`, one that is absent its `remove`, an empty attribute its `clear`. Confirmed rows go; a refuted row is
sent again by the next export, until it has been refuted five times and is given up as `failed` (EXP-40).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from anabranch.engine.values import compare_key, same_values
from anabranch.model.configuration import Attribute
from anabranch.model.enums import ExportKind, ExportState, RowOp, RowState
from anabranch.model.objects import CsoRef, Document, PendingExport, PendingRow

MAX_REFUTATIONS = 5
_JUDGED = frozenset({RowState.SENT, RowState.NOT_CONFIRMED})
_SET, _ADD, _REMOVE, _CLEAR = RowOp.SET, RowOp.ADD, RowOp.REMOVE, RowOp.CLEAR
_NOTHING: frozenset[tuple[str, Any]] = frozenset()


class Confirmation(msgspec.Struct, frozen=True):
    """The outcome for one pending export: what is left of it (None: done), and how its sent rows fared."""

    left: PendingExport | None
    confirmed: int
    refuted: tuple[PendingRow, ...]
    exhausted: tuple[PendingRow, ...]


def confirm(
    export: PendingExport, doc: Document, refs: Sequence[CsoRef], attributes: Mapping[str, Attribute]
) -> Confirmation:
    """Judge every sent row of `export` against the object an import has read."""
    held = _Held(doc, refs, attributes, export.rows)
    left: list[PendingRow] = []
    refuted: list[PendingRow] = []
    exhausted: list[PendingRow] = []
    confirmed = 0
    for row in export.rows:
        if row.state not in _JUDGED:
            left.append(row)
            continue
        if held.shows(row):
            confirmed += 1
            continue
        again = refuse(row)
        (exhausted if again.state is RowState.FAILED else refuted).append(again)
        left.append(again)
    if not left:
        return Confirmation(None, confirmed, (), ())
    kind = ExportKind.UPDATE if export.kind is ExportKind.CREATE else export.kind
    # What was refuted can be sent again now, whatever else of it waits for another object.
    waiting = export.waiting and not refuted
    rest = msgspec.structs.replace(export, kind=kind, rows=tuple(left), state=state_of(left), waiting=waiting)
    return Confirmation(rest, confirmed, tuple(refuted), tuple(exhausted))


def refuse(row: PendingRow) -> PendingRow:
    """The row after one more refutation (EXP-40)."""
    refuted = row.refuted + 1
    state = RowState.FAILED if refuted >= MAX_REFUTATIONS else RowState.NOT_CONFIRMED
    return msgspec.structs.replace(row, state=state, refuted=refuted)


def refute_create(export: PendingExport) -> PendingExport:
    """A create that was accepted, and whose object a complete full import did not find (EXP-48)."""
    rows = [refuse(row) if row.state in _JUDGED else row for row in export.rows]
    return msgspec.structs.replace(export, rows=tuple(rows), state=state_of(rows), waiting=False)


def state_of(rows: Sequence[PendingRow]) -> ExportState:
    """The state that follows from a pending export's rows (EXP-2)."""
    states = {row.state for row in rows}
    if RowState.STAGED in states:
        return ExportState.READY
    if RowState.NOT_CONFIRMED in states:
        return ExportState.UNCONFIRMED
    if RowState.SENT in states:
        return ExportState.EXPORTED
    return ExportState.DEAD_LETTER


class _Held:
    """What the object holds, indexed once, so that a group of 100,000 members costs its size and not its square."""

    def __init__(
        self, doc: Document, refs: Sequence[CsoRef], attributes: Mapping[str, Attribute], rows: Sequence[PendingRow]
    ) -> None:
        self._doc = doc
        self._rows = rows
        self._attributes = attributes
        self._values: dict[str, set[Any]] = {}
        self._raws = {(ref.attr, ref.raw) for ref in refs} if refs else _NOTHING
        self._targets = {(ref.attr, ref.target_mvo_id) for ref in refs} if refs else _NOTHING

    def shows(self, row: PendingRow) -> bool:
        """True when the object looks as the row wants it to; also where its attribute is declared no more."""
        op, attr, target = row.op, row.attr, row.target_mvo_id
        if attr not in self._attributes:
            return True
        if op is _CLEAR:
            return self._is_cleared(attr)
        if target is not None or row.raw:
            there = target is not None and (attr, target) in self._targets
            there = there or (bool(row.raw) and (attr, row.raw) in self._raws)
            return there is (op is not _REMOVE)
        attribute = self._attributes[attr]
        if op is _SET:
            held = self._doc.get(attr)
            return held is not None and same_values(row.value, held, attribute)
        return (compare_key(row.value, attribute) in self._keys(attribute)) is (op is _ADD)

    def _is_cleared(self, attr: str) -> bool:
        """Empty, but for what was added after the clear (EXP-6)."""
        added = [row for row in self._rows if row.attr == attr and row.op is RowOp.ADD]
        if not added:
            return attr not in self._doc and not any(name == attr for name, _ in self._raws)
        attribute = self._attributes[attr]
        values = {compare_key(row.value, attribute) for row in added if row.value is not None}
        targets = {row.target_mvo_id for row in added if row.target_mvo_id is not None}
        held = self._keys(attribute) if attr in self._doc else set()
        return held <= values and {target for name, target in self._targets if name == attr} <= targets

    def _keys(self, attribute: Attribute) -> set[Any]:
        keys = self._values.get(attribute.name)
        if keys is None:
            keys = {compare_key(one, attribute) for one in self._doc.get(attribute.name, [])}
            self._values[attribute.name] = keys
        return keys
