"""What an imported object changes in the connector space.

The source decides what an object looks like, the stored CSO decides what that means: an unknown anchor is an addition
whatever the source calls it, a known one an update, and the same content again is nothing at all (IMP-8, IMP-17).
Values that could not be read keep what is stored (IMP-12).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from anabranch.engine.values import same_values
from anabranch.model.configuration import Attribute
from anabranch.model.enums import CsoState
from anabranch.model.objects import Cso, CsoRef, Document, StagedRow


class Settled(msgspec.Struct, frozen=True):
    """The outcome for one staged row.

    `change` is the item change (`added`, `updated`, `revived`, `confirmed`, `unchanged`, `superseded`, `ignored`,
    `obsoleted`); `doc` the document afterwards; `values` the value changes (attribute, old, new); `add_refs` and
    `remove_refs` raw identifiers by attribute; `write` says whether the wide row changes, `touch` whether it takes a
    new number.
    """

    change: str
    doc: Document
    values: tuple[tuple[str, Any, Any], ...] = ()
    add_refs: dict[str, tuple[str, ...]] = {}
    remove_refs: dict[str, tuple[str, ...]] = {}
    write: bool = False
    touch: bool = False


def settle(row: StagedRow, stored: Cso | None, refs: Sequence[CsoRef], attributes: Mapping[str, Attribute]) -> Settled:
    """Compare one staged row with the CSO of its identity (None: there is none)."""
    if stored is None:
        if row.change == "delete":
            return Settled("ignored", {})
        values = tuple((name, None, value) for name, value in row.doc.items())
        return Settled("added", row.doc, values, add_refs=added_refs(row), write=True, touch=True)
    if stored.change_seq > row.seq_before_read:
        return Settled("superseded", stored.doc)
    if row.change == "delete":
        gone = stored.state is CsoState.NORMAL
        return Settled("obsoleted" if gone else "ignored", stored.doc, write=False)
    return _compare(row, stored, refs, attributes)


def added_refs(row: StagedRow) -> dict[str, tuple[str, ...]]:
    """Raw identifiers by attribute of an object that is new."""
    return {attr: tuple(raws) for attr, raws in row.refs.items() if raws} if row.refs else {}


def _compare(row: StagedRow, stored: Cso, refs: Sequence[CsoRef], attributes: Mapping[str, Attribute]) -> Settled:
    kept = set(row.kept)
    partial = row.change == "partial"
    doc: Document = dict(stored.doc) if partial else {k: v for k, v in stored.doc.items() if k in kept}
    doc.update(row.doc)
    values = value_changes(stored.doc, doc, attributes)
    if not values:
        doc = stored.doc
    add, remove = _reference_changes(row, refs, kept, partial=partial)
    moved = row.partition != stored.partition
    differs = bool(values or add or remove)
    if stored.state is CsoState.OBSOLETE:
        return Settled("revived", doc, values, add, remove, write=True, touch=True)
    if stored.state is CsoState.PENDING_PROVISIONING:
        return Settled("confirmed", doc, values, add, remove, write=True, touch=differs)
    if differs:
        return Settled("updated", doc, values, add, remove, write=True, touch=True)
    remembers = row.fingerprint is not None and row.fingerprint != stored.fingerprint
    return Settled("unchanged", doc, write=remembers or moved or row.secondary != stored.secondary)


def value_changes(
    old: Document, new: Document, attributes: Mapping[str, Attribute]
) -> tuple[tuple[str, Any, Any], ...]:
    """(attribute, old, new) for every attribute whose value differs under its type's equality (IMP-14)."""
    changes: list[tuple[str, Any, Any]] = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None or after is None or before != after:
            attribute = attributes.get(name)
            same = (
                before is not None
                and after is not None
                and attribute is not None
                and same_values(before, after, attribute)
            )
            if not same and before is not after:
                changes.append((name, before, after))
    return tuple(changes)


def _reference_changes(
    row: StagedRow, refs: Sequence[CsoRef], kept: set[str], *, partial: bool
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    held: dict[str, set[str]] = {}
    for ref in refs:
        held.setdefault(ref.attr, set()).add(ref.raw)
    read = {attr: set(raws) for attr, raws in (row.refs or {}).items()}
    concerned = set(read) if partial else (set(read) | set(held)) - kept
    add: dict[str, tuple[str, ...]] = {}
    remove: dict[str, tuple[str, ...]] = {}
    for attr in sorted(concerned):
        before, after = held.get(attr, set()), read.get(attr, set())
        if new := after - before:
            add[attr] = tuple(sorted(new))
        if gone := before - after:
            remove[attr] = tuple(sorted(gone))
    return add, remove
