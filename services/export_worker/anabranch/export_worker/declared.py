"""Objects and exports without what their object type does not declare any more.

A configuration may drop an attribute that stored objects still have, and that exports were staged to write. The target
does not take it, and it is no reason to leave the object out: whatever is read for an export is read without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from anabranch.model.configuration import Attribute
from anabranch.model.objects import CsoRef, Document, PendingExport, PendingRow, SentPicture, TargetPicture
from anabranch.runtime.work import Task

_Picture = TypeVar("_Picture", TargetPicture, SentPicture)
Attributes = Mapping[str, Attribute]


def with_declared(task: Task, pictures: Sequence[_Picture]) -> list[_Picture]:
    """The pictures with declared attributes alone; objects of types that are declared no more are left out."""
    types = task.compiled.object_types
    return [_trimmed(one, types[one.type_id][1].attributes) for one in pictures if one.type_id in types]


def exports_with_declared(task: Task, exports: Sequence[PendingExport]) -> list[PendingExport]:
    """The exports without rows of attributes that are declared no more; those of such types are left out."""
    types = task.compiled.object_types
    found = []
    for one in exports:
        if one.type_id in types:
            rows = _rows(one.rows, types[one.type_id][1].attributes)
            found.append(one if rows is one.rows else replace(one, rows=rows))
    return found


def declared_refs(refs: Sequence[CsoRef], attributes: Attributes) -> list[CsoRef]:
    """The references of declared attributes."""
    return [one for one in refs if one.attr in attributes]


def declared_document(doc: Document, attributes: Attributes) -> Document:
    """The values of declared attributes; the document itself where that is all it holds."""
    return doc if doc.keys() <= attributes.keys() else {name: doc[name] for name in doc if name in attributes}


def _trimmed(one: _Picture, attributes: Attributes) -> _Picture:
    doc, rows = declared_document(one.doc, attributes), _rows(one.rows, attributes)
    sets = declared_document(one.sets, attributes) if one.sets is not None else None
    if doc is not one.doc or rows is not one.rows or sets is not one.sets:
        one = replace(one, doc=doc, rows=rows, sets=sets)
    if isinstance(one, SentPicture) and (naming := _rows(one.naming, attributes)) is not one.naming:
        one = replace(one, naming=naming)
    return one


def _rows(rows: tuple[PendingRow, ...], attributes: Attributes) -> tuple[PendingRow, ...]:
    if all(row.attr in attributes for row in rows):
        return rows
    return tuple(row for row in rows if row.attr in attributes)
