"""What a target object is created with.

Nothing is there to be compared with, so the rows are the wishes themselves: the ones that `exporting.difference` would
give against an empty object, without looking for what cannot be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from anabranch.engine.compiled import Target
from anabranch.engine.exporting import Wish, difference, row_order
from anabranch.model.configuration import Attribute
from anabranch.model.enums import OnNull, RowOp
from anabranch.model.identity import MvoId
from anabranch.model.objects import PendingRow

_SET = RowOp.SET  # looked up once: it costs more than making a row


class Column(msgspec.Struct, frozen=True):
    """One target attribute and the mapping that fills it: the index of its link, and of a reference the MVO attribute
    it follows."""

    index: int
    attribute: Attribute
    on_null: OnNull
    initial_only: bool
    follows: str | None

    def wish(self, value: Any, targets: tuple[MvoId, ...] | None) -> Wish:
        """The wish for this value (`msgspec.UNSET`: none), or for these objects to refer to."""
        stored = None if value is msgspec.UNSET else value
        return Wish(self.attribute, stored, self.on_null, self.initial_only, targets)


def columns_of(target: Target, accepted: Sequence[int]) -> tuple[Column, ...]:
    """What the accepting rules fill, in order of attribute; the first rule in order fills an attribute (SYN-70)."""
    found: dict[str, Column] = {}
    for index in (link for rule in accepted for link in target.rules[rule].links):
        link = target.links[index]
        mapping = link.mapping
        found.setdefault(
            link.target.name,
            Column(
                index=index,
                attribute=link.target,
                on_null=mapping.on_null,
                initial_only=mapping.initial_only,
                follows=mapping.source.attribute if link.is_reference else None,
            ),
        )
    return tuple(found[name] for name in sorted(found))


def created_rows(values: Iterable[tuple[Column, Any]], references: Sequence[Wish]) -> tuple[PendingRow, ...]:
    """The rows of a create: `values` in order of attribute, `references` in any."""
    rows: list[PendingRow] = []
    others = list(references)
    for column, value in values:
        if value is None or value is msgspec.UNSET:
            continue
        if column.attribute.multi_valued:
            others.append(column.wish(value, None))
        else:
            rows.append(PendingRow(column.attribute.name, _SET, value))
    if not others:
        return tuple(rows)
    return tuple(sorted((*rows, *difference(others, {}, (), (), creating=True)), key=row_order))
