"""How a raw identifier finds the object it names.

A reference may hold an anchor or a secondary id of one of the types it may point to. Both are hashed under the case
rule of those types, so that resolving is a comparison of hashes, made in PostgreSQL for a whole range at once.
"""

from __future__ import annotations

from anabranch.engine.values import ValueProblem, anchor_key, parse_value, text_hash
from anabranch.model.configuration import Attribute, ObjectType


def reference_hashes(raw: str, target: ObjectType) -> tuple[bytes, bytes]:
    """The hashes under which an object of `target` would be found: by anchor, and by secondary id (the anchor's again
    where the type has none)."""
    by_anchor = _hash(raw, target.attributes[target.anchor])
    if target.secondary is None:
        return by_anchor, by_anchor
    return by_anchor, _hash(raw, target.attributes[target.secondary])


def _hash(raw: str, attribute: Attribute) -> bytes:
    try:
        value = parse_value(raw, attribute)
    except ValueProblem:
        value = None
    return anchor_key(value, attribute)[1] if value is not None else text_hash(raw)
