"""What a target object is created with.

Nothing is there to be compared with, so the rows are the wishes themselves: the ones that `exporting.difference` would
give against an empty object, without looking for what cannot be there. Most objects are created with single values
alone; those stay the plain mapping that they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from anabranch.engine.compiled import Target
from anabranch.engine.exporting import Wish, difference, row_order
from anabranch.model.configuration import Attribute
from anabranch.model.enums import OnNull, RowOp
from anabranch.model.identity import MvoId
from anabranch.model.objects import Document, PendingRow

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


class Columns(msgspec.Struct, frozen=True):
    """What the accepting rules of a target fill. `single` are attributes of one value that is no reference, with the
    index of their link, in order of attribute; `others` are the rest."""

    all: tuple[Column, ...]
    single: tuple[tuple[str, int], ...]
    others: tuple[Column, ...]


class Created(msgspec.Struct, frozen=True):
    """What an object is created with: the single values it sets, in order of attribute, and, where there is more to it
    than that, all rows."""

    sets: Document
    rows: tuple[PendingRow, ...] | None


def columns_of(target: Target, accepted: Sequence[int]) -> Columns:
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
    columns = tuple(found[name] for name in sorted(found))
    others = tuple(one for one in columns if one.follows is not None or one.attribute.multi_valued)
    single = tuple((one.attribute.name, one.index) for one in columns if one not in others)
    return Columns(columns, single, others)


def created(columns: Columns, offers: Sequence[Any], referred: Callable[[str], tuple[MvoId, ...]]) -> Created:
    """What a create consists of: what the links offer (`msgspec.UNSET`: nothing), by index, and the objects that an
    attribute of the metaverse object refers to."""
    sets = {
        name: value
        for name, index in columns.single
        if (value := offers[index]) is not None and value is not msgspec.UNSET
    }
    if not columns.others:
        return Created(sets, None)
    wishes = [
        one.wish(offers[one.index], None) if one.follows is None else one.wish(None, referred(one.follows))
        for one in columns.others
        if one.follows is not None or (offers[one.index] is not None and offers[one.index] is not msgspec.UNSET)
    ]
    others = difference(wishes, {}, (), (), creating=True)
    if not others:
        return Created(sets, None)
    rows = [PendingRow(name, _SET, value) for name, value in sets.items()]
    return Created(sets, tuple(sorted((*rows, *others), key=row_order)))
